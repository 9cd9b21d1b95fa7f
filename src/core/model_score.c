/*
 * model_score.c: what a user's recent items mean for the score of an item.
 *
 * score(j) = psi[B(N_j)] + sum over features of theta_f f_f(j). Taste and popularity are an inner product
 * over all items (the ranker's rows); the rest is a bonus on the neighbours of the recent items, and on the items
 * that the user has chosen before.
 */
#include <stdlib.h>
#include <string.h>

#include "core/model_doubt.h"
#include "core/model_query.h"
#include "core/model_sessions.h"

/* Popularity fades with every event, so rows grow stale by themselves. Those of items of the last HOT_EVENTS
 * events, of which there is something to fade, are brought up to date every HOT_INTERVAL events. All others have their
 * turn one after the other, ROWS_PER_EVENT for each event, and not more than ROWS_AT_ONCE in one sync: no sync is long in
 * a large catalogue. (Only the latter way costs .003 of recall@10 on a stream that is driven by what is new.) */
enum { HOT_EVENTS = 2048, HOT_INTERVAL = 32, ROWS_PER_EVENT = 16, ROWS_AT_ONCE = 4096, ROWS_A_PIECE = 512 };

/* Rows that are brought up to date together: their items stay in the first-level cache meanwhile. */
enum { ROWS_TOGETHER = 64 };

static const uint64_t session_gap_ms = 600 * 1000;
static const float follows_unit = .003F, together_unit = .01F;
static const float taste_floor = .05F;
/* However long a feature was of no use, it can come back within some tens of events. */
static const double rest_below = .5;
static const float neighbour_aversion = 1.25F; /* chosen on MovieLens */
const float freshet_model_text_unit = .01F;
const float freshet_model_wanted_text_floor = .5F;

/* ---- context ---- */

/* How much later b is than a, 0 when it is earlier; safe for any two times. */
static uint64_t gap_between(int64_t earlier_ms, int64_t later_ms) {
  return ((uint64_t)later_ms - (uint64_t)earlier_ms) *
         (later_ms > earlier_ms); /* no branch: it would be predicted badly */
}

static uint32_t gap_bucket(uint64_t gap_ms) {
  static const uint64_t ends_ms[GAP_BUCKETS - 1] = {1000 + 1,       60 * 1000,          30 * 60 * 1000,
                                                    24 * 3600000LL, 7 * 24 * 3600000LL, 30 * 24 * 3600000LL};
  uint32_t bucket = 0;
  for (int b = 0; b < GAP_BUCKETS - 1; b++)
    bucket += gap_ms >= ends_ms[b]; /* no branch: it would be predicted badly */
  return bucket;
}

static uint32_t user_level(uint32_t positives) {
  static const uint32_t starts[USER_LEVELS] = {0, 1, 2, 3, 5, 10, 20};
  uint32_t level = 0;
  while (level + 1 < USER_LEVELS && positives >= starts[level + 1]) level++;
  return level;
}

/* Levels start at 0, 1, 2, 3, 6, 12, 25, 50, 100 and 200. */
#define TIMES_3(level) level, level, level
#define TIMES_6(level) TIMES_3(level), TIMES_3(level)
#define TIMES_25(level) TIMES_6(level), TIMES_6(level), TIMES_6(level), TIMES_6(level), level
#define TIMES_100(level) TIMES_25(level), TIMES_25(level), TIMES_25(level), TIMES_25(level)
const uint8_t freshet_model_count_levels[COUNT_LEVEL_LAST + 1] = {
    0, 1,           2,           TIMES_3(3),  TIMES_6(4),   TIMES_6(5), TIMES_6(5),
    5, TIMES_25(6), TIMES_25(7), TIMES_25(7), TIMES_100(8), 9};

