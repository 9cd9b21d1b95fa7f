/*
 * evaluate_baselines.c: what a learner must beat.
 *
 * popular    positives so far, each halved every 300 events
 * item-knn   cosine of co-occurrence (Sarwar et al., 2001, on implicit feedback), kept up to date with each
 *            event, over a user's last 20 items: the k-th newest (from 0) weighs .9^k, both where a pair is
 *            counted and where the recent items' similarities are summed. Without bound and decay, as in the
 *            paper, it is a much weaker rival: .147 instead of .180 on MovieLens 100K
 * isgd       incremental matrix factorisation of positives only (Vinagre, Jorge and Gama, UMAP 2014): error
 *            1 - p.q, one step per event, without negatives
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands/evaluate/evaluate_models.h"
#include "core/maths.h"

const char* const freshet_baseline_names[] = {"popular", "item-knn", "isgd", NULL};

static void* make(size_t count, size_t size) {
  void* array = calloc(count + 1, size);
  FRESHET_ASSERT(array != NULL);
  return array;
}

/* ---- popular ---- */

typedef struct popular {
  freshet_contender contender;
  size_t items;
  double* counts;
  double weight; /* of the next event: grows instead of all counts shrinking */
} popular;

static void popular_score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  popular* own = (popular*)self;
  (void)event;
  for (size_t i = 0; i < own->items; i++) scores[i] = (float)(own->counts[i] / own->weight);
}

static void popular_learn(freshet_contender* self, const freshet_history_event* event) {
  static const double growth = 1.0023131618421728; /* 2^(1/300) */
  popular* own = (popular*)self;
  if (!event->positive) return;
  own->counts[event->item] += own->weight;
  own->weight *= growth;
  if (own->weight < 1e100) return;
  for (size_t i = 0; i < own->items; i++) own->counts[i] /= own->weight;
  own->weight = 1;
}

static void popular_destroy(freshet_contender* self) {
  free(((popular*)self)->counts);
  free(self);
}

static freshet_contender* popular_create(const freshet_history* history) {
  popular* own = make(1, sizeof *own);
  own->contender = (freshet_contender){
      .name = "popular", .score = popular_score, .learn = popular_learn, .destroy = popular_destroy};
  own->items = history->item_count;
  own->counts = make(history->item_count, sizeof *own->counts);
  own->weight = 1;
  return &own->contender;
}

/* ---- item-knn ---- */

/* A growing map from item to weight: open addressing, UINT32_MAX is free. */
typedef struct weights {
  uint32_t* items;
  float* values;
  uint32_t used, buckets;
} weights;

static void weights_add(weights* map, uint32_t item, float value) {
  if (2 * map->used >= map->buckets) {
    weights grown = {.buckets = map->buckets == 0 ? 8 : map->buckets * 2};
    grown.items = make(grown.buckets, sizeof *grown.items);
    grown.values = make(grown.buckets, sizeof *grown.values);
    memset(grown.items, 0xff, grown.buckets * sizeof *grown.items);
    for (uint32_t i = 0; i < map->buckets; i++) {
      if (map->items[i] != UINT32_MAX) weights_add(&grown, map->items[i], map->values[i]);
    }
    free(map->items);
    free(map->values);
    *map = grown;
  }
  uint32_t at = (uint32_t)freshet_mix64(item) & (map->buckets - 1);
  while (map->items[at] != UINT32_MAX && map->items[at] != item) at = (at + 1) & (map->buckets - 1);
  map->used += map->items[at] == UINT32_MAX;
  map->items[at] = item;
  map->values[at] += value;
}

enum { KNN_RECENT = 20 };
static const float knn_decay = .9F;

typedef struct recent_items {
  uint32_t items[KNN_RECENT]; /* newest first */
  uint32_t count;
} recent_items;

typedef struct item_knn {
  freshet_contender contender;
  const freshet_history* history;
  weights* together;    /* [item_count] */
  uint32_t* counts;     /* [item_count] */
  recent_items* recent; /* [user_count] */
} item_knn;

