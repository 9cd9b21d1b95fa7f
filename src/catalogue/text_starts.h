/*
 * text_starts.h: where an item's factors start when its text vector comes from an encoder that is not the
 * application's first.
 *
 * Factors and user vectors are in one space whatever the encoder, and must not jump when it changes. So an item that
 * has a start keeps it. An item without one gets W x, where W is the ridge regression from the new vectors x to the
 * factors of items that have learned theirs. Starts are published with the vectors, so all workers have the same; W
 * itself is never published.
 *
 * It owns W. It does not know which items lack a vector.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_CATALOGUE_TEXT_STARTS_H
#define FRESHET_CATALOGUE_TEXT_STARTS_H

#include "catalogue/text_generations.h"

typedef struct freshet_text_starts freshet_text_starts;

freshet_text_starts* freshet_text_starts_create(const freshet_ports* ports, const freshet_model* model,
                                                const freshet_text_generation* own);
void freshet_text_starts_destroy(freshet_text_starts* starts);

/* The start of an item with this vector [own->dim], into start [model.dim]. False: too little has been
 * learned to say; the model's projection stands in. */
bool freshet_text_starts_find(freshet_text_starts* starts, uint32_t slot, const float* vector, float* start);

/* W x for a text that is no item's, [model.dim]. The same otherwise. */
bool freshet_text_starts_map(freshet_text_starts* starts, const float* vector, float* start);

#endif