/* The history up to time_ms, with gaps and sessions. */
static void read_history(const freshet_model* model, const freshet_user* user, int64_t time_ms, context* c) {
  int64_t later_ms = time_ms;
  uint32_t chosen = 0;
  bool same = true;
  c->count = 0;
  for (uint32_t i = 0; i < user->recent_count && i < FRESHET_HISTORY; i++) {
    const freshet_interaction* past = &user->recent[i];
    if (past->time_ms > time_ms || past->item >= model->count) continue;
    same = same && gap_between(past->time_ms, later_ms) <= session_gap_ms;
    later_ms = past->time_ms;
    freshet_prefetch(&model->items[past->item], 128);
    const float* m = freshet_model_context_factor(model, past->item);
    if (m != NULL) freshet_prefetch_row(m, model->config.dim);
    c->items[c->count] = past->item;
    c->place[c->count] = chosen;
    chosen += past->weight >= 0;
    c->bucket[c->count] = gap_bucket(gap_between(past->time_ms, time_ms));
    c->same_session[c->count] = same;
    c->disliked[c->count] = past->weight >= 0 ? 0 : past->weight > -1 ? -past->weight : 1;
    c->signals[c->count] = past->weight >= 0 ? past->signal : 0;
    c->count++;
  }
}

/* The stage S of the session: 0 without recent items; 1 .. 6 by how many recent items belong to the session;
 * 7 .. 11 when a session begins, by the time since the last event. The features weigh differently at each
 * stage. */
static uint32_t stage_of(const context* c) {
  static const uint8_t by_size[FRESHET_HISTORY + 1] = {0, 1, 2, 3, 3, 4, 4, 4, 4, 4, 5,
                                                       5, 5, 5, 5, 5, 5, 5, 5, 5, 6};
  enum { FIRST_GAP = 2 }; /* bucket: a session does not end before */
  if (c->session > 0 || c->count == 0) return by_size[c->session];
  return by_size[FRESHET_HISTORY] + 1 + (c->bucket[0] - FIRST_GAP);
}

/* A slower popularity may count against an item, as far as faster ones count for it. So lists tell what becomes popular from
 * what was popular, at a speed faster than all that are kept. Without this bound the model would also learn that most choices
 * are no bestsellers, which lowers recall@10 on MovieLens by .006. */
void freshet_model_bound_thetas(double thetas[FEATURES]) {
  double faster = 0;
  for (int f = 0; f < FEATURES; f++) {
    const bool is_popularity = f >= POPULAR && f < POPULAR + FRESHET_SPEEDS;
    const double least = is_popularity ? 0 - faster : 0; /* never -0, which has other bits */
    if (!(thetas[f] >= least)) thetas[f] = least;        /* no number is no weight */
    if (is_popularity) faster += thetas[f];
  }
}

void freshet_model_set_thetas(const freshet_model* model, uint32_t positives, context* c) {
  c->user_level = user_level(positives);
  c->session = 0;
  while (c->session < c->count && c->same_session[c->session]) c->session++;
  c->stage = stage_of(c);
  const double* th = model->blend + TH;
  const double* tb = model->blend + TB + c->user_level * FEATURES;
  const double* ts = model->blend + TS + c->stage * FEATURES;
  double thetas[FEATURES];
  for (int f = 0; f < FEATURES; f++) thetas[f] = th[f] + tb[f] + ts[f];
  freshet_model_bound_thetas(thetas);
  for (int f = 0; f < FEATURES; f++) {
    c->theta[f] = (float)thetas[f];
    c->rests[f] = th[f] + tb[f] + ts[f] < thetas[f] - rest_below;
  }
  c->theta[AGREED] = freshet_model_agreed_theta(model, c);
  if (c->theta[TASTE] < taste_floor) c->theta[TASTE] = taste_floor;
  for (int level = 0; level < COUNT_LEVELS; level++) {
    c->psi[level] = (float)model->blend[PSI + level];
    double theta = th[SIMILAR_TEXT] + tb[SIMILAR_TEXT] + ts[SIMILAR_TEXT] + model->blend[TAU + level];
    c->text_theta[level] = (float)(theta > 0 ? theta : 0);
  }
}

/* What is disliked does not attract, or less. Its neighbours tell what is met, more than what is liked: so they lose more
 * than the vectors do. */
static void weigh_down(context* c, uint32_t k) {
  const float of_neighbours = 1 - neighbour_aversion * c->disliked[k];
  c->weight[k] *= 1 - c->disliked[k];
  for (int f = 0; f < BONUS_FEATURES; f++) c->feature_weight[k][f] *= of_neighbours > 0 ? of_neighbours : 0;
}

