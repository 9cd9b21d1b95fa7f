/*
 * log_watch.c: the thread that looks at the logs again and again.
 *
 * It owns the thread and the places that it looks at, and adds the changelog and the lists of each partition of events: a
 * log that only grows has been made again when it ends before it did. Without its changelog the process ends. Lost lists
 * are told. It also finds how old the oldest event is that has not been
 * read, beside the retention of the topic: an event that expires unread is lost. Once a minute it holds all topics
 * against what is needed of them, and tells faults that are not known yet. It must not read ahead.
 */
#include "kafka/log_watch.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/grow.h"
#include "core/monotonic.h"
#include "stream/clock.h"
#include "stream/metrics.h"

enum { EVERY_MS = 3000, JUDGE_MS = 5000, POLICY_MS = 60 * 1000, ASK_MS = 2000 };

/* Beside each partition of events. */
enum { CHANGELOG, LISTS, WRITTEN };
static const freshet_topic written_topics[WRITTEN] = {FRESHET_TOPIC_USERS, FRESHET_TOPIC_RECOMMENDATIONS};

struct freshet_log_watch {
  const freshet_kafka_config* config;
  freshet_log_check* asked;  /* of callers */
  freshet_log_check* patrol; /* of the thread: it may wait for a dead leader, and nobody waits with it */
  pthread_t thread;
  bool started;
  int64_t asked_ms;                  /* for the topics; 0: never */
  freshet_kafka_faults known, found; /* of the last look, and of this one */
  int64_t* ends
      [WRITTEN]; /* each [ends_count] by partition, where a log that is written ended; -1: not held, or not known */
  size_t ends_count;
  int32_t lists_partitions; /* of `recommendations`, the most that a look has found; 0: not known */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  /* under the lock */
  bool leaving;
  freshet_log_place* places; /* [count] */
  size_t count;
  int32_t items_partitions; /* the most that a look has found; 0: not known */
  freshet_error error;
};

/* Was it there when we looked the last time? Numbers that change, such as of records that expire, are no new fault. */
static bool is_known(const freshet_kafka_faults* known, const char* text) {
  for (size_t i = 0; i < known->count; i++) {
    const char* at = known->list[i].text;
    const char* other = text;
    while (*at != '\0' && *at == *other) at++, other++;
    while (isdigit((unsigned char)*at)) at++;
    while (isdigit((unsigned char)*other)) other++;
    if (strcmp(at, other) == 0) return true;
  }
  return false;
}

/* An operator may have changed a topic, or the cluster has made one by itself. */
static void tell_faults(freshet_log_watch* watch, const freshet_kafka_faults* faults) {
  for (size_t i = 0; i < faults->count; i++) {
    const freshet_kafka_fault* fault = &faults->list[i];
    if (is_known(&watch->known, fault->text)) continue;
    freshet_log_fact(watch->config->logger, fault->status == FRESHET_OK ? FRESHET_WARN : FRESHET_ERROR,
                     "topics.fault", "message=\"%s\"", fault->text);
  }
  watch->known = *faults;
}

static void show_retention(const freshet_log_watch* watch, const freshet_kafka_topic_info* events) {
  bool is_bounded = events->policy_known && events->retention_ms >= 0;
  freshet_gauge(&watch->config->metrics->events_retention_ms,
                is_bounded ? (uint64_t)events->retention_ms : 0);
}

static void look_at_topics(freshet_log_watch* watch) {
  int64_t now_ms = freshet_monotonic_ms();
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  if (watch->config->metrics == NULL || (watch->asked_ms != 0 && now_ms - watch->asked_ms < POLICY_MS))
    return;
  watch->asked_ms = now_ms;
  freshet_kafka_config config = *watch->config;
  config.app_id = NULL; /* the layout is judged more often */
  if (freshet_kafka_topics_faults(&config, info, &watch->found, NULL) != FRESHET_OK) return;
  show_retention(watch, &info[FRESHET_TOPIC_EVENTS]);
  tell_faults(watch, &watch->found);
}

/* The last event that was read is a little older than the first that was not. */
static void show_age(freshet_log_watch* watch, const freshet_log_place* places, size_t count) {
  int64_t now_ms = freshet_clock_now_ms(freshet_clock_system()), oldest_ms = now_ms;
  if (watch->config->metrics == NULL) return;
  for (size_t i = 0; i < count; i++) {
    bool unread = places[i].topic == FRESHET_TOPIC_EVENTS && places[i].end > places[i].next;
    if (unread && places[i].mark.offset >= 0 && places[i].mark.time_ms < oldest_ms)
      oldest_ms = places[i].mark.time_ms;
  }
  freshet_gauge(&watch->config->metrics->events_oldest_unread_ms, (uint64_t)(now_ms - oldest_ms));
}

