/*
 * erasures.c: erases users on request of another thread: writes the tombstone to `events` and answers when
 * it was applied and committed. It owns the questions that wait. The erasure itself is that of any
 * tombstone.
 */
#include "worker/erasures.h"

#include <stdlib.h>

#include "users/user_id.h"

/* If the cluster is away for longer, the question is refused, although the tombstone may still come. */
enum { PATIENCE_MS = 30000 };

typedef enum progress { SENT = 0, APPLIED, COMMITTING } progress;

typedef struct erasure {
  struct erasure* next;
  freshet_inbox_entry* entry;
  int32_t partition;
  int64_t deadline_ms;
  progress progress;
  bool known;
} erasure;

struct freshet_erasures {
  const freshet_ports* ports;
  const freshet_held* held;
  const freshet_derived* derived;
  erasure* first;
};

freshet_erasures* freshet_erasures_create(const freshet_ports* ports, const freshet_held* held) {
  freshet_erasures* erasures = calloc(1, sizeof *erasures);
  FRESHET_ASSERT(erasures != NULL);
  erasures->ports = ports;
  erasures->held = held;
  return erasures;
}

void freshet_erasures_connect(freshet_erasures* erasures, const freshet_derived* derived) {
  erasures->derived = derived;
}

static void refuse(erasure* e, const char* message) {
  freshet_inbox_entry_refuse(e->entry, FRESHET_ANSWER_UNAVAILABLE, message);
  free(e);
}

void freshet_erasures_destroy(freshet_erasures* erasures) {
  if (erasures == NULL) return;
  for (erasure *e = erasures->first, *next; e != NULL; e = next) {
    next = e->next;
    refuse(e, "the service is stopping; the erasure is in the log and will be carried out");
  }
  free(erasures);
}

static void refuse_elsewhere(freshet_inbox_entry* entry, int32_t partition) {
  freshet_answer* answer = freshet_answer_create();
  freshet_answer_refuse(
      answer, FRESHET_ANSWER_ELSEWHERE,
      partition < 0 ? "another instance may know this user" : "another instance holds this user's partition");
  answer->partition = partition;
  entry->question.answered(entry->question.context, answer);
  freshet_inbox_entry_free(entry);
}

/* *partition: where the user lives; -1: not here, and the entry was answered. */
static freshet_status find_home(const freshet_erasures* erasures, freshet_inbox_entry* entry,
                                int32_t* partition, freshet_error* error) {
  const freshet_homes homes = freshet_derived_homes(erasures->derived);
  freshet_status status = freshet_homes_find(&homes, entry->question.request.user_id, partition, error);
  if (status != FRESHET_OK) {
    freshet_inbox_entry_refuse(entry, FRESHET_ANSWER_UNAVAILABLE, "the service is failing");
    *partition = -1;
    return status;
  }
  bool is_here =
      *partition >= 0 && freshet_held_find(erasures->held, FRESHET_TOPIC_EVENTS, *partition) != NULL;
  if (is_here) return FRESHET_OK;
  if (*partition < 0 && (entry->question.is_last || freshet_homes_are_all_held(&homes))) {
    freshet_inbox_entry_refuse(entry, FRESHET_ANSWER_NOT_FOUND, "nothing was known about this user");
  } else {
    refuse_elsewhere(entry, *partition);
  }
  *partition = -1;
  return FRESHET_OK;
}

freshet_status freshet_erasures_ask(void* context, freshet_inbox_entry* entry, freshet_error* error) {
  freshet_erasures* erasures = context;
  const freshet_ports* ports = erasures->ports;
  freshet_slice user_id = entry->question.request.user_id;
  if (!freshet_is_user_id(user_id)) {
    freshet_inbox_entry_refuse(entry, FRESHET_ANSWER_INVALID, "that is not a user id");
    return FRESHET_OK;
  }
  int32_t partition;
  freshet_status status = find_home(erasures, entry, &partition, error);
  if (status != FRESHET_OK || partition < 0) return status;
  freshet_output tombstone = {.topic = FRESHET_TOPIC_EVENTS, .partition = partition, .key = user_id};
  status = freshet_outbox_add(ports->outbox, &tombstone, FRESHET_NOW, error);
  if (status != FRESHET_OK) {
    freshet_inbox_entry_refuse(entry, FRESHET_ANSWER_UNAVAILABLE, "the service is failing");
    return status;
  }
  erasure* e = calloc(1, sizeof *e);
  FRESHET_ASSERT(e != NULL);
  *e = (erasure){.next = erasures->first,
                 .entry = entry,
                 .partition = partition,
                 .deadline_ms = freshet_clock_monotonic_ms(ports->clock) + PATIENCE_MS};
  erasures->first = e;
  return FRESHET_OK;
}

void freshet_erasures_applied(freshet_erasures* erasures, int32_t partition, freshet_slice user_id,
                              bool known) {
  for (erasure* e = erasures->first; e != NULL; e = e->next) {
    if (e->progress != SENT || e->partition != partition ||
        !freshet_slice_equal(e->entry->question.request.user_id, user_id))
      continue;
    e->progress = APPLIED;
    e->known = known;
  }
}

bool freshet_erasures_due(const freshet_erasures* erasures) {
  for (const erasure* e = erasures->first; e != NULL; e = e->next) {
    if (e->progress == APPLIED) return true;
  }
  return false;
}

static void move(freshet_erasures* erasures, progress from, progress to) {
  for (erasure* e = erasures->first; e != NULL; e = e->next) {
    if (e->progress == from) e->progress = to;
  }
}

void freshet_erasures_start_commit(freshet_erasures* erasures) {
  move(erasures, APPLIED, COMMITTING);
}

void freshet_erasures_roll_back(freshet_erasures* erasures) {
  move(erasures, APPLIED, SENT);
  move(erasures, COMMITTING, SENT);
}

static void answer(erasure* e) {
  freshet_answer* made = freshet_answer_create();
  static const char unknown[] = "nothing was known about this user";
  made->partition = e->partition;
  if (!e->known) {
    made->status = FRESHET_ANSWER_NOT_FOUND;
    memcpy(made->message, unknown, sizeof unknown);
  }
  e->entry->question.answered(e->entry->question.context, made);
  freshet_inbox_entry_free(e->entry);
  free(e);
}

void freshet_erasures_end_commit(freshet_erasures* erasures) {
  for (erasure** link = &erasures->first; *link != NULL;) {
    erasure* e = *link;
    if (e->progress != COMMITTING) {
      link = &e->next;
      continue;
    }
    *link = e->next;
    answer(e);
  }
}

void freshet_erasures_release(freshet_erasures* erasures, int32_t partition) {
  for (erasure** link = &erasures->first; *link != NULL;) {
    erasure* e = *link;
    if (e->partition != partition) {
      link = &e->next;
      continue;
    }
    *link = e->next;
    refuse(e, "the user's partition went to another instance, which carries the erasure out");
  }
}

void freshet_erasures_turn(freshet_erasures* erasures, int64_t now_ms) {
  for (erasure** link = &erasures->first; *link != NULL;) {
    erasure* e = *link;
    if (now_ms < e->deadline_ms || e->progress == COMMITTING) {
      link = &e->next;
      continue;
    }
    *link = e->next;
    refuse(e, "the erasure was not confirmed in time; it may still be carried out: ask again");
  }
}
