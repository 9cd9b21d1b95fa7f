/*
 * engine.c: builds the service from a configuration, in the order in which the parts need each other, runs
 * the worker until it should stop, and takes all apart in reverse order. It owns the Kafka handles, the
 * store, the codec, the encoder and the worker. What is in a record, and what a list is made of, it must not
 * know.
 */
#include "app/engine.h"

#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "app/encoder_pin.h"
#include "app/pace.h"
#include "app/schemas.h"
#include "freshet/encoder.h"
#include "kafka/app_generations.h"
#include "kafka/kafka.h"
#include "kafka/peers.h"
#include "rocksdb/rocksdb.h"

enum { NOTICE_S = 30, POLL_WAIT_MS = 50, S = 1000, FAR_BEHIND = 50000 /* events */, THREADS_ENOUGH = 4 };

struct freshet_engine {
  _Atomic int64_t registry_noticed_us; /* monotonic: when the registry was last written about */
  _Atomic int64_t noticed_us;          /* monotonic: when the text encoder was last written about */
  freshet_engine_config config;
  freshet_kafka_property* properties;
  freshet_kafka_config kafka;
  char transactional_id[1024];
  char folder_instance[FRESHET_ROCKSDB_INSTANCE_SIZE];
  freshet_schemas* schemas;
  freshet_sink *sink, *state_sink; /* the second is NULL where nobody waits for lists to be committed */
  freshet_ports ports;
  freshet_worker* worker;
  freshet_codec* titles_codec; /* of the thread that asks for titles */
  freshet_buffer title_bytes;
  freshet_layout layout;             /* of the state */
  freshet_kafka_faults topic_faults; /* of the start */
  freshet_kafka_peers* peers;
  freshet_pace pace;
};

/* Of worker.threads: by default one for each core that this process may use, as far as more threads help. */
static int64_t count_threads(const freshet_config* config) {
  cpu_set_t cores;
  if (config->worker.threads > 0) return config->worker.threads;
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return CPU_COUNT(&cores) < THREADS_ENOUGH ? CPU_COUNT(&cores) : THREADS_ENOUGH;
}

freshet_stream_config freshet_engine_worker_config(const freshet_config* config) {
  const int64_t threads = count_threads(config), ranking = config->ranking.threads;
  return (freshet_stream_config){
      .generation = config->app.id,
      .base_generation = config->app.base,
      .delivery = (freshet_delivery)config->app.delivery,
      .partitioner = (freshet_partitioner)config->events.partitioner,
      .model = {.dim = (uint32_t)config->model.dim,
                .neighbours = (uint32_t)config->model.neighbours,
                .negatives = (uint32_t)config->model.negatives,
                .max_items = (uint32_t)config->model.max_items,
                .seen_limit = (uint32_t)config->model.seen_limit,
                .seed = (uint64_t)config->model.seed,
                .learning = config->model.learning,
                .user_texts = (freshet_user_text_use)config->text.users},
      .limits = {.rating_min = (float)config->model.rating_min,
                 .rating_max = (float)config->model.rating_max,
                 .future_tolerance_ms = config->model.future_tolerance_s * S,
                 .refuses_old = true},
      .weights = {(float)config->model.weight_click, (float)config->model.weight_rating,
                  (float)config->model.weight_purchase},
      .positive_rating = (float)config->model.positive_rating,
      .goal = (freshet_goal)config->model.goal,
      .rules = &config->rules.compiled,
      .list_size = (uint32_t)config->ranking.k,
      .explain = config->ranking.explain,
      .diversity = (float)config->ranking.diversity,
      .context_weight = (float)config->requests.context_weight,
      .requests_max_age_ms = config->requests.max_age_ms,
      .max_delay_ms = config->ranking.max_delay_ms,
      .far_behind = FAR_BEHIND,
      .ranking_threads = (uint32_t)ranking,
      .lagging_threads = (uint32_t)(threads > ranking ? threads : ranking),
      .ranking_batch = (uint32_t)config->ranking.batch,
      .commit_interval_ms = config->state.commit_interval_ms,
      .lists_interval_ms = config->state.committed_interval_ms,
      .overlay_users = (uint32_t)config->state.overlay_users,
      .cached_users = (uint32_t)config->state.user_cache,
      .dedup_events = (uint32_t)config->state.dedup_events,
      .dedup_window_ms = config->state.dedup_window_s * S,
      .items_interval_ms = config->state.items_interval_s * S,
      .checkpoint_interval_ms = config->state.checkpoint_interval_s * S,
      .item_rows_a_turn = 64,    /* a third of a millisecond */
      .commit_rows_a_turn = 128, /* two milliseconds with the items */
      .survey_rows_a_turn = 256, /* three milliseconds, and fewer where that takes longer */
      .text_interval_ms = config->text.interval_s * S,
      .text_batch = (size_t)config->text.batch,
      .link_slice_us = 5000,
      .text_cutover_coverage = config->text.cutover_coverage,
  };
}

