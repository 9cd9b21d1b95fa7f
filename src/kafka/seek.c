/* seek.c: see seek.h. It knows how librdkafka 2.0.2 refuses a seek that will work a moment later. */
#include "kafka/seek.h"

#include "kafka/questions.h"

enum { SEEK_ASK_MS = 10000, SEEK_QUIET_MS = 1000, SEEK_RETRY_MS = 20 };

/* The partitions that are still ours. The caller frees the list. */
static rd_kafka_topic_partition_list_t* seekable(freshet_kafka_reader* reader,
                                                 const freshet_partition* partitions, size_t count) {
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new((int)count);
  for (size_t i = 0; i < count; i++) {
    const freshet_partition* p = &partitions[i];
    if (freshet_kafka_reader_cursor(reader, p->topic, p->partition) == NULL) continue;
    freshet_mark mark = freshet_kafka_reader_cursor(reader, p->topic, p->partition)->mark;
    freshet_kafka_reader_start(reader, p->topic, p->partition, p->offset >= 0 ? p->offset : -1);
    /* Of a record that will be returned again, nothing has been committed. */
    if (mark.offset < p->offset) freshet_kafka_reader_cursor(reader, p->topic, p->partition)->mark = mark;
    rd_kafka_topic_partition_list_add(list, reader->client.config->topics[p->topic], p->partition)->offset =
        p->offset >= 0 ? p->offset : RD_KAFKA_OFFSET_BEGINNING;
  }
  return list;
}

/* Tries to seek and takes what has been done off the list. Returns why something is left. */
static rd_kafka_resp_err_t seek_once(rd_kafka_t* handle, rd_kafka_topic_partition_list_t* list) {
  rd_kafka_error_t* failure = rd_kafka_seek_partitions(handle, list, SEEK_ASK_MS);
  rd_kafka_resp_err_t code = failure == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(failure);
  if (failure != NULL) rd_kafka_error_destroy(failure);
  for (int i = list->cnt - 1; i >= 0; i--) {
    if (list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      rd_kafka_topic_partition_list_del_by_idx(list, i);
    } else if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      code = list->elems[i].err;
    }
  }
  return code;
}

/* A handle that has ended for good takes no seek. Later records may be in its queue before the error that says why. */
static void stop_reading(freshet_kafka_reader* reader, const rd_kafka_topic_partition_list_t* list) {
  for (int i = 0; i < list->cnt; i++)
    freshet_kafka_reader_stop(reader, freshet_kafka_config_topic(reader->client.config, list->elems[i].topic),
                              list->elems[i].partition);
}

/* librdkafka stamps every fetched message with the version of its partition and a seek raises the version at
 * once, so what was fetched before is never returned after. Trying again helps against two things: a
 * partition that is only just starting refuses (__STATE), and librdkafka 2.0.2 waits a thousandth of the time
 * that it is given. */
freshet_status freshet_kafka_seek(freshet_kafka_reader* reader, const freshet_partition* partitions,
                                  size_t count, freshet_error* error) {
  freshet_kafka_reader_release(reader);
  rd_kafka_topic_partition_list_t* list = seekable(reader, partitions, count);
  freshet_status status = FRESHET_OK;
  freshet_kafka_client* client = &reader->client;
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, "a partition to seek in");
  while (list->cnt > 0 && status == FRESHET_OK) {
    rd_kafka_resp_err_t code = seek_once(client->handle, list);
    if (list->cnt == 0) break;
    if (rd_kafka_fatal_error(client->handle, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      stop_reading(reader, list);
      break;
    }
    freshet_kafka_sleep_ms(SEEK_RETRY_MS);
    if (freshet_monotonic_ms() - wait.since_ms > SEEK_QUIET_MS)
      status = freshet_kafka_wait_again(&wait, code, error);
  }
  rd_kafka_topic_partition_list_destroy(list);
  return status;
}
