/*
 * peers.c: finds the URL of the process that holds a partition of `events`.
 *
 * It owns a thread that asks the cluster, and the answer of the last question. It must not know what
 * the URL is used for.
 */
#include "kafka/peers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/members.h"

enum { FRESH_MS = 2000, ASK_MS = 3000, BELIEVED_MS = 30000, PARTITIONS_MAX = 1 << 20 };

struct freshet_kafka_peers {
  const freshet_kafka_config* config;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  /* under the lock */
  bool running, stopping, wanted;
  char** urls; /* [count] by partition; NULL: not known */
  int32_t count;
  int64_t asked_ms, known_ms; /* 0: never */
};

static void free_urls(char** urls, int32_t count) {
  for (int32_t i = 0; i < count; i++) free(urls[i]);
  free(urls);
}

static bool is_url(const char* text) {
  return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

/* What an answer says. */
typedef struct answer {
  const char* topic;
  char** urls; /* [count] by partition; NULL: not known */
  int32_t count;
} answer;

/* What is known of one member while its partitions are gone through. */
typedef struct holder {
  answer* answer;
  const char* url;
} holder;

static void note_partition(void* context, int32_t partition) {
  const holder* h = context;
  answer* a = h->answer;
  if (partition >= PARTITIONS_MAX) return;
  if (partition >= a->count) {
    a->urls = realloc(a->urls, (size_t)(partition + 1) * sizeof *a->urls);
    FRESHET_ASSERT(a->urls != NULL);
    while (a->count <= partition) a->urls[a->count++] = NULL;
  }
  free(a->urls[partition]);
  a->urls[partition] = strdup(h->url);
}

static void note_member(void* context, const freshet_kafka_member* member) {
  holder h = {.answer = context, .url = member->client_id};
  if (is_url(h.url)) freshet_kafka_member_partitions(member->assignment, h.answer->topic, note_partition, &h);
}

static void refresh(freshet_kafka_peers* peers, freshet_kafka_client* client) {
  const freshet_kafka_config* config = client->config;
  answer a = {.topic = config->topics[FRESHET_TOPIC_EVENTS]};
  bool known = freshet_kafka_client_describe(client, config->app_id, ASK_MS, note_member, &a) ==
               RD_KAFKA_RESP_ERR_NO_ERROR;
  pthread_mutex_lock(&peers->lock);
  peers->asked_ms = freshet_monotonic_ms();
  if (known) {
    free_urls(peers->urls, peers->count);
    peers->urls = a.urls;
    peers->count = a.count;
    peers->known_ms = peers->asked_ms;
  }
  pthread_mutex_unlock(&peers->lock);
  if (!known) free_urls(a.urls, a.count);
}

static void* run(void* context) {
  freshet_kafka_peers* peers = context;
  freshet_kafka_client client = {0};
  bool opened = freshet_kafka_client_open(&client, peers->config, FRESHET_KAFKA_OBSERVER,
                                          (freshet_kafka_callbacks){0}, peers, NULL) == FRESHET_OK;
  pthread_mutex_lock(&peers->lock);
  while (!peers->stopping) {
    if (!peers->wanted || !opened) {
      pthread_cond_wait(&peers->changed, &peers->lock);
      continue;
    }
    peers->wanted = false;
    pthread_mutex_unlock(&peers->lock);
    refresh(peers, &client);
    pthread_mutex_lock(&peers->lock);
  }
  pthread_mutex_unlock(&peers->lock);
  if (opened) freshet_kafka_client_close(&client, 0);
  return NULL;
}

freshet_kafka_peers* freshet_kafka_peers_create(const freshet_kafka_config* config) {
  freshet_kafka_peers* peers = calloc(1, sizeof *peers);
  FRESHET_ASSERT(peers != NULL);
  peers->config = config;
  pthread_mutex_init(&peers->lock, NULL);
  pthread_cond_init(&peers->changed, NULL);
  return peers;
}

void freshet_kafka_peers_destroy(freshet_kafka_peers* peers) {
  if (peers == NULL) return;
  pthread_mutex_lock(&peers->lock);
  peers->stopping = true;
  pthread_cond_signal(&peers->changed);
  pthread_mutex_unlock(&peers->lock);
  if (peers->running) pthread_join(peers->thread, NULL);
  free_urls(peers->urls, peers->count);
  pthread_cond_destroy(&peers->changed);
  pthread_mutex_destroy(&peers->lock);
  free(peers);
}

/* NULL: there is no other, or nothing is known. Under the lock. */
static const char* next_after(const freshet_kafka_peers* peers, const char* own) {
  const char *next = NULL, *first = NULL;
  for (int32_t i = 0; own != NULL && i < peers->count; i++) {
    const char* url = peers->urls[i];
    if (url == NULL || strcmp(url, own) == 0) continue;
    if (first == NULL || strcmp(url, first) < 0) first = url;
    if (strcmp(url, own) > 0 && (next == NULL || strcmp(url, next) < 0)) next = url;
  }
  return next != NULL ? next : first;
}

void freshet_kafka_peers_find(freshet_kafka_peers* peers, int32_t partition, char* url, size_t size) {
  url[0] = '\0';
  int64_t now_ms = freshet_monotonic_ms();
  pthread_mutex_lock(&peers->lock);
  bool believed = peers->known_ms != 0 && now_ms - peers->known_ms < BELIEVED_MS;
  const char* known = believed && partition >= 0 && partition < peers->count ? peers->urls[partition] : NULL;
  if (believed && partition < 0) known = next_after(peers, peers->config->client_id);
  if (known != NULL && strlen(known) < size) memcpy(url, known, strlen(known) + 1);
  if (peers->asked_ms == 0 || now_ms - peers->asked_ms > FRESH_MS) {
    peers->wanted = true;
    if (!peers->running) peers->running = pthread_create(&peers->thread, NULL, run, peers) == 0;
    pthread_cond_signal(&peers->changed);
  }
  pthread_mutex_unlock(&peers->lock);
}
