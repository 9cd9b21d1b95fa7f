/*
 * reply_topics.c: sends replies to topics that requests name.
 *
 * It decides which names are allowed, owns a producer of its own, and remembers what the cluster said. A record that cannot be sent is dropped, since
 * nothing may wait for a stranger's topic. It must not know how a reply is made.
 */
#include "kafka/reply_topics.h"

#include <stdlib.h>
#include <string.h>

enum {
  NAMES_MAX = 64,      /* met lately; the one asked for least recently goes */
  NAME_SIZE = 250,     /* Kafka's bound */
  ASK_MS = 1000,       /* for the cluster's answer */
  BELIEVED_MS = 60000, /* that a topic is there */
  DOUBTED_MS = 5000,   /* that it is not */
};

typedef struct reply_topic {
  char name[NAME_SIZE];
  rd_kafka_topic_t* handle; /* NULL: it is not there, or not for replies */
  bool is_compacted;
  int64_t asked_ms; /* when the cluster told about it; -1: never */
  int64_t used_ms;
} reply_topic;

struct freshet_reply_topics {
  const freshet_kafka_config* config;
  freshet_kafka_client client;
  bool is_open;
  int64_t next_question_ms; /* to the cluster */
  reply_topic known[NAMES_MAX];
  size_t count;
};

/* Best effort, so the only one to tell is the log. */
static void on_delivered(rd_kafka_t* handle, const rd_kafka_message_t* message, void* opaque) {
  (void)handle;
  const rd_kafka_resp_err_t code = freshet_kafka_delivered(message);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) freshet_kafka_client_trouble(opaque, code, "a reply was given up");
}

freshet_reply_topics* freshet_reply_topics_create(const freshet_kafka_config* config) {
  freshet_reply_topics* topics = calloc(1, sizeof *topics);
  FRESHET_ASSERT(topics != NULL);
  topics->config = config;
  return topics;
}