/* librdkafka 2.0.2 has no way for a static member to leave its group, so this one is dynamic. Transactions keep their
 * name. The broker puts the client id in front of a member's id, and `range` goes by that order: so each process gets
 * the partitions again that it had. */
static void leave_on_stop(freshet_kafka_config* kafka) {
  if (kafka->client_id == NULL) kafka->client_id = kafka->instance_id;
  kafka->instance_id = NULL;
}

/* The name of this process in the group and in transactions. It is configured, or else taken from the state
 * folder, which only one process can lock: so the next process on the folder is the same member, takes its
 * partitions back at once and ends the transaction that was left open. "-" asks for a dynamic member, with a
 * new name each time. */
static freshet_status name_instance(freshet_engine* engine, freshet_error* error) {
  const freshet_config* config = engine->config.config;
  freshet_status status = FRESHET_OK;
  if (strcmp(config->app.instance_id, "-") == 0) {
    uint64_t random;
    FRESHET_ASSERT(getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random);
    char name[24];
    snprintf(name, sizeof name, "%016llx", (unsigned long long)random);
    freshet_kafka_transactional_id(config->app.id, name, engine->transactional_id,
                                   sizeof engine->transactional_id);
    return FRESHET_OK;
  }
  if (config->app.instance_id[0] == '\0') {
    status = freshet_rocksdb_instance(engine->ports.store, engine->folder_instance, error);
    engine->kafka.instance_id = engine->folder_instance;
  } else {
    engine->kafka.instance_id = config->app.instance_id;
  }
  freshet_kafka_transactional_id(config->app.id, engine->kafka.instance_id, engine->transactional_id,
                                 sizeof engine->transactional_id);
  if (config->app.on_stop == 1) leave_on_stop(&engine->kafka);
  return status;
}

static freshet_status fill_kafka(freshet_engine* engine, freshet_error* error) {
  const freshet_config* config = engine->config.config;
  engine->properties = calloc(config->kafka.count + 1, sizeof *engine->properties);
  FRESHET_ASSERT(engine->properties != NULL);
  for (size_t i = 0; i < config->kafka.count; i++) {
    engine->properties[i] =
        (freshet_kafka_property){config->kafka.properties[i].name, config->kafka.properties[i].value};
  }
  engine->kafka = (freshet_kafka_config){
      .properties = engine->properties,
      .property_count = config->kafka.count,
      .app_id = config->app.id,
      .transactional_id = engine->transactional_id,
      .alternates = config->app.delivery == FRESHET_DELIVERY_COMMITTED,
      .writes_beside = count_threads(config) > 1,
      .client_id = config->http.advertise[0] == '\0' ? NULL : config->http.advertise,
      .partitioner = (freshet_partitioner)config->events.partitioner,
      .reply_topics = config->requests.reply_topics,
      .logger = engine->config.logger,
      .metrics = engine->config.metrics,
      .stopping = engine->config.stopping,
      .stopping_context = engine->config.stopping_context,
  };
  for (int topic = 0; topic < FRESHET_TOPICS; topic++)
    engine->kafka.topics[topic] = config->topics.names[topic];
  return name_instance(engine, error);
}

