/*
 * Answers against an oracle: a worker, a catalogue that changes all the time, users who choose, and random
 * requests by both ways in, without rules and under rules that change all the time. Nothing that the user has
 * seen, that the request filters out, that a rule hides or that is not on offer may stand in any answer or
 * pushed list; pinned items stand in their places, no category beyond its bound, and a list is as long as it
 * can be. Answers that askers make while the worker waits are those of the worker. FRESHET_ANSWERS: how many requests
 * each (default 20,000).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/maths.h"
#include "stream/partitioner.h"
#include "support/memory_store.h"
#include "support_empty_reader.h"
#include "worker/worker.h"

enum {
  ITEMS = 300,
  KNOWN = 200, /* of them are announced at the beginning */
  USERS = 60,
  CATEGORIES = 6,
  PARTITIONS = 2,
  QUEUE_MAX = 256,
  K_MAX = 400,
  INBOX = 2048,
  LIST = 10,
  ORDERED = 64,          /* questions whose order is looked at */
  NO_RECORDS_US = 200000 /* for so long, and askers may read themselves */
};

/* ---- what is true ---- */

typedef struct known_item {
  bool announced, available;
  int64_t expires_at_ms, created_at_ms;
  bool has[CATEGORIES];
  uint32_t owner; /* USERS: none */
  bool chosen;    /* by anybody, ever */
} known_item;

typedef struct queued {
  freshet_topic topic;
  int32_t partition;
  bool has_value;
  freshet_buffer key, value;
} queued;

typedef struct world {
  freshet_source source;
  freshet_reader log;
  freshet_sink sink;
  freshet_outbox* outbox;
  freshet_clock clock;
  freshet_source_handler handler;
  freshet_store* store;
  freshet_codec* codec;
  freshet_encoder* encoder;
  freshet_embedder* embedder; /* only of the tests that wait for it */
  freshet_worker_metrics metrics;
  freshet_inbox* inbox;
  freshet_worker* worker;

  uint64_t seed, draws;
  int64_t now_ms;
  known_item items[ITEMS];
  uint8_t how[USERS + 1]
             [ITEMS]; /* the last user is nobody. 0: not seen, else 1 + the strongest freshet_event_type */
  freshet_rules rules;
  freshet_boost boosts[2];
  freshet_pin pins[2];
  uint32_t pinned[2]; /* items */
  bool is_assigned;
  queued queue[QUEUE_MAX]; /* for the source */
  size_t queued;
  queued catalogue[QUEUE_MAX]; /* for the log */
  size_t catalogued;
  queued from_source, from_log; /* what the records of the last polls point into */
  int64_t offsets[FRESHET_TOPICS][PARTITIONS], item_offset;

  /* The request under way. */
  freshet_request request;
  uint32_t user;
  bool has_category[2][CATEGORIES]; /* to include, to exclude */
  bool excluded[ITEMS];
  size_t answers, empty;
  bool compares;          /* in the next poll, the request is answered as an asker would */
  freshet_answer* direct; /* that answer; NULL: it needs the worker */
  size_t compared;
  bool any_list;     /* the oracle has nothing to say */
  float first_score; /* of the last answer */
  char note[128];
  int64_t committed; /* of partition 0 of `requests` */

  /* Of the tests that look at the time a turn takes. */
  _Atomic int64_t passed_us; /* on the monotonic clock */
  int64_t answer_us;         /* what an answer takes */
  int64_t lag;               /* events that are still to come */
  size_t answers_at_list;
  uint32_t order[ORDERED]; /* of answers, by the number of the question */
  size_t owed;             /* committed rows of users with a mark that a list is owed */
  size_t lists;            /* pushed, and of the last of them: */
  int64_t list_version;
  float list_score;
} world;

static world* w;
static freshet_user_text_use user_texts; /* of the workers that are started */

static uint32_t below(uint32_t bound) {
  return (uint32_t)freshet_below(freshet_random(w->seed, w->draws++), bound);
}

static const char* name_of(char kind, uint32_t number) {
  static char names[16][16];
  static unsigned next;
  char* name = names[next++ % 16];
  snprintf(name, sizeof names[0], "%c%u", kind, number);
  return name;
}

static bool is_on_offer(const known_item* it) {
  bool has_aged = w->rules.max_age_ms > 0 && it->created_at_ms > 0 &&
                  it->created_at_ms + w->rules.max_age_ms <= w->now_ms;
  return it->announced && it->available && !has_aged &&
         (it->expires_at_ms == 0 || it->expires_at_ms > w->now_ms);
}

static bool is_hidden(uint32_t user, uint32_t i) {
  static const unsigned from[] = {1, 1 + FRESHET_RATING, 1 + FRESHET_PURCHASE, 2 + FRESHET_PURCHASE};
  return w->how[user][i] >= from[w->rules.hide];
}

static bool passes(const known_item* it) {
  bool included = w->request.include_category_count == 0, is_excluded = false;
  for (int c = 0; c < CATEGORIES; c++) {
    included = included || (it->has[c] && w->has_category[0][c]);
    is_excluded = is_excluded || (it->has[c] && w->has_category[1][c]);
  }
  bool is_old = w->request.min_age_s == 0 || it->created_at_ms <= w->now_ms - w->request.min_age_s * 1000;
  if (w->request.kind == FRESHET_REQUEST_POPULAR && !it->chosen) return false;
  if (w->request.kind == FRESHET_REQUEST_NEWEST && it->created_at_ms == 0) return false;
  return included && !is_excluded && is_old;
}

static bool may_be_shown(uint32_t i) {
  bool is_own = w->rules.exclude_own && w->user < USERS && w->items[i].owner == w->user;
  return is_on_offer(&w->items[i]) && passes(&w->items[i]) && !is_hidden(w->user, i) && !w->excluded[i] &&
         !is_own;
}

/* ---- the verdict ---- */

static uint32_t number_of(freshet_slice id) {
  uint32_t number = 0;
  for (size_t i = 1; i < id.size; i++) number = number * 10 + (uint32_t)(id.data[i] - '0');
  return number;
}

static bool is_pinned(uint32_t i) {
  for (size_t p = 0; p < w->rules.pin_count; p++) {
    if (w->pinned[p] == i && w->rules.pins[p].place < (uint32_t)w->request.k) return true;
  }
  return false;
}

/* The bound of a category holds for all but pinned items, which count. An item that is left out of a list
 * with room has no place under it. */
static void check_bounds(const bool* shown, bool has_room) {
  uint32_t most = w->rules.max_per_category, total[CATEGORIES] = {0}, free[CATEGORIES] = {0};
  for (uint32_t i = 0; i < ITEMS; i++) {
    for (int c = 0; c < CATEGORIES && shown[i]; c++) {
      total[c] += w->items[i].has[c];
      free[c] += w->items[i].has[c] && !is_pinned(i);
    }
  }
  for (int c = 0; c < CATEGORIES; c++) assert_true(most == 0 || free[c] == 0 || total[c] <= most);
  for (uint32_t i = 0; i < ITEMS && has_room; i++) {
    bool fits = !shown[i] && may_be_shown(i);
    for (int c = 0; c < CATEGORIES; c++) fits = fits && !(most > 0 && w->items[i].has[c] && total[c] >= most);
    if (fits) fail_msg("answer %zu, user %u: item %u is left out", w->answers, w->user, i);
  }
}

