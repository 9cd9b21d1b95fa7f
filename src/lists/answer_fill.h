/*
 * answer_fill.h: puts into an answer what has been ranked, or what is known about a user or an item.
 * Everything is copied into
 * the answer's arena, since answers outlive the turn. Functions without state.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_ANSWER_FILL_H
#define FRESHET_LISTS_ANSWER_FILL_H

#include "catalogue/items.h"
#include "lists/inbox.h"
#include "lists/ranking.h"
#include "users/users.h"

/* The items of a task that has been ranked, with reasons if it has parts, and with titles if asked for. */
void freshet_answer_fill_list(freshet_answer* answer, freshet_items* items, const freshet_ranking_task* task,
                              bool with_titles);
/* What is known about the user of the row, who exists. */
void freshet_answer_fill_user(freshet_answer* answer, freshet_items* items, const freshet_user_row* row);

/* What the model has learned to weigh. */
void freshet_answer_fill_weights(freshet_answer* answer, const freshet_model* model);
/* What is known about an item. False: nothing, and the answer is as it was. Reads the store. */
bool freshet_answer_fill_item(freshet_answer* answer, freshet_items* items, freshet_slice item_id);

#endif