/* Has it been long enough since the last line about this? From any thread. */
static bool may_notice(_Atomic int64_t* last_us) {
  freshet_clock* clock = freshet_clock_system();
  int64_t now_us = freshet_clock_monotonic_us(clock);
  int64_t before_us = atomic_load(last_us);
  if (before_us != 0 && now_us - before_us < NOTICE_S * INT64_C(1000000)) return false;
  return atomic_compare_exchange_strong(last_us, &before_us, now_us);
}

/* At most every NOTICE_S seconds: a server that is away refuses again and again. From the embedder's threads. */
static void text_notice(void* context, const char* text) {
  freshet_engine* engine = context;
  if (may_notice(&engine->noticed_us))
    freshet_log_fact(engine->config.logger, FRESHET_WARN, "text.encoder_notice", "message=\"%s\"", text);
}

/* From the registry's thread. At most every NOTICE_S seconds. */
static void registry_trouble(void* context, const char* text) {
  freshet_engine* engine = context;
  freshet_count(&engine->config.metrics->registry_failures, 1);
  if (!may_notice(&engine->registry_noticed_us)) return;
  freshet_log_fact(engine->config.logger, FRESHET_WARN, "registry.unavailable",
                   "reason=\"%s\" effect=\"records of unknown schemas wait, others go on\"", text);
}

static freshet_status open_codec(freshet_engine* engine, freshet_error* error) {
  const freshet_config* config = engine->config.config;
  char* folder = NULL;
  mkdir(config->state.folder, 0777); /* the store complains if it cannot be made */
  FRESHET_ASSERT(asprintf(&folder, "%s/schemas", config->state.folder) >= 0);
  const freshet_schemas_config schemas = {
      .config = config, .folder = folder, .trouble = registry_trouble, .context = engine};
  freshet_status status = freshet_schemas_open(&schemas, &engine->schemas, error);
  free(folder);
  if (status == FRESHET_OK) status = freshet_schemas_check_id(engine->schemas, "RecommendationList", error);
  if (status != FRESHET_OK) return status;
  const freshet_codec_config codec = freshet_schemas_codec(engine->schemas);
  status = freshet_codec_create(&codec, &engine->ports.codec, error);
  if (status == FRESHET_OK) status = freshet_codec_create(&codec, &engine->titles_codec, error);
  return status;
}

/* Wakes the worker. Before there is a worker, nothing was submitted, so nothing can be ready. */
static void text_ready(void* context) {
  freshet_source* source = ((freshet_engine*)context)->ports.source;
  freshet_source_wake(source);
}

/* Hashing costs a few microseconds, so the worker does it at once. Everything else goes into the
 * background. */
static freshet_status open_text(freshet_engine* engine, freshet_error* error) {
  const freshet_config* config = engine->config.config;
  freshet_ports* ports = &engine->ports;
  freshet_status status =
      freshet_encoder_pinned_create(config, engine->config.logger, &ports->encoder, error);
  if (status != FRESHET_OK || ports->encoder == NULL) return status;
  freshet_log_fact(engine->config.logger, FRESHET_INFO, "text.encoder", "name=%s dim=%u",
                   ports->encoder->name, ports->encoder->dim);
  if (ports->encoder->vtable->share == NULL) return FRESHET_OK;
  freshet_embedder_config embedder = freshet_embedder_defaults();
  embedder.ready = text_ready;
  embedder.notice = text_notice;
  embedder.context = engine;
  embedder.encoder = ports->encoder;
  embedder.cache_bytes = (size_t)config->text.cache_mb << 20;
  return freshet_embedder_create(&embedder, &ports->embedder, error);
}

