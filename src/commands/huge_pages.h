/*
 * huge_pages.h: has malloc ask the system for huge pages. A model reads a few hundred places of a large heap for each event:
 * lists of neighbours and users. With pages of 4 KiB most of these reads first have to find the page. It must not know what a
 * command does.
 *
 * Thread rule: before any other thread is started. May fail without harm: then the pages are small.
 */
#ifndef FRESHET_COMMANDS_HUGE_PAGES_H
#define FRESHET_COMMANDS_HUGE_PAGES_H

/* Starts this program once more in this process, with the same arguments [ended by NULL]; glibc reads what malloc is to do only
 * at the start. Returns when that is done already, or cannot be done (a program with capabilities of its own, for
 * instance), or GLIBC_TUNABLES is set: then it is left to whoever has set it. */
void freshet_huge_pages_ask(char** argv);

#endif
