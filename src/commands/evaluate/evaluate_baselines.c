/*
 * evaluate_baselines.c: what a learner must beat: the list of methods, and the two simplest of them.
 *
 * popular    counts of what was chosen, which halve with a half-life of 100 to 100,000 events
 * isgd       incremental matrix factorisation of positives only (Vinagre, Jorge and Gama, UMAP 2014): error
 *            1 - p.q, one step per event, without negatives
 * Settings are tried on the first part of the events (evaluate_tuned.c). Must not know the model.
 */
#include "commands/evaluate/evaluate_baselines.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/maths.h"

void* freshet_baseline_array(size_t count, size_t size) {
  void* array = calloc(count + 1, size);
  FRESHET_ASSERT(array != NULL);
  return array;
}

/* ---- popular ---- */

freshet_popular_counts freshet_popular_counts_make(size_t items, double half_life) {
  return (freshet_popular_counts){.items = items,
                                  .counts = freshet_baseline_array(items, sizeof(double)),
                                  .weight = 1,
                                  .growth = exp2(1 / half_life)};
}

void freshet_popular_counts_add(freshet_popular_counts* popular, uint32_t item) {
  popular->counts[item] += popular->weight;
  popular->weight *= popular->growth;
  if (popular->weight < 1e100) return;
  for (size_t i = 0; i < popular->items; i++) popular->counts[i] /= popular->weight;
  popular->weight = 1;
}

void freshet_popular_counts_free(freshet_popular_counts* popular) {
  free(popular->counts);
}

void freshet_popular_counts_stand_in(const freshet_popular_counts* popular, float* scores) {
  const double scale = 1e-15 / popular->weight;
  for (size_t i = 0; i < popular->items; i++) {
    if (scores[i] <= 0) scores[i] = (float)(popular->counts[i] * scale);
  }
}

static const double half_lives[] = {100, 300, 1000, 3000, 10000, 100000};

typedef struct popular {
  freshet_contender contender;
  freshet_popular_counts counts;
} popular;

static void popular_score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  popular* own = (popular*)self;
  (void)event;
  for (size_t i = 0; i < own->counts.items; i++)
    scores[i] = (float)(own->counts.counts[i] / own->counts.weight);
}

static void popular_learn(freshet_contender* self, const freshet_history_event* event) {
  if (event->positive) freshet_popular_counts_add(&((popular*)self)->counts, event->item);
}

static void popular_destroy(freshet_contender* self) {
  freshet_popular_counts_free(&((popular*)self)->counts);
  free(self);
}

static freshet_contender* popular_create(const freshet_history* history, size_t setting, uint64_t seed) {
  popular* own = freshet_baseline_array(1, sizeof *own);
  (void)seed;
  own->contender = (freshet_contender){
      .name = "popular", .score = popular_score, .learn = popular_learn, .destroy = popular_destroy};
  own->counts = freshet_popular_counts_make(history->item_count, half_lives[setting]);
  return &own->contender;
}

static void popular_describe(size_t setting, char text[FRESHET_SETTING_SIZE]) {
  snprintf(text, FRESHET_SETTING_SIZE, "a count halves in %g events", half_lives[setting]);
}

/* ---- isgd ---- */

enum { ISGD_DIM = 64 };
static const float isgd_rates[] = {.02F, .05F, .1F}, isgd_decay = .01F, isgd_start = .1F;

typedef struct isgd {
  freshet_contender contender;
  size_t items;
  float rate;
  float* users;   /* [user_count][ISGD_DIM] */
  float* factors; /* [item_count][ISGD_DIM] */
} isgd;

static float inner(const float* a, const float* b) {
  enum { LANES = 16 }; /* which the compiler turns into vectors: all items are scored at every event */
  float lanes[LANES] = {0}, sum = 0;
  for (int i = 0; i < ISGD_DIM; i += LANES) {
    for (int l = 0; l < LANES; l++) lanes[l] += a[i + l] * b[i + l];
  }
  for (int l = 0; l < LANES; l++) sum += lanes[l];
  return sum;
}

static void isgd_score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  isgd* own = (isgd*)self;
  const float* p = own->users + (size_t)event->user * ISGD_DIM;
  for (size_t i = 0; i < own->items; i++) scores[i] = inner(p, own->factors + i * ISGD_DIM);
}

static void isgd_learn(freshet_contender* self, const freshet_history_event* event) {
  isgd* own = (isgd*)self;
  float* p = own->users + (size_t)event->user * ISGD_DIM;
  float* q = own->factors + (size_t)event->item * ISGD_DIM;
  if (!event->positive) return;
  float error = 1 - inner(p, q);
  for (int i = 0; i < ISGD_DIM; i++) {
    float old = p[i];
    p[i] += own->rate * (error * q[i] - isgd_decay * p[i]);
    q[i] += own->rate * (error * old - isgd_decay * q[i]);
  }
}

static void isgd_destroy(freshet_contender* self) {
  free(((isgd*)self)->users);
  free(((isgd*)self)->factors);
  free(self);
}

static freshet_contender* isgd_create(const freshet_history* history, size_t setting, uint64_t seed) {
  isgd* own = freshet_baseline_array(1, sizeof *own);
  size_t users = history->user_count * ISGD_DIM, factors = history->item_count * ISGD_DIM;
  own->contender =
      (freshet_contender){.name = "isgd", .score = isgd_score, .learn = isgd_learn, .destroy = isgd_destroy};
  own->items = history->item_count;
  own->rate = isgd_rates[setting];
  own->users = freshet_baseline_array(users, sizeof(float));
  own->factors = freshet_baseline_array(factors, sizeof(float));
  for (size_t i = 0; i < users; i++) own->users[i] = isgd_start * freshet_gauss(freshet_random(seed, 2 * i));
  for (size_t i = 0; i < factors; i++) {
    own->factors[i] = isgd_start * freshet_gauss(freshet_random(seed, 2 * i + 1));
  }
  return &own->contender;
}

static void isgd_describe(size_t setting, char text[FRESHET_SETTING_SIZE]) {
  snprintf(text, FRESHET_SETTING_SIZE, "rate %g", (double)isgd_rates[setting]);
}

/* ---- all methods ---- */

static const freshet_method method_popular = {"popular", sizeof half_lives / sizeof *half_lives,
                                              popular_create, popular_describe};
static const freshet_method method_isgd = {"isgd", sizeof isgd_rates / sizeof *isgd_rates, isgd_create,
                                           isgd_describe};
static const freshet_method* const methods[] = {&method_popular,          &freshet_method_item_knn,
                                                &freshet_method_seq_knn,  &freshet_method_vs_knn,
                                                &freshet_method_personal, &method_isgd};

const char* const freshet_baseline_names[] = {"popular",  "item-knn", "seq-knn", "vs-knn",
                                              "personal", "isgd",     NULL};

freshet_contender* freshet_baseline_create(const char* name, const freshet_history* history, uint64_t seed) {
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    if (strcmp(name, methods[i]->name) == 0) return freshet_tuned_create(methods[i], history, seed);
  }
  return NULL;
}