static freshet_status open_kafka(freshet_engine* engine, freshet_error* error) {
  static const freshet_topic subscribed[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_ITEMS,
                                             FRESHET_TOPIC_REQUESTS};
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_ports* ports = &engine->ports;
  freshet_status status = freshet_kafka_topics_check(&engine->kafka, info, &engine->topic_faults, error);
  if (status == FRESHET_OK) status = freshet_kafka_layout_check(&engine->kafka, &engine->layout, error);
  if (status == FRESHET_OK && engine->layout.partitions == 0)
    engine->layout.partitions = info[FRESHET_TOPIC_EVENTS].partitions;
  engine->kafka.layout = &engine->layout;
  engine->kafka.known_faults = &engine->topic_faults;
  if (status == FRESHET_OK) {
    /* without it there are no requests by Kafka */
    bool with_requests = info[FRESHET_TOPIC_REQUESTS].partitions > 0;
    engine->kafka.items_partitions = info[FRESHET_TOPIC_ITEMS].partitions;
    status =
        freshet_kafka_source_create(&engine->kafka, subscribed, with_requests ? 3 : 2, &ports->source, error);
  }
  if (status == FRESHET_OK)
    status = freshet_kafka_sink_create(&engine->kafka, ports->source, &engine->sink, error);
  if (status == FRESHET_OK && engine->kafka.alternates) {
    freshet_kafka_config second = engine->kafka;
    second.alternates = false;
    second.is_second = true;
    status = freshet_kafka_sink_create(&second, ports->source, &engine->state_sink, error);
  }
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(&engine->kafka, &ports->reader, error);
  if (status == FRESHET_OK) status = freshet_kafka_reader_create(&engine->kafka, &ports->changelog, error);
  if (status == FRESHET_OK && engine->config.config->state.standby > 0)
    status = freshet_kafka_reader_create(&engine->kafka, &ports->standby, error);
  return status;
}

/* A backlog comes in large blocks, and many threads allocate them. glibc would keep freed blocks. So large
 * blocks are given back at once (setting the threshold stops it from growing), and threads share arenas. */
static void keep_memory_small(void) {
  mallopt(M_MMAP_THRESHOLD, 256 * 1024);
  mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
  mallopt(M_ARENA_MAX, 2);
}

/* Makes the parts in order; those that are there after an error are destroyed with the engine. */
static freshet_status open_parts(freshet_engine* engine, freshet_error* error) {
  const freshet_engine_config* config = &engine->config;
  freshet_ports* ports = &engine->ports;
  freshet_pace_start(&engine->pace, config->config, config->logger);
  ports->clock = freshet_clock_system();
  ports->logger = config->logger;
  ports->metrics = config->metrics;
  ports->stop = (freshet_stop_request){config->stopping, config->stopping_context};
  const freshet_config* settings = config->config;
  freshet_status status = open_codec(engine, error);
  if (status == FRESHET_OK) {
    freshet_rocksdb_config rocksdb = {.folder = settings->state.folder,
                                      .app_id = settings->app.id,
                                      .block_cache_bytes = (size_t)settings->state.block_cache_mb << 20,
                                      .memtable_bytes = (size_t)settings->state.memtable_mb << 20,
                                      .writes_beside = count_threads(settings) > 1,
                                      .logger = config->logger};
    status = freshet_rocksdb_create(&rocksdb, &ports->store, error);
  }
  if (status == FRESHET_OK) status = fill_kafka(engine, error);
  if (status == FRESHET_OK) status = open_text(engine, error);
  freshet_gauge(&ports->metrics->phase, FRESHET_PHASE_CONNECTING);
  if (status == FRESHET_OK) status = open_kafka(engine, error);
  if (status == FRESHET_OK) {
    freshet_gauge(&ports->metrics->phase, FRESHET_PHASE_LOADING);
    freshet_stream_config worker = freshet_engine_worker_config(settings);
    worker.previous_partitions = engine->layout.previous;
    ports->outbox = freshet_outbox_create(engine->sink, worker.delivery);
    if (engine->state_sink != NULL)
      ports->state_outbox = freshet_outbox_create(engine->state_sink, worker.delivery);
    status = freshet_worker_create(&worker, ports, config->inbox, &engine->worker, error);
  }
  if (status != FRESHET_OK) return status;
  engine->peers = freshet_kafka_peers_create(&engine->kafka);
  freshet_kafka_source_set_handler(ports->source, freshet_worker_handler(engine->worker));
  return FRESHET_OK;
}

