/*
 * import_target.c: see import_target.h. Offsets are set before the state is written: an import that dies in between
 * has left no state, so it can be done again.
 */
#include "commands/transfer/import_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cluster.h"
#include "commands/stopped.h"
#include "kafka/app_generations.h"
#include "kafka/group.h"
#include "kafka/still_point.h"

enum { ID_SIZE = 512 };
static const freshet_topic inputs[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_REQUESTS, FRESHET_TOPIC_ITEMS};
enum { INPUTS = sizeof inputs / sizeof inputs[0] };

typedef struct input {
  int64_t* offsets; /* [count] of the export; -1: none */
  int32_t count;
} input;

struct freshet_import_target {
  const freshet_config* config;
  const freshet_manifest* manifest;
  freshet_import_start start;
  freshet_kafka_property* properties;
  freshet_kafka_config kafka;
  freshet_logger logger;
  char transactional_id[ID_SIZE];
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_kafka_still_point* point;
  input inputs[FRESHET_TOPICS];
  bool wants_items;
};

static void fill_kafka(freshet_import_target* t) {
  /* All of it is one transaction: the longest that brokers allow by default. [kafka] may say otherwise. */
  static const freshet_kafka_property patience = {"transaction.timeout.ms", "900000"};
  size_t count;
  t->logger = freshet_cluster_logger("import");
  t->properties = freshet_cluster_properties(t->config, &patience, 1, &count);
  snprintf(t->transactional_id, sizeof t->transactional_id, "%s-import", t->config->app.id);
  t->kafka = (freshet_kafka_config){.properties = t->properties,
                                    .property_count = count,
                                    .app_id = t->config->app.id,
                                    .transactional_id = t->transactional_id,
                                    .client_id = "freshet-import",
                                    .logger = &t->logger};
  memcpy(t->kafka.topics, t->config->topics.names, sizeof t->kafka.topics);
}

static const char* name_of(const freshet_import_target* t, freshet_topic topic) {
  return t->kafka.topics[topic];
}

/* ---- may it? ---- */

static freshet_status check_model(const freshet_import_target* t, freshet_error* error) {
  const freshet_manifest* m = t->manifest;
  const freshet_config* config = t->config;
  if (config->model.dim != m->dim)
    return freshet_error_set(
        error, FRESHET_INVALID, FRESHET_STOP,
        "the export has model.dim = %lld, and the settings say %lld: set it to that of the "
        "export",
        (long long)m->dim, (long long)config->model.dim);
  if (config->model.seed != m->seed)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "the export has model.seed = %lld, and the settings say %lld: set it to that of "
                             "the export",
                             (long long)m->seed, (long long)config->model.seed);
  if (strcmp(config->app.id, config->app.base) == 0) return FRESHET_OK;
  return freshet_error_set(
      error, FRESHET_INVALID, FRESHET_STOP,
      "%s is a generation of %s: import into an app of its own, and let `freshet backfill` "
      "make generations",
      config->app.id, config->app.base);
}

static freshet_status check_topics(const freshet_import_target* t, freshet_error* error) {
  static const freshet_topic needed[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_ITEMS, FRESHET_TOPIC_USERS,
                                         FRESHET_TOPIC_ITEM_STATES, FRESHET_TOPIC_ITEM_DELTAS};
  for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
    if (t->info[needed[i]].partitions > 0) continue;
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP,
                             "topic %s does not exist: make the topics with `freshet topics create "
                             "--partitions %d`",
                             name_of(t, needed[i]), (int)t->manifest->partitions);
  }
  const int32_t events = t->info[FRESHET_TOPIC_EVENTS].partitions;
  const int32_t users = t->info[FRESHET_TOPIC_USERS].partitions;
  if (events == t->manifest->partitions && users == t->manifest->partitions) return FRESHET_OK;
  return freshet_error_set(
      error, FRESHET_CONFLICT, FRESHET_STOP,
      "the export has %d partitions, topic %s has %d and %s has %d: a user's state belongs "
      "to the partition of the user's events, so the counts must be equal; make the topics "
      "with `freshet topics create --partitions %d`",
      (int)t->manifest->partitions, name_of(t, FRESHET_TOPIC_EVENTS), (int)events,
      name_of(t, FRESHET_TOPIC_USERS), (int)users, (int)t->manifest->partitions);
}

