/*
 * owed.c: see owed.h. One linked list for each reason, in order of arrival, and one for OUTDATED users that are not
 * marked yet.
 */
#include "lists/owed.h"

#include <stdlib.h>
#include <string.h>

typedef struct owed_entry {
  struct owed_entry* next;
  bool awaits_commit; /* served when more commits than after_commit have ended */
  uint64_t after_commit;
  freshet_owed_user user;
  char id[];
} owed_entry;

typedef struct fifo {
  owed_entry *first, *last;
  size_t count;
} fifo;

struct freshet_owed {
  fifo queues[FRESHET_OWED_REASONS];
  fifo unmarked; /* OUTDATED */
  const freshet_outbox* outbox;
};

static owed_entry* pop(fifo* queue) {
  owed_entry* entry = queue->first;
  FRESHET_ASSERT(entry != NULL && queue->count > 0);
  queue->first = entry->next;
  if (queue->first == NULL) queue->last = NULL;
  queue->count--;
  FRESHET_ASSERT((queue->count == 0) == (queue->first == NULL));
  return entry;
}

static void push(fifo* queue, owed_entry* entry) {
  entry->next = NULL;
  *(queue->last == NULL ? &queue->first : &queue->last->next) = entry;
  queue->last = entry;
  queue->count++;
  FRESHET_ASSERT((queue->count == 1) == (queue->first == queue->last));
}

static void forget(fifo* queue, int32_t partition) {
  fifo kept = {0};
  while (queue->first != NULL) {
    owed_entry* entry = pop(queue);
    if (partition == -1 || entry->user.partition == partition) {
      free(entry);
    } else {
      push(&kept, entry);
    }
  }
  *queue = kept;
}

freshet_owed* freshet_owed_create(const freshet_outbox* outbox) {
  freshet_owed* owed = calloc(1, sizeof *owed);
  FRESHET_ASSERT(owed != NULL);
  owed->outbox = outbox;
  return owed;
}

void freshet_owed_destroy(freshet_owed* owed) {
  if (owed == NULL) return;
  for (int reason = 0; reason < FRESHET_OWED_REASONS; reason++) freshet_owed_forget(owed, reason, -1);
  free(owed);
}

/* What has changed by now is part of the next commit that starts. */
static void await_commit(const freshet_owed* owed, owed_entry* entry) {
  entry->awaits_commit = true;
  entry->after_commit = freshet_outbox_commits_started(owed->outbox);
}

static bool has_committed(const freshet_owed* owed, const owed_entry* entry) {
  return !entry->awaits_commit || entry->after_commit < freshet_outbox_commits_ended(owed->outbox);
}

void freshet_owed_add(freshet_owed* owed, freshet_owed_reason reason, int32_t partition,
                      freshet_slice user_id, int64_t since_ms) {
  owed_entry* entry = malloc(sizeof *entry + user_id.size);
  FRESHET_ASSERT(entry != NULL);
  *entry = (owed_entry){.user = {partition, {entry->id, user_id.size}, since_ms}};
  memcpy(entry->id, user_id.data, user_id.size);
  if (reason == FRESHET_OWED_WITHDRAWN) await_commit(owed, entry);
  push(reason == FRESHET_OWED_OUTDATED ? &owed->unmarked : &owed->queues[reason], entry);
}

const freshet_owed_user* freshet_owed_first(const freshet_owed* owed, freshet_owed_reason reason) {
  const owed_entry* first = owed->queues[reason].first;
  return first != NULL && has_committed(owed, first) ? &first->user : NULL;
}

void freshet_owed_drop_first(freshet_owed* owed, freshet_owed_reason reason) {
  free(pop(&owed->queues[reason]));
}

const freshet_owed_user* freshet_owed_first_unmarked(const freshet_owed* owed) {
  return owed->unmarked.first == NULL ? NULL : &owed->unmarked.first->user;
}

void freshet_owed_mark(freshet_owed* owed, bool is_owed, int64_t since_ms) {
  owed_entry* entry = pop(&owed->unmarked);
  if (!is_owed) {
    free(entry);
    return;
  }
  entry->user.since_ms = since_ms;
  await_commit(owed, entry);
  push(&owed->queues[FRESHET_OWED_OUTDATED], entry);
}

size_t freshet_owed_count(const freshet_owed* owed, freshet_owed_reason reason) {
  return owed->queues[reason].count + (reason == FRESHET_OWED_OUTDATED ? owed->unmarked.count : 0);
}

bool freshet_owed_is_clear(const freshet_owed* owed) {
  for (int reason = 0; reason < FRESHET_OWED_REASONS; reason++)
    if (owed->queues[reason].count > 0) return false;
  return true;
}

bool freshet_owed_needs_commit(const freshet_owed* owed) {
  const owed_entry* newest = owed->queues[FRESHET_OWED_WITHDRAWN].last;
  return newest != NULL && newest->after_commit == freshet_outbox_commits_started(owed->outbox);
}

void freshet_owed_forget(freshet_owed* owed, freshet_owed_reason reason, int32_t partition) {
  forget(&owed->queues[reason], partition);
  if (reason == FRESHET_OWED_OUTDATED) forget(&owed->unmarked, partition);
}
