/*
 * filter.h: which items a request lets through, by category and by age, and of a POPULAR list those that
 * were ever chosen. Functions without state. What the user has
 * seen and what a request excludes by id is not looked at here.
 */
#ifndef FRESHET_LISTS_FILTER_H
#define FRESHET_LISTS_FILTER_H

#include "catalogue/items.h"

/* Does the request filter at all? */
bool freshet_filter_asked(const freshet_request* request);

/* Fills allowed [slots / 64 + 1], a bitmap by slot, for all slots of the model: items that are listed and
 * pass. Returns how many do. Looks at every item. */
size_t freshet_filter_items(const freshet_items* items, const freshet_request* request, int64_t now_ms,
                            uint64_t* allowed);

#endif
