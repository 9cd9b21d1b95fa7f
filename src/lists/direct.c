/*
 * direct.c: see direct.h. Each asker takes a seat, which has the scratch for one list. It must not wait: without a free
 * seat the question is the worker's.
 */
#include "lists/direct.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lists/drafts.h"

enum {
  SEATS = 8,
  ITEMS_MAX = 131072, /* listed: a list takes about a ms then, and the worker may have to wait so long */
};

typedef struct seat {
  bool is_taken;
  freshet_drafts* drafts; /* NULL: not used yet */
  freshet_ranking_scratch* scratch;
} seat;

struct freshet_direct {
  freshet_lists lists;
  int32_t user_partitions;
  _Atomic int64_t asked_us;
  pthread_mutex_t lock; /* guards seat.is_taken */
  seat seats[SEATS];
};

freshet_direct* freshet_direct_create(const freshet_lists* lists, int32_t user_partitions) {
  freshet_direct* direct = calloc(1, sizeof *direct);
  FRESHET_ASSERT(direct != NULL);
  direct->lists = *lists;
  direct->user_partitions = user_partitions;
  pthread_mutex_init(&direct->lock, NULL);
  return direct;
}

void freshet_direct_destroy(freshet_direct* direct) {
  if (direct == NULL) return;
  for (size_t i = 0; i < SEATS; i++) {
    freshet_drafts_destroy(direct->seats[i].drafts);
    freshet_ranking_scratch_destroy(direct->seats[i].scratch);
  }
  pthread_mutex_destroy(&direct->lock);
  free(direct);
}

bool freshet_direct_can_serve(const freshet_direct* direct) {
  return freshet_listing_count(freshet_items_listing(direct->lists.items)) <= ITEMS_MAX;
}

int64_t freshet_direct_asked_us(const freshet_direct* direct) {
  return atomic_load_explicit(&direct->asked_us, memory_order_relaxed);
}

/* ---- seats ---- */

static seat* take_seat(freshet_direct* direct) {
  seat* taken = NULL;
  pthread_mutex_lock(&direct->lock);
  for (size_t i = 0; i < SEATS && taken == NULL; i++) {
    if (!direct->seats[i].is_taken) taken = &direct->seats[i];
  }
  if (taken != NULL) taken->is_taken = true;
  pthread_mutex_unlock(&direct->lock);
  if (taken != NULL && taken->drafts == NULL) {
    taken->drafts = freshet_drafts_create(&direct->lists, direct->user_partitions, true);
    taken->scratch = freshet_ranking_scratch_create(direct->lists.ranking);
  }
  return taken;
}

static void leave_seat(freshet_direct* direct, seat* left) {
  pthread_mutex_lock(&direct->lock);
  left->is_taken = false;
  pthread_mutex_unlock(&direct->lock);
}

/* ---- an answer ---- */

/* False: the worker has to answer. After an error too: it meets it again, and stops. */
static bool fill(const freshet_direct* direct, seat* own, freshet_draft* draft) {
  freshet_ranking_task task;
  freshet_error error = {0};
  freshet_drafts_reset(own->drafts);
  if (freshet_draft_prepare(own->drafts, draft, NULL, &task, &error) != FRESHET_OK || draft->needs_worker)
    return false;
  if (draft->task != NULL &&
      freshet_ranking_one(direct->lists.ranking, own->scratch, draft->task, &error) != FRESHET_OK) {
    freshet_ranking_scratch_destroy(own->scratch);
    own->scratch = freshet_ranking_scratch_create(direct->lists.ranking);
    return false;
  }
  freshet_draft_finish(own->drafts, draft);
  return true;
}

freshet_answer* freshet_direct_answer(void* context, const freshet_question* question) {
  freshet_direct* direct = context;
  freshet_clock* clock = direct->lists.ports->clock;
  const int64_t came_us = freshet_clock_monotonic_us(clock);
  atomic_store_explicit(&direct->asked_us, came_us, memory_order_relaxed);
  if (question->kind != FRESHET_ASK_RECOMMEND || question->titles || question->request.context.size > 0)
    return NULL;
  seat* own = take_seat(direct);
  if (own == NULL) return NULL;
  freshet_inbox_entry entry = {.question = *question};
  freshet_pending_request pending = {
      .entry = &entry, .asked_ms = freshet_clock_now_ms(clock), .came_us = came_us};
  freshet_draft draft = {.pending = &pending, .answer = freshet_answer_create()};
  const bool is_answered = fill(direct, own, &draft);
  leave_seat(direct, own);
  if (!is_answered) {
    freshet_answer_destroy(draft.answer);
    return NULL;
  }
  freshet_worker_metrics* metrics = direct->lists.ports->metrics;
  freshet_histogram_observe(&metrics->question_to_answer, freshet_clock_monotonic_us(clock) - came_us);
  freshet_count(&metrics->answers, 1);
  freshet_count(&metrics->answers_direct, 1);
  return draft.answer;
}
