/*
 * evaluate_item_knn.c: the baselines "item-knn" and "seq-knn".
 *
 * item-knn   cosine of co-occurrence (Sarwar et al., 2001, on implicit feedback), brought up to date with each
 *            event, over a user's last 20 items
 * seq-knn    what followed an item within 20 events, a nearer event weighing more (sequential rules, Ludewig
 *            and Jannach, 2018)
 * Both put popularity behind the items that have no neighbour. Owns the pairs; must not know the model.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/evaluate/evaluate_baselines.h"
#include "core/maths.h"

/* A growing map from item to weight: open addressing, UINT32_MAX is free. */
typedef struct weights {
  uint32_t* items;
  float* values;
  uint32_t used, buckets;
} weights;

static void weights_add(weights* map, uint32_t item, float value) {
  if (2 * map->used >= map->buckets) {
    weights grown = {.buckets = map->buckets == 0 ? 8 : map->buckets * 2};
    grown.items = freshet_baseline_array(grown.buckets, sizeof *grown.items);
    grown.values = freshet_baseline_array(grown.buckets, sizeof *grown.values);
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

typedef struct recent_items {
  uint32_t items[KNN_RECENT]; /* newest first */
  uint32_t count;
} recent_items;

typedef struct setting {
  float pair_decay;   /* the k-th newest item weighs decay^k where a pair is counted; 0: 1 / (k + 1) */
  float score_decay;  /* ... and where the recent items' neighbours are added up */
  float target_power; /* counts of the neighbour under its similarity: .5 is the cosine, 0 nothing */
} setting;

static const setting item_settings[] = {{.9F, .9F, .5F}, {.8F, .8F, .5F}, {.97F, .97F, .5F}, {.9F, .9F, .3F}};
static const setting seq_settings[] = {
    {0, .8F, 0}, {0, .6F, 0}, {0, .8F, .25F}, {.8F, .8F, .25F}, {.8F, .9F, .5F}};

typedef struct item_knn {
  freshet_contender contender;
  setting setting;
  bool is_symmetric;
  const freshet_history* history;
  weights* together;    /* [item_count] */
  uint32_t* counts;     /* [item_count] */
  recent_items* recent; /* [user_count] */
  freshet_popular_counts popular;
} item_knn;

static float under(uint32_t count, float power) {
  return powf((float)count + 1, -power); /* 1 more, so that a single meeting is no certainty */
}

static void item_knn_score(freshet_contender* self, const freshet_history_event* event, float* scores) {
  item_knn* own = (item_knn*)self;
  const recent_items* recent = &own->recent[event->user];
  float decay = 1;
  memset(scores, 0, own->history->item_count * sizeof *scores);
  for (uint32_t k = 0; k < recent->count; k++, decay *= own->setting.score_decay) {
    const weights* map = &own->together[recent->items[k]];
    float scale = decay * under(own->counts[recent->items[k]], .5F);
    for (uint32_t i = 0; i < map->buckets; i++) {
      if (map->items[i] != UINT32_MAX) scores[map->items[i]] += scale * map->values[i];
    }
  }
  for (size_t i = 0; own->setting.target_power > 0 && i < own->history->item_count; i++) {
    if (scores[i] > 0) scores[i] *= under(own->counts[i], own->setting.target_power);
  }
  freshet_popular_counts_stand_in(&own->popular, scores);
}

static void item_knn_learn(freshet_contender* self, const freshet_history_event* event) {
  item_knn* own = (item_knn*)self;
  recent_items* recent = &own->recent[event->user];
  float decay = 1;
  if (!event->positive) return;
  freshet_popular_counts_add(&own->popular, event->item);
  for (uint32_t k = 0; k < recent->count; k++) {
    weights_add(&own->together[recent->items[k]], event->item, decay);
    if (own->is_symmetric) weights_add(&own->together[event->item], recent->items[k], decay);
    decay = own->setting.pair_decay > 0 ? decay * own->setting.pair_decay : 1 / (float)(k + 2);
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
  freshet_popular_counts_free(&own->popular);
  free(own->together);
  free(own->counts);
  free(own->recent);
  free(own);
}

static void describe(const setting* s, char text[FRESHET_SETTING_SIZE]) {
  char pairs[FRESHET_SETTING_SIZE / 4] = "1/k";
  if (s->pair_decay > 0) snprintf(pairs, sizeof pairs, "%g^k", (double)s->pair_decay);
  snprintf(text, FRESHET_SETTING_SIZE, "pairs weigh %s, items %g^k; neighbour counts to the power %g", pairs,
           (double)s->score_decay, (double)s->target_power);
}

static void describe_item(size_t chosen, char text[FRESHET_SETTING_SIZE]) {
  describe(&item_settings[chosen], text);
}

static void describe_seq(size_t chosen, char text[FRESHET_SETTING_SIZE]) {
  describe(&seq_settings[chosen], text);
}

static freshet_contender* create(const freshet_history* history, const char* name, const setting* chosen,
                                 bool is_symmetric) {
  item_knn* own = freshet_baseline_array(1, sizeof *own);
  own->contender = (freshet_contender){
      .name = name, .score = item_knn_score, .learn = item_knn_learn, .destroy = item_knn_destroy};
  own->setting = *chosen;
  own->is_symmetric = is_symmetric;
  own->history = history;
  own->popular = freshet_popular_counts_make(history->item_count, 3000);
  own->together = freshet_baseline_array(history->item_count, sizeof *own->together);
  own->counts = freshet_baseline_array(history->item_count, sizeof *own->counts);
  own->recent = freshet_baseline_array(history->user_count, sizeof *own->recent);
  return &own->contender;
}

static freshet_contender* item_knn_create(const freshet_history* history, size_t chosen, uint64_t seed) {
  (void)seed;
  return create(history, "item-knn", &item_settings[chosen], true);
}

static freshet_contender* seq_knn_create(const freshet_history* history, size_t chosen, uint64_t seed) {
  (void)seed;
  return create(history, "seq-knn", &seq_settings[chosen], false);
}

const freshet_method freshet_method_item_knn = {"item-knn", sizeof item_settings / sizeof *item_settings,
                                                item_knn_create, describe_item};
const freshet_method freshet_method_seq_knn = {"seq-knn", sizeof seq_settings / sizeof *seq_settings,
                                               seq_knn_create, describe_seq};
