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

enum { HOST_SIZE = 256, CONNECT_MS = 3000, PATIENCE_MS = 4000 };

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