/* In ms; all that is younger than a second is new alike. */
static int64_t age_of(const freshet_list* list, size_t place) {
  int64_t age_ms = w->now_ms - w->items[number_of(list->items[place].item_id)].created_at_ms;
  return age_ms > 1000 ? age_ms : 1000;
}

/* Without variety, chance and rules a list is in the order of scores, and a NEWEST list in that of created_at. */
static void check_order(const freshet_list* list) {
  const freshet_request* r = &w->request;
  const freshet_rules* rules = &w->rules;
  if (r->diversity > 0 || r->exploration > 0 || rules->pin_count > 0 || rules->new_share > 0) return;
  for (size_t i = 1; i < list->item_count; i++) {
    assert_true(list->items[i - 1].score >= list->items[i].score);
    if (r->kind == FRESHET_REQUEST_NEWEST && rules->boost_count == 0)
      assert_true(age_of(list, i - 1) <= age_of(list, i));
  }
}

/* A list that is for nobody has no reasons of a person, and a list for a person none of a bare item. */
static void check_reasons(const freshet_recommendation* entry) {
  static const uint32_t possible[FRESHET_REQUEST_KINDS] = {
      [FRESHET_REQUEST_PERSONAL] = ~(1U << FRESHET_REASON_AUDIENCE | 1U << FRESHET_REASON_NEW),
      [FRESHET_REQUEST_SIMILAR] = 1U << FRESHET_REASON_AUDIENCE | 1U << FRESHET_REASON_FOLLOWS |
                                  1U << FRESHET_REASON_TOGETHER | 1U << FRESHET_REASON_TEXT |
                                  1U << FRESHET_REASON_RULE | 1U << FRESHET_REASON_CONTEXT,
      [FRESHET_REQUEST_POPULAR] = 1U << FRESHET_REASON_POPULAR | 1U << FRESHET_REASON_RULE,
      [FRESHET_REQUEST_NEWEST] = 1U << FRESHET_REASON_NEW | 1U << FRESHET_REASON_RULE};
  for (size_t p = 0; p < entry->reason_count; p++)
    assert_true((possible[w->request.kind] >> entry->reasons[p].kind & 1) != 0);
}

static void check(const freshet_list* list) {
  bool shown[ITEMS] = {false};
  for (size_t r = 0; r < list->item_count; r++) {
    const freshet_recommendation* entry = &list->items[r];
    uint32_t i = number_of(entry->item_id);
    assert_true(i < ITEMS);
    if (shown[i]) fail_msg("item %u comes twice", i);
    if (!may_be_shown(i)) {
      fail_msg("answer %zu, user %u: item %u: on offer %d, passes %d, seen %d, excluded %d", w->answers,
               w->user, i, is_on_offer(&w->items[i]), passes(&w->items[i]), w->how[w->user][i],
               w->excluded[i]);
    }
    shown[i] = true;
    assert_true(entry->propensity > 0 && entry->propensity <= 1);
    double sum = 0;
    for (size_t p = 0; p < entry->reason_count; p++) sum += (double)entry->reasons[p].score;
    if (w->request.explain) assert_float_equal(sum, entry->score, 1e-4);
    check_reasons(entry);
  }
  check_order(list);
  size_t k = (size_t)w->request.k;
  assert_true(list->item_count <= k);
  check_bounds(shown, list->item_count < k);
  for (size_t p = 0; p < w->rules.pin_count && list->item_count == k; p++) {
    uint32_t place = w->rules.pins[p].place;
    if (place < k && may_be_shown(w->pinned[p]))
      assert_int_equal(number_of(list->items[place].item_id), w->pinned[p]);
  }
}

static void check_answer(const freshet_list* list) {
  if (!w->any_list) {
    check(list);
    assert_true(list->item_count > 0 || list->note.size > 0);
  }
  w->first_score = list->item_count == 0 ? 0 : list->items[0].score;
  snprintf(w->note, sizeof w->note, "%.*s", (int)list->note.size, list->note.data);
  w->answers++;
  w->empty += list->item_count == 0;
}

static void assert_same_slice(freshet_slice a, freshet_slice b) {
  assert_int_equal(a.size, b.size);
  if (a.size > 0) assert_memory_equal(a.data, b.data, a.size);
}

static void assert_same_reasons(const freshet_recommendation* a, const freshet_recommendation* b) {
  assert_int_equal(a->reason_count, b->reason_count);
  for (size_t i = 0; i < a->reason_count; i++) {
    assert_int_equal(a->reasons[i].kind, b->reasons[i].kind);
    assert_true(a->reasons[i].score == b->reasons[i].score);
    assert_same_slice(a->reasons[i].item_id, b->reasons[i].item_id);
  }
}

/* What an asker has made beside what the worker makes in the same turn. */
static void compare(const freshet_answer* direct, const freshet_answer* answer) {
  const freshet_list *a = &direct->list, *b = &answer->list;
  w->compared++;
  assert_int_equal(direct->status, answer->status);
  assert_int_equal(direct->partition, answer->partition);
  assert_same_slice(a->user_id, b->user_id);
  assert_same_slice(a->note, b->note);
  assert_true(a->version_partition == b->version_partition && a->version_offset == b->version_offset);
  assert_int_equal(a->item_count, b->item_count);
  for (size_t i = 0; i < a->item_count; i++) {
    assert_same_slice(a->items[i].item_id, b->items[i].item_id);
    assert_true(a->items[i].score == b->items[i].score);
    assert_true(a->items[i].propensity == b->items[i].propensity);
    assert_same_reasons(&a->items[i], &b->items[i]);
  }
}

static void answered(void* context, freshet_answer* answer) {
  if (w->direct != NULL) compare(w->direct, answer);
  freshet_answer_destroy(w->direct);
  w->direct = NULL;
  (void)context;
  if (answer->status != FRESHET_ANSWER_OK) fail_msg("status %d: %s", (int)answer->status, answer->message);
  check_answer(&answer->list);
  freshet_answer_destroy(answer);
}

/* As an answer to a request that wants nothing. */
static void check_pushed(const freshet_list* list) {
  freshet_request request = w->request;
  bool has_category[2][CATEGORIES], excluded[ITEMS];
  uint32_t user = w->user;
  memcpy(has_category, w->has_category, sizeof has_category);
  memcpy(excluded, w->excluded, sizeof excluded);
  memset(w->has_category, 0, sizeof w->has_category);
  memset(w->excluded, 0, sizeof w->excluded);
  w->request = (freshet_request){.k = LIST};
  w->user = number_of(list->user_id);
  if (!w->any_list) check(list);
  w->lists++;
  w->request = request;
  w->user = user;
  memcpy(w->has_category, has_category, sizeof has_category);
  memcpy(w->excluded, excluded, sizeof excluded);
}

static freshet_status sink_publish(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  freshet_list list;
  (void)self;
  if (output->topic == FRESHET_TOPIC_RECOMMENDATIONS && output->has_value) {
    assert_int_equal(freshet_decode_list(w->codec, output->value, &list, error), FRESHET_OK);
    check_pushed(&list);
    w->list_version = list.version_offset;
    w->list_score = list.item_count == 0 ? 0 : list.items[0].score;
    w->answers_at_list = w->answers;
  }
  if (output->topic != FRESHET_TOPIC_REPLIES) return FRESHET_OK;
  assert_int_equal(freshet_decode_list(w->codec, output->value, &list, error), FRESHET_OK);
  assert_true(freshet_slice_equal(list.request_id, output->key));
  check_answer(&list);
  return FRESHET_OK;
}

