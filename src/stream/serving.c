/*
 * serving.c: which app generation publishes for a partition: applies the facts of their topic, and makes the
 * next ones. It owns the facts as last read. It must not know lists.
 */
#include "stream/serving.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* By freshet_serving_key; a slash is followed by a name or number. */
static const char* const key_heads[] = {"known/", "serving", "released/", "taken/", "requests/"};
enum { KEYS = sizeof key_heads / sizeof key_heads[0] };

void freshet_serving_reset(freshet_serving* serving) {
  free(serving->partitions);
  free(serving->known);
  *serving = (freshet_serving){.own = serving->own, .base = serving->base};
}

/* ---- reading ---- */

static bool copy_name(char out[FRESHET_APP_GENERATION_NAME_SIZE], freshet_slice name) {
  if (name.size == 0 || name.size >= FRESHET_APP_GENERATION_NAME_SIZE) return false;
  memcpy(out, name.data, name.size);
  out[name.size] = '\0';
  return true;
}

static freshet_serving_partition* partition_of(freshet_serving* serving, int64_t partition) {
  int32_t count = (int32_t)partition + 1;
  if (count > serving->count) {
    serving->partitions = realloc(serving->partitions, (size_t)count * sizeof *serving->partitions);
    FRESHET_ASSERT(serving->partitions != NULL);
    for (int32_t p = serving->count; p < count; p++) serving->partitions[p] = (freshet_serving_partition){0};
    serving->count = count;
  }
  return &serving->partitions[partition];
}

static void forget_known(freshet_serving* serving, freshet_slice name) {
  for (size_t i = 0; i < serving->known_count; i++) {
    if (!freshet_slice_equal(freshet_slice_of(serving->known[i]), name)) continue;
    size_t left = --serving->known_count - i;
    memmove(serving->known[i], serving->known[i + 1], left * sizeof serving->known[0]);
    return;
  }
}

static bool add_known(freshet_serving* serving, freshet_slice name) {
  forget_known(serving, name);
  serving->known = realloc(serving->known, (serving->known_count + 1) * sizeof serving->known[0]);
  FRESHET_ASSERT(serving->known != NULL);
  return copy_name(serving->known[serving->known_count++], name);
}

static bool take_fact(freshet_serving* serving, freshet_serving_key kind,
                      const freshet_app_generation_fact* fact) {
  bool is_of_partition =
      kind == FRESHET_SERVING_RELEASED || kind == FRESHET_SERVING_TAKEN || kind == FRESHET_SERVING_REQUESTS;
  if (is_of_partition && (fact->partition < 0 || fact->partition >= INT_MAX)) return false;
  switch (kind) {
    case FRESHET_SERVING_KNOWN:
      return add_known(serving, fact->generation);
    case FRESHET_SERVING_SWITCH:
      serving->number = fact->number;
      serving->at_ms = fact->at_ms;
      return copy_name(serving->generation, fact->generation) && copy_name(serving->previous, fact->previous);
    case FRESHET_SERVING_RELEASED: {
      freshet_serving_partition* p = partition_of(serving, fact->partition);
      /* Of a worker that was paused, and has not heard of later switches yet. */
      p->is_hidden = fact->number < p->released;
      if (p->is_hidden) return true;
      p->released = fact->number;
      p->offset = fact->offset;
      p->learned = fact->learned;
      return true;
    }
    case FRESHET_SERVING_REQUESTS: {
      freshet_serving_partition* p = partition_of(serving, fact->partition);
      if (fact->number < p->requests_number) return true;
      p->requests_number = fact->number;
      p->requests = fact->offset;
      return true;
    }
    case FRESHET_SERVING_TAKEN: {
      freshet_serving_partition* p = partition_of(serving, fact->partition);
      p->taken = fact->number;
      p->taken_by = freshet_id_key(fact->generation);
      return true;
    }
  }
  return false;
}

