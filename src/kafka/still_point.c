/*
 * still_point.c: see still_point.h. It owns two clients: one sees the ends of logs as they are, the other waits for
 * open transactions of the group. Each question is about all places at once, so that the moment is short.
 */
#include "kafka/still_point.h"

#include <stdio.h>
#include <stdlib.h>

#include "kafka/questions.h"

enum { CLUSTER_MS = 5000 };

struct freshet_kafka_still_point {
  const freshet_kafka_config* config;
  freshet_kafka_client observer, member;
};

typedef rd_kafka_resp_err_t (*question)(rd_kafka_t* handle, rd_kafka_topic_partition_list_t* list,
                                        int timeout_ms);

freshet_status freshet_kafka_still_point_open(const freshet_kafka_config* config,
                                              freshet_kafka_still_point** out, freshet_error* error) {
  freshet_kafka_still_point* point = calloc(1, sizeof *point);
  FRESHET_ASSERT(point != NULL);
  point->config = config;
  const freshet_kafka_callbacks none = {0};
  freshet_status status =
      freshet_kafka_client_open(&point->observer, config, FRESHET_KAFKA_OBSERVER, none, point, error);
  if (status == FRESHET_OK)
    status = freshet_kafka_client_open(&point->member, config, FRESHET_KAFKA_READER, none, point, error);
  *out = point;
  return status;
}

void freshet_kafka_still_point_close(freshet_kafka_still_point* point) {
  if (point == NULL) return;
  freshet_kafka_client_close(&point->observer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  freshet_kafka_client_close(&point->member, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  free(point);
}

/* Asks until there is an answer for every place. */
static freshet_status ask(freshet_kafka_client* client, question ask_once, int64_t about, const char* what,
                          freshet_partition* places, size_t count, freshet_error* error) {
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, what);
  for (;;) {
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
      rd_kafka_topic_partition_list_add(list, client->config->topics[places[i].topic], places[i].partition)
          ->offset = about;
    rd_kafka_resp_err_t code = ask_once(client->handle, list, wait.ask_ms);
    for (size_t i = 0; i < count; i++) { /* the list keeps its order */
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = list->elems[i].err;
      places[i].offset = list->elems[i].offset < 0 ? -1 : list->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
    freshet_status status = freshet_kafka_wait_again(&wait, code, error);
    if (status != FRESHET_OK) return status;
  }
}

freshet_status freshet_kafka_still_point_ends(freshet_kafka_still_point* point, freshet_partition* places,
                                              size_t count, freshet_error* error) {
  return ask(&point->observer, rd_kafka_offsets_for_times, RD_KAFKA_OFFSET_END, "the ends of topics", places,
             count, error);
}

freshet_status freshet_kafka_still_point_committed(freshet_kafka_still_point* point,
                                                   freshet_partition* places, size_t count,
                                                   freshet_error* error) {
  return ask(&point->member, rd_kafka_committed, RD_KAFKA_OFFSET_INVALID, "committed offsets", places, count,
             error);
}

freshet_status freshet_kafka_still_point_since(freshet_kafka_still_point* point, int64_t time_ms,
                                               freshet_partition* places, size_t count,
                                               freshet_error* error) {
  return ask(&point->observer, rd_kafka_offsets_for_times, time_ms, "records of a time", places, count,
             error);
}

void freshet_kafka_still_point_cluster(freshet_kafka_still_point* point, char* id, size_t size) {
  char* told = rd_kafka_clusterid(point->observer.handle, CLUSTER_MS);
  snprintf(id, size, "%s", told == NULL ? "" : told);
  if (told != NULL) rd_kafka_mem_free(point->observer.handle, told);
}
