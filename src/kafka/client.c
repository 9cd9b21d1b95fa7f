/*
 * client.c: makes and configures every librdkafka handle of this module.
 *
 * It owns the table of roles: which settings a role has by default, and which of them nobody may change. It
 * turns librdkafka's logs and errors into lines of our log, and asks the cluster the questions that several
 * files need. It must not know what the records mean.
 */
#include "kafka/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kafka/seal.h"

enum { TROUBLE_INTERVAL_MS = 30000, REASON_SIZE = 512 };

/* A NULL name ends a list. A NULL value: taken from freshet_kafka_config, see `value_of`. */
typedef freshet_kafka_property setting;

static const setting common_defaults[] = {
    {"client.id", NULL}, {"socket.nagle.disable", "true"}, {"reconnect.backoff.max.ms", "1000"}, {0}};

/* A queued record costs about 400 bytes beyond its own, so the queue is bounded by count, and fetches are
 * kept small because each comes on top (reader.c sees to it that a short queue does not make a backlog slow).
 * A long poll interval, because restoring a partition happens inside of a poll. */
#define SESSION_MS "15000"
static const setting member_defaults[] = {
    {"queued.min.messages", "100000"},  {"queued.max.messages.kbytes", "65536"},
    {"fetch.max.bytes", "4194304"},     {"max.partition.fetch.bytes", "524288"},
    {"fetch.wait.max.ms", "100"},       {"fetch.error.backoff.ms", "50"},
    {"session.timeout.ms", SESSION_MS}, {"heartbeat.interval.ms", "1000"},
    {"max.poll.interval.ms", "900000"}, {0}};
static const setting member_fixed[] = {{"group.id", NULL},
                                       {"group.instance.id", NULL},
                                       {"partition.assignment.strategy", "range"},
                                       {"auto.offset.reset", "error"},
                                       {"enable.auto.commit", "false"},
                                       {"enable.auto.offset.store", "false"},
                                       {"enable.partition.eof", "true"},
                                       {"isolation.level", "read_committed"},
                                       {0}};

/* Never subscribes, so it is no member of the group; the id is the one that access rules will allow already.
 * A position that no longer exists must not silently become another one. */
static const setting reader_defaults[] = {{"queued.min.messages", "100000"},
                                          {"queued.max.messages.kbytes", "65536"},
                                          {"fetch.max.bytes", "4194304"},
                                          {"max.partition.fetch.bytes", "524288"},
                                          {"fetch.wait.max.ms", "20"},
                                          {"fetch.error.backoff.ms", "50"},
                                          {0}};
static const setting reader_fixed[] = {{"group.id", NULL},
                                       {"enable.auto.commit", "false"},
                                       {"enable.auto.offset.store", "false"},
                                       {"enable.partition.eof", "true"},
                                       {"auto.offset.reset", "error"},
                                       {"isolation.level", "read_committed"},
                                       {0}};

static const setting observer_defaults[] = {{0}};
static const setting observer_fixed[] = {{"isolation.level", "read_uncommitted"}, {0}};
static const setting auditor_fixed[] = {
    {"group.id", NULL}, {"enable.auto.commit", "false"}, {"isolation.level", "read_uncommitted"}, {0}};

/* compression.codec: see codec_of. */
static const setting publisher_defaults[] = {{"compression.codec", "none"},
                                             {"linger.ms", "0"},
                                             {"queue.buffering.max.kbytes", "65536"},
                                             {"message.max.bytes", "4194304"},
                                             {0}};
static const setting publisher_fixed[] = {
    {"enable.idempotence", "true"}, {"acks", "all"}, {"partitioner", "murmur2_random"}, {0}};

/* linger.ms: all records of a transaction are written at its end, and they travel while the offsets are sent.
 * message.max.bytes: item deltas. retry.backoff.ms: a transaction that follows another at once is told to try
 * again (CONCURRENT_TRANSACTIONS). reconnect.backoff.max.ms: each attempt that fails makes librdkafka ask where the
 * coordinator is now. */
