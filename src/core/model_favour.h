/*
 * model_favour.h: how far what is chosen often is favoured among what goes together, for a step, a score and its parts.
 * model_favour.c has the formulas. Private to the model.
 */
#ifndef FRESHET_CORE_MODEL_FAVOUR_H
#define FRESHET_CORE_MODEL_FAVOUR_H

#include "core/model_internal.h"

void freshet_model_init_favour(freshet_model* model);
/* The learned weight, from 0 to 1. */
float freshet_model_favour(const freshet_model* model);
/* u^2 of an item, by which its sum of TOGETHER_BEFORE is multiplied. */
float freshet_model_favour_of(const freshet_model* model, const context* c, uint32_t slot);
/* Multiplies the sums of the candidates, and what was taken from them. Call it after the scan. */
void freshet_model_favour_candidates(const freshet_model* model, const context* c, candidates* s);
/* The gradient of FAVOUR: it follows g. */
void freshet_model_favour_gradient(freshet_model* model, const context* c, const candidates* s);
void freshet_model_bound_favour(freshet_model* model);
/* Counts the root of the item that is about to be chosen. */
void freshet_model_note_root(freshet_model* model, uint32_t slot);
/* Multiplies the sums of what has been met. roots [met]: 1 / sqrt(N + 1). */
void freshet_model_favour_met(const freshet_model* model, const context* c, freshet_gathered* met,
                              const float* roots);

#endif
