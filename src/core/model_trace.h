/*
 * model_trace.h: the trace of a delta in memory, and how many choices and pairs it has for each item. Private to the model:
 * model_trace.c reads it, model_fold.c folds it. Malformed bytes are found here, before anything of a model changes.
 */
#ifndef FRESHET_CORE_MODEL_TRACE_H
#define FRESHET_CORE_MODEL_TRACE_H

#include "core/model_internal.h"

/* Reads the trace of a delta with so many items into steps and context, and counts: pair_ends[i] and choice_ends[i] become
 * the number of pairs and of choices of item i of the delta. False: it is malformed. */
bool freshet_read_trace(freshet_sorter* to, const freshet_model_delta* delta, uint32_t items);

#endif
