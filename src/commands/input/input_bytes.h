/*
 * input_bytes.h: the bytes of an input as UTF-8 text or as a binary container, whatever the file is wrapped in.
 *
 * Owns the descriptor and the chain file -> gzip, zstd, bzip2, xz or zip -> character set. The first bytes tell
 * the wrapping, so a pipe works like a file. It knows how far the file has been read and notices when the file
 * becomes longer or shorter meanwhile. It must not know formats such as CSV or JSON.
 *
 * Thread rule: one thread.
 */
#ifndef FRESHET_COMMANDS_INPUT_BYTES_H
#define FRESHET_COMMANDS_INPUT_BYTES_H

#include <stddef.h>

#include "freshet/bytes.h"
#include "freshet/status.h"

typedef struct freshet_bytes freshet_bytes;

/* path: "-" is standard input; borrowed until the close. encoding: a name that iconv knows, such as latin1,
 * windows-1252 or utf-16; NULL: the bytes are taken as they are. The caller closes *file.
 * Errors, verdict FRESHET_STOP: FRESHET_NOT_FOUND when the file cannot be opened; FRESHET_INVALID for a folder,
 * an unknown encoding, an archive of several files, an Excel workbook, a broken wrapping. */
freshet_status freshet_bytes_open(const char* path, const char* encoding, freshet_bytes** file,
                                  freshet_error* error);
void freshet_bytes_close(freshet_bytes* file); /* NULL is allowed */

/* Reads up to `size` bytes; *got 0: the end. Errors, verdict FRESHET_STOP, without the path: FRESHET_INVALID for
 * a wrapping that is broken or cut off and for a file that has become shorter; FRESHET_IO. A character that the
 * encoding does not have becomes the byte 0xff, which no UTF-8 has: the row with it is rejected later. */
freshet_status freshet_bytes_read(freshet_bytes* file, void* bytes, size_t size, size_t* got,
                                  freshet_error* error);

/* The first bytes, FRESHET_BYTES_HEAD or all there are. They are read again by freshet_bytes_read. Call it before
 * the first read; the view holds until the second one. */
enum { FRESHET_BYTES_HEAD = 1 << 16 };
freshet_status freshet_bytes_head(freshet_bytes* file, freshet_slice* head, freshet_error* error);

/* Share of the stored file that has been read, 0 to 1; 0 when its size is not known. */
double freshet_bytes_progress(const freshet_bytes* file);
/* At the end: has the file grown since it was opened, so that its last line may not be whole? */
bool freshet_bytes_grown(const freshet_bytes* file);

#endif
