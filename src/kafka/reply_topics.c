/*
 * reply_topics.c: sends replies to topics that requests name.
 *
 * It owns a producer of its own and remembers which names exist. A record that cannot be sent is dropped, since
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
  rd_kafka_topic_t* handle; /* NULL: it is not there */
  int64_t asked_ms, used_ms;
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
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
    freshet_kafka_client_trouble(opaque, message->err, "a reply was given up");
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

static bool is_allowed(const freshet_reply_topics* topics, const char* name) {
  return strlen(name) < NAME_SIZE && strncmp(name, "__", 2) != 0 &&
         freshet_kafka_config_topic(topics->config, name) == FRESHET_TOPICS;
}

static rd_kafka_topic_t* open_topic(freshet_reply_topics* topics, const char* name) {
  rd_kafka_topic_conf_t* conf = rd_kafka_topic_conf_new();
  rd_kafka_topic_conf_set(conf, "message.timeout.ms", "10000", NULL, 0);
  rd_kafka_topic_conf_set(conf, "partitioner", "murmur2_random", NULL, 0);
  rd_kafka_topic_t* handle = rd_kafka_topic_new(topics->client.handle, name, conf);
  if (handle == NULL) rd_kafka_topic_conf_destroy(conf);
  return handle;
}

/* Asks the cluster. NULL: it does not know the topic. */
static rd_kafka_topic_t* find_topic(freshet_reply_topics* topics, const char* name) {
  const struct rd_kafka_metadata* metadata = NULL;
  rd_kafka_topic_t* handle = open_topic(topics, name);
  if (handle == NULL) return NULL;
  bool exists =
      rd_kafka_metadata(topics->client.handle, 0, handle, &metadata, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR &&
      metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR &&
      metadata->topics[0].partition_cnt > 0;
  if (metadata != NULL) rd_kafka_metadata_destroy(metadata);
  if (exists) return handle;
  rd_kafka_topic_destroy(handle);
  return NULL;
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

static rd_kafka_topic_t* topic_of(freshet_reply_topics* topics, const char* name) {
  int64_t now_ms = freshet_kafka_now_ms();
  reply_topic* entry = entry_of(topics, name);
  int64_t lasts_ms = entry->handle != NULL ? BELIEVED_MS : DOUBTED_MS;
  entry->used_ms = now_ms;
  bool is_known = entry->asked_ms >= 0 && now_ms - entry->asked_ms < lasts_ms;
  if (is_known || now_ms < topics->next_question_ms) return entry->handle;
  rd_kafka_topic_t* handle = find_topic(topics, name);
  if (entry->handle != NULL) rd_kafka_topic_destroy(entry->handle);
  entry->handle = handle;
  entry->asked_ms = freshet_kafka_now_ms();
  topics->next_question_ms = entry->asked_ms + 9 * (entry->asked_ms - now_ms);
  return handle;
}

static bool open_client(freshet_reply_topics* topics) {
  if (topics->is_open) return true;
  topics->is_open = freshet_kafka_client_open(&topics->client, topics->config, FRESHET_KAFKA_PUBLISHER,
                                              (freshet_kafka_callbacks){.delivered = on_delivered}, topics,
                                              NULL) == FRESHET_OK;
  return topics->is_open;
}

bool freshet_reply_topics_send(freshet_reply_topics* topics, const char* name, const freshet_output* output) {
  if (!is_allowed(topics, name) || !open_client(topics)) return false;
  rd_kafka_topic_t* topic = topic_of(topics, name);
  return topic != NULL &&
         freshet_kafka_enqueue(&topics->client, topic, output, NULL) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

void freshet_reply_topics_poll(freshet_reply_topics* topics) {
  if (topics->is_open) rd_kafka_poll(topics->client.handle, 0);
}