static int dropped = -1;

static void drop_answer(void* context, freshet_answer* answer) {
  (void)context;
  dropped = (int)answer->status;
  freshet_answer_destroy(answer);
}

/* ---- the world around the worker ---- */

static freshet_status ok(freshet_sink* self, freshet_error* error) {
  (void)self, (void)error;
  return FRESHET_OK;
}
static freshet_status sink_write(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  freshet_user_state state;
  (void)self;
  if (output->topic != FRESHET_TOPIC_USERS || !output->has_value || output->key.data[0] == '\0')
    return FRESHET_OK;
  assert_int_equal(freshet_decode_user_state(w->codec, output->value, &state, error), FRESHET_OK);
  w->owed += state.refresh_since_ms > 0;
  return FRESHET_OK;
}
static freshet_status sink_commit(freshet_sink* self, const freshet_partition* offsets, size_t count,
                                  freshet_error* error) {
  (void)self, (void)error;
  for (size_t i = 0; i < count; i++) {
    if (offsets[i].topic == FRESHET_TOPIC_REQUESTS && offsets[i].partition == 0)
      w->committed = offsets[i].offset;
  }
  return FRESHET_OK;
}
static freshet_status sink_outcome(freshet_sink* self, int wait_ms, freshet_error* error) {
  (void)self, (void)wait_ms, (void)error;
  return FRESHET_OK;
}
static int64_t sink_end(freshet_sink* self, freshet_topic topic, int32_t partition) {
  (void)self, (void)topic, (void)partition;
  return -1;
}
static void sink_poll(freshet_sink* self) {
  (void)self;
}
static const char* sink_name(freshet_sink* self, freshet_topic topic) {
  (void)self, (void)topic;
  return "";
}

static void put(queued* q, freshet_topic topic, int32_t partition, const char* key,
                const freshet_buffer* value) {
  *q = (queued){.topic = topic, .partition = partition, .has_value = value != NULL};
  freshet_buffer_append(&q->key, key, strlen(key));
  if (value != NULL) freshet_buffer_append(&q->value, value->data, value->size);
}

/* Takes the first of a queue; what the record points into lives until the next call. */
static freshet_record take(queued* queue, size_t* count, int64_t offset, queued* taken) {
  freshet_buffer_free(&taken->key);
  freshet_buffer_free(&taken->value);
  *taken = queue[0];
  memmove(queue, queue + 1, --*count * sizeof *queue);
  return (freshet_record){.topic = taken->topic,
                          .partition = taken->partition,
                          .offset = offset,
                          .timestamp_ms = w->now_ms,
                          .has_key = true,
                          .key = freshet_buffer_slice(&taken->key),
                          .has_value = taken->has_value,
                          .value = freshet_buffer_slice(&taken->value)};
}

static freshet_status source_poll(freshet_source* self, int timeout_ms, freshet_record* out, size_t capacity,
                                  size_t* count, freshet_error* error) {
  (void)self, (void)timeout_ms, (void)capacity;
  *count = 0;
  if (!w->is_assigned) {
    freshet_partition partitions[2 * PARTITIONS + 1] = {[2 * PARTITIONS] = {.topic = FRESHET_TOPIC_ITEMS}};
    size_t encodes = user_texts != FRESHET_USER_TEXT_OFF; /* the texts of items too */
    for (int p = 0; p < PARTITIONS; p++) {
      partitions[p] = (freshet_partition){.topic = FRESHET_TOPIC_EVENTS, .partition = p, .offset = 0};
      partitions[PARTITIONS + p] =
          (freshet_partition){.topic = FRESHET_TOPIC_REQUESTS, .partition = p, .offset = 0};
    }
    w->is_assigned = true;
    return w->handler.assigned(w->handler.context, partitions, 2 * PARTITIONS + encodes, error);
  }
  if (w->compares) {
    freshet_question question = {.request = w->request},
                     other = {.request = {.k = LIST, .kind = FRESHET_REQUEST_POPULAR}};
    freshet_question* questions[] = {&other, &question, &other};
    freshet_answer* answers[3];
    freshet_inbox_answer(w->inbox, questions, 3, answers);
    freshet_answer_destroy(answers[0]);
    freshet_answer_destroy(answers[2]);
    w->direct = answers[1];
    w->compares = false;
  }
  sched_yield();
  if (w->queued == 0) return FRESHET_OK;
  out[0] =
      take(w->queue, &w->queued, w->offsets[w->queue[0].topic][w->queue[0].partition]++, &w->from_source);
  *count = 1;
  return FRESHET_OK;
}
static int64_t source_end(freshet_source* self, freshet_topic topic, int32_t partition) {
  (void)self;
  return w->offsets[topic][partition] + w->lag;
}
static bool source_header(freshet_source* self, const freshet_record* record, const char* name,
                          freshet_slice* value) {
  (void)self, (void)record, (void)name, (void)value;
  return false;
}
static void source_wake(freshet_source* self) {
  (void)self;
}

static freshet_status log_partitions(freshet_reader* self, freshet_topic topic, int32_t* count,
                                     freshet_error* error) {
  (void)self, (void)error;
  *count = topic == FRESHET_TOPIC_EVENTS ? PARTITIONS : 1;
  return FRESHET_OK;
}
static freshet_status log_poll(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                               size_t* count, freshet_error* error) {
  (void)self, (void)timeout_ms, (void)capacity, (void)error;
  *count = 0;
  if (w->catalogued == 0) return FRESHET_OK;
  out[(*count)++] = take(w->catalogue, &w->catalogued, w->item_offset++, &w->from_log);
  return FRESHET_OK;
}
static int64_t clock_ms(freshet_clock* self) {
  (void)self;
  return w->now_ms;
}
static int64_t clock_us(freshet_clock* self) {
  (void)self;
  return w->now_ms * 1000 + w->passed_us;
}

static int64_t commit_interval_ms = 1000;