static freshet_status judge(freshet_log_check* check, freshet_log_place* places, size_t count,
                            freshet_error* error) {
  freshet_log_check_places(check, places, count, JUDGE_MS);
  for (size_t i = 0; i < count; i++) {
    if (places[i].verdict == FRESHET_LOG_OTHER && places[i].topic != FRESHET_TOPIC_RECOMMENDATIONS)
      return freshet_log_check_refuse(check, &places[i], error);
  }
  return FRESHET_OK;
}

freshet_status freshet_log_watch_judge(freshet_log_watch* watch, freshet_log_place* places, size_t count,
                                       freshet_error* error) {
  return judge(watch->asked, places, count, error);
}

/* Partitions that were added: producers may put events of known users there any moment. */
static freshet_status judge_layout(freshet_log_watch* watch, freshet_error* error) {
  const freshet_layout* layout = watch->config->layout;
  if (layout == NULL || layout->partitions == 0) return FRESHET_OK;
  int32_t partitions = freshet_log_check_partitions(watch->patrol, FRESHET_TOPIC_EVENTS, ASK_MS);
  if (partitions == 0 || partitions == layout->partitions) return FRESHET_OK;
  return freshet_kafka_layout_refuse(watch->config, layout, partitions, error);
}

static int64_t end_of(const freshet_log_watch* watch, int written, int32_t partition) {
  return (size_t)partition < watch->ends_count ? watch->ends[written][partition] : -1;
}

/* Adds what is written beside the partitions of events behind (*places) [count], which grows. Returns their count. */
static size_t add_written(const freshet_log_watch* watch, freshet_log_place** places, size_t count) {
  size_t all = count, capacity = count;
  for (size_t i = 0; i < count; i++) {
    if ((*places)[i].topic != FRESHET_TOPIC_EVENTS) continue;
    const int32_t partition = (*places)[i].partition;
    for (int w = 0; w < WRITTEN; w++) {
      if (watch->config->topics[written_topics[w]] == NULL) continue;
      *places = freshet_grow(*places, &capacity, all + 1, sizeof **places);
      (*places)[all++] = (freshet_log_place){
          .topic = written_topics[w],
          .partition = partition,
          .next = end_of(watch, w, partition),
          .mark = FRESHET_NO_MARK,
          .first = -1, /* not known, also if the time is over before it is looked at */
          .end = -1,
      };
    }
  }
  return all - count;
}

/* Forgets the ends of partitions that are not held any more: others write there. */
static void keep_ends(freshet_log_watch* watch, const freshet_log_place* written, size_t count) {
  for (size_t i = 0; i < count; i++) {
    while (watch->ends_count <= (size_t)written[i].partition) {
      for (int w = 0; w < WRITTEN; w++) {
        watch->ends[w] = realloc(watch->ends[w], (watch->ends_count + 1) * sizeof *watch->ends[w]);
        FRESHET_ASSERT(watch->ends[w] != NULL);
      }
      watch->ends_count++;
    }
  }
  for (int w = 0; w < WRITTEN; w++) {
    for (size_t i = 0; i < watch->ends_count; i++) watch->ends[w][i] = -1;
    for (size_t i = 0; i < count; i++) {
      if (written[i].topic == written_topics[w])
        watch->ends[w][written[i].partition] = written[i].end >= 0 ? written[i].end : written[i].next;
    }
  }
}

/* Nobody reads lists here, so this is the only sign. One line, though all partitions are gone. */
static void tell_lost_lists(const freshet_log_watch* watch, const freshet_log_place* written, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (written[i].topic != FRESHET_TOPIC_RECOMMENDATIONS || written[i].verdict != FRESHET_LOG_OTHER)
      continue;
    freshet_log_fact(watch->config->logger, FRESHET_ERROR, "lists.lost",
                     "topic=%s partition=%d ended=%lld ends=%lld message=\"the topic was made again, or was "
                     "truncated: lists of users without a new event are missing there; SIGHUP makes those of "
                     "the users in memory again\"",
                     watch->config->topics[FRESHET_TOPIC_RECOMMENDATIONS], (int)written[i].partition,
                     (long long)written[i].next, (long long)written[i].end);
    return;
  }
}

/* A list for a user goes where the producer's partitioner says. With more partitions that is another one for many users. */
static void look_at_lists(freshet_log_watch* watch) {
  const freshet_kafka_config* config = watch->config;
  const int32_t partitions =
      freshet_log_check_partitions(watch->patrol, FRESHET_TOPIC_RECOMMENDATIONS, ASK_MS);
  const int32_t before = watch->lists_partitions;
  if (partitions > before) watch->lists_partitions = partitions;
  if (before == 0 || partitions <= before) return;
  freshet_log_fact(
      config->logger, FRESHET_ERROR, "lists.grown",
      "topic=%s partitions=%d before=%d message=\"new lists of many users go to another partition "
      "than their old ones, which stay: of two lists of a user, the one with the later version "
      "counts. To have one list for each user, make the topic again, and send SIGHUP\"",
      config->topics[FRESHET_TOPIC_RECOMMENDATIONS], (int)partitions, (int)before);
}

