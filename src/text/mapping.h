/*
 * mapping.h: whole files as bytes: mapped, not read, so that large model files cost no memory of their own.
 * The file must not be truncated meanwhile.
 */
#ifndef FRESHET_TEXT_MAPPING_H
#define FRESHET_TEXT_MAPPING_H

#include "freshet/bytes.h"
#include "freshet/status.h"

/* Maps a file; an empty one becomes an empty slice. Errors: FRESHET_NOT_FOUND, FRESHET_IO, with the path. */
freshet_status freshet_map_file(const char* path, freshet_slice* bytes, freshet_error* error);
void freshet_unmap_file(freshet_slice bytes);
/* Gives the mapped pages back to the system; they are read again when needed. */
void freshet_forget_file(freshet_slice bytes);

#endif