static int start(freshet_encoder* encoder, bool in_background) {
  static const freshet_source_vtable source = {
      .poll = source_poll, .end = source_end, .header = source_header, .wake = source_wake};
  static freshet_reader_vtable log;
  log = freshet_empty_reader();
  log.partitions = log_partitions;
  log.poll = log_poll;
  static const freshet_sink_vtable sink = {.publish = sink_publish,
                                           .begin = ok,
                                           .write = sink_write,
                                           .commit = sink_commit,
                                           .outcome = sink_outcome,
                                           .abort = ok,
                                           .written_end = sink_end,
                                           .topic_name = sink_name,
                                           .poll = sink_poll};
  w = calloc(1, sizeof *w);
  w->source.vtable = &source;
  w->log.vtable = &log;
  w->sink.vtable = &sink;
  w->clock = (freshet_clock){.now_ms = clock_ms, .monotonic_us = clock_us};
  w->now_ms = 1700000000000;
  w->seed = 1;
  w->store = freshet_memory_store_create();
  w->inbox = freshet_inbox_create(INBOX);
  const freshet_codec_config codec = {.output = FRESHET_FRAMING_SINGLE_OBJECT};
  assert_int_equal(freshet_codec_create(&codec, &w->codec, NULL), FRESHET_OK);
  w->encoder = encoder;
  freshet_embedder_config embedder = freshet_embedder_defaults();
  embedder.encoder = encoder;
  if (in_background) assert_int_equal(freshet_embedder_create(&embedder, &w->embedder, NULL), FRESHET_OK);
  freshet_model_config model = freshet_model_defaults();
  model.dim = 16;
  model.seen_limit = ITEMS;
  model.user_texts = user_texts;
  const freshet_stream_config config = {
      .partitioner = FRESHET_PARTITIONER_MURMUR2,
      .model = model,
      .limits = {.rating_min = 1, .rating_max = 5, .future_tolerance_ms = 1000},
      .weights = {1, 1, 1},
      .list_size = LIST,
      .context_weight = 3,
      .requests_max_age_ms = 30000,
      .max_delay_ms = 1000,
      .ranking_threads = 1,
      .lagging_threads = 1,
      .ranking_batch = 64,
      .commit_interval_ms = commit_interval_ms,
      .overlay_users = 1000,
      .cached_users = 10,
      .dedup_events = 100,
      .dedup_window_ms = 1000,
      .items_interval_ms = 1000000000,
      .checkpoint_interval_ms = 1000000000,
      .commit_rows_a_turn = 128,
      .item_rows_a_turn = 64,
      .survey_rows_a_turn = 64,
      .text_interval_ms = 1,
      .text_batch = 1,
      .text_cutover_coverage = 1};
  w->outbox = freshet_outbox_create(&w->sink, config.delivery);
  const freshet_ports ports = {.source = &w->source,
                               .reader = &w->log,
                               .changelog = &w->log,
                               .outbox = w->outbox,
                               .store = w->store,
                               .clock = &w->clock,
                               .codec = w->codec,
                               .encoder = w->encoder,
                               .embedder = w->embedder,
                               .metrics = &w->metrics};
  freshet_error error = {0};
  if (freshet_worker_create(&config, &ports, w->inbox, &w->worker, &error) != FRESHET_OK)
    fail_msg("%s", error.message);
  w->handler = freshet_worker_handler(w->worker);
  return 0;
}

static int set_up(void** state) {
  (void)state;
  freshet_encoder* encoder;
  assert_int_equal(freshet_encoder_hashing_create(32, &encoder, NULL), FRESHET_OK);
  return start(encoder, false);
}

static int tear_down(void** state) {
  (void)state;
  freshet_worker_destroy(w->worker);
  freshet_outbox_destroy(w->outbox);
  freshet_inbox_destroy(w->inbox);
  freshet_embedder_destroy(w->embedder);
  freshet_encoder_destroy(w->encoder);
  freshet_store_destroy(w->store);
  freshet_codec_destroy(w->codec);
  freshet_buffer_free(&w->from_source.key);
  freshet_buffer_free(&w->from_source.value);
  freshet_buffer_free(&w->from_log.key);
  freshet_buffer_free(&w->from_log.value);
  free(w);
  return 0;
}

static void step(void) {
  freshet_error error = {0};
  if (freshet_worker_step(w->worker, 0, &error) != FRESHET_OK) fail_msg("%s", error.message);
}

/* ---- what happens ---- */

static const char* const words[] = {"red", "green", "wedding", "garden", "drill", "shoes", "lamp", "silk"};

static void write_text(char* text, size_t size) {
  snprintf(text, size, "%s %s %u", words[below(8)], words[below(8)], below(20));
}

static void change_item(uint32_t i) {
  known_item* it = &w->items[i];
  const char* id = name_of('i', i);
  char text[64];
  freshet_slice categories[CATEGORIES];
  freshet_buffer bytes = {0};
  if (it->announced && below(4) == 0) {
    it->announced = false;
    put(&w->catalogue[w->catalogued++], FRESHET_TOPIC_ITEMS, 0, id, NULL);
    return;
  }
  *it = (known_item){.announced = true, .available = below(5) != 0, .chosen = it->chosen};
  it->owner = below(4) == 0 ? below(USERS) : USERS;
  it->expires_at_ms = below(3) == 0 ? w->now_ms + below(60000) : 0;
  it->created_at_ms = below(4) == 0 ? 0 : w->now_ms - below(100000);
  write_text(text, sizeof text);
  const freshet_attribute owner = {freshet_slice_of("owner"), freshet_slice_of(name_of('u', it->owner))};
  freshet_item item = {.item_id = freshet_slice_of(id),
                       .title = freshet_slice_of(text),
                       .categories = categories,
                       .attributes = &owner,
                       .attribute_count = it->owner < USERS,
                       .available = it->available,
                       .expires_at_ms = it->expires_at_ms,
                       .created_at_ms = it->created_at_ms};
  for (uint32_t c = 0; c < CATEGORIES; c++) {
    it->has[c] = below(3) == 0;
    if (it->has[c]) categories[item.category_count++] = freshet_slice_of(name_of('c', c));
  }
  assert_int_equal(freshet_encode_item(w->codec, &item, &bytes, NULL), FRESHET_OK);
  put(&w->catalogue[w->catalogued++], FRESHET_TOPIC_ITEMS, 0, id, &bytes);
  freshet_buffer_free(&bytes);
}

static void choose(uint32_t user, uint32_t i) {
  char event_id[32];
  const char* id = name_of('u', user);
  freshet_buffer bytes = {0};
  snprintf(event_id, sizeof event_id, "e%llu", (unsigned long long)w->draws++);
  freshet_event event = {.type = (freshet_event_type)below(3),
                         .event_id = freshet_slice_of(event_id),
                         .user_id = freshet_slice_of(id),
                         .item_id = freshet_slice_of(name_of('i', i)),
                         .occurred_at_ms = w->now_ms,
                         .rating = 4,
                         .quantity = 1};
  assert_int_equal(freshet_encode_event(w->codec, &event, &bytes, NULL), FRESHET_OK);
  put(&w->queue[w->queued++], FRESHET_TOPIC_EVENTS, freshet_partition_of(event.user_id, PARTITIONS), id,
      &bytes);
  freshet_buffer_free(&bytes);
  w->items[i].chosen = true;
  if (w->how[user][i] < 1 + event.type) w->how[user][i] = (uint8_t)(1 + event.type);
}

/* The user is erased, and may be shown everything again. */
static void forget(uint32_t user) {
  const char* id = name_of('u', user);
  put(&w->queue[w->queued++], FRESHET_TOPIC_EVENTS, freshet_partition_of(freshet_slice_of(id), PARTITIONS),
      id, NULL);
  memset(w->how[user], 0, sizeof w->how[user]);
}

/* Some of the ids, each with a chance of one in `rare`. */
static size_t pick(char kind, uint32_t count, uint32_t rare, bool* which, freshet_slice* ids,
                   char (*names)[16]) {
  size_t picked = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (below(rare) != 0) continue;
    which[i] = true;
    snprintf(names[picked], sizeof names[picked], "%c%u", kind, i);
    ids[picked] = freshet_slice_of(names[picked]);
    picked++;
  }
  return picked;
}