static const setting transactor_defaults[] = {
    {"compression.codec", "lz4"},        {"linger.ms", "0"},
    {"retry.backoff.ms", "1"},           {"reconnect.backoff.max.ms", "250"},
    {"transaction.timeout.ms", "30000"}, {"queue.buffering.max.kbytes", "65536"},
    {"message.max.bytes", "67108864"},   {0}};
static const setting transactor_fixed[] = {{"transactional.id", NULL},
                                           {"enable.idempotence", "true"},
                                           {"acks", "all"},
                                           {"partitioner", "murmur2_random"},
                                           {0}};

static const struct {
  const char* name;
  rd_kafka_type_t type;
  const setting* defaults;
  const setting* fixed;
} roles[] = {
    [FRESHET_KAFKA_MEMBER] = {"source", RD_KAFKA_CONSUMER, member_defaults, member_fixed},
    [FRESHET_KAFKA_READER] = {"log", RD_KAFKA_CONSUMER, reader_defaults, reader_fixed},
    [FRESHET_KAFKA_OBSERVER] = {"observer", RD_KAFKA_CONSUMER, observer_defaults, observer_fixed},
    [FRESHET_KAFKA_AUDITOR] = {"auditor", RD_KAFKA_CONSUMER, observer_defaults, auditor_fixed},
    [FRESHET_KAFKA_PUBLISHER] = {"publisher", RD_KAFKA_PRODUCER, publisher_defaults, publisher_fixed},
    [FRESHET_KAFKA_TRANSACTOR] = {"transactor", RD_KAFKA_PRODUCER, transactor_defaults, transactor_fixed},
};
enum { ROLES = sizeof roles / sizeof roles[0] };

bool freshet_kafka_client_is_older_than(int version) {
  return rd_kafka_version() < version;
}

static const char* value_of(const freshet_kafka_config* config, const setting* s) {
  if (s->value != NULL) return s->value;
  if (strcmp(s->name, "client.id") == 0) return config->client_id != NULL ? config->client_id : "freshet";
  if (strcmp(s->name, "group.id") == 0) return config->app_id;
  if (strcmp(s->name, "group.instance.id") == 0) return config->instance_id;
  FRESHET_ASSERT(strcmp(s->name, "transactional.id") == 0);
  return config->transactional_id;
}

static freshet_status set(rd_kafka_conf_t* conf, const char* name, const char* value, freshet_error* error) {
  char reason[REASON_SIZE];
  if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK) return FRESHET_OK;
  /* Without the value: it may be a password under a misspelt name. */
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "[kafka] %s: %s", name, reason);
}

static freshet_status set_all(rd_kafka_conf_t* conf, const freshet_kafka_config* config, const setting* list,
                              freshet_error* error) {
  for (const setting* s = list; s->name != NULL; s++) {
    const char* value = value_of(config, s);
    freshet_status status = value == NULL ? FRESHET_OK : set(conf, s->name, value, error);
    if (status != FRESHET_OK) return status;
  }
  return FRESHET_OK;
}

static bool fixed_for_some_role(const char* name) {
  for (int role = 0; role < ROLES; role++) {
    for (const setting* s = roles[role].fixed; s->name != NULL; s++) {
      if (strcmp(s->name, name) == 0) return true;
    }
  }
  return false;
}

static freshet_status set_properties(rd_kafka_conf_t* conf, const freshet_kafka_config* config,
                                     freshet_error* error) {
  for (size_t i = 0; i < config->property_count; i++) {
    const freshet_kafka_property* p = &config->properties[i];
    if (fixed_for_some_role(p->name)) {
      return freshet_error_set(
          error, FRESHET_INVALID, FRESHET_STOP,
          "[kafka] %s cannot be set: exactly-once state rests on the value that Freshet gives it", p->name);
    }
    freshet_status status = set(conf, p->name, p->value, error);
    if (status != FRESHET_OK) return status;
  }
  return FRESHET_OK;
}

