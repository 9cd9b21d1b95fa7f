/*
 * shown_rows.h: what a user was shown as the bytes that UserState.shown holds. It owns their layout. It must not know rows
 * of users or the store.
 */
#ifndef FRESHET_USERS_SHOWN_ROWS_H
#define FRESHET_USERS_SHOWN_ROWS_H

#include "freshet/bytes.h"
#include "freshet/model.h"

/* Appends all that the user was shown to *out, FRESHET_SHOWN_BYTES each. */
enum { FRESHET_SHOWN_BYTES = 25 };
void freshet_shown_write(const freshet_model* model, const freshet_user* user, freshet_buffer* out);

/* Adds it to the user. An item that is parked or finds no slot is left out; so are values out of range, and what follows
 * the last whole row. */
void freshet_shown_read(freshet_model* model, freshet_slice bytes, freshet_user* user);

#endif