static void ask(void) {
  static freshet_slice included[CATEGORIES], excluded[CATEGORIES], ids[ITEMS], context[4];
  static char included_names[CATEGORIES][16], excluded_names[CATEGORIES][16], names[ITEMS][16], text[64];
  char request_id[32];
  freshet_request* r = &w->request;
  memset(w->has_category, 0, sizeof w->has_category);
  memset(w->excluded, 0, sizeof w->excluded);
  w->user = below(USERS + 5) % USERS; /* some have never been heard of */
  snprintf(request_id, sizeof request_id, "r%llu", (unsigned long long)w->draws);
  *r = (freshet_request){.request_id = freshet_slice_of(request_id),
                         .kind = (freshet_request_kind)(below(2) == 0 ? below(FRESHET_REQUEST_KINDS) : 0)};
  if (r->kind != FRESHET_REQUEST_PERSONAL && below(2) == 0) w->user = USERS;
  r->user_id = freshet_slice_of(w->user == USERS ? "" : name_of('u', w->user));
  const bool takes_context = r->kind <= FRESHET_REQUEST_SIMILAR;
  r->k = (int32_t)(below(3) == 0 ? 1 + below(K_MAX) : 1 + below(20));
  r->explain = below(2) == 0;
  if (below(3) == 0) r->diversity = (float)below(101) * .01F;
  if (below(3) == 0) r->exploration = (float)below(101) * .01F;
  if (below(4) == 0) r->min_age_s = below(100);
  r->include_categories = included;
  if (below(3) == 0)
    r->include_category_count = pick('c', CATEGORIES, 3, w->has_category[0], included, included_names);
  r->exclude_categories = excluded;
  if (below(3) == 0)
    r->exclude_category_count = pick('c', CATEGORIES, 4, w->has_category[1], excluded, excluded_names);
  r->exclude_items = ids;
  if (below(3) == 0) r->exclude_item_count = pick('i', ITEMS, 5, w->excluded, ids, names);
  r->context_items = context;
  uint32_t origins = r->kind == FRESHET_REQUEST_SIMILAR ? 1 + below(4) : below(4) == 0 ? below(5) : 0;
  for (uint32_t left = takes_context ? origins : 0; left > 0; left--) {
    uint32_t i = below(r->kind == FRESHET_REQUEST_SIMILAR ? KNOWN : ITEMS);
    w->excluded[i] = true;
    context[r->context_item_count++] = freshet_slice_of(name_of('i', i));
  }
  if (takes_context && below(3) == 0) {
    write_text(text, sizeof text);
    r->context = freshet_slice_of(text);
  }
  size_t before = w->answers;
  if (below(2) == 0) {
    freshet_question question = {.request = *r, .answered = answered};
    w->passed_us += NO_RECORDS_US;
    step(); /* what the time brings is done before the two ways are compared */
    w->compares = true;
    assert_true(freshet_inbox_put(w->inbox, &question));
  } else {
    freshet_buffer bytes = {0};
    assert_int_equal(freshet_encode_request(w->codec, r, &bytes, NULL), FRESHET_OK);
    put(&w->queue[w->queued++], FRESHET_TOPIC_REQUESTS, freshet_partition_of(r->user_id, PARTITIONS),
        w->user == USERS ? "" : name_of('u', w->user), &bytes);
    freshet_buffer_free(&bytes);
  }
  step();
  assert_int_equal(w->answers, before + 1);
}

/* New rules, at once. */
static void change_rules(void) {
  freshet_rules* r = &w->rules;
  *r = (freshet_rules){.hide = (freshet_hide)below(4),
                       .exclude_own = below(2) == 0,
                       .max_per_category = below(3) == 0 ? 1 + below(5) : 0,
                       .max_age_ms = below(3) == 0 ? 20000 + below(80000) : 0,
                       .new_share = below(3) == 0 ? (float)below(101) * .01F : 0,
                       .new_age_ms = 30000,
                       .boosts = w->boosts,
                       .boost_count = below(3),
                       .pins = w->pins,
                       .pin_count = below(3)};
  for (size_t i = 0; i < r->boost_count; i++) {
    w->boosts[i].facet = freshet_category_key(freshet_slice_of(name_of('c', below(CATEGORIES))));
    w->boosts[i].amount = (float)below(200) * .01F - 1;
  }
  for (size_t i = 0; i < r->pin_count; i++) {
    w->pinned[i] = below(ITEMS / 2) + (uint32_t)i * (ITEMS / 2);
    w->pins[i].item_key = freshet_id_key(freshet_slice_of(name_of('i', w->pinned[i])));
    w->pins[i].place = below(6) + (uint32_t)i * 6;
  }
  freshet_worker_set_rules(w->worker, r);
}

static void ask_at_random(bool with_rules) {
  const char* wanted = getenv("FRESHET_ANSWERS");
  size_t requests = wanted == NULL ? 20000 : strtoul(wanted, NULL, 10);
  for (uint32_t i = 0; i < KNOWN; i++) change_item(i);
  while (w->catalogued > 0) step();
  for (size_t n = 0; n < requests; n++) {
    /* Items expire when the worker looks, once a second: go on in whole ones. */
    if (below(4) == 0) {
      w->now_ms += 1000;
      step();
    }
    if (with_rules && below(50) == 0) change_rules();
    if (below(3) == 0) change_item(below(ITEMS));
    if (below(3) == 0) choose(below(USERS), below(ITEMS));
    while (w->queued > 0 || w->catalogued > 0) step();
    if (below(300) == 0) forget(below(USERS));
    while (w->queued > 0) step();
    ask();
  }
  print_message("%zu answers, %zu of them empty; %zu lists\n", w->answers, w->empty, w->lists);
  assert_int_equal(w->answers, requests);
  assert_true(w->empty > 0 && w->lists > 0);
  assert_true(w->compared > requests / 50);
}

static void no_answer_holds_what_must_not_be_shown(void** state) {
  (void)state;
  ask_at_random(false);
}

static void nor_under_rules(void** state) {
  (void)state;
  ask_at_random(true);
}

/* ---- a text that takes long ---- */

/* Encodes a batch when the test lets it; fails when the test wants it. The vector depends on the text's
 * size. */
/* ---- askers on threads of their own ---- */

enum { ASKERS = 2, AT_A_TIME = 20, ASKED_LEAST = 200, STEPS_MOST = 1000000 };

static atomic_bool asking;
static atomic_size_t made_directly, made_in_all;

static void count_answer(void* context, freshet_answer* answer) {
  (void)context;
  if (answer->status != FRESHET_ANSWER_NOT_FOUND) atomic_fetch_add(&made_in_all, 1);
  freshet_answer_destroy(answer);
}

static void* keep_asking(void* context) {
  const uint64_t seed = *(const uint64_t*)context;
  for (uint64_t n = 0; atomic_load(&asking);) {
    char users[AT_A_TIME][16];
    freshet_question questions[AT_A_TIME], *asked[AT_A_TIME];
    freshet_answer* answers[AT_A_TIME];
    const size_t count = 1 + freshet_random(seed, n++) % AT_A_TIME;
    for (size_t i = 0; i < count; i++) {
      snprintf(users[i], sizeof users[i], "u%u", (unsigned)(freshet_random(seed, n++) % USERS));
      questions[i] =
          (freshet_question){.request = {.user_id = freshet_slice_of(users[i]), .k = LIST, .explain = true},
                             .answered = count_answer};
      asked[i] = &questions[i];
    }
    freshet_inbox_answer(w->inbox, asked, count, answers);
    for (size_t i = 0; i < count; i++) {
      if (answers[i] != NULL) {
        atomic_fetch_add(&made_directly, 1);
        assert_true(answers[i]->status != FRESHET_ANSWER_OK ||
                    freshet_slice_equal(answers[i]->list.user_id, freshet_slice_of(users[i])));
        count_answer(NULL, answers[i]);
      } else if (!freshet_inbox_put(w->inbox, &questions[i])) {
        sched_yield();
      }
    }
  }
  return NULL;
}