freshet_status freshet_kafka_properties_check(const freshet_kafka_config* config, freshet_error* error) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  freshet_status status = set_properties(conf, config, error);
  rd_kafka_conf_destroy(conf);
  return status;
}

const char* freshet_kafka_right(const freshet_kafka_client* client, rd_kafka_resp_err_t code,
                                const char* topic, char out[FRESHET_KAFKA_RIGHT_SIZE]) {
  const freshet_kafka_config* config = client->config;
  bool reads = rd_kafka_type(client->handle) == RD_KAFKA_CONSUMER;
  out[0] = '\0';
  if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
    snprintf(out, FRESHET_KAFKA_RIGHT_SIZE, "; this user needs the right %s on topic %s",
             reads ? "Read" : "Write", topic);
  } else if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) {
    snprintf(out, FRESHET_KAFKA_RIGHT_SIZE, "; this user needs the right Read on group %s", config->app_id);
  } else if (code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED) {
    snprintf(out, FRESHET_KAFKA_RIGHT_SIZE,
             "; this user needs the rights Write and Describe on transactional id %s",
             config->transactional_id);
  } else if (code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED) {
    snprintf(out, FRESHET_KAFKA_RIGHT_SIZE, "; this user needs the right %s on the cluster",
             reads ? "Describe" : "IdempotentWrite");
  } else if (code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP) {
    snprintf(
        out, FRESHET_KAFKA_RIGHT_SIZE,
        "; the topic takes no record that is older than message.timestamp.before.max.ms, or that is ahead of "
        "the broker's clock by more than message.timestamp.after.max.ms (an hour by default): change "
        "these settings of the topic for history, or set the clock");
  }
  return out;
}

/* Facilities that are only noise: a producer's setting means nothing to a consumer (each [kafka] property
 * goes to every client); a connection fails, which on_error tells at a bearable rate; a producer id is asked
 * for again. */
static bool is_noise(const char* facility) {
  return strcmp(facility, "CONFWARN") == 0 || strcmp(facility, "FAIL") == 0 ||
         strcmp(facility, "GETPID") == 0 || strcmp(facility, "SSLCERTVRFY") == 0;
}

/* Syslog levels to ours. */
static void on_log(const rd_kafka_t* handle, int level, const char* facility, const char* text) {
  const freshet_kafka_client* client = rd_kafka_opaque(handle);
  freshet_log_level ours = level <= 3 ? FRESHET_ERROR : level == 4 ? FRESHET_WARN : FRESHET_INFO;
  if (level >= 6 || is_noise(facility)) ours = FRESHET_DEBUG;
  freshet_log_fact(client->config->logger, ours, "kafka.client", "client=%s facility=%s message=\"%s\"",
                   client->role_name, facility, text);
}

/* librdkafka words every certificate that it refuses in the same way. OpenSSL's code tells them apart. */
static const char* certificate_fault(int x509_error) {
  switch (x509_error) { /* X509_V_ERR_..., openssl/x509_vfy.h */
    case 0:
      return NULL;
    case 9:
      return "the broker's certificate is not valid yet";
    case 10:
      return "the broker's certificate has expired";
    case 2:
    case 18:
    case 19:
    case 20:
    case 21:
      return "the broker's certificate is signed by a CA that is not known here: set ssl.ca.location";
    case 62:
    case 64:
      return "the broker's certificate is for another host name: name the broker as the certificate does "
             "(ssl.endpoint.identification.algorithm = none accepts any name)";
    default:
      return "the broker's certificate cannot be verified";
  }
}

