/*
 * doctor_cluster.c: the way to the brokers, layer by layer: names, TCP, then TLS, login and rights as librdkafka reports
 * them, then the topics. A layer is tried only where the one below works, so the first fault is the cause.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "app/cluster.h"
#include "commands/doctor/doctor.h"
#include "kafka/still_point.h"
#include "kafka/write_rights.h"
#include "stream/clock.h"

enum { HOST_SIZE = 256, CONNECT_MS = 3000, PATIENCE_MS = 4000, CLOCK_MS = 10000 };

/* ---- names and TCP ---- */

static bool connects(const struct addrinfo* address, int* why) {
  bool connected = false;
  int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  *why = 0;
  if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
    connected = true;
  } else if (errno == EINPROGRESS) {
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    socklen_t size = sizeof *why;
    if (poll(&waiting, 1, CONNECT_MS) == 1) getsockopt(fd, SOL_SOCKET, SO_ERROR, why, &size);
    if (waiting.revents == 0) *why = ETIMEDOUT;
    connected = *why == 0;
  } else {
    *why = errno;
  }
  close(fd);
  return connected;
}

static bool reach(freshet_doctor* doctor, const char* host, const char* port) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses = NULL;
  int code = getaddrinfo(host, port, &hints, &addresses), why = 0;
  if (code != 0) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_FAULT, "name",
                        "%s: %s; correct kafka.bootstrap.servers or the DNS", host, gai_strerror(code));
    return false;
  }
  bool reached = false;
  for (const struct addrinfo* a = addresses; a != NULL && !reached; a = a->ai_next)
    reached = connects(a, &why);
  freeaddrinfo(addresses);
  if (reached) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_OK, "tcp", "%s:%s", host, port);
  } else {
    freshet_doctor_tell(doctor, FRESHET_FINDING_FAULT, "tcp",
                        "%s:%s: %s; is the broker up, is the port right, does a firewall stand between?",
                        host, port, strerror(why));
  }
  return reached;
}

/* "PLAINTEXT://host:9092" or "[::1]:9092" or "host". */
static bool reach_server(freshet_doctor* doctor, const char* text, size_t size) {
  char host[HOST_SIZE], *port = "9092";
  const char* scheme = memmem(text, size, "://", 3);
  if (scheme != NULL) {
    size -= (size_t)(scheme + 3 - text);
    text = scheme + 3;
  }
  snprintf(host, sizeof host, "%.*s", (int)size, text);
  char* colon = strrchr(host, ':');
  if (colon != NULL && strchr(colon, ']') == NULL) {
    *colon = '\0';
    port = colon + 1;
  }
  size_t last = strlen(host);
  if (host[0] == '[' && last > 1) {
    host[last - 1] = '\0';
    return reach(doctor, host + 1, port);
  }
  return reach(doctor, host, port);
}

static bool reach_any(freshet_doctor* doctor, const char* servers) {
  static const char blanks[] = " \t,";
  bool reached = false;
  for (const char* at = servers + strspn(servers, blanks); *at != '\0'; at += strspn(at, blanks)) {
    size_t size = strcspn(at, blanks);
    reached |= reach_server(doctor, at, size);
    at += size;
  }
  return reached;
}

/* ---- TLS, login, topics ---- */

static bool is_over(void* context) {
  const struct timespec* until = context;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec > until->tv_sec;
}

/* ---- rights to write, and the time of others ---- */

