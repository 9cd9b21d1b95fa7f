/* topics_grow.c: see topics_grow.h. */
#include "commands/topics_grow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cluster.h"
#include "commands/backfill/backfill.h"
#include "commands/stopped.h"
#include "kafka/group.h"
#include "users/mover.h"

enum { TOLD_MS = 1000, NAME_SIZE = 300 };

/* A state that is moved belongs to one transaction, however large it is. Kafka's default bound is 15 min. */
static const freshet_kafka_property long_transaction = {"transaction.timeout.ms", "840000"};

static const freshet_topic shared[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_REQUESTS, FRESHET_TOPIC_USERS};
enum { SHARED = sizeof shared / sizeof shared[0] };

typedef struct growing {
  const freshet_config* config;
  freshet_kafka_config kafka;
  freshet_logger logger;
  freshet_kafka_property* properties;
  freshet_backfill* generations; /* the facts, codec and reader */
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_layout layout; /* before */
  int32_t before, after;
  freshet_mover* mover;
  freshet_mover_counts counts;
  freshet_partition* offsets; /* [offset_count] to be committed */
  size_t offset_count;
  int64_t started_ms, told_ms;
} growing;

static int64_t now_ms(void) {
  return freshet_clock_monotonic_us(freshet_clock_system()) / 1000;
}

/* ---- the plan ---- */

/* How the state is divided now: as committed, else as the changelog is. */
static freshet_status find_counts(growing* g, int32_t wanted, freshet_error* error) {
  freshet_status status = freshet_kafka_topics_list(&g->kafka, g->info, error);
  if (status == FRESHET_OK) status = freshet_kafka_layout_read(&g->kafka, &g->layout, error);
  if (status != FRESHET_OK) return status;
  if (g->info[FRESHET_TOPIC_EVENTS].partitions == 0 || g->info[FRESHET_TOPIC_USERS].partitions == 0)
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP,
                             "topic %s or %s does not exist; `freshet topics create` makes them",
                             g->kafka.topics[FRESHET_TOPIC_EVENTS], g->kafka.topics[FRESHET_TOPIC_USERS]);
  g->before = g->layout.partitions > 0 ? g->layout.partitions : g->info[FRESHET_TOPIC_USERS].partitions;
  g->after = wanted;
  int32_t least = g->before;
  for (int i = 0; i < SHARED; i++)
    least = g->info[shared[i]].partitions > least ? g->info[shared[i]].partitions : least;
  if (wanted >= least) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "--partitions %d: there are %d already, and a topic cannot shrink", (int)wanted,
                           (int)least);
}

static void print_topics(const growing* g) {
  printf("%-32s %10s %10s\n", "topic", "partitions", "then");
  for (int i = 0; i < SHARED; i++) {
    int32_t count = g->info[shared[i]].partitions;
    if (count > 0) printf("%-32s %10d %10d\n", g->kafka.topics[shared[i]], (int)count, (int)g->after);
  }
  printf("%-32s %10d %10d\n", "state", (int)g->before, (int)g->after);
}

static void print_counts(const growing* g) {
  printf("%" PRIu64 " users, of whom %" PRIu64 " move to another partition\n", g->counts.users,
         g->counts.moves);
  if (g->counts.doubles > 0)
    printf("%" PRIu64
           " users are split over two partitions: the row where the user lives stays, the other is "
           "dropped\n",
           g->counts.doubles);
}

static freshet_status look(growing* g, freshet_error* error) {
  const freshet_mover_config config = {.reader = g->generations->log,
                                       .codec = g->generations->codec,
                                       .clock = freshet_clock_system(),
                                       .logger = &g->logger,
                                       .partitioner = g->kafka.partitioner,
                                       .before = g->before,
                                       .after = g->after,
                                       .now_ms = freshet_clock_now_ms(freshet_clock_system())};
  g->mover = freshet_mover_create(&config);
  return freshet_mover_look(g->mover, &g->counts, error);
}

/* ---- positions ---- */