static void askers_hear_whether_records_come(void** state) {
  (void)state;
  choose(0, 0);
  while (w->queued > 0) step();
  step();
  assert_true(freshet_inbox_is_busy(w->inbox));
  w->passed_us += NO_RECORDS_US;
  step();
  assert_false(freshet_inbox_is_busy(w->inbox));
}

/* Under ThreadSanitizer this shows whether the worker changes anything that askers read. */
static void askers_read_while_the_worker_waits(void** state) {
  (void)state;
  static const uint64_t seeds[ASKERS] = {11, 12};
  pthread_t askers[ASKERS];
  for (uint32_t i = 0; i < KNOWN; i++) change_item(i);
  while (w->catalogued > 0) step();
  atomic_store(&asking, true);
  for (int a = 0; a < ASKERS; a++)
    assert_int_equal(pthread_create(&askers[a], NULL, keep_asking, (void*)&seeds[a]), 0);
  for (size_t i = 0; i < STEPS_MOST && (atomic_load(&made_directly) < ASKED_LEAST || w->lists < ASKED_LEAST);
       i++) {
    if (below(3) == 0) change_item(below(ITEMS));
    choose(below(USERS), below(ITEMS));
    if (below(2) == 0) w->passed_us += NO_RECORDS_US;
    while (w->queued > 0 || w->catalogued > 0) step();
  }
  atomic_store(&asking, false);
  for (int a = 0; a < ASKERS; a++) pthread_join(askers[a], NULL);
  print_message("%zu answers, %zu of them by the askers; %zu lists\n", atomic_load(&made_in_all),
                atomic_load(&made_directly), w->lists);
  assert_true(atomic_load(&made_directly) >= ASKED_LEAST && w->lists >= ASKED_LEAST);
}

static sem_t may_encode;
static atomic_bool must_fail;
static atomic_int batches;  /* that have been begun */
static char last_text[256]; /* of the last batch: read it when the batch has been collected */

static freshet_status encode_slowly(freshet_encoder* self, const freshet_slice* texts, size_t count,
                                    float* out, freshet_error* error) {
  atomic_fetch_add(&batches, 1);
  while (sem_wait(&may_encode) != 0) continue;
  snprintf(last_text, sizeof last_text, "%.*s", (int)texts[0].size, texts[0].data);
  if (must_fail) return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_RETRY, "the server is away");
  for (size_t i = 0; i < count; i++) {
    for (uint32_t k = 0; k < self->dim; k++) out[i * self->dim + k] = k == texts[i].size % 3 ? .75F : .25F;
  }
  return FRESHET_OK;
}

static void destroy_slow(freshet_encoder* self) {
  free(self);
}

static int set_up_slow(void** state) {
  static const freshet_encoder_vtable vtable = {.encode = encode_slowly, .destroy = destroy_slow};
  (void)state;
  freshet_encoder* encoder = calloc(1, sizeof *encoder);
  *encoder = (freshet_encoder){.vtable = &vtable, .dim = 16, .name = "slow"};
  sem_init(&may_encode, 0, 0);
  int status = start(encoder, true);
  w->any_list = true;
  return status;
}

static int tear_down_slow(void** state) {
  sem_post(&may_encode); /* whatever still waits */
  int status = tear_down(state);
  sem_destroy(&may_encode);
  return status;
}

static void ask_in_partition_0(const char* request_id, const char* context) {
  freshet_buffer bytes = {0};
  freshet_request request = {.request_id = freshet_slice_of(request_id),
                             .user_id = freshet_slice_of("u"),
                             .k = 3,
                             .context = freshet_slice_of(context)};
  assert_int_equal(freshet_encode_request(w->codec, &request, &bytes, NULL), FRESHET_OK);
  put(&w->queue[w->queued++], FRESHET_TOPIC_REQUESTS, 0, "u", &bytes);
  freshet_buffer_free(&bytes);
}

static void let_pass(int64_t ms) {
  w->now_ms += ms;
  step();
  step();
}

/* While a text is encoded, others are answered; the offset of its request is committed only when it is,
 * too. */
static void an_unanswered_request_is_not_committed(void** state) {
  (void)state;
  step();
  ask_in_partition_0("slow", "a text");
  ask_in_partition_0("quick", "");
  step();
  step();
  assert_int_equal(w->answers, 1);
  let_pass(2000);
  assert_int_equal(w->committed, 0);
  sem_post(&may_encode);
  for (int i = 0; i < 5000 && w->answers < 2; i++) {
    usleep(1000);
    step();
  }
  assert_int_equal(w->answers, 2);
  assert_string_equal(w->note, "no item is on offer");
  let_pass(2000);
  assert_int_equal(w->committed, 2);
}

/* A text without a word is like every other such text: it is not encoded, and the asker is told. */
static void a_context_without_a_word_is_noted(void** state) {
  (void)state;
  for (uint32_t i = 0; i < KNOWN; i++) change_item(i);
  while (w->catalogued > 0) step();
  w->request.k = 3; /* what the answers are held against */
  ask_in_partition_0("words", "red lamp");
  for (int i = 0; i < 3; i++) step();
  assert_null(strstr(w->note, "context"));
  ask_in_partition_0("marks", "!!! ... \xe2\x80\x94");
  for (int i = 0; i < 3; i++) step();
  assert_int_equal(w->answers, 2);
  assert_non_null(strstr(w->note, "context is not used: it holds no word"));
}

/* A hashing encoder makes a vector of any word. A made-up word would be alike to an item by chance. */
static void a_word_that_no_item_has_is_left_out(void** state) {
  (void)state;
  float known;
  for (uint32_t i = 0; i < KNOWN; i++) change_item(i);
  while (w->catalogued > 0) step();
  w->request.k = 3;
  ask_in_partition_0("none", "");
  for (int i = 0; i < 3; i++) step();
  ask_in_partition_0("known", "red lamp");
  for (int i = 0; i < 3; i++) step();
  known = w->first_score;
  ask_in_partition_0("some", "red xqzzv lamp blorp");
  for (int i = 0; i < 3; i++) step();
  assert_true(w->first_score == known);
  assert_null(strstr(w->note, "context"));
  ask_in_partition_0("unknown", "xqzzv blorp");
  for (int i = 0; i < 3; i++) step();
  assert_non_null(strstr(w->note, "context is not used: no item's text has a word of it"));
  assert_int_equal(w->answers, 4);
}