static void tell_writing(freshet_doctor* doctor, const freshet_kafka_config* kafka,
                         const freshet_kafka_topic_info info[FRESHET_TOPICS]) {
  static const freshet_topic written[] = {FRESHET_TOPIC_RECOMMENDATIONS, FRESHET_TOPIC_REPLIES,
                                          FRESHET_TOPIC_DEAD_LETTERS,    FRESHET_TOPIC_USERS,
                                          FRESHET_TOPIC_ITEM_STATES,     FRESHET_TOPIC_ITEM_DELTAS,
                                          FRESHET_TOPIC_APP_GENERATIONS, FRESHET_TOPIC_SHADOW};
  enum { WRITTEN = sizeof written / sizeof written[0] };
  unsigned counts[FRESHET_WRITE_DENIED + 1] = {0};
  const char* untried = "";
  freshet_write_trial trials[WRITTEN];
  size_t count = 0;
  for (size_t i = 0; i < WRITTEN; i++) {
    if (info[written[i]].partitions > 0) trials[count++] = (freshet_write_trial){.topic = written[i]};
  }
  freshet_kafka_write_rights(kafka, info, trials, count);
  for (size_t i = 0; i < count; i++) {
    const freshet_write_trial* trial = &trials[i];
    counts[trial->right]++;
    if (trial->right == FRESHET_WRITE_DENIED)
      freshet_doctor_tell(doctor, FRESHET_FINDING_FAULT, "rights", "%s", trial->why);
    if (trial->right == FRESHET_WRITE_UNKNOWN) untried = trial->why;
  }
  if (counts[FRESHET_WRITE_GRANTED] > 0)
    freshet_doctor_tell(doctor, FRESHET_FINDING_OK, "rights", "%u topics may be written to",
                        counts[FRESHET_WRITE_GRANTED]);
  if (counts[FRESHET_WRITE_UNKNOWN] > 0)
    freshet_doctor_tell(doctor, FRESHET_FINDING_SKIPPED, "rights", "%u topics: %s",
                        counts[FRESHET_WRITE_UNKNOWN], untried);
}

/* Kafka does not tell its own time, but records have the times of those who wrote them. */
static void tell_clock(freshet_doctor* doctor, const freshet_kafka_config* kafka,
                       const freshet_kafka_topic_info info[FRESHET_TOPICS]) {
  static const freshet_topic topics[] = {FRESHET_TOPIC_EVENTS, FRESHET_TOPIC_USERS,
                                         FRESHET_TOPIC_RECOMMENDATIONS};
  freshet_kafka_still_point* point = NULL;
  const int64_t then_ms = freshet_clock_now_ms(freshet_clock_system()) + CLOCK_MS;
  freshet_status status = freshet_kafka_still_point_open(kafka, &point, NULL);
  bool ahead = false;
  for (size_t i = 0; status == FRESHET_OK && i < sizeof topics / sizeof topics[0]; i++) {
    const int32_t count = info[topics[i]].partitions;
    freshet_partition* places = calloc((size_t)count + 1, sizeof *places);
    FRESHET_ASSERT(places != NULL);
    for (int32_t p = 0; p < count; p++)
      places[p] = (freshet_partition){.topic = topics[i], .partition = p, .offset = -1};
    status = freshet_kafka_still_point_since(point, then_ms, places, (size_t)count, NULL);
    for (int32_t p = 0; status == FRESHET_OK && p < count && !ahead; p++) {
      ahead = places[p].offset >= 0;
      if (ahead)
        freshet_doctor_tell(
            doctor, FRESHET_FINDING_WARNING, "clock",
            "%s [%d], offset %lld is of a time more than %d s from now: this clock is behind, or "
            "its writer's is ahead; let NTP set both",
            kafka->topics[topics[i]], (int)p, (long long)places[p].offset, CLOCK_MS / 1000);
    }
    free(places);
  }
  if (status == FRESHET_OK && !ahead)
    freshet_doctor_tell(doctor, FRESHET_FINDING_OK, "clock", "no record is from the future");
  freshet_kafka_still_point_close(point);
}