/* Called by librdkafka's threads. It changes nothing: what OpenSSL has accepted is accepted. */
static int on_certificate(rd_kafka_t* handle, const char* broker, int32_t broker_id, int* x509_error,
                          int depth, const char* bytes, size_t size, char* reason, size_t reason_size,
                          void* opaque) {
  (void)handle, (void)broker, (void)broker_id, (void)depth, (void)bytes, (void)size;
  freshet_kafka_client* client = opaque;
  const char* fault = certificate_fault(*x509_error);
  if (fault == NULL) return 1;
  pthread_mutex_lock(&client->lock);
  client->certificate = fault;
  pthread_mutex_unlock(&client->lock);
  snprintf(reason, reason_size, "%s", fault);
  return 0;
}

/* What librdkafka's words mean, where they do not say it. */
static const char* hint_of(const freshet_kafka_client* client, rd_kafka_resp_err_t code, const char* text) {
  if (code == RD_KAFKA_RESP_ERR__SSL && strstr(text, "certificate verify failed") != NULL)
    return client->certificate;
  if (code == RD_KAFKA_RESP_ERR__SSL &&
      (strstr(text, "unexpected eof") != NULL || strstr(text, "wrong version number") != NULL))
    return "no TLS there: is it a plaintext listener? See security.protocol";
  if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION && strstr(text, "current SASL state") != NULL)
    return "no SASL there: is it a listener without authentication? See security.protocol";
  return NULL;
}

/* librdkafka suspects the settings whenever a broker hangs up. That is a hint only while the connection has not
 * been up. */
static bool is_security(rd_kafka_resp_err_t code, const char* reason) {
  if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
      code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED)
    return true;
  return strstr(reason, "security.protocol") != NULL && strstr(reason, "in state UP") == NULL;
}

/* Returns whether it is news: a mistake in the security settings that has not been told before. */
static bool note_reason(freshet_kafka_client* client, rd_kafka_resp_err_t code, const char* text) {
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) return false; /* says less than the reason before */
  bool security = is_security(code, text);
  pthread_mutex_lock(&client->lock);
  freshet_kafka_reason* reason = &client->reason;
  bool is_news = security && (!reason->is_security || reason->code != code);
  if (security || !reason->is_security) {
    reason->code = code;
    reason->is_security = security;
    const char* hint = hint_of(client, code, text);
    const char* rest = strstr(text, ": "); /* the broker's name is in front */
    int name = rest == NULL ? 0 : (int)(rest - text);
    if (hint == NULL) {
      snprintf(reason->text, sizeof reason->text, "%s", text);
    } else {
      snprintf(reason->text, sizeof reason->text, "%.*s: %s", name, text, hint);
    }
  }
  pthread_mutex_unlock(&client->lock);
  return is_news;
}

freshet_kafka_reason freshet_kafka_client_reason(freshet_kafka_client* client) {
  pthread_mutex_lock(&client->lock);
  freshet_kafka_reason reason = client->reason;
  pthread_mutex_unlock(&client->lock);
  return reason;
}

static void log_trouble(const freshet_kafka_client* client, rd_kafka_resp_err_t code, const char* reason) {
  freshet_log_fact(client->config->logger, FRESHET_WARN, "kafka.trouble", "client=%s error=%s message=\"%s\"",
                   client->role_name, rd_kafka_err2name(code), reason);
}

static void on_error(rd_kafka_t* handle, int code, const char* reason, void* opaque) {
  (void)handle;
  freshet_kafka_client* client = opaque;
  if (note_reason(client, code, reason)) {
    atomic_store(&client->trouble_logged_ms, freshet_monotonic_ms());
    log_trouble(client, code, freshet_kafka_client_reason(client).text);
  } else {
    freshet_kafka_client_trouble(client, code, reason);
  }
}

void freshet_kafka_client_trouble(freshet_kafka_client* client, rd_kafka_resp_err_t code,
                                  const char* reason) {
  int64_t now = freshet_monotonic_ms();
  int64_t last = atomic_load(&client->trouble_logged_ms);
  if (last != 0 && now - last < TROUBLE_INTERVAL_MS) return;
  if (!atomic_compare_exchange_strong(&client->trouble_logged_ms, &last, now)) return;
  log_trouble(client, code, reason);
}

