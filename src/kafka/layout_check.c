/*
 * layout_check.c: holds the number of partitions that the state was committed with against that of `events`.
 *
 * It owns a short-lived client for each question. It must not move users.
 */
#include "kafka/layout_check.h"

#include "kafka/questions.h"

/* The layout that any offset carries. One that differs from `partitions` outweighs the others: grown topics have
 * partitions without an offset, and a shrunken count is wrong everywhere. */
static freshet_layout layout_of(const rd_kafka_topic_partition_list_t* list, int32_t partitions) {
  freshet_layout found = {0, 0};
  for (int i = 0; i < list->cnt; i++) {
    if (list->elems[i].offset < 0) continue;
    freshet_layout layout = freshet_layout_read(list->elems[i].metadata, list->elems[i].metadata_size);
    if (layout.partitions > 0 && (found.partitions == 0 || layout.partitions != partitions)) found = layout;
  }
  return found;
}

static freshet_status ask(freshet_kafka_client* client, int32_t partitions, freshet_layout* layout,
                          freshet_error* error) {
  const char* name = client->config->topics[FRESHET_TOPIC_EVENTS];
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, "committed offsets");
  for (;;) {
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(partitions);
    for (int32_t p = 0; p < partitions; p++) rd_kafka_topic_partition_list_add(list, name, p);
    rd_kafka_resp_err_t code = rd_kafka_committed(client->handle, list, wait.ask_ms);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) code = list->elems[i].err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) *layout = layout_of(list, partitions);
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
    freshet_status status = freshet_kafka_wait_again(&wait, code, error);
    if (status != FRESHET_OK) return status;
  }
}

static freshet_status read_layout(const freshet_kafka_config* config, freshet_layout* layout,
                                  int32_t* partitions, freshet_error* error) {
  freshet_kafka_config observer = *config;
  freshet_kafka_topic_info info[FRESHET_TOPICS];
  freshet_kafka_client client = {0};
  observer.instance_id = observer.transactional_id = NULL;
  *layout = (freshet_layout){0, 0};
  freshet_status status = freshet_kafka_topics_list(config, info, error);
  *partitions = status == FRESHET_OK ? info[FRESHET_TOPIC_EVENTS].partitions : 0;
  if (status != FRESHET_OK || *partitions == 0) return status;
  status = freshet_kafka_client_open(&client, &observer, FRESHET_KAFKA_READER, (freshet_kafka_callbacks){0},
                                     NULL, error);
  if (status == FRESHET_OK) status = ask(&client, *partitions, layout, error);
  freshet_kafka_client_close(&client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  return status;
}

freshet_status freshet_kafka_layout_read(const freshet_kafka_config* config, freshet_layout* layout,
                                         freshet_error* error) {
  int32_t partitions;
  return read_layout(config, layout, &partitions, error);
}

freshet_status freshet_kafka_layout_check(const freshet_kafka_config* config, freshet_layout* layout,
                                          freshet_error* error) {
  int32_t partitions;
  freshet_status status = read_layout(config, layout, &partitions, error);
  bool fits = layout->partitions == 0 || partitions == 0 || layout->partitions == partitions;
  if (status != FRESHET_OK || fits) return status;
  return freshet_kafka_layout_refuse(config, layout, partitions, error);
}

freshet_status freshet_kafka_layout_refuse(const freshet_kafka_config* config, const freshet_layout* layout,
                                           int32_t partitions, freshet_error* error) {
  const char* name = config->topics[FRESHET_TOPIC_EVENTS];
  if (partitions < layout->partitions) {
    return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                             "topic %s has %d partitions, but the state of %s is divided into %d: the topic "
                             "was made again; `freshet offsets --start-over` forgets the state",
                             name, (int)partitions, config->app_id, (int)layout->partitions);
  }
  return freshet_error_set(error, FRESHET_CONFLICT, FRESHET_STOP,
                           "topic %s has %d partitions, but the state of %s is divided into %d: stop all "
                           "processes, then `freshet topics grow --partitions %d` (a dry run without "
                           "--execute) moves the users",
                           name, (int)partitions, config->app_id, (int)layout->partitions, (int)partitions);
}

freshet_status freshet_kafka_layout_judge(const freshet_kafka_config* config,
                                          const rd_kafka_topic_partition_list_t* assigned,
                                          freshet_error* error) {
  if (config->layout == NULL || config->layout->partitions == 0) return FRESHET_OK;
  for (int i = 0; i < assigned->cnt; i++) {
    const rd_kafka_topic_partition_t* p = &assigned->elems[i];
    if (p->partition >= config->layout->partitions &&
        freshet_kafka_config_topic(config, p->topic) == FRESHET_TOPIC_EVENTS)
      return freshet_kafka_layout_refuse(config, config->layout, p->partition + 1, error);
  }
  return FRESHET_OK;
}