static freshet_status refuse_offsets(const growing* g, int32_t partition, const char* why,
                                     freshet_error* error) {
  return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP, "topic %s [%d]: %s; see `freshet offsets`",
                           g->kafka.topics[FRESHET_TOPIC_EVENTS], (int)partition, why);
}

/* Every partition gets an offset: where reading has come to, else the beginning. */
static freshet_status plan_topic(growing* g, freshet_topic topic, freshet_error* error) {
  freshet_kafka_group* group = NULL;
  freshet_status status = freshet_kafka_group_open(&g->kafka, topic, &group, error);
  bool any = false, is_events = topic == FRESHET_TOPIC_EVENTS;
  int32_t count = status == FRESHET_OK ? freshet_kafka_group_partitions(group) : 0;
  for (int32_t p = 0; status == FRESHET_OK && p < count; p++) {
    freshet_kafka_group_offset o = freshet_kafka_group_offset_of(group, p);
    any = any || o.committed >= 0;
    if (o.is_other_log) status = refuse_offsets(g, p, "it is not the log that was read", error);
    if (!is_events && o.committed < 0 && p < g->before) continue;
    g->offsets[g->offset_count++] = (freshet_partition){
        .topic = topic, .partition = p, .offset = o.committed >= 0 ? o.committed : o.first};
  }
  if (status == FRESHET_OK && is_events && !any && g->counts.users > 0)
    status = refuse_offsets(g, 0, "there are users, but no committed offset says how far it was read", error);
  freshet_kafka_group_close(group);
  return status;
}

static freshet_status plan_offsets(growing* g, freshet_error* error) {
  g->offsets = calloc(2 * (size_t)g->after + 1, sizeof *g->offsets);
  FRESHET_ASSERT(g->offsets != NULL);
  freshet_status status = plan_topic(g, FRESHET_TOPIC_EVENTS, error);
  if (status == FRESHET_OK && g->info[FRESHET_TOPIC_REQUESTS].partitions > 0)
    status = plan_topic(g, FRESHET_TOPIC_REQUESTS, error);
  return status;
}

/* ---- who serves ---- */

/* New partitions belong to the generation that serves, as if it had taken them over. Writing it again does no harm. */
static freshet_status tell_generations(growing* g, freshet_error* error) {
  const freshet_serving* serving = &g->generations->facts;
  if (serving->number == 0 || g->after == g->before) return FRESHET_OK;
  for (int32_t p = 0; p < g->before; p++) {
    if (freshet_serving_of(serving, p).taken != serving->number)
      return freshet_error_set(
          error, FRESHET_CONFLICT, FRESHET_STOP,
          "a promotion is under way: partition %d has not been taken over by %s; start it "
          "until `freshet backfill status` says it is done",
          (int)p, freshet_serving_generation(serving));
  }
  size_t count = (size_t)(g->after - g->before);
  freshet_app_generation_fact* facts = calloc(count, sizeof *facts);
  FRESHET_ASSERT(facts != NULL);
  for (size_t i = 0; i < count; i++)
    facts[i] =
        (freshet_app_generation_fact){.generation = freshet_slice_of(freshet_serving_generation(serving)),
                                      .number = serving->number,
                                      .partition = g->before + (int32_t)i,
                                      .offset = -1,
                                      .learned = -1};
  freshet_status status =
      freshet_backfill_write(g->generations, FRESHET_SERVING_TAKEN, facts, count, false, error);
  free(facts);
  return status;
}

/* ---- the move ---- */

static void show_moved(void* context, uint64_t moved) {
  growing* g = context;
  int64_t now = now_ms();
  if (now - g->told_ms < TOLD_MS || !isatty(STDERR_FILENO)) return;
  g->told_ms = now;
  fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " users moved", moved, g->counts.moves);
}

static freshet_status write_all(growing* g, freshet_sink* sink, freshet_error* error) {
  freshet_status status = freshet_sink_begin(sink, error);
  if (status == FRESHET_OK) status = freshet_mover_move(g->mover, sink, show_moved, g, error);
  if (status == FRESHET_OK) status = freshet_sink_commit(sink, g->offsets, g->offset_count, error);
  if (status == FRESHET_OK) status = freshet_sink_await_outcome(sink, error);
  return status;
}