void freshet_model_context(const freshet_model* model, const freshet_user* user, int64_t time_ms,
                           context* c) {
  enum { GAPS = 32, EXPS = 48 };
  float exps[EXPS] __attribute__((aligned(64))) = {0};
  float sums[BONUS_FEATURES] = {0}, follows_unders[FRESHET_HISTORY], roots[FRESHET_HISTORY];
  c->is_similar = false;
  read_history(model, user, time_ms, c);
  freshet_model_set_thetas(model, user->positives, c);
  const uint32_t order_code = freshet_model_order_code(model, c->session > 0);
  const float* half_decay = model->half_decay[order_code];
  freshet_model_set_doubts(model, order_code, c);
  for (uint32_t k = 0; k < c->count; k++) {
    exps[k] = (float)(model->blend[LP + c->place[k]] + model->blend[LG + c->bucket[k]]);
  }
  for (int b = 0; b < GAP_BUCKETS; b++) exps[GAPS + b] = (float)model->blend[LG + b];
  model->kernels->exp(exps, EXPS);
  for (uint32_t k = 0; k < c->count; k++) c->weight[k] = model->context_decay[c->place[k]] * exps[k];
  freshet_model_weigh_context(model, c);
  for (uint32_t k = 0; k < c->count; k++) {
    float e = exps[GAPS + c->bucket[k]], before = 1;
    float* a = c->feature_weight[k];
    if (c->is_weighed) {
      c->weight[k] *= c->worth[k];
      e *= c->worth[k];
      before *= c->worth[k];
    }
    a[FOLLOWS] = half_decay[c->place[k]] * e;
    a[TOGETHER_NOW] = c->same_session[k] ? e : 0;
    a[TOGETHER_BEFORE] = c->same_session[k] ? 0 : before; /* time tells little once a session is over */
    a[SIMILAR_TEXT] = model->text_decay[c->place[k]] * e;
    if (c->disliked[k] > 0) weigh_down(c, k);
    for (int f = 0; f < BONUS_FEATURES; f++) sums[f] += a[f];
  }
  for (int f = 0; f < BONUS_FEATURES; f++) {
    if (sums[f] > 0) sums[f] = 1 / sums[f];
  }
  for (uint32_t k = 0; k < c->count; k++) {
    roots[k] = (float)model->counts[c->items[k]] * (1.0F / WEIGHT_UNITS);
  }
  for (uint32_t k = 0; k < c->count; k++) {
    const float scale = freshet_model_neighbours_scale(&model->items[c->items[k]].near);
    follows_unders[k] = scale * sums[FOLLOWS] / ((roots[k] + 5) * follows_unit);
    roots[k] = scale / (sqrtf(roots[k] + 1) * together_unit);
  }
  sums[SIMILAR_TEXT] /= freshet_model_text_unit;
  for (uint32_t k = 0; k < c->count; k++) {
    float* a = c->feature_weight[k];
    a[FOLLOWS] *= follows_unders[k];
    a[TOGETHER_NOW] *= sums[TOGETHER_NOW];
    c->agreed[k] = a[TOGETHER_NOW] * sqrtf(roots[k]);
    a[TOGETHER_NOW] *= roots[k];
    a[TOGETHER_BEFORE] *= sums[TOGETHER_BEFORE] * roots[k];
    a[SIMILAR_TEXT] *= sums[SIMILAR_TEXT];
  }
}

/* For a context of which an item has no row. The sum is the same to the last bit, so that nobody sees when rows are made. */
static void add_context_copies(const freshet_model* model, const context* c, float* h) {
  const uint32_t dim = model->config.dim;
  float copies[FRESHET_HISTORY * DIM_MAX] __attribute__((aligned(64)));
  uint32_t rows[FRESHET_HISTORY];
  for (uint32_t k = 0; k < c->count; k++) {
    rows[k] = k;
    freshet_model_read_context_factor(model, c->items[k], copies + (size_t)k * dim);
  }
  model->kernels->add_rows(copies, rows, c->count, c->weight, h, dim);
}