static void who_has_waited_too_long_is_told_so(void** state) {
  (void)state;
  step();
  ask_in_partition_0("slow", "a text");
  step();
  let_pass(29000);
  assert_int_equal(w->answers, 0);
  let_pass(2000);
  assert_int_equal(w->answers, 1);
  assert_non_null(strstr(w->note, "more than requests.max_age_ms"));
  let_pass(2000);
  assert_int_equal(w->committed, 1);
  sem_post(&may_encode); /* nobody waits for it any more */
  usleep(20000);
  step();
  assert_int_equal(w->answers, 1);
}

/* What has not been answered when a partition goes is another worker's. */
static void requests_of_a_revoked_partition_are_forgotten(void** state) {
  (void)state;
  const freshet_partition gone[] = {{.topic = FRESHET_TOPIC_EVENTS, .partition = 0, .offset = -1},
                                    {.topic = FRESHET_TOPIC_REQUESTS, .partition = 0, .offset = -1}};
  step();
  ask_in_partition_0("slow", "a text");
  step();
  freshet_question question = {.request = {.user_id = freshet_slice_of("u"), .k = 3},
                               .answered = drop_answer};
  assert_int_equal(w->handler.revoked(w->handler.context, gone, 2, false, NULL), FRESHET_OK);
  assert_int_equal(w->committed, 0);
  assert_true(freshet_inbox_put(w->inbox, &question));
  sem_post(&may_encode);
  usleep(20000);
  step();
  assert_int_equal(w->answers, 0);
  bool is_gone = freshet_partition_of(freshet_slice_of("u"), PARTITIONS) == 0;
  assert_int_equal(dropped, is_gone ? FRESHET_ANSWER_ELSEWHERE : FRESHET_ANSWER_OK);
}

/* ---- lists without an event ---- */

/* Should the worker die after such a list, whoever comes next has to know that there was one. */
static void a_list_without_an_event_is_published_after_its_mark(void** state) {
  (void)state;
  w->any_list = true;
  for (uint32_t i = 0; i < 50; i++) {
    change_item(i);
    step();
  }
  choose(1, 1);
  step();
  let_pass(2000);
  size_t lists = w->lists;
  assert_int_equal(w->owed, 0);
  const freshet_rules rules = {.max_per_category = 1};
  freshet_worker_set_rules(w->worker, &rules);
  step();
  assert_int_equal(w->lists, lists);
  let_pass(2000);
  assert_int_equal(w->owed, 1);
  step();
  assert_int_equal(w->lists, lists + 1);
  let_pass(2000);
  assert_int_equal(w->owed, 1); /* it is not owed any more */
  assert_int_equal(w->lists, lists + 1);
}

/* ---- more questions than can be answered ---- */

static void take_time(void* context, freshet_answer* answer) {
  (void)context;
  bool is_refusal =
      answer->status != FRESHET_ANSWER_OK; /* of who has waited too long: costs next to nothing */
  w->answers += !is_refusal;
  w->passed_us += is_refusal ? 0 : w->answer_us;
  freshet_answer_destroy(answer);
}

static void fill_inbox(void) {
  freshet_question question = {.request = {.user_id = freshet_slice_of("u1"), .k = 10},
                               .answered = take_time};
  while (freshet_inbox_put(w->inbox, &question)) continue;
}

/* Fills the inbox, lets an event come, and turns once: its list comes first, and the next poll soon after,
 * though answers are left to give. Returns how long the turn took. */
static int64_t turn_full(uint32_t user) {
  int64_t start_us = w->passed_us;
  size_t answers = w->answers, lists = w->lists;
  fill_inbox();
  choose(user, user);
  step();
  assert_int_equal(w->lists, lists + 1);
  assert_int_equal(w->answers_at_list, answers);
  assert_true(w->answers > answers);
  assert_true(w->answers - answers < INBOX);
  return w->passed_us - start_us;
}

static void a_full_inbox_does_not_keep_lists_waiting(void** state) {
  (void)state;
  enum { TURN_US = 5000, LEAST_US = 200, BATCH_US = 16 * 200, TURNS = 100 };
  for (uint32_t i = 0; i < 50; i++) {
    change_item(i);
    step();
  }
  w->answer_us = 200;
  w->any_list = true;
  for (uint32_t user = 0; user < 20; user++) assert_true(turn_full(user) <= TURN_US + BATCH_US);
  for (int i = 0; i < 200; i++)
    step(); /* to the end of the line, whose oldest were told that it is too long */
  w->lag = 5000;
  fill_inbox();
  choose(30, 30);
  int64_t start_us = w->passed_us;
  size_t answers = w->answers;
  /* This far behind, answers get a share of what learning takes, which takes no time here. What a batch of
   * them takes beyond that is paid back by turns without any. */
  for (int turn = 1; turn <= TURNS; turn++) {
    step();
    fill_inbox();
    assert_true(w->passed_us - start_us <= TURN_US + turn * LEAST_US + BATCH_US);
  }
  assert_true(w->answers - answers >= (TURNS * LEAST_US - BATCH_US) / 200);
}

static void note_order(void* context, freshet_answer* answer) {
  w->order[w->answers++] = *(const uint32_t*)context;
  w->passed_us += w->answer_us;
  freshet_answer_destroy(answer);
}

/* Asks so many questions, numbered. */
static void ask_numbered(uint32_t count) {
  static uint32_t numbers[ORDERED];
  for (uint32_t i = 0; i < count; i++) {
    freshet_question question = {.request = {.user_id = freshet_slice_of("u1"), .k = 10},
                                 .answered = note_order,
                                 .context = &numbers[i]};
    numbers[i] = i;
    assert_true(freshet_inbox_put(w->inbox, &question));
  }
}

static void a_waiting_event_ends_the_turn_of_answers(void** state) {
  (void)state;
  enum { BATCH = 16 };
  for (uint32_t i = 0; i < 50; i++) {
    change_item(i);
    step();
  }
  ask_numbered(4 * BATCH);
  w->lag = 1;
  step();
  assert_int_equal(w->answers, BATCH);
  step();
  assert_int_equal(w->answers, 2 * BATCH);
  w->lag = 0;
  step();
  assert_int_equal(w->answers, 4 * BATCH);
}

static void requests_are_answered_in_order_until_it_is_crowded(void** state) {
  (void)state;
  enum { COUNT = 64, BATCH = 16, CROWDED_US = 250000 };
  for (uint32_t i = 0; i < 50; i++) {
    change_item(i);
    step();
  }
  ask_numbered(COUNT);
  step();
  assert_int_equal(w->answers, COUNT);
  for (uint32_t i = 0; i < COUNT; i++) assert_int_equal(w->order[i], i);
  w->answers = 0;
  w->answer_us = CROWDED_US / BATCH + 1; /* after one batch of answers the others have waited long */
  ask_numbered(COUNT);
  while (w->answers < COUNT) step();
  for (uint32_t i = 0; i < BATCH; i++) assert_int_equal(w->order[i], i);
  for (uint32_t i = BATCH; i < COUNT; i++) assert_int_equal(w->order[i], COUNT - 1 - (i - BATCH));
}

/* ---- the text of a history ---- */

static int set_up_histories(void** state) {
  user_texts = FRESHET_USER_TEXT_ENCODED;
  commit_interval_ms = 0; /* a list without an event waits for a commit, and time stands still */
  return set_up_slow(state);
}

static int tear_down_histories(void** state) {
  user_texts = FRESHET_USER_TEXT_OFF;
  commit_interval_ms = 1000;
  must_fail = false;
  return tear_down_slow(state);
}