/* The end of all partitions of a topic together. */
static freshet_status total_end(freshet_import_target* t, freshet_topic topic, int64_t* end,
                                freshet_error* error) {
  const int32_t count = t->info[topic].partitions;
  freshet_partition* places = calloc((size_t)count + 1, sizeof *places);
  FRESHET_ASSERT(places != NULL);
  for (int32_t p = 0; p < count; p++)
    places[p] = (freshet_partition){.topic = topic, .partition = p, .offset = -1};
  freshet_status status = freshet_kafka_still_point_ends(t->point, places, (size_t)count, error);
  *end = 0;
  for (int32_t p = 0; p < count; p++) *end += places[p].offset;
  free(places);
  return status;
}

static freshet_status check_empty(freshet_import_target* t, freshet_error* error) {
  static const freshet_topic state[] = {FRESHET_TOPIC_USERS, FRESHET_TOPIC_ITEM_STATES,
                                        FRESHET_TOPIC_ITEM_DELTAS};
  int64_t end;
  for (size_t i = 0; i < sizeof state / sizeof state[0]; i++) {
    freshet_status status = total_end(t, state[i], &end, error);
    if (status != FRESHET_OK) return status;
    if (end > 0)
      return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                               "%s has state (topic %s holds records, or has held some): import into a new "
                               "app.id, or forget this state with `freshet offsets --start-over`",
                               t->config->app.id, name_of(t, state[i]));
  }
  freshet_status status = total_end(t, FRESHET_TOPIC_ITEMS, &end, error);
  t->wants_items = end == 0;
  return status;
}

/* Offsets mean something only in the log that they come from. */
static freshet_status choose_start(freshet_import_target* t, freshet_import_start* start,
                                   freshet_error* error) {
  char cluster[FRESHET_MANIFEST_NAME_SIZE];
  const freshet_manifest* m = t->manifest;
  freshet_kafka_still_point_cluster(t->point, cluster, sizeof cluster);
  bool is_same = cluster[0] != '\0' && strcmp(cluster, m->cluster) == 0 &&
                 strcmp(m->events, name_of(t, FRESHET_TOPIC_EVENTS)) == 0;
  if (*start == FRESHET_IMPORT_UNSAID && is_same) *start = FRESHET_IMPORT_EXPORTED;
  t->start = *start;
  if (*start != FRESHET_IMPORT_UNSAID) return FRESHET_OK;
  return freshet_error_set(
      error, FRESHET_INVALID, FRESHET_STOP,
      "the export is of topic %s in cluster %s, this is %s in %s: offsets may differ; say "
      "where to go on: --positions latest, earliest, or exported (a mirror with the same "
      "offsets)",
      m->events, m->cluster[0] == '\0' ? "(without an id)" : m->cluster, name_of(t, FRESHET_TOPIC_EVENTS),
      cluster[0] == '\0' ? "(without an id)" : cluster);
}

freshet_status freshet_import_target_open(const freshet_config* config, const freshet_manifest* manifest,
                                          freshet_import_start* start, freshet_import_target** out,
                                          freshet_error* error) {
  freshet_import_target* t = calloc(1, sizeof *t);
  FRESHET_ASSERT(t != NULL);
  *out = t;
  t->config = config;
  t->manifest = manifest;
  fill_kafka(t);
  freshet_status status = check_model(t, error);
  if (status == FRESHET_OK) status = freshet_kafka_topics_list(&t->kafka, t->info, error);
  if (status == FRESHET_OK) status = check_topics(t, error);
  if (status == FRESHET_OK) status = freshet_kafka_still_point_open(&t->kafka, &t->point, error);
  if (status == FRESHET_OK) status = check_empty(t, error);
  if (status == FRESHET_OK) status = choose_start(t, start, error);
  for (size_t i = 0; i < INPUTS; i++) {
    input* in = &t->inputs[inputs[i]];
    in->count = t->info[inputs[i]].partitions;
    in->offsets = malloc(((size_t)in->count + 1) * sizeof *in->offsets);
    FRESHET_ASSERT(in->offsets != NULL);
    for (int32_t p = 0; p < in->count; p++) in->offsets[p] = -1;
  }
  return status;
}

void freshet_import_target_close(freshet_import_target* t) {
  if (t == NULL) return;
  for (size_t i = 0; i < INPUTS; i++) free(t->inputs[inputs[i]].offsets);
  freshet_kafka_still_point_close(t->point);
  free(t->properties);
  free(t);
}

bool freshet_import_target_wants_items(const freshet_import_target* target) {
  return target->wants_items;
}

int32_t freshet_import_target_item_shares(const freshet_import_target* target) {
  return target->info[FRESHET_TOPIC_ITEMS].partitions;
}

/* ---- positions ---- */

void freshet_import_target_note(void* context, freshet_topic topic, int32_t partition, int64_t offset) {
  freshet_import_target* t = context;
  input* in = &t->inputs[topic];
  if (partition < in->count) in->offsets[partition] = offset;
}

