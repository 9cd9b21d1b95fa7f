/*
 * evaluate_rating.c: predicts ratings online, for RMSE. It owns the biases of users and items, which are
 * apart from the model's. See evaluate_rating.h for the formula.
 */
#include "commands/evaluate/evaluate_rating.h"

#include <math.h>
#include <stdlib.h>

#include "freshet/status.h"

/* A user's bias keeps moving: people rate by their mood. An item's settles. */
static const double first_rate = .2, last_rate_of_user = .05, last_rate_of_item = .01;
static const double slope_rate = .002, decay = .02;

typedef struct bias {
  double value;
  uint32_t count;
} bias;

struct freshet_rater {
  bias *users, *items;
  bias mean;
  double low, high; /* ratings met */
  double affinity_mean, affinity_square, slope;
};

freshet_rater* freshet_rater_create(size_t users, size_t items) {
  freshet_rater* rater = calloc(1, sizeof *rater);
  FRESHET_ASSERT(rater != NULL);
  rater->users = calloc(users + 1, sizeof *rater->users);
  rater->items = calloc(items + 1, sizeof *rater->items);
  FRESHET_ASSERT(rater->users != NULL && rater->items != NULL);
  return rater;
}

void freshet_rater_destroy(freshet_rater* rater) {
  if (rater == NULL) return;
  free(rater->users);
  free(rater->items);
  free(rater);
}

/* A bias moves fast at first and slower with each rating. */
static void move(bias* b, double last_rate, double error) {
  double rate = first_rate / (1 + first_rate * b->count);
  if (rate < last_rate) rate = last_rate;
  b->count++;
  b->value -= rate * (error + decay * b->value);
}

static double standardise(freshet_rater* rater, double affinity) {
  double memory = rater->mean.count < 1000 ? rater->mean.count + 1 : 1000;
  rater->affinity_mean += (affinity - rater->affinity_mean) / memory;
  double off = affinity - rater->affinity_mean;
  rater->affinity_square += (off * off - rater->affinity_square) / memory;
  return rater->affinity_square > 0 ? off / sqrt(rater->affinity_square + 1e-6) : 0;
}

double freshet_rater_step(freshet_rater* rater, uint32_t user, uint32_t item, double affinity,
                          double rating) {
  bias *u = &rater->users[user], *i = &rater->items[item];
  double z = standardise(rater, affinity);
  double predicted = rater->mean.value + u->value + i->value + rater->slope * z;
  if (rater->mean.count == 0) predicted = rater->low = rater->high = rating;
  predicted = predicted < rater->low ? rater->low : predicted > rater->high ? rater->high : predicted;
  double error = predicted - rating;
  move(u, last_rate_of_user, error);
  move(i, last_rate_of_item, error);
  rater->slope -= slope_rate * error * z;
  rater->mean.count++;
  rater->mean.value += (rating - rater->mean.value) / rater->mean.count;
  rater->low = rating < rater->low ? rating : rater->low;
  rater->high = rating > rater->high ? rating : rater->high;
  return error;
}