freshet_status freshet_serving_apply(freshet_serving* serving, freshet_codec* codec,
                                     const freshet_record* record, freshet_error* error) {
  int kind = 0;
  size_t head = 0;
  for (; kind < KEYS; kind++) {
    head = strlen(key_heads[kind]);
    if (record->key.size >= head && memcmp(record->key.data, key_heads[kind], head) == 0) break;
  }
  if (kind == KEYS) return FRESHET_OK;
  if (!record->has_value) {
    freshet_slice name = {record->key.data + head, record->key.size - head};
    if (kind == FRESHET_SERVING_KNOWN) forget_known(serving, name);
    return FRESHET_OK;
  }
  freshet_app_generation_fact fact;
  freshet_error cause = {0};
  freshet_status status = freshet_decode_app_generation_fact(codec, record->value, &fact, &cause);
  if (status == FRESHET_OK && take_fact(serving, (freshet_serving_key)kind, &fact)) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "generations: the record '%.*s' at offset %lld cannot be read: %s",
                           (int)record->key.size, record->key.data, (long long)record->offset,
                           status == FRESHET_OK ? "a name or partition makes no sense" : cause.message);
}

/* ---- what follows ---- */

const char* freshet_serving_generation(const freshet_serving* serving) {
  return serving->number == 0 ? serving->base : serving->generation;
}

freshet_serving_partition freshet_serving_of(const freshet_serving* serving, int32_t partition) {
  return partition < serving->count ? serving->partitions[partition] : (freshet_serving_partition){0};
}

static bool is_own(const freshet_serving* serving, const char* generation) {
  return strcmp(serving->own, generation) == 0;
}

bool freshet_serving_is_own(const freshet_serving* serving) {
  return serving->own == NULL || is_own(serving, freshet_serving_generation(serving));
}

/* Before a switch is carried out, who served before it goes on until it has let go; if it ever began. */
bool freshet_serving_publishes(const freshet_serving* serving, int32_t partition) {
  if (serving->own == NULL) return true;
  freshet_serving_partition p = freshet_serving_of(serving, partition);
  if (is_own(serving, freshet_serving_generation(serving))) return p.taken == serving->number;
  return freshet_serving_must_release(serving, partition) && p.taken == serving->number - 1;
}

bool freshet_serving_must_release(const freshet_serving* serving, int32_t partition) {
  if (serving->own == NULL || serving->number == 0 || !is_own(serving, serving->previous)) return false;
  return freshet_serving_of(serving, partition).released < serving->number;
}

bool freshet_serving_is_hidden(const freshet_serving* serving, int32_t partition) {
  if (serving->own == NULL || serving->number == 0 || !is_own(serving, serving->previous)) return false;
  freshet_serving_partition p = freshet_serving_of(serving, partition);
  return p.is_hidden && p.released == serving->number;
}

bool freshet_serving_may_take(const freshet_serving* serving, int32_t partition, int64_t next) {
  if (serving->own == NULL || serving->number == 0 || !is_own(serving, serving->generation)) return false;
  freshet_serving_partition p = freshet_serving_of(serving, partition);
  return p.released == serving->number && p.taken < serving->number && next >= p.offset;
}

/* ---- writing ---- */

freshet_app_generation_fact freshet_serving_switch(const freshet_serving* serving, const char* generation) {
  return (freshet_app_generation_fact){.generation = freshet_slice_of(generation),
                                       .number = serving->number + 1,
                                       .previous = freshet_slice_of(freshet_serving_generation(serving)),
                                       .partition = -1,
                                       .offset = -1,
                                       .learned = -1};
}

freshet_app_generation_fact freshet_serving_release(const freshet_serving* serving, const char* generation,
                                                    int32_t partition, int64_t offset, int64_t learned) {
  freshet_serving_partition before = freshet_serving_of(serving, partition);
  bool has_served = before.taken == serving->number - 1;
  if (!has_served) learned = before.learned;
  if (!has_served && offset < before.offset) offset = before.offset;
  return (freshet_app_generation_fact){.generation = freshet_slice_of(generation),
                                       .number = serving->number,
                                       .partition = partition,
                                       .offset = offset,
                                       .learned = learned};
}