void freshet_reply_topics_destroy(freshet_reply_topics* topics) {
  if (topics == NULL) return;
  if (topics->is_open) {
    rd_kafka_flush(topics->client.handle, ASK_MS);
    rd_kafka_purge(topics->client.handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    for (size_t i = 0; i < topics->count; i++) {
      if (topics->known[i].handle != NULL) rd_kafka_topic_destroy(topics->known[i].handle);
    }
    freshet_kafka_client_close(&topics->client, 0);
  }
  free(topics);
}

static bool ends_with(const char* name, const char* end) {
  size_t size = strlen(name), end_size = strlen(end);
  return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

/* Topics of another Freshet app, by the names that they have by default. */
static bool is_named_like_ours(const char* name) {
  static const char* const ends[] = {"events", "requests", "recommendations", ".dead-letter",
                                     ".users", ".items",   ".item-deltas",    ".generations"};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    if (ends_with(name, ends[i])) return true;
  }
  return strcmp(name, "items") == 0 || strncmp(name, "events.dead-letter", 18) == 0;
}

static bool has_prefix(const char* name, const char* prefixes) {
  static const char blanks[] = " \t,";
  const char* at = prefixes == NULL ? "" : prefixes;
  for (at += strspn(at, blanks); *at != '\0'; at += strspn(at, blanks)) {
    size_t size = strcspn(at, blanks);
    if (strncmp(name, at, size) == 0) return true;
    at += size;
  }
  return false;
}

static const char* refusal_of_name(const freshet_reply_topics* topics, const char* name) {
  if (!has_prefix(name, topics->config->reply_topics)) return "it begins with none of requests.reply_topics";
  if (strlen(name) >= NAME_SIZE) return "the name is too long";
  if (strncmp(name, "__", 2) == 0) return "it belongs to the cluster";
  bool is_ours = freshet_kafka_config_topic(topics->config, name) != FRESHET_TOPICS;
  return is_ours || is_named_like_ours(name) ? "it belongs to an app" : NULL;
}

static rd_kafka_topic_t* open_topic(freshet_reply_topics* topics, const char* name) {
  rd_kafka_topic_conf_t* conf = rd_kafka_topic_conf_new();
  rd_kafka_topic_conf_set(conf, "message.timeout.ms", "10000", NULL, 0);
  rd_kafka_topic_conf_set(conf, "partitioner", "murmur2_random", NULL, 0);
  rd_kafka_topic_t* handle = rd_kafka_topic_new(topics->client.handle, name, conf);
  if (handle == NULL) rd_kafka_topic_conf_destroy(conf);
  return handle;
}

/* Asks the cluster. NULL: it does not know the topic, or has not told in time. */
static rd_kafka_topic_t* find_topic(freshet_reply_topics* topics, const char* name, bool* is_told) {
  const struct rd_kafka_metadata* metadata = NULL;
  rd_kafka_topic_t* handle = open_topic(topics, name);
  if (handle == NULL) return NULL;
  *is_told =
      rd_kafka_metadata(topics->client.handle, 0, handle, &metadata, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR;
  const bool exists = *is_told && metadata->topic_cnt == 1 &&
                      metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR &&
                      metadata->topics[0].partition_cnt > 0;
  if (metadata != NULL) rd_kafka_metadata_destroy(metadata);
  if (exists) return handle;
  rd_kafka_topic_destroy(handle);
  return NULL;
}

/* Is it compacted, as topics of state are? Best effort: a cluster may not tell. */
static bool is_compacted(freshet_reply_topics* topics, const char* name) {
  bool compacted = false;
  rd_kafka_ConfigResource_t* resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(topics->client.handle);
  rd_kafka_AdminOptions_t* options =
      rd_kafka_AdminOptions_new(topics->client.handle, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  rd_kafka_AdminOptions_set_request_timeout(options, ASK_MS, NULL, 0);
  rd_kafka_DescribeConfigs(topics->client.handle, &resource, 1, options, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, ASK_MS);
  size_t answers = 0, entries = 0;
  const rd_kafka_ConfigResource_t** answer = NULL;
  if (event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR)
    answer =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &answers);
  const rd_kafka_ConfigEntry_t** entry =
      answers == 0 ? NULL : rd_kafka_ConfigResource_configs(answer[0], &entries);
  for (size_t i = 0; i < entries; i++) {
    const char* value = rd_kafka_ConfigEntry_value(entry[i]);
    if (value != NULL && strcmp(rd_kafka_ConfigEntry_name(entry[i]), "cleanup.policy") == 0)
      compacted = strstr(value, "compact") != NULL;
  }
  if (event != NULL) rd_kafka_event_destroy(event);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_queue_destroy(queue);
  rd_kafka_ConfigResource_destroy(resource);
  return compacted;
}

static reply_topic* entry_of(freshet_reply_topics* topics, const char* name) {
  reply_topic* oldest = &topics->known[0];
  for (size_t i = 0; i < topics->count; i++) {
    if (strcmp(topics->known[i].name, name) == 0) return &topics->known[i];
    if (topics->known[i].used_ms < oldest->used_ms) oldest = &topics->known[i];
  }
  reply_topic* entry = topics->count < NAMES_MAX ? &topics->known[topics->count++] : oldest;
  if (entry->handle != NULL) rd_kafka_topic_destroy(entry->handle);
  *entry = (reply_topic){.asked_ms = -1};
  memcpy(entry->name, name, strlen(name) + 1);
  return entry;
}

static reply_topic* topic_of(freshet_reply_topics* topics, const char* name) {
  int64_t now_ms = freshet_monotonic_ms();
  reply_topic* entry = entry_of(topics, name);
  int64_t lasts_ms = entry->handle != NULL ? BELIEVED_MS : DOUBTED_MS;
  entry->used_ms = now_ms;
  bool is_known = entry->asked_ms >= 0 && now_ms - entry->asked_ms < lasts_ms;
  if (is_known || now_ms < topics->next_question_ms) return entry;
  bool is_told = false;
  rd_kafka_topic_t* handle = find_topic(topics, name, &is_told);
  const bool compacted = handle != NULL && is_compacted(topics, name);
  const int64_t told_ms = freshet_monotonic_ms();
  topics->next_question_ms = told_ms + 9 * (told_ms - now_ms);
  if (!is_told) return entry;
  if (compacted) rd_kafka_topic_destroy(handle);
  if (entry->handle != NULL) rd_kafka_topic_destroy(entry->handle);
  entry->handle = compacted ? NULL : handle;
  entry->is_compacted = compacted;
  entry->asked_ms = told_ms;
  return entry;
}

static bool open_client(freshet_reply_topics* topics) {
  if (topics->is_open) return true;
  topics->is_open = freshet_kafka_client_open(&topics->client, topics->config, FRESHET_KAFKA_PUBLISHER,
                                              (freshet_kafka_callbacks){.delivered = on_delivered}, topics,
                                              NULL) == FRESHET_OK;
  return topics->is_open;
}

const char* freshet_reply_topics_refusal(freshet_reply_topics* topics, const char* name) {
  const char* refusal = refusal_of_name(topics, name);
  if (refusal != NULL) return refusal;
  if (!open_client(topics)) return "the cluster cannot be asked";
  const reply_topic* topic = topic_of(topics, name);
  if (topic->handle != NULL) return NULL;
  if (topic->is_compacted) return "it belongs to an app: it is compacted";
  return topic->asked_ms < 0 ? "the cluster has not told yet whether it is there" : "there is no such topic";
}

bool freshet_reply_topics_send(freshet_reply_topics* topics, const char* name, const freshet_output* output) {
  return freshet_reply_topics_refusal(topics, name) == NULL &&
         freshet_kafka_enqueue(&topics->client, topic_of(topics, name)->handle, output, NULL) ==
             RD_KAFKA_RESP_ERR_NO_ERROR;
}

void freshet_reply_topics_poll(freshet_reply_topics* topics) {
  if (topics->is_open) rd_kafka_poll(topics->client.handle, 0);
}