static void tell_topics(freshet_doctor* doctor, const freshet_kafka_config* kafka) {
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_error error = {0};
  freshet_kafka_faults* faults = calloc(1, sizeof *faults);
  FRESHET_ASSERT(faults != NULL);
  freshet_status status = freshet_kafka_topics_faults(kafka, info, faults, &error);
  if (status != FRESHET_OK) freshet_doctor_tell(doctor, FRESHET_FINDING_FAULT, "topics", "%s", error.message);
  for (size_t i = 0; i < faults->count; i++) {
    bool missing = faults->list[i].status == FRESHET_NOT_FOUND;
    freshet_doctor_tell(doctor, FRESHET_FINDING_FAULT, "topics", "%s%s", faults->list[i].text,
                        missing ? "; `freshet topics create` makes them, and an ACL may hide them" : "");
  }
  if (status == FRESHET_OK && faults->count == 0)
    freshet_doctor_tell(doctor, FRESHET_FINDING_OK, "topics", "%d partitions by user, policies fit",
                        (int)info[FRESHET_TOPIC_EVENTS].partitions);
  for (int topic = 0; status == FRESHET_OK && topic < FRESHET_TOPICS; topic++) {
    if (info[topic].partitions > 0 && !info[topic].policy_known) {
      freshet_doctor_tell(
          doctor, FRESHET_FINDING_WARNING, "rights",
          "the policies of topic %s cannot be read: grant DescribeConfigs, so that they can be checked",
          kafka->topics[topic]);
      break;
    }
  }
  free(faults);
  if (status != FRESHET_OK) return;
  tell_writing(doctor, kafka, info);
  tell_clock(doctor, kafka, info);
}

static void tell_group(freshet_doctor* doctor, const freshet_kafka_config* kafka) {
  freshet_error error = {0};
  bool reached = false;
  freshet_status status =
      freshet_kafka_await_committed(kafka, FRESHET_TOPIC_EVENTS, 0, 0, 1, &reached, &error);
  if (status == FRESHET_OK) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_OK, "group", "%s: its offsets can be read", kafka->app_id);
  } else {
    freshet_doctor_tell(doctor, FRESHET_FINDING_FAULT, "group", "%s: %s; grant Read on the group",
                        kafka->app_id, error.message);
  }
}

/* librdkafka before 2.6.1 repeats the nonce in a form that brokers refuse since they check it. */
static bool meets_scram_fault(const freshet_config* config, const char* message) {
  const char* mechanism = freshet_config_kafka(config, "sasl.mechanism");
  if (mechanism == NULL) mechanism = freshet_config_kafka(config, "sasl.mechanisms");
  return mechanism != NULL && strncmp(mechanism, "SCRAM", 5) == 0 &&
         strstr(message, "invalid credentials") != NULL && freshet_kafka_client_is_older_than(0x02060100);
}

static bool log_in(freshet_doctor* doctor, const freshet_kafka_config* kafka) {
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_error error = {0};
  const char* protocol = freshet_config_kafka(doctor->config, "security.protocol");
  freshet_status status = freshet_kafka_topics_list(kafka, info, &error);
  if (protocol == NULL) protocol = "plaintext";
  if (status == FRESHET_OK) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_OK, "login", "%s: a broker answers questions about topics",
                        protocol);
    return true;
  }
  freshet_doctor_tell(
      doctor, FRESHET_FINDING_FAULT, "login", "%s: %s%s", protocol, error.message,
      meets_scram_fault(doctor->config, error.message)
          ? "; if the password is right: this librdkafka is older than 2.6.1, and its SCRAM is refused by "
            "Kafka 3.7.2 and newer (CVE-2024-56128); use sasl.mechanism = PLAIN over TLS, client "
            "certificates, or a newer librdkafka"
          : "");
  return false;
}

void freshet_doctor_cluster(freshet_doctor* doctor) {
  const freshet_config* config = doctor->config;
  const char* servers = freshet_config_kafka(config, "bootstrap.servers");
  struct timespec until;
  if (servers == NULL) servers = freshet_config_kafka(config, "metadata.broker.list");
  if (servers == NULL) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_FAULT, "name", "kafka.bootstrap.servers is not set");
    return;
  }
  if (!reach_any(doctor, servers)) {
    freshet_doctor_tell(doctor, FRESHET_FINDING_SKIPPED, "login", "no broker can be reached");
    return;
  }
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += PATIENCE_MS / 1000;
  freshet_kafka_config kafka = {.app_id = config->app.id, .stopping = is_over, .stopping_context = &until};
  kafka.properties = freshet_cluster_properties(config, NULL, 0, &kafka.property_count);
  memcpy(kafka.topics, config->topics.names, sizeof kafka.topics);
  if (log_in(doctor, &kafka)) {
    until.tv_sec += PATIENCE_MS / 1000;
    tell_topics(doctor, &kafka);
    tell_group(doctor, &kafka);
  }
  free((void*)kafka.properties);
}