/* The end of everything, instead of what was noted. */
static void go_to_end(input* in, const freshet_kafka_group* group) {
  for (int32_t p = 0; p < in->count; p++) in->offsets[p] = freshet_kafka_group_offset_of(group, p).end;
}

/* The app may never have had a request, for instance. */
static bool any_offset(const input* in) {
  bool any = false;
  for (int32_t p = 0; p < in->count; p++) any = any || in->offsets[p] >= 0;
  return any;
}

static freshet_status fits(const freshet_import_target* t, freshet_topic topic,
                           const freshet_kafka_group* group, freshet_error* error) {
  const input* in = &t->inputs[topic];
  for (int32_t p = 0; p < in->count; p++) {
    const int64_t end = freshet_kafka_group_offset_of(group, p).end;
    if (in->offsets[p] <= end) continue;
    return freshet_error_set(
        error, FRESHET_CONFLICT, FRESHET_STOP,
        "the export has read %s [%d] up to offset %lld, and the topic ends at %lld: it is "
        "not that topic; say --positions latest or earliest",
        name_of(t, topic), (int)p, (long long)in->offsets[p], (long long)end);
  }
  return FRESHET_OK;
}

/* Items that are imported too are read from their beginning, and so is a topic whose offsets nobody has set. */
static bool has_positions(const freshet_import_target* t, freshet_topic topic) {
  if (t->info[topic].partitions == 0 || t->start == FRESHET_IMPORT_EARLIEST) return false;
  return topic != FRESHET_TOPIC_ITEMS || (t->start == FRESHET_IMPORT_EXPORTED && !t->wants_items);
}

static freshet_status visit_positions(freshet_import_target* t, bool set, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < INPUTS; i++) {
    freshet_kafka_group* group = NULL;
    if (!has_positions(t, inputs[i])) continue;
    status = freshet_kafka_group_open(&t->kafka, inputs[i], &group, error);
    if (status != FRESHET_OK) return status;
    if (t->start == FRESHET_IMPORT_LATEST) go_to_end(&t->inputs[inputs[i]], group);
    status = fits(t, inputs[i], group, error);
    if (status == FRESHET_OK && set && any_offset(&t->inputs[inputs[i]]))
      status = freshet_kafka_group_move(group, t->inputs[inputs[i]].offsets, error);
    freshet_kafka_group_close(group);
  }
  return status;
}

freshet_status freshet_import_target_check(freshet_import_target* t, freshet_error* error) {
  return visit_positions(t, false, error);
}

/* ---- the transaction ---- */

static freshet_status await_outcome(freshet_sink* sink, freshet_error* error) {
  freshet_error cause = {0};
  freshet_status status = freshet_sink_await_outcome(sink, &cause);
  if (status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(
      error, status, FRESHET_STOP,
      "the transaction was not committed, so nothing is imported: %s; if it took too long, "
      "raise kafka.transaction.timeout.ms",
      cause.message);
}

/* Somebody may have started the app while we wrote. */
static freshet_status check_stopped(const freshet_import_target* t, freshet_error* error) {
  size_t members = 0;
  freshet_status status = freshet_kafka_generation_members(&t->kafka, t->config->app.id, &members, error);
  if (status != FRESHET_OK || members == 0) return status;
  return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                           "the app was started during the import, so nothing is imported: group %s has %zu "
                           "members; stop them and import again",
                           t->config->app.id, members);
}

freshet_status freshet_import_target_take(freshet_import_target* t, const freshet_import_files* files,
                                          freshet_error* error) {
  freshet_sink* sink = NULL;
  freshet_status status = freshet_await_stopped(&t->kafka, t->config->app.id, error);
  if (status == FRESHET_OK) status = visit_positions(t, true, error);
  if (status == FRESHET_OK) status = freshet_kafka_sink_create(&t->kafka, NULL, &sink, error);
  if (status == FRESHET_OK) status = check_empty(t, error);
  if (status == FRESHET_OK) status = freshet_sink_begin(sink, error);
  bool begun = status == FRESHET_OK;
  if (status == FRESHET_OK) status = freshet_import_files_send(files, sink, error);
  if (status == FRESHET_OK) status = check_stopped(t, error);
  if (status == FRESHET_OK) {
    status = freshet_sink_commit(sink, NULL, 0, error);
    if (status == FRESHET_OK) status = await_outcome(sink, error);
  } else if (begun) {
    freshet_sink_abort(sink, NULL);
  }
  freshet_sink_destroy(sink);
  return status;
}