freshet_app_generation_fact freshet_serving_release_again(freshet_serving* serving, int32_t partition) {
  freshet_serving_partition* p = partition_of(serving, partition);
  p->is_hidden = false;
  return (freshet_app_generation_fact){.generation = freshet_slice_of(serving->own),
                                       .number = p->released,
                                       .partition = partition,
                                       .offset = p->offset,
                                       .learned = p->learned};
}

freshet_app_generation_fact freshet_serving_answered_again(const freshet_serving* serving,
                                                           int32_t partition) {
  freshet_serving_partition p = freshet_serving_of(serving, partition);
  return (freshet_app_generation_fact){.generation = freshet_slice_of(serving->own),
                                       .number = p.requests_number,
                                       .partition = partition,
                                       .offset = p.requests,
                                       .learned = -1};
}

bool freshet_serving_answered(const freshet_serving* serving, const char* generation, int32_t partition,
                              int64_t answered, freshet_app_generation_fact* fact) {
  freshet_serving_partition before = freshet_serving_of(serving, partition);
  const uint64_t server =
      before.taken == 0 ? freshet_id_key(freshet_slice_of(serving->base)) : before.taken_by;
  bool has_let_go = before.requests_number > before.taken;
  if (!has_let_go && server != freshet_id_key(freshet_slice_of(generation))) return false;
  *fact = (freshet_app_generation_fact){.generation = freshet_slice_of(generation),
                                        .number = serving->number,
                                        .partition = partition,
                                        .offset = has_let_go ? before.requests : answered,
                                        .learned = -1};
  return true;
}

void freshet_serving_note_answered(freshet_serving* serving, const freshet_app_generation_fact* fact) {
  FRESHET_ASSERT(take_fact(serving, FRESHET_SERVING_REQUESTS, fact));
}

int64_t freshet_serving_next_request(const freshet_serving* serving, int32_t partition) {
  freshet_serving_partition p = freshet_serving_of(serving, partition);
  /* A fact of an earlier switch counts too: its writer may not have heard of the newest one yet. */
  return serving->number > 0 && p.requests_number > p.taken ? p.requests : -1;
}

freshet_app_generation_fact freshet_serving_take(const freshet_serving* serving, int32_t partition) {
  return (freshet_app_generation_fact){.generation = freshet_slice_of(serving->own),
                                       .number = serving->number,
                                       .partition = partition,
                                       .offset = -1,
                                       .learned = -1};
}

freshet_status freshet_serving_record(freshet_codec* codec, freshet_serving_key kind,
                                      const freshet_app_generation_fact* fact, bool remove,
                                      char key[FRESHET_SERVING_KEY_SIZE], freshet_buffer* bytes,
                                      freshet_output* output, freshet_error* error) {
  int size = snprintf(key, FRESHET_SERVING_KEY_SIZE, "%s", key_heads[kind]);
  char* rest = key + size;
  size_t room = FRESHET_SERVING_KEY_SIZE - (size_t)size;
  if (kind == FRESHET_SERVING_KNOWN) {
    size += snprintf(rest, room, "%.*s", (int)fact->generation.size, fact->generation.data);
  } else if (kind != FRESHET_SERVING_SWITCH) {
    size += snprintf(rest, room, "%lld", (long long)fact->partition);
  }
  FRESHET_ASSERT(size < FRESHET_SERVING_KEY_SIZE);
  bytes->size = 0;
  freshet_status status = freshet_encode_app_generation_fact(codec, fact, bytes, error);
  *output = (freshet_output){.topic = FRESHET_TOPIC_APP_GENERATIONS,
                             .partition = 0,
                             .key = {key, (size_t)size},
                             .has_value = !remove,
                             .value = freshet_buffer_slice(bytes)};
  return status;
}
