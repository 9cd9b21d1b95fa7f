/*
 * model_sessions.h: what the model knows of sessions, for a step, a score and its parts. model_sessions.c has the formulas.
 * Private to the model.
 */
#ifndef FRESHET_CORE_MODEL_SESSIONS_H
#define FRESHET_CORE_MODEL_SESSIONS_H

#include "core/model_internal.h"

void freshet_model_init_sessions(freshet_model* model);
/* Counts whether a choice with this context goes on with a session. */
void freshet_model_note_session(freshet_model* model, const context* c);
/* With how many of the newest items of the context the choice makes pairs. */
uint32_t freshet_model_pairs_with(const freshet_model* model, const context* c);
/* The weight of AGREED in this context. */
float freshet_model_agreed_theta(const freshet_model* model, const context* c);
/* The row of AGREED, from s->agreed and s->counts. */
void freshet_model_agreed_feature(const freshet_model* model, candidates* s);
void freshet_model_agreed_gradient(freshet_model* model, const context* c, float gradient);
void freshet_model_bound_agreed(freshet_model* model);
/* parts[k]: what the recent item k brings to the score of `slot` by AGREED. */
void freshet_model_agreed_parts(const freshet_model* model, const context* c, uint32_t slot,
                                float parts[FRESHET_HISTORY]);
/* Adds AGREED to the values [met] of what has been met. roots [met]: 1 / sqrt(N + 1). Changes met->agreed. */
void freshet_model_add_agreed(const freshet_model* model, const context* c, freshet_gathered* met,
                              const float* roots, float* values);

#endif