/* Records by user go where their producers put them. Other topics keep the partitioner of Java clients. */
static const char* partitioner_of(const freshet_kafka_config* config, freshet_topic topic) {
  const bool is_by_user = topic == FRESHET_TOPIC_EVENTS || topic == FRESHET_TOPIC_REQUESTS;
  return is_by_user ? freshet_partitioner_property(config->partitioner) : NULL;
}

/* What the user has set; NULL: nothing. */
static const char* property_of(const freshet_kafka_config* config, const char* name) {
  for (size_t i = 0; i < config->property_count; i++) {
    if (strcmp(config->properties[i].name, name) == 0) return config->properties[i].value;
  }
  return NULL;
}

/* What leaves in a transaction is compressed as a rule. Lists and replies are not: clients of all kinds read them, and
 * some know no lz4 (kafkajs). Item deltas are not: they are numbers that fill their bytes, and lz4 makes them 3 to 13 %
 * smaller in more time than it takes to make them. */
static const char* codec_of(const freshet_kafka_config* config, freshet_topic topic) {
  const bool is_plain = topic == FRESHET_TOPIC_RECOMMENDATIONS || topic == FRESHET_TOPIC_SHADOW ||
                        topic == FRESHET_TOPIC_REPLIES || topic == FRESHET_TOPIC_ITEM_DELTAS;
  const bool is_set =
      property_of(config, "compression.codec") != NULL || property_of(config, "compression.type") != NULL;
  return is_plain && !is_set ? "none" : NULL;
}

static rd_kafka_topic_conf_t* topic_conf(const freshet_kafka_client* client, freshet_topic topic) {
  const freshet_kafka_property own[] = {{"partitioner", partitioner_of(client->config, topic)},
                                        {"compression.codec", codec_of(client->config, topic)}};
  if (rd_kafka_type(client->handle) != RD_KAFKA_PRODUCER) return NULL;
  rd_kafka_topic_conf_t* conf = rd_kafka_default_topic_conf_dup(client->handle);
  for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
    if (own[i].value == NULL) continue;
    FRESHET_ASSERT(rd_kafka_topic_conf_set(conf, own[i].name, own[i].value, NULL, 0) == RD_KAFKA_CONF_OK);
  }
  return conf;
}

static freshet_status open_topics(freshet_kafka_client* client, freshet_error* error) {
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    const char* name = client->config->topics[topic];
    if (name == NULL) continue;
    client->topics[topic] = rd_kafka_topic_new(client->handle, name, topic_conf(client, topic));
    if (client->topics[topic] == NULL) {
      return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "topic name '%s': %s", name,
                               rd_kafka_err2str(rd_kafka_last_error()));
    }
  }
  return FRESHET_OK;
}

/* A broker puts the instance id in front of a member's id, or the client id in front of that of a dynamic member.
 * members.c tells them apart, so they must differ. */
static freshet_status part_ids(rd_kafka_conf_t* conf, const char* instance_id, freshet_error* error) {
  char id[512] = "", parted[520];
  size_t size = sizeof id;
  rd_kafka_conf_get(conf, "client.id", id, &size);
  if (instance_id == NULL || strcmp(id, instance_id) != 0) return FRESHET_OK;
  snprintf(parted, sizeof parted, "%s.static", id);
  return set(conf, "client.id", parted, error);
}

