/*
 * model_signal.h: what an event weighs, by how the item was chosen, for the other files of the model. Private to the model.
 * model_worth.c has the formulas.
 */
#ifndef FRESHET_CORE_MODEL_SIGNAL_H
#define FRESHET_CORE_MODEL_SIGNAL_H

#include "core/model_kernels.h"
#include "freshet/model.h"

typedef struct context context; /* model_internal.h */

/* Signals, see freshet_signal_of: 2 bits 1 + type, 8 bits code of seconds or pieces, 8 bits code of the price. A code
 * counts eighths of a power of two; 0: not known. */
enum {
  SIGNAL_CODES = 256,
  SIGNAL_AMOUNT_SHIFT = 2,
  SIGNAL_PRICE_SHIFT = 10,
};

typedef struct worth_bases worth_bases;
/* The curves that are summed, by code; free() releases them. */
worth_bases* freshet_model_worth_bases(const freshet_model_kernels* kernels);
void freshet_model_init_worth(freshet_model* model);
/* Sets is_weighed and worth of the context. Its weights w_k must be those of equal events. */
void freshet_model_weigh_context(const freshet_model* model, context* c);
/* What the choice counts, in 1/WEIGHT_UNITS. */
uint32_t freshet_model_choice_units(freshet_model* model, const context* c, const freshet_observation* seen);
/* A step of the weights. pulls [c->count]: gradients of log w_k. Only for a context that is weighed. */
void freshet_model_step_worth(freshet_model* model, const context* c, const float* pulls);
/* The mean price of the stream; 0: there was none. */
double freshet_model_usual_price(const freshet_model* model);
/* Prices are compared with what is usual in the stream. */
void freshet_model_note_price(freshet_model* model, uint32_t signal);

#endif