void freshet_model_user_factor(const freshet_model* model, const freshet_user* user, const context* c,
                               float* h) {
  const uint32_t dim = model->config.dim;
  uint32_t rows[FRESHET_HISTORY];
  bool has_all = true;
  for (uint32_t k = 0; k < c->count; k++) {
    rows[k] = model->context_rows[c->items[k]] - 1;
    has_all = has_all && model->context_rows[c->items[k]] > 0;
  }
  memcpy(h, user->vector, dim * sizeof *h);
  if (has_all) {
    model->kernels->add_rows(model->context_factors, rows, c->count, c->weight, h, dim);
  } else {
    add_context_copies(model, c, h);
  }
}

/* ---- the ranker's rows ---- */

uint32_t freshet_model_row_dim(const freshet_model* model) {
  return model->config.dim + COLUMNS_PADDED;
}

/* f5 of items, as the row shows it until it is refreshed. count: at most ROWS_TOGETHER. */
static void refresh_popular(freshet_model* model, const uint32_t* slots, size_t count) {
  float popular[HALF_LIVES * ROWS_TOGETHER] __attribute__((aligned(64)));
  freshet_model_popularity_features(model, slots, count, popular, ROWS_TOGETHER);
  for (size_t i = 0; i < count; i++) {
    item* it = &model->items[slots[i]];
    for (int h = 0; h < HALF_LIVES; h++) it->row_popular[h] = popular[h * ROWS_TOGETHER + i];
    it->row_liking = freshet_model_like_odds(model, slots[i]);
    it->row_stale = false;
  }
}

static freshet_status write_row(const freshet_model* model, uint32_t slot, freshet_ranker* ranker, float* row,
                                freshet_error* error) {
  const item* it = &model->items[slot];
  uint32_t dim = model->config.dim;
  if (!it->listed) {
    freshet_ranker_remove(ranker, slot);
    return FRESHET_OK;
  }
  memcpy(row, freshet_model_factor(model, slot), dim * sizeof *row);
  float* columns = row + dim;
  memset(columns, 0, COLUMNS_PADDED * sizeof *columns);
  columns[COLUMN_BIAS] = (float)it->bias;
  memcpy(columns + COLUMN_POPULAR, it->row_popular, sizeof it->row_popular);
  columns[COLUMN_LEVEL + model->levels[slot]] = 1;
  columns[COLUMN_LIKING] = it->row_liking;
  return freshet_ranker_set(ranker, slot, row, it->adjustment, error);
}

void freshet_model_lend_rows(const freshet_model* model, freshet_ranker_config* config) {
  const uint32_t dim = model->config.dim;
  config->dim = freshet_model_row_dim(model);
  if (dim % FRESHET_LANES != 0) return;
  config->lent = (const float* const*)&model->factors;
  config->lent_dim = dim;
}

static void note_faded(freshet_model* model) {
  uint64_t rows = model->count;
  if (model->rows_at != 0) {
    const uint64_t due = (model->events + 1 - model->rows_at) * ROWS_PER_EVENT;
    const uint64_t most = due < ROWS_AT_ONCE ? due : ROWS_AT_ONCE;
    rows = most < rows ? most : rows;
  }
  for (; rows > 0; rows--) {
    if (model->rows_to >= model->count) model->rows_to = 0;
    freshet_model_note_stale(model, model->rows_to++);
  }
  model->rows_at = model->events + 1;
  if (model->events - model->hot_at < HOT_INTERVAL) return;
  uint64_t hot = model->events < HOT_EVENTS ? model->events : HOT_EVENTS;
  for (uint64_t e = model->events - hot; e < model->events; e++) {
    uint32_t slot = model->recent[e % RECENT_EVENTS];
    if (slot != FRESHET_NO_ITEM) freshet_model_note_stale(model, slot);
  }
  model->hot_at = model->events;
}

/* Some rows go to the ranker, while those after them are fetched: they are far apart in memory. */
static freshet_status write_rows(const freshet_model* model, const uint32_t* slots, size_t count,
                                 freshet_ranker* ranker, freshet_error* error) {
  enum { AHEAD = 4 };
  freshet_status status = FRESHET_OK;
  float row[DIM_MAX + COLUMNS_PADDED];
  for (size_t i = 0; i < count + AHEAD && status == FRESHET_OK; i++) {
    if (i < count) {
      freshet_prefetch_row(freshet_model_factor(model, slots[i]), model->config.dim);
      freshet_ranker_fetch(ranker, slots[i]);
    }
    if (i >= AHEAD) status = write_row(model, slots[i - AHEAD], ranker, row, error);
  }
  return status;
}

