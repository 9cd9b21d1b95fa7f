/*
 * members.c: see members.h. It asks with rd_kafka_list_groups, which speaks the oldest version of the request: the name
 * of a static member is read from its id.
 */
#include "kafka/members.h"

#include <string.h>

#include "kafka/questions.h"

enum { UUID_LENGTH = 36 };

freshet_slice freshet_kafka_member_name(const char* member_id, const char* client_id) {
  size_t length = strlen(member_id);
  if (length <= UUID_LENGTH + 1 || member_id[length - UUID_LENGTH - 1] != '-') return (freshet_slice){0};
  length -= UUID_LENGTH + 1;
  bool is_dynamic = strlen(client_id) == length && memcmp(member_id, client_id, length) == 0;
  return is_dynamic ? (freshet_slice){0} : (freshet_slice){.data = member_id, .size = length};
}

static freshet_slice uuid_of(const char* member_id) {
  size_t length = strlen(member_id);
  return length < UUID_LENGTH ? (freshet_slice){0} : freshet_slice_of(member_id + length - UUID_LENGTH);
}

/* ---- ConsumerProtocolAssignment: version, topics [name, partitions], user data; big-endian ---- */

typedef struct cursor {
  const uint8_t* at;
  size_t left;
} cursor;

static const uint8_t* take(cursor* c, size_t size) {
  if (c->left < size) {
    c->left = 0;
    return NULL;
  }
  const uint8_t* taken = c->at;
  c->at += size;
  c->left -= size;
  return taken;
}

/* Of 2 or 4 bytes; -1 when there are no more. */
static int32_t take_number(cursor* c, size_t size) {
  const uint8_t* bytes = take(c, size);
  uint32_t number = 0;
  for (size_t i = 0; bytes != NULL && i < size; i++) number = number << 8 | bytes[i];
  return bytes == NULL ? -1 : (int32_t)number;
}

void freshet_kafka_member_partitions(freshet_slice assignment, const char* topic,
                                     void (*seen)(void* context, int32_t partition), void* context) {
  cursor c = {.at = (const uint8_t*)assignment.data, .left = assignment.size};
  take_number(&c, 2);
  for (int32_t topics = take_number(&c, 4); topics > 0 && c.left > 0; topics--) {
    int32_t length = take_number(&c, 2);
    const uint8_t* name = length < 0 ? NULL : take(&c, (size_t)length);
    bool is_asked =
        name != NULL && strlen(topic) == (size_t)length && memcmp(name, topic, (size_t)length) == 0;
    for (int32_t count = take_number(&c, 4); count > 0 && c.left > 0; count--) {
      int32_t partition = take_number(&c, 4);
      if (is_asked && partition >= 0) seen(context, partition);
    }
  }
}

/* ---- questions ---- */

rd_kafka_resp_err_t freshet_kafka_client_describe(
    const freshet_kafka_client* client, const char* group, int timeout_ms,
    void (*seen)(void* context, const freshet_kafka_member* member), void* context) {
  const struct rd_kafka_group_list* list = NULL;
  rd_kafka_resp_err_t code = rd_kafka_list_groups(client->handle, group, &list, timeout_ms);
  /* Partial: not all brokers have answered. The coordinator has, when the group is in the list. */
  if (code == RD_KAFKA_RESP_ERR__PARTIAL) code = RD_KAFKA_RESP_ERR_NO_ERROR;
  const struct rd_kafka_group_info* found = NULL;
  for (int i = 0; list != NULL && i < list->group_cnt; i++) {
    if (strcmp(list->groups[i].group, group) == 0) found = &list->groups[i];
  }
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR && found != NULL) code = found->err;
  for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && found != NULL && i < found->member_cnt; i++) {
    const struct rd_kafka_group_member_info* info = &found->members[i];
    freshet_kafka_member member = {
        .client_id = info->client_id,
        .name = freshet_kafka_member_name(info->member_id, info->client_id),
        .uuid = uuid_of(info->member_id),
        .assignment = {.data = info->member_assignment, .size = (size_t)info->member_assignment_size}};
    seen(context, &member);
  }
  if (list != NULL) rd_kafka_group_list_destroy(list);
  return code;
}

static void count_member(void* context, const freshet_kafka_member* member) {
  (void)member;
  ++*(size_t*)context;
}

freshet_status freshet_kafka_client_members(freshet_kafka_client* client, const char* group, size_t* members,
                                            freshet_error* error) {
  freshet_kafka_wait wait = freshet_kafka_wait_for(client, "the members of the consumer group");
  for (;;) {
    *members = 0;
    rd_kafka_resp_err_t code =
        freshet_kafka_client_describe(client, group, wait.ask_ms, count_member, members);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return FRESHET_OK;
    freshet_status status = freshet_kafka_wait_again(&wait, code, error);
    if (status != FRESHET_OK) return status;
  }
}
