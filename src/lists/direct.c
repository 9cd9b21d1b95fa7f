/*
 * direct.c: see direct.h. Each asker takes a seat, which has the scratch for some lists. It must not wait: without a
 * free seat the questions are the worker's.
 */
#include "lists/direct.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lists/drafts.h"

enum {
  SEATS = 8,
  ITEMS_MAX = 131072, /* listed: a list takes about a ms then, and the worker may have to wait so long */
  ITEMS_AT_A_TIME = 262144, /* ranked in one call: for the same reason */
};

typedef struct seat {
  bool is_taken;
  freshet_drafts* drafts; /* NULL: not used yet */
  freshet_ranking_scratch* scratch;
  /* Of the questions that are being answered. */
  freshet_inbox_entry entries[FRESHET_READ_MAX];
  freshet_pending_request pending[FRESHET_READ_MAX];
  freshet_draft begun[FRESHET_READ_MAX];
  freshet_ranking_task tasks[FRESHET_READ_MAX];
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

/* ---- answers ---- */

size_t freshet_direct_most(const freshet_direct* direct) {
  const size_t listed = freshet_listing_count(freshet_items_listing(direct->lists.items));
  const size_t most = ITEMS_AT_A_TIME / (listed + 1);
  return most < 1 ? 1 : most > FRESHET_READ_MAX ? FRESHET_READ_MAX : most;
}

static bool only_reads(const freshet_question* question) {
  return question->kind == FRESHET_ASK_RECOMMEND && !question->titles && question->request.context.size == 0;
}

/* Begins answer number *drafts of this seat. False: the worker has to answer. After an error too: it meets it again,
 * and stops. */
static bool begin(const freshet_direct* direct, seat* own, const freshet_question* question, size_t drafts,
                  size_t* tasks) {
  freshet_clock* clock = direct->lists.ports->clock;
  freshet_error error = {0};
  own->entries[drafts] = (freshet_inbox_entry){.question = *question};
  own->pending[drafts] =
      (freshet_pending_request){.entry = &own->entries[drafts], .asked_ms = freshet_clock_now_ms(clock)};
  freshet_draft* draft = &own->begun[drafts];
  *draft = (freshet_draft){.pending = &own->pending[drafts], .answer = freshet_answer_create()};
  if (freshet_draft_prepare(own->drafts, draft, NULL, &own->tasks[*tasks], &error) != FRESHET_OK ||
      draft->needs_worker) {
    freshet_answer_destroy(draft->answer);
    return false;
  }
  *tasks += draft->task != NULL;
  return true;
}

/* False: as above, of all. */
static bool make_lists(const freshet_direct* direct, seat* own, size_t tasks) {
  freshet_error error = {0};
  if (tasks == 0 ||
      freshet_ranking_some(direct->lists.ranking, own->scratch, own->tasks, tasks, &error) == FRESHET_OK)
    return true;
  freshet_ranking_scratch_destroy(own->scratch);
  own->scratch = freshet_ranking_scratch_create(direct->lists.ranking);
  return false;
}

/* Returns how many were answered. */
static size_t answer_some(const freshet_direct* direct, seat* own, freshet_question* const* questions,
                          size_t count, freshet_answer** answers) {
  size_t places[FRESHET_READ_MAX], drafts = 0, tasks = 0;
  freshet_drafts_reset(own->drafts);
  for (size_t i = 0; i < count; i++) {
    places[drafts] = i;
    drafts += only_reads(questions[i]) && begin(direct, own, questions[i], drafts, &tasks);
  }
  const bool are_made = make_lists(direct, own, tasks);
  for (size_t d = 0; d < drafts; d++) {
    if (!are_made) {
      freshet_answer_destroy(own->begun[d].answer);
      continue;
    }
    freshet_draft_finish(own->drafts, &own->begun[d]);
    answers[places[d]] = own->begun[d].answer;
  }
  return are_made ? drafts : 0;
}

void freshet_direct_answer(void* context, freshet_question* const* questions, size_t count,
                           freshet_answer** answers) {
  freshet_direct* direct = context;
  freshet_clock* clock = direct->lists.ports->clock;
  const int64_t came_us = freshet_clock_monotonic_us(clock);
  atomic_store_explicit(&direct->asked_us, came_us, memory_order_relaxed);
  for (size_t i = 0; i < count; i++) answers[i] = NULL;
  seat* own = take_seat(direct);
  if (own == NULL) return;
  const size_t answered = answer_some(direct, own, questions, count, answers);
  leave_seat(direct, own);
  freshet_worker_metrics* metrics = direct->lists.ports->metrics;
  const int64_t took_us = freshet_clock_monotonic_us(clock) - came_us;
  for (size_t i = 0; i < answered; i++) freshet_histogram_observe(&metrics->question_to_answer, took_us);
  freshet_count(&metrics->answers, answered);
  freshet_count(&metrics->answers_direct, answered);
}
