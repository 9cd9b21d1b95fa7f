/*
 * ranking.h: from users to lists: query, rank, select, explain. The one place where lists are made, for publishing
 * and for answers.
 *
 * It owns the threads and their scratch. It does not know why a list is made, nor where it goes.
 *
 * Thread rule: the worker's, but for freshet_ranking_some; the work runs on the ranking threads, and the worker waits
 * for it.
 */
#ifndef FRESHET_LISTS_RANKING_H
#define FRESHET_LISTS_RANKING_H

#include "catalogue/items.h"
#include "core/select.h"

/* The parts of a score. */
typedef struct freshet_parts {
  size_t count;
  freshet_part parts[FRESHET_PARTS_MAX];
} freshet_parts;

/* A list that is wanted, and where it goes. Nothing is owned; what is zero was not asked for. */
typedef struct freshet_ranking_task {
  freshet_request_kind kind;
  const freshet_user* user; /* whose seen items are hidden, and for whom a PERSONAL list is */
  uint64_t owner;           /* freshet_owner_key of the user: own items are not shown; 0: nobody */
  const uint32_t* like;     /* [like_count] slots, of a SIMILAR list */
  size_t like_count;
  const uint32_t* bonus_items; /* [bonus_count] slots, of a NEWEST list: */
  const float* bonus;          /* [bonus_count] their scores, without rules; >= 0 */
  size_t bonus_count;
  int64_t time_ms; /* as of when */
  uint32_t k;      /* 1 .. FRESHET_RANK_K_MAX */
  const freshet_wanted_text* text;
  const uint64_t* allowed; /* bitmap by slot; NULL: all listed items are */
  size_t allowed_slots;
  const uint32_t* excluded; /* [excluded_count] slots, beside those that the user has seen */
  size_t excluded_count;
  float diversity;
  float exploration;
  uint32_t* pool; /* [pool_count] slots that exploration may show: listed, allowed, not excluded; reordered */
  size_t pool_count;
  uint64_t seed;        /* of exploration */
  freshet_pick* picks;  /* [k] out */
  size_t count;         /* out: of picks */
  freshet_parts* parts; /* [k] out: why, for each; NULL: nobody asked */
} freshet_ranking_task;

typedef struct freshet_ranking freshet_ranking;

/* threads >= 1: the caller's is one of them. most >= threads: so many make lists that may wait. */
freshet_ranking* freshet_ranking_create(freshet_items* items, uint32_t threads, uint32_t most,
                                        freshet_error* error);
void freshet_ranking_destroy(freshet_ranking* ranking);
/* Those that make lists which may not wait. */
unsigned freshet_ranking_threads(const freshet_ranking* ranking);

/* Makes the lists, from the items as they are now. may_wait: throughput counts, and it does not matter when another thread
 * is late. The lists are the same either way. Errors have verdict FRESHET_STOP. */
freshet_status freshet_ranking_run(freshet_ranking* ranking, freshet_ranking_task* tasks, size_t count,
                                   bool may_wait, freshet_error* error);
/* The ranker takes over what has been learned since the last call, as freshet_ranking_run does too. */
freshet_status freshet_ranking_sync(freshet_ranking* ranking, freshet_error* error);

enum { FRESHET_RANKING_SOME = 16 };
/* What a thread outside needs to make up to FRESHET_RANKING_SOME lists at a time. */
typedef struct freshet_ranking_scratch freshet_ranking_scratch;
freshet_ranking_scratch* freshet_ranking_scratch_create(const freshet_ranking* ranking);
void freshet_ranking_scratch_destroy(freshet_ranking_scratch* scratch); /* NULL is allowed */
/* Makes the lists on the calling thread, from the items as of the last freshet_ranking_sync: together they cost less
 * than one by one, and are the same. From any thread, while nobody changes items and users. count: at most
 * FRESHET_RANKING_SOME. After an error the scratch must not be used again. */
freshet_status freshet_ranking_some(const freshet_ranking* ranking, freshet_ranking_scratch* scratch,
                                    freshet_ranking_task* tasks, size_t count, freshet_error* error);

#endif
