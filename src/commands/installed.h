/*
 * installed.h: finds the files that come with the program: the demo's data, the helper of `fetch-model`.
 *
 * The search begins at the program's own file, not at the current folder: an installation can be moved, and a
 * program in the folder `build` of a checkout uses the files of that checkout. Knows nothing of what is in the
 * files.
 */
#ifndef FRESHET_COMMANDS_INSTALLED_H
#define FRESHET_COMMANDS_INSTALLED_H

#include <stdbool.h>
#include <stddef.h>

/* Writes to path[size] the path of a file or folder that comes with the program. `installed` is its place below
 * the prefix of an installation ("share/freshet/demo"), `checkout` its place below a checkout
 * ("tests/data/online-retail"). False: neither is there; path then holds the place of an installation, for a
 * message. */
bool freshet_installed_find(const char* installed, const char* checkout, char* path, size_t size);

#endif
