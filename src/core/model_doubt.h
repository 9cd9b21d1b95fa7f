/*
 * model_doubt.h: how far counts of pairs are doubted, for a step, a score and its parts. model_doubt.c has the formulas.
 * Private to the model.
 */
#ifndef FRESHET_CORE_MODEL_DOUBT_H
#define FRESHET_CORE_MODEL_DOUBT_H

#include "core/model_internal.h"

void freshet_model_init_doubt(freshet_model* model);
/* c->doubts, for the lists of c->items. order_code: of model_order.c. */
void freshet_model_set_doubts(const freshet_model* model, uint32_t order_code, context* c);
/* How much of what is doubtful counts nothing, and how much of what chance brings: within their bounds. */
float freshet_model_doubt(const freshet_model* model);
float freshet_model_chance(const freshet_model* model);
/* Gradients of DOUBT and CHANCE: they follow g, and the sums and what was taken from them. */
void freshet_model_doubt_gradient(freshet_model* model, const context* c, const candidates* s);
void freshet_model_bound_doubt(freshet_model* model);
/* Counts what the event adds to lists of neighbours: it makes pairs with `pairs` items of the context. */
void freshet_model_note_pairs(freshet_model* model, const context* c, uint32_t pairs, float weight);

#endif
