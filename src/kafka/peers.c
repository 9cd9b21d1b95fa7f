#include "kafka/peers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/client.h"

enum { FRESH_MS = 2000, ASK_MS = 3000, BELIEVED_MS = 30000 };

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

static void note_member(const rd_kafka_MemberDescription_t* member, const char* topic, char*** urls,
                        int32_t* count) {
  const rd_kafka_MemberAssignment_t* assignment = rd_kafka_MemberDescription_assignment(member);
  const rd_kafka_topic_partition_list_t* list =
      assignment == NULL ? NULL : rd_kafka_MemberAssignment_partitions(assignment);
  const char* url = rd_kafka_MemberDescription_client_id(member);
  if (list == NULL || url == NULL || !is_url(url)) return;
  for (int i = 0; i < list->cnt; i++) {
    int32_t partition = list->elems[i].partition;
    if (strcmp(list->elems[i].topic, topic) != 0 || partition < 0) continue;
    if (partition >= *count) {
      *urls = realloc(*urls, (size_t)(partition + 1) * sizeof **urls);
      FRESHET_ASSERT(*urls != NULL);
      while (*count <= partition) (*urls)[(*count)++] = NULL;
    }
    free((*urls)[partition]);
    (*urls)[partition] = strdup(url);
  }
}

static bool read_event(rd_kafka_event_t* event, const char* topic, char*** urls, int32_t* count) {
  size_t groups = 0;
  const rd_kafka_DescribeConsumerGroups_result_t* result =
      event == NULL ? NULL : rd_kafka_event_DescribeConsumerGroups_result(event);
  if (result == NULL || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
  const rd_kafka_ConsumerGroupDescription_t** group =
      rd_kafka_DescribeConsumerGroups_result_groups(result, &groups);
  if (groups != 1 || rd_kafka_ConsumerGroupDescription_error(group[0]) != NULL) return false;
  size_t members = rd_kafka_ConsumerGroupDescription_member_count(group[0]);
  for (size_t i = 0; i < members; i++) {
    note_member(rd_kafka_ConsumerGroupDescription_member(group[0], i), topic, urls, count);
  }
  return true;
}

/* Asks the cluster. false: it did not say. */
static bool ask(freshet_kafka_client* client, char*** urls, int32_t* count) {
  const freshet_kafka_config* config = client->config;
  const char* group = config->app_id;
  rd_kafka_AdminOptions_t* options =
      rd_kafka_AdminOptions_new(client->handle, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client->handle);
  rd_kafka_AdminOptions_set_request_timeout(options, ASK_MS, NULL, 0);
  rd_kafka_DescribeConsumerGroups(client->handle, &group, 1, options, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, ASK_MS + 500);
  bool known = read_event(event, config->topics[FRESHET_TOPIC_EVENTS], urls, count);
  if (event != NULL) rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  return known;
}

static void refresh(freshet_kafka_peers* peers, freshet_kafka_client* client) {
  char** urls = NULL;
  int32_t count = 0;
  bool known = ask(client, &urls, &count);
  pthread_mutex_lock(&peers->lock);
  peers->asked_ms = freshet_kafka_now_ms();
  if (known) {
    free_urls(peers->urls, peers->count);
    peers->urls = urls;
    peers->count = count;
    peers->known_ms = peers->asked_ms;
  }
  pthread_mutex_unlock(&peers->lock);
  if (!known) free_urls(urls, count);
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

void freshet_kafka_peers_find(freshet_kafka_peers* peers, int32_t partition, char* url, size_t size) {
  url[0] = '\0';
  int64_t now_ms = freshet_kafka_now_ms();
  pthread_mutex_lock(&peers->lock);
  bool believed = peers->known_ms != 0 && now_ms - peers->known_ms < BELIEVED_MS;
  const char* known = believed && partition >= 0 && partition < peers->count ? peers->urls[partition] : NULL;
  if (known != NULL && strlen(known) < size) memcpy(url, known, strlen(known) + 1);
  if (peers->asked_ms == 0 || now_ms - peers->asked_ms > FRESH_MS) {
    peers->wanted = true;
    if (!peers->running) peers->running = pthread_create(&peers->thread, NULL, run, peers) == 0;
    pthread_cond_signal(&peers->changed);
  }
  pthread_mutex_unlock(&peers->lock);
}
