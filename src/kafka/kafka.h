/*
 * kafka.h: the worker's source, log and sink on a Kafka cluster, by librdkafka.
 *
 * Ownership: a freshet_kafka_config and everything it points to is borrowed and must outlive what is made
 * from it. Whoever creates a handle destroys it through its vtable; destroy the sink before the source it was
 * made with. Thread rule: each handle belongs to one thread (a sink and its source to the same one); the
 * logger is called from librdkafka's threads too, `stopping` also from the thread on which a sink commits.
 *
 * Errors have verdict FRESHET_STOP unless said otherwise: transport trouble never comes out of here, it is
 * retried and logged.
 */
#ifndef FRESHET_KAFKA_KAFKA_H
#define FRESHET_KAFKA_KAFKA_H

#include "stream/layout.h"
#include "stream/logger.h"
#include "stream/metrics.h"
#include "stream/partitioner.h"
#include "stream/sink.h"
#include "stream/source.h"

/* A setting of librdkafka (CONFIGURATION.md of librdkafka lists them), handed through unchanged. */
typedef struct freshet_kafka_property {
  const char* name;
  const char* value;
} freshet_kafka_property;

typedef struct freshet_kafka_faults freshet_kafka_faults;

/* Records that wait until a producer can send them, at most, beside those in its queue: of each producer, in bytes. */
enum { FRESHET_KAFKA_WAITING_BYTES = 32 << 20 };

typedef struct freshet_kafka_config {
  /* bootstrap.servers at least. They override our tuning; the few on which correctness rests (group.id,
   * isolation.level, enable.auto.commit, ...) are refused. */
  const freshet_kafka_property* properties;
  size_t property_count;
  const char* topics[FRESHET_TOPICS]; /* names; NULL: not used by this process */
  const char* app_id;                 /* group.id */
  const char* instance_id;            /* group.instance.id, static membership; NULL: dynamic */
  const char* transactional_id;       /* NULL: the sink only publishes */
  bool alternates;                    /* three transactional producers take turns, see transactor.h */
  bool is_second; /* the sink is a second one of its process, for transactions beside those of the first */
  bool writes_beside;              /* the sink has a thread that writes the records of commits */
  const char* client_id;           /* NULL: "freshet" */
  freshet_partitioner partitioner; /* of events and requests; any: as murmur2 */
  const char* reply_topics; /* prefixes of topics that requests may name for replies, "a. b."; NULL: none */
  const freshet_logger* logger;             /* NULL: silent */
  const freshet_layout* layout;             /* of the state; committed with every offset. NULL: not known */
  freshet_worker_metrics* metrics;          /* events that were lost, and their age; NULL: not counted */
  int32_t items_partitions;                 /* of `items` at the start; 0: not known */
  const freshet_kafka_faults* known_faults; /* of topics, told already; NULL: none */
  bool reads_strangers; /* readers return records of state topics that nobody may use, too, and tell nobody */
  /* Asked while waiting for a cluster that does not answer: true ends the wait with FRESHET_UNAVAILABLE.
   * NULL: the wait ends by itself after FRESHET_KAFKA_PATIENCE_MS. */
  bool (*stopping)(void* context);
  void* stopping_context;
} freshet_kafka_config;

/* Is the librdkafka of this process older than this version, written as its rd_kafka_version() is: 0x02060100 is
 * 2.6.1? */
bool freshet_kafka_client_is_older_than(int version);

enum { FRESHET_KAFKA_PATIENCE_MS = 10000 };

/* Checks the properties alone, without a cluster. Errors: FRESHET_INVALID for one that librdkafka or we
 * refuse. */
freshet_status freshet_kafka_properties_check(const freshet_kafka_config* config, freshet_error* error);

/* Joins the group of app_id and reads the given topics (copied), co-partitioned ones together. The first poll
 * joins. Set the handler before the first poll. Errors: FRESHET_INVALID for a property that librdkafka
 * refuses. poll returns FRESHET_NOT_FOUND when a topic does not exist. */
freshet_status freshet_kafka_source_create(const freshet_kafka_config* config, const freshet_topic* topics,
                                           size_t topic_count, freshet_source** source, freshet_error* error);
void freshet_kafka_source_set_handler(freshet_source* source, freshet_source_handler handler);

freshet_status freshet_kafka_reader_create(const freshet_kafka_config* config, freshet_reader** log,
                                           freshet_error* error);

/* source: the one from freshet_kafka_source_create whose offsets go into the transactions; NULL: offsets are those of
 * a group without members. Waits for the cluster, and fences the previous holder of the transactional id (whose open transaction
 * is aborted). Errors: FRESHET_UNAVAILABLE when the wait was ended. */
freshet_status freshet_kafka_sink_create(const freshet_kafka_config* config, freshet_source* source,
                                         freshet_sink** sink, freshet_error* error);

/* session.timeout.ms of [kafka], else the default of a service. Milliseconds. */
int64_t freshet_kafka_session_ms(const freshet_kafka_config* config);

