/*
 * user_texts.h: with text.users = encoded: the texts of the last items of users with few events, encoded in the
 * background.
 *
 * A list never waits for one. It is made with what is there. When the text of the user's present history has arrived,
 * the list is outdated (refresh.h). What is known is kept in the user's row in memory and is never stored; it goes
 * with the row. A text that is refused or fails is asked for again with the user's next list.
 *
 * It owns the texts on their way. Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_USER_TEXTS_H
#define FRESHET_LISTS_USER_TEXTS_H

#include "catalogue/items.h"
#include "users/users.h"

enum { FRESHET_USER_TEXTS_MAX = 64 }; /* on their way at a time */

typedef struct freshet_user_texts freshet_user_texts;

/* None of the parts is owned. */
freshet_user_texts* freshet_user_texts_create(const freshet_ports* ports);
void freshet_user_texts_destroy(freshet_user_texts* texts); /* NULL is allowed */
/* The tables are loaded; not owned. What was on its way for the ones before is forgotten. */
void freshet_user_texts_load(freshet_user_texts* texts, freshet_items* items, freshet_users* users);

/* Before a list of this user is made: asks for the text of its history unless that is there or on its way.
 * An encoder that takes no time worth mentioning is asked on the spot. */
void freshet_user_texts_see_to(freshet_user_texts* texts, freshet_user_row* row);

/* Takes a text of FRESHET_EMBED_HISTORY. Returns the row whose list can be better now, or NULL: the user is
 * not in memory any more, or was erased, or has another history by now. */
freshet_user_row* freshet_user_texts_encoded(freshet_user_texts* texts, const freshet_embedded* embedded);

#endif