/* librdkafka would notice after minutes, and items in the new partitions would not be listed until then. */
static void look_at_items(freshet_log_watch* watch) {
  const int32_t partitions = freshet_log_check_partitions(watch->patrol, FRESHET_TOPIC_ITEMS, ASK_MS);
  pthread_mutex_lock(&watch->lock);
  if (partitions > watch->items_partitions) watch->items_partitions = partitions;
  pthread_mutex_unlock(&watch->lock);
}

/* Takes over places [count], from malloc. */
static void look(freshet_log_watch* watch, freshet_log_place* places, size_t count) {
  freshet_error error = {0};
  const size_t written = add_written(watch, &places, count);
  freshet_status status = judge(watch->patrol, places, count + written, &error);
  tell_lost_lists(watch, places + count, written);
  keep_ends(watch, places + count, written);
  if (status == FRESHET_OK) status = judge_layout(watch, &error);
  look_at_items(watch);
  look_at_lists(watch);
  show_age(watch, places, count);
  look_at_topics(watch);
  free(places);
  if (status == FRESHET_OK) return;
  pthread_mutex_lock(&watch->lock);
  watch->error = error;
  pthread_mutex_unlock(&watch->lock);
}

static void* run(void* context) {
  freshet_log_watch* watch = context;
  pthread_mutex_lock(&watch->lock);
  while (!watch->leaving) {
    const int64_t next_ms = freshet_monotonic_ms() + EVERY_MS;
    while (!watch->leaving && freshet_condition_wait(&watch->changed, &watch->lock, next_ms)) continue;
    if (watch->leaving) continue;
    size_t count = watch->count; /* 0: a standby, which looks at topics */
    freshet_log_place* places = calloc(count + 1, sizeof *places);
    FRESHET_ASSERT(places != NULL);
    if (count > 0) memcpy(places, watch->places, count * sizeof *places);
    pthread_mutex_unlock(&watch->lock);
    look(watch, places, count);
    pthread_mutex_lock(&watch->lock);
  }
  pthread_mutex_unlock(&watch->lock);
  return NULL;
}

freshet_status freshet_log_watch_create(const freshet_kafka_config* config, freshet_log_watch** out,
                                        freshet_error* error) {
  freshet_log_watch* watch = calloc(1, sizeof *watch);
  FRESHET_ASSERT(watch != NULL);
  watch->config = config;
  if (config->known_faults != NULL) watch->known = *config->known_faults;
  pthread_mutex_init(&watch->lock, NULL);
  freshet_condition_init(&watch->changed);
  freshet_status status = freshet_log_check_create(config, &watch->asked, error);
  if (status == FRESHET_OK) status = freshet_log_check_create(config, &watch->patrol, error);
  if (status == FRESHET_OK) watch->started = pthread_create(&watch->thread, NULL, run, watch) == 0;
  if (status == FRESHET_OK && !watch->started)
    status = freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "cannot start a thread");
  if (status != FRESHET_OK) {
    freshet_log_watch_destroy(watch);
    return status;
  }
  *out = watch;
  return FRESHET_OK;
}

void freshet_log_watch_destroy(freshet_log_watch* watch) {
  if (watch == NULL) return;
  pthread_mutex_lock(&watch->lock);
  watch->leaving = true;
  pthread_cond_broadcast(&watch->changed);
  pthread_mutex_unlock(&watch->lock);
  if (watch->started) pthread_join(watch->thread, NULL);
  freshet_log_check_destroy(watch->asked);
  freshet_log_check_destroy(watch->patrol);
  pthread_cond_destroy(&watch->changed);
  pthread_mutex_destroy(&watch->lock);
  free(watch->places);
  for (int w = 0; w < WRITTEN; w++) free(watch->ends[w]);
  free(watch);
}

void freshet_log_watch_set(freshet_log_watch* watch, const freshet_log_place* places, size_t count) {
  pthread_mutex_lock(&watch->lock);
  watch->places = realloc(watch->places, (count + 1) * sizeof *places);
  FRESHET_ASSERT(watch->places != NULL);
  if (count > 0) memcpy(watch->places, places, count * sizeof *places);
  watch->count = count;
  pthread_mutex_unlock(&watch->lock);
}

freshet_status freshet_log_watch_verdict(freshet_log_watch* watch, freshet_error* error) {
  pthread_mutex_lock(&watch->lock);
  freshet_error found = watch->error;
  pthread_mutex_unlock(&watch->lock);
  if (found.status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(error, found.status, found.verdict, "%s", found.message);
}

int32_t freshet_log_watch_items(freshet_log_watch* watch) {
  pthread_mutex_lock(&watch->lock);
  const int32_t partitions = watch->items_partitions;
  pthread_mutex_unlock(&watch->lock);
  return partitions;
}