/* A new producer of this id: it ends the transaction that an interrupted run has left open. work: what it is for; NULL:
 * nothing more. */
static freshet_status with_sink(growing* g,
                                freshet_status (*work)(growing* g, freshet_sink* sink, freshet_error* error),
                                freshet_error* error) {
  char transactional_id[NAME_SIZE];
  const freshet_layout layout = {g->after, g->before};
  freshet_kafka_config kafka = g->kafka;
  freshet_sink* sink = NULL;
  snprintf(transactional_id, sizeof transactional_id, "%s.grow", g->config->app.id);
  kafka.transactional_id = transactional_id;
  kafka.layout = &layout;
  freshet_status status = freshet_kafka_sink_create(&kafka, NULL, &sink, error);
  if (status == FRESHET_OK && work != NULL) status = work(g, sink, error);
  freshet_sink_destroy(sink);
  return status;
}

static freshet_status move(growing* g, freshet_error* error) {
  g->started_ms = now_ms();
  freshet_status status = with_sink(g, write_all, error);
  if (status != FRESHET_OK) return status;
  double s = (double)(now_ms() - g->started_ms + 1) / 1000;
  printf("moved %" PRIu64 " users in %.1f s, %.0f users/s\n", g->counts.moves, s,
         (double)g->counts.moves / s);
  return FRESHET_OK;
}

static freshet_status carry_out(growing* g, bool execute, freshet_error* error) {
  print_topics(g);
  freshet_status status = look(g, error);
  if (status != FRESHET_OK) return status;
  print_counts(g);
  bool is_done = g->layout.partitions == g->after && g->counts.moves == 0 && g->counts.doubles == 0 &&
                 g->info[FRESHET_TOPIC_USERS].partitions == g->after &&
                 g->info[FRESHET_TOPIC_EVENTS].partitions == g->after;
  if (is_done) {
    printf("nothing to do\n");
    return FRESHET_OK;
  }
  if (!execute) {
    printf("dry run: nothing was changed; --execute does it\n");
    return FRESHET_OK;
  }
  status = tell_generations(g, error);
  if (status == FRESHET_OK) status = freshet_kafka_topics_grow(&g->kafka, g->after, error);
  if (status == FRESHET_OK) status = freshet_kafka_topics_list(&g->kafka, g->info, error);
  if (status == FRESHET_OK) status = plan_offsets(g, error);
  if (status == FRESHET_OK) status = move(g, error);
  return status;
}

freshet_status freshet_topics_grow(const freshet_config* config, int32_t partitions, bool execute,
                                   freshet_error* error) {
  growing g = {.config = config, .logger = freshet_cluster_logger("topics grow")};
  size_t count;
  freshet_kafka_property* given = freshet_cluster_properties(config, NULL, 0, &count);
  g.properties = calloc(count + 1, sizeof *g.properties);
  FRESHET_ASSERT(g.properties != NULL);
  memcpy(g.properties, given, count * sizeof *given);
  g.properties[count] = long_transaction; /* the last one holds */
  free(given);
  g.kafka = (freshet_kafka_config){.properties = g.properties,
                                   .property_count = count + 1,
                                   .app_id = config->app.id,
                                   .partitioner = (freshet_partitioner)config->events.partitioner,
                                   .logger = &g.logger};
  memcpy(g.kafka.topics, config->topics.names, sizeof g.kafka.topics);
  freshet_status status = FRESHET_OK;
  if (execute) status = freshet_await_stopped(&g.kafka, g.kafka.app_id, error);
  if (execute && status == FRESHET_OK) status = with_sink(&g, NULL, error);
  if (status == FRESHET_OK) status = find_counts(&g, partitions, error);
  if (status == FRESHET_OK) status = freshet_backfill_open(config, &g.generations, error);
  if (status == FRESHET_OK) status = carry_out(&g, execute, error);
  freshet_mover_destroy(g.mover);
  freshet_backfill_close(g.generations);
  free(g.offsets);
  free(g.properties);
  return status;
}