static float inverse_root(uint32_t count) {
  return 1 / sqrtf((float)count + 1); /* 1 more, so that a single meeting is no certainty */
}

static void item_knn_score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  item_knn* own = (item_knn*)self;
  const recent_items* recent = &own->recent[event->user];
  float decay = 1;
  memset(scores, 0, own->history->item_count * sizeof *scores);
  for (uint32_t k = 0; k < recent->count; k++, decay *= knn_decay) {
    const weights* map = &own->together[recent->items[k]];
    float scale = decay * inverse_root(own->counts[recent->items[k]]);
    for (uint32_t i = 0; i < map->buckets; i++) {
      if (map->items[i] != UINT32_MAX) scores[map->items[i]] += scale * map->values[i];
    }
  }
  for (size_t i = 0; i < own->history->item_count; i++) scores[i] *= inverse_root(own->counts[i]);
}

static void item_knn_learn(freshet_contender* self, const freshet_history_event* event) {
  item_knn* own = (item_knn*)self;
  recent_items* recent = &own->recent[event->user];
  float decay = 1;
  if (!event->positive) return;
  for (uint32_t k = 0; k < recent->count; k++, decay *= knn_decay) {
    weights_add(&own->together[recent->items[k]], event->item, decay);
    weights_add(&own->together[event->item], recent->items[k], decay);
  }
  own->counts[event->item]++;
  if (recent->count < KNN_RECENT) recent->count++;
  memmove(recent->items + 1, recent->items, (recent->count - 1) * sizeof *recent->items);
  recent->items[0] = event->item;
}

static void item_knn_destroy(freshet_contender* self) {
  item_knn* own = (item_knn*)self;
  for (size_t i = 0; i < own->history->item_count; i++) {
    free(own->together[i].items);
    free(own->together[i].values);
  }
  free(own->together);
  free(own->counts);
  free(own->recent);
  free(own);
}

static freshet_contender* item_knn_create(const freshet_history* history) {
  item_knn* own = make(1, sizeof *own);
  own->contender = (freshet_contender){
      .name = "item-knn", .score = item_knn_score, .learn = item_knn_learn, .destroy = item_knn_destroy};
  own->history = history;
  own->together = make(history->item_count, sizeof *own->together);
  own->counts = make(history->item_count, sizeof *own->counts);
  own->recent = make(history->user_count, sizeof *own->recent);
  return &own->contender;
}

/* ---- isgd ---- */

enum { ISGD_DIM = 64 };
static const float isgd_rate = .05F, isgd_decay = .01F, isgd_start = .1F;

typedef struct isgd {
  freshet_contender contender;
  size_t items;
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
    p[i] += isgd_rate * (error * q[i] - isgd_decay * p[i]);
    q[i] += isgd_rate * (error * old - isgd_decay * q[i]);
  }
}

static void isgd_destroy(freshet_contender* self) {
  free(((isgd*)self)->users);
  free(((isgd*)self)->factors);
  free(self);
}

static freshet_contender* isgd_create(const freshet_history* history, uint64_t seed) {
  isgd* own = make(1, sizeof *own);
  size_t users = history->user_count * ISGD_DIM, factors = history->item_count * ISGD_DIM;
  own->contender =
      (freshet_contender){.name = "isgd", .score = isgd_score, .learn = isgd_learn, .destroy = isgd_destroy};
  own->items = history->item_count;
  own->users = make(users, sizeof(float));
  own->factors = make(factors, sizeof(float));
  for (size_t i = 0; i < users; i++) own->users[i] = isgd_start * freshet_gauss(freshet_random(seed, 2 * i));
  for (size_t i = 0; i < factors; i++) {
    own->factors[i] = isgd_start * freshet_gauss(freshet_random(seed, 2 * i + 1));
  }
  return &own->contender;
}

freshet_contender* freshet_baseline_create(const char* name, const freshet_history* history, uint64_t seed) {
  if (strcmp(name, "popular") == 0) return popular_create(history);
  if (strcmp(name, "item-knn") == 0) return item_knn_create(history);
  if (strcmp(name, "isgd") == 0) return isgd_create(history, seed);
  return NULL;
}