/* The last `count` of the stale rows. */
static freshet_status sync_rows(freshet_model* model, uint32_t count, freshet_ranker* ranker,
                                freshet_error* error) {
  freshet_status status = FRESHET_OK;
  model->stale_count -= count;
  uint32_t* slots = model->stale + model->stale_count;
  if (ranker != NULL) freshet_ranker_sort(ranker, slots, count);
  for (uint32_t at = 0; at < count; at += ROWS_TOGETHER) {
    const uint32_t some = count - at < ROWS_TOGETHER ? count - at : ROWS_TOGETHER;
    for (uint32_t i = at + some; i < at + 2 * some && i < count; i++)
      freshet_prefetch(&model->items[slots[i]], sizeof *model->items);
    refresh_popular(model, slots + at, some);
    if (ranker != NULL && status == FRESHET_OK) status = write_rows(model, slots + at, some, ranker, error);
  }
  return status;
}

freshet_status freshet_model_sync_ranker(freshet_model* model, freshet_ranker* ranker, freshet_error* error) {
  freshet_model_settle_links(model);
  note_faded(model);
  return sync_rows(model, model->stale_count, ranker, error);
}

freshet_status freshet_model_sync_many(freshet_model* model, freshet_ranker* ranker, freshet_error* error) {
  if (!freshet_model_has_many_stale(model)) return FRESHET_OK;
  return sync_rows(model, ROWS_A_PIECE, ranker, error);
}

bool freshet_model_has_many_stale(const freshet_model* model) {
  return model->stale_count > 2 * ROWS_AT_ONCE;
}

/* ---- query ---- */

freshet_model_scratch* freshet_model_scratch_create(const freshet_model* model) {
  freshet_model_scratch* scratch = aligned_alloc(64, (sizeof *scratch + 63) / 64 * 64);
  FRESHET_ASSERT(scratch != NULL);
  memset(scratch, 0, sizeof *scratch);
  scratch->factor = freshet_model_floats(model->config.dim);
  scratch->opinion = freshet_model_floats(model->config.dim);
  scratch->vector = freshet_model_floats(freshet_model_row_dim(model));
  scratch->gathering = &scratch->own;
  return scratch;
}

freshet_model_scratch* freshet_model_scratch_beside(const freshet_model* model,
                                                    freshet_model_scratch* other) {
  freshet_model_scratch* scratch = freshet_model_scratch_create(model);
  scratch->gathering = other->gathering;
  return scratch;
}

void freshet_model_scratch_destroy(freshet_model_scratch* scratch) {
  if (scratch == NULL) return;
  freshet_model_gathering_free(&scratch->own);
  freshet_model_bonuses_free(&scratch->bonuses);
  free(scratch->factor);
  free(scratch->opinion);
  free(scratch->vector);
  free(scratch);
}

/* ---- a wanted text ---- */

/* The weight of the context factor of an item chosen just now, times the text's own. */
float freshet_model_wanted_weight(const freshet_model* model, const freshet_wanted_text* text) {
  float weights[FRESHET_LANES] __attribute__((aligned(64))) = {(float)(model->blend[LP] + model->blend[LG])};
  model->kernels->exp(weights, FRESHET_LANES);
  return text->weight * weights[0];
}

float freshet_model_wanted_bonus(const freshet_model* model, const freshet_wanted_text* text,
                                 const context* c, uint32_t match) {
  float theta = c->text_theta[model->levels[text->items[match]]];
  return text->weight * (theta > freshet_model_wanted_text_floor ? theta : freshet_model_wanted_text_floor) *
         text->bonus[match];
}

static int64_t not_before_history(const freshet_user* user, int64_t now_ms) {
  bool behind = user->recent_count > 0 && user->recent[0].time_ms > now_ms;
  return behind ? user->recent[0].time_ms : now_ms; /* clocks differ; what has happened has happened */
}

void freshet_model_query(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                         freshet_model_scratch* scratch, freshet_rank_query* query) {
  freshet_model_query_text(model, user, NULL, now_ms, scratch, query);
}