freshet_status freshet_engine_create(const freshet_engine_config* config, freshet_engine** out,
                                     freshet_error* error) {
  keep_memory_small();
  for (bool is_second = false;; is_second = true) {
    freshet_engine* engine = calloc(1, sizeof *engine);
    FRESHET_ASSERT(engine != NULL);
    engine->config = *config;
    freshet_error cause = {0};
    freshet_status status = open_parts(engine, &cause);
    if (status == FRESHET_OK) {
      *out = engine;
      return FRESHET_OK;
    }
    /* The second time, the store moves the damaged files aside. */
    const bool is_damaged = engine->ports.store != NULL && freshet_rocksdb_is_damaged(engine->ports.store);
    freshet_engine_destroy(engine);
    if (!is_damaged || is_second) return freshet_error_set(error, status, cause.verdict, "%s", cause.message);
  }
}

freshet_status freshet_engine_run(freshet_engine* engine, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  freshet_gauge(&engine->ports.metrics->phase, FRESHET_PHASE_RUNNING);
  while (status == FRESHET_OK && !engine->config.stopping(engine->config.stopping_context)) {
    const freshet_rules* rules =
        engine->config.new_rules == NULL ? NULL : engine->config.new_rules(engine->config.new_rules_context);
    if (rules != NULL) freshet_worker_set_rules(engine->worker, rules);
    status = freshet_worker_step(engine->worker, POLL_WAIT_MS, error);
    freshet_worker_progress progress = freshet_worker_progress_of(engine->worker);
    freshet_pace_turn(&engine->pace, engine->config.config, engine->config.logger, &progress, FAR_BEHIND,
                      engine->config.stopping, engine->config.stopping_context);
  }
  freshet_gauge(&engine->ports.metrics->phase, FRESHET_PHASE_STOPPING);
  if (status == FRESHET_OK) status = freshet_worker_stop(engine->worker, error);
  if (status == FRESHET_OK)
    freshet_log_fact(engine->config.logger, FRESHET_INFO, "model.stored", "hash=%016llx",
                     (unsigned long long)freshet_worker_model_hash(engine->worker));
  return status;
}

void freshet_engine_destroy(freshet_engine* engine) {
  if (engine == NULL) return;
  freshet_ports* ports = &engine->ports;
  freshet_kafka_peers_destroy(engine->peers);
  freshet_worker_destroy(engine->worker);
  freshet_embedder_destroy(ports->embedder); /* it wakes the source */
  freshet_reader_destroy(ports->standby);
  freshet_reader_destroy(ports->changelog);
  freshet_reader_destroy(ports->reader);
  freshet_outbox_destroy(ports->state_outbox);
  freshet_outbox_destroy(ports->outbox);
  freshet_sink_destroy(engine->state_sink);
  freshet_sink_destroy(engine->sink);
  freshet_source_destroy(ports->source);
  freshet_encoder_destroy(ports->encoder);
  freshet_store_destroy(ports->store);
  freshet_codec_destroy(ports->codec);
  freshet_codec_destroy(engine->titles_codec);
  freshet_buffer_free(&engine->title_bytes);
  freshet_schemas_close(engine->schemas);
  freshet_pace_stop(&engine->pace);
  free(engine->properties);
  free(engine);
}

/* A row of the catalogue is the partition (i32) and the record. */
bool freshet_engine_title(freshet_engine* engine, freshet_slice item_id, freshet_buffer* title) {
  freshet_store* store = engine->ports.store;
  freshet_buffer* bytes = &engine->title_bytes;
  freshet_item item;
  bytes->size = 0;
  if (freshet_store_get(store, FRESHET_FAMILY_CATALOGUE, 0, item_id, bytes, NULL) != FRESHET_OK ||
      bytes->size < sizeof(int32_t)) {
    return false;
  }
  freshet_slice record = {(const char*)bytes->data + sizeof(int32_t), bytes->size - sizeof(int32_t)};
  if (freshet_decode_item(engine->titles_codec, record, &item, NULL) != FRESHET_OK) return false;
  freshet_buffer_append(title, item.title.data, item.title.size);
  return true;
}

void freshet_engine_owner(freshet_engine* engine, int32_t partition, char* url, size_t size) {
  freshet_kafka_peers_find(engine->peers, partition, url, size);
}