freshet_status freshet_kafka_client_open(freshet_kafka_client* client, const freshet_kafka_config* config,
                                         freshet_kafka_role role, freshet_kafka_callbacks callbacks,
                                         void* owner, freshet_error* error) {
  client->config = config;
  client->role_name = roles[role].name;
  client->owner = owner;
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  freshet_status status = set_all(conf, config, common_defaults, error);
  if (status == FRESHET_OK) status = set_all(conf, config, roles[role].defaults, error);
  if (status == FRESHET_OK) status = set_properties(conf, config, error);
  if (status == FRESHET_OK) status = set_all(conf, config, roles[role].fixed, error);
  if (status == FRESHET_OK) status = part_ids(conf, config->instance_id, error);
  if (status != FRESHET_OK) goto failed;
  rd_kafka_conf_set_opaque(conf, client);
  rd_kafka_conf_set_log_cb(conf, on_log);
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_conf_set_ssl_cert_verify_cb(conf, on_certificate);
  if (callbacks.rebalance != NULL) rd_kafka_conf_set_rebalance_cb(conf, callbacks.rebalance);
  if (callbacks.delivered != NULL) rd_kafka_conf_set_dr_msg_cb(conf, callbacks.delivered);

  char reason[REASON_SIZE];
  client->handle = rd_kafka_new(roles[role].type, conf, reason, sizeof reason);
  if (client->handle == NULL) {
    status =
        freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "[kafka] %s: %s", client->role_name, reason);
    goto failed;
  }
  conf = NULL; /* the handle's now */
  pthread_mutex_init(&client->lock, NULL);
  status = open_topics(client, error);
failed:
  if (conf != NULL) rd_kafka_conf_destroy(conf);
  return status;
}

void freshet_kafka_client_close(freshet_kafka_client* client, int flags) {
  if (client->handle == NULL) return;
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    if (client->topics[topic] != NULL) rd_kafka_topic_destroy(client->topics[topic]);
  }
  rd_kafka_destroy_flags(client->handle, flags);
  pthread_mutex_destroy(&client->lock);
  client->handle = NULL;
}

bool freshet_kafka_client_is(const freshet_kafka_client* client, const char* name, const char* value) {
  char text[REASON_SIZE];
  size_t size = sizeof text;
  return rd_kafka_conf_get(rd_kafka_conf(client->handle), name, text, &size) == RD_KAFKA_CONF_OK &&
         strcmp(text, value) == 0;
}

freshet_topic freshet_kafka_client_topic(const freshet_kafka_client* client, const rd_kafka_topic_t* handle) {
  int topic = 0;
  while (topic < FRESHET_TOPICS && client->topics[topic] != handle) topic++;
  return topic;
}

freshet_topic freshet_kafka_config_topic(const freshet_kafka_config* config, const char* name) {
  int topic = 0;
  while (topic < FRESHET_TOPICS &&
         (config->topics[topic] == NULL || strcmp(config->topics[topic], name) != 0))
    topic++;
  return topic;
}

bool freshet_kafka_code_fenced(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
         code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH || code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

bool freshet_kafka_code_missing(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
         code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

freshet_status freshet_kafka_client_fatal(const freshet_kafka_client* client, freshet_error* error) {
  const freshet_kafka_config* config = client->config;
  char reason[REASON_SIZE] = "";
  rd_kafka_resp_err_t code = rd_kafka_fatal_error(client->handle, reason, sizeof reason);
  if (code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID) {
    return freshet_error_set(error, FRESHET_FENCED, FRESHET_STOP,
                             "another process has joined group %s as instance %s and took this one's place",
                             config->app_id, config->instance_id);
  }
  if (freshet_kafka_code_fenced(code)) {
    return freshet_error_set(
        error, FRESHET_FENCED, FRESHET_STOP,
        "another process has started with transactional id %s and took this one's place (%s)",
        config->transactional_id, reason);
  }
  char right[FRESHET_KAFKA_RIGHT_SIZE];
  return freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "Kafka %s cannot go on: %s: %s%s",
                           client->role_name, rd_kafka_err2name(code), reason,
                           freshet_kafka_right(client, code, "that it names", right));
}

int64_t freshet_kafka_session_ms(const freshet_kafka_config* config) {
  const char* session_ms = property_of(config, "session.timeout.ms");
  return strtoll(session_ms == NULL ? SESSION_MS : session_ms, NULL, 10);
}

void freshet_kafka_sleep_ms(int ms) {
  struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
  nanosleep(&left, NULL);
}
