/*
 * input_refuse.h: how the files of this folder refuse a text: the record becomes a reject, and the message shows the
 * beginning of the text. Seen by the .c files here and by nobody else.
 */
#ifndef FRESHET_COMMANDS_INPUT_REFUSE_H
#define FRESHET_COMMANDS_INPUT_REFUSE_H

#include "freshet/bytes.h"
#include "freshet/status.h"

enum { SHOWN = 40 }; /* bytes of a bad text in a message */

/* For "%.*s". */
#define SHOW(text) (int)((text).size < SHOWN ? (text).size : SHOWN), (text).data == NULL ? "" : (text).data
#define reject(error, ...) freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, __VA_ARGS__)

#endif