void freshet_model_set_vector(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                              freshet_model_scratch* scratch) {
  context* c = &scratch->context;
  const uint32_t dim = model->config.dim;
  scratch->user = user;
  scratch->now_ms = not_before_history(user, now_ms);
  freshet_model_context(model, user, scratch->now_ms, c);
  freshet_model_prefetch_habits(model, user);
  freshet_model_prefetch_lists(model, c);
  freshet_model_user_factor(model, user, c, scratch->factor);
  freshet_model_add_user_text(model, user, c, scratch->factor);
  freshet_model_opinion(model, c, scratch->opinion);
  for (uint32_t i = 0; i < dim; i++)
    scratch->vector[i] = c->theta[TASTE] * scratch->factor[i] + scratch->opinion[i];
  float* columns = scratch->vector + dim;
  columns[COLUMN_BIAS] = c->theta[TASTE];
  for (int h = 0; h < HALF_LIVES; h++) columns[COLUMN_POPULAR + h] = c->theta[POPULAR + h];
  for (int l = 0; l < COUNT_LEVELS; l++) columns[COLUMN_LEVEL + l] = c->psi[l];
  columns[COLUMN_LIKING] = freshet_model_like_scale(model);
}

void freshet_model_query_text(const freshet_model* model, const freshet_user* user,
                              const freshet_wanted_text* text, int64_t now_ms, freshet_model_scratch* scratch,
                              freshet_rank_query* query) {
  freshet_model_set_vector(model, user, now_ms, scratch);
  freshet_model_finish_query(model, text, scratch, query);
  query->excluded = user->seen;
  query->excluded_count = user->seen_count;
}

void freshet_model_finish_query(const freshet_model* model, const freshet_wanted_text* text,
                                freshet_model_scratch* scratch, freshet_rank_query* query) {
  const context* c = &scratch->context;
  bonuses* made = &scratch->bonuses;
  if (text != NULL)
    model->kernels->add_scaled(scratch->vector, c->theta[TASTE] * freshet_model_wanted_weight(model, text),
                               text->start, model->config.dim);
  uint32_t matches = text == NULL ? 0 : text->count;
  const size_t count = freshet_model_gather(model, c, text == NULL ? NULL : text->items, matches,
                                            scratch->user, scratch->now_ms, scratch->gathering, made);
  for (uint32_t i = 0; i < matches; i++) made->values[i] += freshet_model_wanted_bonus(model, text, c, i);
  query->vector = scratch->vector;
  query->excluded = NULL;
  query->excluded_count = 0;
  query->bonus_items = made->items;
  query->bonus = made->values;
  query->bonus_count = count;
}

/* What the columns after the factors add to `taste`, the inner product of the factors. */
static float add_columns(const freshet_model* model, uint32_t slot, const float* columns, float taste) {
  const item* it = &model->items[slot];
  float score = taste + columns[COLUMN_BIAS] * (float)it->bias;
  for (int h = 0; h < HALF_LIVES; h++) score += columns[COLUMN_POPULAR + h] * it->row_popular[h];
  score += columns[COLUMN_LIKING] * it->row_liking;
  return score + columns[COLUMN_LEVEL + model->levels[slot]] + it->adjustment;
}

void freshet_model_score_all(const freshet_model* model, const freshet_rank_query* query, float* scores) {
  uint32_t dim = model->config.dim;
  model->kernels->dots(model->factors, NULL, model->count, query->vector, dim, scores);
  for (uint32_t slot = 0; slot < model->count; slot++)
    scores[slot] = add_columns(model, slot, query->vector + dim, scores[slot]);
  for (size_t i = 0; i < query->bonus_count; i++) scores[query->bonus_items[i]] += query->bonus[i];
}

float freshet_model_score(const freshet_model* model, const freshet_rank_query* query, uint32_t slot) {
  uint32_t dim = model->config.dim;
  FRESHET_ASSERT(slot < model->count);
  float taste = model->kernels->dot(freshet_model_factor(model, slot), query->vector, dim);
  float score = add_columns(model, slot, query->vector + dim, taste);
  size_t at = model->kernels->find(query->bonus_items, query->bonus_count, slot);
  return at < query->bonus_count ? score + query->bonus[at] : score;
}
