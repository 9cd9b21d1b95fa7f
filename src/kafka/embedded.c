/*
 * embedded.c: a broker inside this process, made of librdkafka's mock cluster.
 *
 * It owns the mock cluster and the client that the mock needs. The demo and the tests of the plumbing use it.
 * It must not know the worker.
 */
#include "kafka/embedded.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

#include "kafka/client.h"

enum { BROKER = 1, REASON_SIZE = 256, BREATH_MS = 2 };

struct freshet_kafka_embedded {
  rd_kafka_t* handle; /* the mock cluster lives inside of a client */
  rd_kafka_mock_cluster_t* cluster;
};

/* The mock cluster of librdkafka 2.0.2 misses a request that follows hard on another, and serves it a second
 * later. */
static void breathe(void) {
  freshet_kafka_sleep_ms(BREATH_MS);
}

/* The hosting client talks to nobody, and says so. */
static void on_log(const rd_kafka_t* handle, int level, const char* facility, const char* text) {
  (void)handle, (void)level, (void)facility, (void)text;
}

freshet_status freshet_kafka_embedded_create(const char* const topics[FRESHET_TOPICS], int32_t partitions,
                                             freshet_kafka_embedded** out, freshet_error* error) {
  char reason[REASON_SIZE];
  freshet_kafka_embedded* embedded = calloc(1, sizeof *embedded);
  FRESHET_ASSERT(embedded != NULL);
  freshet_status status = FRESHET_OK;
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set_log_cb(conf, on_log);
  embedded->handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
  if (embedded->handle == NULL) {
    rd_kafka_conf_destroy(conf);
    status = freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "embedded broker: %s", reason);
    goto failed;
  }
  embedded->cluster = rd_kafka_mock_cluster_new(embedded->handle, BROKER);
  if (embedded->cluster == NULL) {
    status =
        freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "embedded broker: cannot listen on 127.0.0.1");
    goto failed;
  }
  for (int topic = 0; topic < FRESHET_TOPICS; topic++) {
    if (topics[topic] == NULL) continue;
    breathe();
    rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(
        embedded->cluster, topics[topic],
        freshet_kafka_topic_is_single((freshet_topic)topic) ? 1 : partitions, BROKER);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      status = freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "embedded broker: topic %s: %s",
                                 topics[topic], rd_kafka_err2str(code));
      goto failed;
    }
  }
  *out = embedded;
  return FRESHET_OK;
failed:
  freshet_kafka_embedded_destroy(embedded);
  return status;
}

const char* freshet_kafka_embedded_bootstrap(const freshet_kafka_embedded* embedded) {
  return rd_kafka_mock_cluster_bootstraps(embedded->cluster);
}

void freshet_kafka_embedded_set_reachable(freshet_kafka_embedded* embedded, bool reachable) {
  breathe();
  if (reachable) {
    rd_kafka_mock_broker_set_up(embedded->cluster, BROKER);
  } else {
    rd_kafka_mock_broker_set_down(embedded->cluster, BROKER);
  }
}

void freshet_kafka_embedded_answer_late(freshet_kafka_embedded* embedded, int ms) {
  rd_kafka_mock_broker_set_rtt(embedded->cluster, BROKER, ms);
}

void freshet_kafka_embedded_refuse_write(freshet_kafka_embedded* embedded) {
  enum { PRODUCE = 0 /* Kafka's number of the request */ };
  rd_kafka_mock_push_request_errors(embedded->cluster, PRODUCE, 1,
                                    RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
}

void freshet_kafka_embedded_destroy(freshet_kafka_embedded* embedded) {
  if (embedded == NULL) return;
  breathe();
  if (embedded->cluster != NULL) rd_kafka_mock_cluster_destroy(embedded->cluster);
  if (embedded->handle != NULL) rd_kafka_destroy(embedded->handle);
  free(embedded);
}