static void announce_items(uint32_t count) {
  step();
  for (uint32_t i = 0; i < count; i++) {
    char text[32];
    snprintf(text, sizeof text, "item %u %.*s", i, (int)(i % 3), "xxx");
    freshet_item item = {
        .item_id = freshet_slice_of(name_of('i', i)), .title = freshet_slice_of(text), .available = true};
    freshet_buffer bytes = {0};
    assert_int_equal(freshet_encode_item(w->codec, &item, &bytes, NULL), FRESHET_OK);
    put(&w->catalogue[w->catalogued++], FRESHET_TOPIC_ITEMS, 0, name_of('i', i), &bytes);
    freshet_buffer_free(&bytes);
  }
  while (w->catalogued > 0) step();
  w->now_ms += 2000;
}

/* Lets the encoder work until so many items have their vectors. */
static void encode_items(uint32_t count) {
  for (int i = 0; i < 5000 && freshet_metric(&w->metrics.texts_encoded) < count; i++) {
    int open;
    sem_getvalue(&may_encode, &open);
    if (open == 0) sem_post(&may_encode);
    usleep(1000);
    step();
  }
  assert_int_equal(freshet_metric(&w->metrics.texts_encoded), count);
  while (sem_trywait(&may_encode) == 0) continue;
  let_pass(2000);
}

/* Some items, with their vectors. */
static void offer(uint32_t count) {
  announce_items(count);
  encode_items(count);
}

static void choose_next(uint32_t user, uint32_t i) {
  w->draws++; /* another event */
  choose(user, i);
}

/* Steps until so many lists have been pushed, or for a moment. Time stands still: nothing else is due. */
static void wait_for_lists(size_t lists, int patience_ms) {
  for (int waited = 0; waited < patience_ms && w->lists < lists; waited++) {
    usleep(1000);
    step();
  }
}

/* A list is made at once, without the text of the history, and again when that is there. */
static void a_list_is_made_again_when_the_text_of_the_history_has_come(void** state) {
  (void)state;
  offer(6);
  int begun = batches;
  choose_next(7, 2);
  wait_for_lists(1, 5000);
  assert_int_equal(w->lists, 1);
  for (int i = 0; i < 5000 && batches == begun; i++) usleep(1000); /* the two must not become one batch */
  choose_next(7, 3);
  wait_for_lists(2, 5000);
  assert_int_equal(w->lists, 2);
  float score = w->list_score;
  int64_t version = w->list_version;
  sem_post(&may_encode); /* the text of the first history, which is not the user's any more */
  wait_for_lists(3, 50);
  assert_int_equal(w->lists, 2);
  sem_post(&may_encode);
  wait_for_lists(3, 5000);
  assert_int_equal(w->lists, 3);
  assert_string_equal(last_text, "item 3 \nitem 2 xx");
  assert_int_equal(w->list_version, version);
  assert_true(w->list_score != score);
  let_pass(1000); /* and no more than once */
  assert_int_equal(w->lists, 3);
}

static void a_text_that_failed_is_asked_for_again(void** state) {
  (void)state;
  offer(6);
  must_fail = true;
  choose_next(7, 2);
  wait_for_lists(1, 5000);
  sem_post(&may_encode);
  wait_for_lists(2, 50);
  assert_int_equal(w->lists, 1);
  must_fail = false;
  choose_next(7, 2); /* the same history, but for its length */
  wait_for_lists(2, 5000);
  sem_post(&may_encode);
  wait_for_lists(3, 5000);
  assert_int_equal(w->lists, 3);
}

/* What comes for a user who has been erased is nobody's, and nothing is left of it. */
static void the_text_of_an_erased_user_is_dropped(void** state) {
  (void)state;
  offer(6);
  choose_next(7, 2);
  wait_for_lists(1, 5000);
  forget(7);
  step();
  step();
  sem_post(&may_encode);
  wait_for_lists(2, 50);
  assert_int_equal(w->lists, 1);
  freshet_embedder_stats stats;
  freshet_embedder_get_stats(w->embedder, &stats);
  assert_int_equal(stats.done, 7);
  choose_next(7, 2);
  wait_for_lists(2, 5000);
  sem_post(&may_encode);
  wait_for_lists(3, 5000);
  assert_int_equal(w->lists, 3); /* asked for anew: no cache has kept it */
  freshet_embedder_get_stats(w->embedder, &stats);
  assert_int_equal(stats.cache_hits, 0);
}

/* The server is away: items wait for their vectors, the stream goes on, the metrics tell; then all is made
 * good. */
static void the_stream_goes_on_while_no_text_can_be_encoded(void** state) {
  (void)state;
  must_fail = true;
  announce_items(6);
  for (uint32_t n = 0; n < 5; n++) {
    sem_post(&may_encode);
    choose_next(n, n % 6);
    wait_for_lists(n + 1, 5000);
    assert_int_equal(w->lists, n + 1);
  }
  assert_int_equal(freshet_metric(&w->metrics.texts_encoded), 0);
  assert_int_equal(freshet_metric(&w->metrics.texts_coverage_ppm), 0);
  freshet_embedder_stats stats;
  freshet_embedder_get_stats(w->embedder, &stats);
  for (int i = 0; i < 5000 && stats.retries == 0; i++) {
    usleep(1000);
    freshet_embedder_get_stats(w->embedder, &stats);
  }
  assert_true(stats.retries > 0);
  assert_string_equal(stats.last_error, "the server is away");
  must_fail = false;
  encode_items(6);
  let_pass(2000);
  assert_int_equal(freshet_metric(&w->metrics.texts_coverage_ppm), 1000000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(no_answer_holds_what_must_not_be_shown, set_up, tear_down),
      cmocka_unit_test_setup_teardown(nor_under_rules, set_up, tear_down),
      cmocka_unit_test_setup_teardown(askers_hear_whether_records_come, set_up, tear_down),
      cmocka_unit_test_setup_teardown(askers_read_while_the_worker_waits, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_list_without_an_event_is_published_after_its_mark, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_full_inbox_does_not_keep_lists_waiting, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_waiting_event_ends_the_turn_of_answers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(requests_are_answered_in_order_until_it_is_crowded, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_unanswered_request_is_not_committed, set_up_slow, tear_down_slow),
      cmocka_unit_test_setup_teardown(a_context_without_a_word_is_noted, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_word_that_no_item_has_is_left_out, set_up, tear_down),
      cmocka_unit_test_setup_teardown(who_has_waited_too_long_is_told_so, set_up_slow, tear_down_slow),
      cmocka_unit_test_setup_teardown(requests_of_a_revoked_partition_are_forgotten, set_up_slow,
                                      tear_down_slow),
      cmocka_unit_test_setup_teardown(a_list_is_made_again_when_the_text_of_the_history_has_come,
                                      set_up_histories, tear_down_histories),
      cmocka_unit_test_setup_teardown(the_stream_goes_on_while_no_text_can_be_encoded, set_up_histories,
                                      tear_down_histories),
      cmocka_unit_test_setup_teardown(a_text_that_failed_is_asked_for_again, set_up_histories,
                                      tear_down_histories),
      cmocka_unit_test_setup_teardown(the_text_of_an_erased_user_is_dropped, set_up_histories,
                                      tear_down_histories),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