/* What the cluster says about our topics. */
typedef struct freshet_kafka_topic_info {
  int32_t partitions;  /* 0: the topic does not exist */
  int32_t replication; /* replicas of partition 0 */
  int32_t brokers;     /* of the cluster */
  bool is_denied;      /* this user may not see the topic */
  bool compacted;      /* cleanup.policy contains "compact" */
  bool deletes;        /* cleanup.policy contains "delete" */
  bool policy_known;   /* false: the cluster would not tell (permission, embedded broker) */
  /* How long records stay, if policy_known; -1: no bound. */
  int64_t retention_ms;        /* after their time; of topics that are not compacted */
  int64_t retention_bytes;     /* of one partition, on the disk of a broker */
  int64_t compaction_lag_ms;   /* max.compaction.lag.ms: superseded records of a compacted topic */
  int64_t delete_retention_ms; /* of tombstones, after the compaction */
  int64_t max_message_bytes;
  int64_t oldest_ms;   /* message.timestamp.before.max.ms: an older record is refused; -1: no bound */
  int32_t min_in_sync; /* min.insync.replicas */
  bool is_unclean;     /* unclean.leader.election.enable: a replica that lags may become the leader */
} freshet_kafka_topic_info;

/* Something about a topic that stops the worker, or that loses records some day. */
typedef struct freshet_kafka_fault {
  freshet_status status; /* what `freshet run` ends with; FRESHET_OK: it only warns */
  char text[384];        /* names the topic, the value, and what to do */
} freshet_kafka_fault;

enum { FRESHET_KAFKA_FAULTS_MAX = 8 * FRESHET_TOPICS };
struct freshet_kafka_faults {
  freshet_kafka_fault list[FRESHET_KAFKA_FAULTS_MAX];
  size_t count;
};

/* Creates the topics that are missing, each with its cleanup policy; created[] tells which. `partitions` is
 * for the co-partitioned ones and the default for others (item deltas always have one). replication -1: the
 * cluster's default. Errors: FRESHET_INVALID, FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_topics_create(const freshet_kafka_config* config, int32_t partitions,
                                           int32_t replication, bool created[FRESHET_TOPICS],
                                           freshet_error* error);
/* Fills info[] for every configured topic. Errors: FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_topics_list(const freshet_kafka_config* config,
                                         freshet_kafka_topic_info info[FRESHET_TOPICS], freshet_error* error);
/* As list, then holds every topic against what Freshet needs of it. What the cluster does not tell is no fault.
 * Errors: FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_topics_faults(const freshet_kafka_config* config,
                                           freshet_kafka_topic_info info[FRESHET_TOPICS],
                                           freshet_kafka_faults* faults, freshet_error* error);
/* The same before a worker starts: faults go to the config's logger, too. Errors: those of the first fault that stops
 * a worker: FRESHET_NOT_FOUND names the topics that are missing (requests and replies may be),
 * FRESHET_CONFLICT a wrong partition count or a state topic whose policy loses state. */
freshet_status freshet_kafka_topics_check(const freshet_kafka_config* config,
                                          freshet_kafka_topic_info info[FRESHET_TOPICS],
                                          freshet_kafka_faults* faults, freshet_error* error);
/* Into how many partitions the state is divided, by the committed offsets of `events`; all 0: nothing is committed, or
 * by an earlier version. Errors: FRESHET_CONFLICT when `events` has another count now: the message names the command;
 * FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_layout_check(const freshet_kafka_config* config, freshet_layout* layout,
                                          freshet_error* error);
/* The same, without a look at the present count. */
freshet_status freshet_kafka_layout_read(const freshet_kafka_config* config, freshet_layout* layout,
                                         freshet_error* error);
/* The state is divided into `layout`, but `events` has `partitions`. Returns FRESHET_CONFLICT. */
freshet_status freshet_kafka_layout_refuse(const freshet_kafka_config* config, const freshet_layout* layout,
                                           int32_t partitions, freshet_error* error);
/* Gives the topics that are co-partitioned by user, and that exist, this number of partitions; those that have it
 * already are left as they are. `events` comes last. Waits until the cluster shows them. Errors: FRESHET_INVALID with
 * the broker's reason, FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_topics_grow(const freshet_kafka_config* config, int32_t partitions,
                                         freshet_error* error);

/* Puts a tombstone under this key on `events` and waits for its acknowledgement. partition -1: by the
 * config's partitioner; *partition and *offset tell where it went. From then on it is part of the log. Errors:
 * FRESHET_UNAVAILABLE. */
freshet_status freshet_kafka_erase(const freshet_kafka_config* config, freshet_slice key, int32_t* partition,
                                   int64_t* offset, freshet_error* error);
/* Waits until the app has committed all of an input partition up to this offset, exclusive; *reached false:
 * not within timeout_ms. What follows from those records is committed in the same transaction. */
freshet_status freshet_kafka_await_committed(const freshet_kafka_config* config, freshet_topic topic,
                                             int32_t partition, int64_t offset, int timeout_ms, bool* reached,
                                             freshet_error* error);
/* One partition, whatever the others have: one order for all readers. */
bool freshet_kafka_topic_is_single(freshet_topic topic);
/* "compact" or "delete": the cleanup policy that create gives to a topic. Static. */
const char* freshet_kafka_topic_policy(freshet_topic topic);

#endif
