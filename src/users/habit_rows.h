/*
 * habit_rows.h: the habits of a user as the bytes that UserState.habits holds. It owns their layout. It must not know
 * rows of users or the store.
 */
#ifndef FRESHET_USERS_HABIT_ROWS_H
#define FRESHET_USERS_HABIT_ROWS_H

#include "freshet/bytes.h"
#include "freshet/model.h"

/* Appends all habits of the user to *out, FRESHET_HABIT_BYTES each. */
enum { FRESHET_HABIT_BYTES = 37 };
void freshet_habits_write(const freshet_model* model, const freshet_user* user, freshet_buffer* out);

/* Adds the habits to the user. An item that finds no slot is left out; so is what follows the last whole habit. */
void freshet_habits_read(freshet_model* model, freshet_slice bytes, freshet_user* user);

#endif
