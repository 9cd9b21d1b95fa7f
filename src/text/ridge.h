/*
 * ridge.h: ridge regression (Hoerl and Kennard, 1970): the linear map W that minimises
 * sum_i |W x_i - y_i|^2 + lambda |W|^2, from pairs that are added block by block. Its normal equations
 * (X'X + lambda I) W' = X'Y are solved by Cholesky's decomposition.
 *
 * Thread rule: one thread at a time.
 */
#ifndef FRESHET_TEXT_RIDGE_H
#define FRESHET_TEXT_RIDGE_H

#include <stddef.h>
#include <stdint.h>

typedef struct freshet_ridge freshet_ridge;

freshet_ridge* freshet_ridge_create(uint32_t from, uint32_t to);
void freshet_ridge_destroy(freshet_ridge* ridge); /* NULL is allowed */

/* Adds pairs x [count][from], y [count][to]; all are copied. */
void freshet_ridge_add(freshet_ridge* ridge, const float* x, const float* y, size_t count);
size_t freshet_ridge_count(const freshet_ridge* ridge); /* pairs so far */

/* Fills map [to][from]. `strength` is lambda as a multiple of the mean of X'X's diagonal, > 0: 1 shrinks a
 * direction as strong as the mean one by half, and stronger ones by less. What was added is used up: the
 * ridge is empty afterwards. */
void freshet_ridge_solve(freshet_ridge* ridge, float strength, float* map);

#endif
