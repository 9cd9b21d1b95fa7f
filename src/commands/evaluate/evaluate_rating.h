/*
 * evaluate_rating.h: predicts ratings, online, for RMSE: mean + user's bias + item's bias + slope * affinity,
 * where the affinity is the model's score of the item for the user, standardised by its running mean and
 * deviation. Biases by stochastic gradient (Koren, 2009, "baseline predictors").
 */
#ifndef FRESHET_COMMANDS_EVALUATE_RATING_H
#define FRESHET_COMMANDS_EVALUATE_RATING_H

#include <stddef.h>
#include <stdint.h>

typedef struct freshet_rater freshet_rater;

freshet_rater* freshet_rater_create(size_t users, size_t items);
void freshet_rater_destroy(freshet_rater* rater);
/* Predicts, then learns the rating; returns the error, prediction - rating. */
double freshet_rater_step(freshet_rater* rater, uint32_t user, uint32_t item, double affinity, double rating);

#endif
