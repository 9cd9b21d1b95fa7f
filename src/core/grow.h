/*
 * grow.h: arrays that grow, for every room. The one place that decides by how much; it owns nothing and knows
 * nothing of what the elements are.
 */
#ifndef FRESHET_CORE_GROW_H
#define FRESHET_CORE_GROW_H

#include <stddef.h>

/* Makes room for `needed` elements of `size` bytes in an array from malloc (NULL: a new one), and returns it;
 * *capacity is kept up to date and at least doubles when it changes. New elements are not initialised. Ends the
 * process when there is no memory. The caller frees. */
void* freshet_grow(void* array, size_t* capacity, size_t needed, size_t size);

#endif
