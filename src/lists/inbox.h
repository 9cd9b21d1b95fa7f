/*
 * inbox.h: questions to the worker from other threads, and what it answers.
 *
 * A question waits in a bounded queue until the worker's next turn, which `put` brings about. It is answered there,
 * from the same state and by the same code as a record on `requests`. Nothing is lost silently: every question that
 * was taken is answered exactly once, at the latest when the inbox is shut.
 *
 * Most questions only read. While the worker waits, it shares its state: then they are answered at once, on the thread
 * that asks if the worker invites it, else on a thread of the inbox. Questions that come while the worker works wait for
 * the next moment of sharing, and a thread of the inbox answers them. Readers answer some questions at a time, and the
 * worker waits for those that they have begun.
 *
 * It owns questions until they are taken, and the thread. It knows nothing of HTTP, nor of how an answer is made.
 *
 * Thread rule: answer and put from any thread; the rest is the worker's.
 */
#ifndef FRESHET_LISTS_INBOX_H
#define FRESHET_LISTS_INBOX_H

#include <stdbool.h>

#include "catalogue/listing.h"
#include "codec/arena.h"
#include "freshet/event.h"
#include "freshet/model.h"
#include "freshet/status.h"

typedef enum freshet_question_kind {
  FRESHET_ASK_RECOMMEND = 0, /* a list, as request.kind says */
  FRESHET_ASK_USER,          /* what is known about request.user_id */
  FRESHET_ASK_ITEM,          /* what is known about request.context_items[0] */
  FRESHET_ASK_WEIGHTS,       /* what the model has learned to weigh */
  FRESHET_ASK_ERASE,         /* forget request.user_id */
} freshet_question_kind;

typedef enum freshet_answer_status {
  FRESHET_ANSWER_OK = 0,
  FRESHET_ANSWER_ELSEWHERE,   /* another instance holds `partition` of the user: ask there */
  FRESHET_ANSWER_NOT_FOUND,   /* nothing is known about the user, the item or all items of a SIMILAR list */
  FRESHET_ANSWER_INVALID,     /* the question cannot be answered; the message says why */
  FRESHET_ANSWER_UNAVAILABLE, /* not now: starting, restoring, stopping or overloaded */
} freshet_answer_status;

/* An interaction of a user, newest first in the answer. */
typedef struct freshet_known_interaction {
  freshet_slice item_id; /* empty when only its key is known: the item was never announced here */
  freshet_slice title;
  float weight;
  int64_t time_ms;
} freshet_known_interaction;

typedef struct freshet_known_user {
  int64_t events; /* learned from, ever */
  uint32_t positives;
  uint32_t seen;                           /* items that are not recommended any more */
  int64_t newest_offset;                   /* in `events`, of the newest: the version of the next list */
  int64_t newest_time_ms;                  /* its event time */
  int64_t listed_offset;                   /* version of the last list; -1: none */
  const freshet_known_interaction* recent; /* [recent_count] */
  size_t recent_count;
} freshet_known_user;

typedef struct freshet_known_item {
  freshet_item record; /* as announced; text and vector are left out. Empty but for the id: no record */
  freshet_listing_state state;            /* listed, or why not */
  int64_t gone_ms;                        /* since when it is not listed; 0: it is */
  double chosen;                          /* how often, weighted by event type */
  float popularity[FRESHET_POPULARITIES]; /* see freshet_model_item_popularity */
  size_t text_size;                       /* bytes of title and text */
  bool has_vector;                        /* it has a text vector, and so neighbours by text */
} freshet_known_item;

/* Everything it points at lies in its arena. */
typedef struct freshet_answer {
  freshet_answer_status status;
  char message[FRESHET_ERROR_MESSAGE_SIZE]; /* unless OK: why */
  int32_t partition;                        /* of `events`, that the user belongs to; -1: of no user */
  freshet_list list;                        /* RECOMMEND */
  const freshet_slice* titles;   /* [list.item_count] if the question asked for titles, else NULL */
  freshet_slice note;            /* what the asker should know, such as why the list is empty; else empty */
  freshet_known_user user;       /* USER */
  freshet_known_item item;       /* ITEM */
  const freshet_weight* weights; /* [weight_count] WEIGHTS */
  size_t weight_count;
  freshet_arena arena;
} freshet_answer;

/* From any thread. */
void freshet_answer_destroy(freshet_answer* answer);

typedef struct freshet_question {
  freshet_question_kind kind;
  freshet_request request; /* copied by put */
  bool titles;             /* with the items' titles, which costs a read for each */
  bool is_last; /* all other instances were asked before: a user who is not known here is nowhere */
  bool reads;   /* freshet_inbox_answer has not said that it needs the worker */
  /* Called once, on the worker's thread, the inbox's, or the one that shuts the inbox. Owns the answer. Must hand over
   * and return. */
  void (*answered)(void* context, freshet_answer* answer);
  void* context;
} freshet_question;

typedef struct freshet_inbox freshet_inbox;

/* Shut: it takes nothing before a worker has opened it. capacity: of questions without an answer, those that the
 * worker has taken included. */
freshet_inbox* freshet_inbox_create(size_t capacity);
/* Takes nothing while a question that nobody has taken yet has waited so long: whoever came now would wait longer.
 * 0, the preset: no bound. Before any other thread knows the inbox. */
void freshet_inbox_bound_wait(freshet_inbox* inbox, int64_t most_us);
/* No other thread may put any more, and every entry is freed. */
void freshet_inbox_destroy(freshet_inbox* inbox);

/* Fills answers[0 .. count), made by the calling thread. They are the caller's, and question->answered is not called.
 * NULL: the question is to be put; its `reads` says how. */
void freshet_inbox_answer(freshet_inbox* inbox, freshet_question* const* questions, size_t count,
                          freshet_answer** answers);

/* False: it is full, questions wait too long, or it is shut: there is no worker, or one that is not ready yet.
 * `answered` is not called then. */
bool freshet_inbox_put(freshet_inbox* inbox, const freshet_question* question);

/* As the worker has said last; false before that. From any thread. */
bool freshet_inbox_is_busy(const freshet_inbox* inbox);

/* ---- for the worker ---- */

enum { FRESHET_READ_MAX = 16 }; /* questions that a reader answers at a time */
/* Fills answers[0 .. count) from the shared state, on the thread of an asker; NULL: that question needs the worker.
 * Several may run at once. */
typedef void (*freshet_inbox_reader)(void* context, freshet_question* const* questions, size_t count,
                                     freshet_answer** answers);
/* The state may be read from now on. most: questions of one call of the reader, 1 .. FRESHET_READ_MAX. invites: by the
 * threads that ask too. Otherwise by the inbox's thread alone, which has the worker's priority: the worker would wait
 * for an asker that is not scheduled. */
void freshet_inbox_share(freshet_inbox* inbox, freshet_inbox_reader reader, void* context, size_t most,
                         bool invites);
/* Records come to the worker: askers leave it the cores. */
void freshet_inbox_set_busy(freshet_inbox* inbox, bool is_busy);
/* Nobody reads any more when this returns. */
void freshet_inbox_unshare(freshet_inbox* inbox);

/* wake: called by put, from its thread, when the queue was empty: the worker is to look. */
void freshet_inbox_open(freshet_inbox* inbox, void (*wake)(void* context), void* context);
/* Answers what waits as UNAVAILABLE. After this returns `wake` is not called any more. */
void freshet_inbox_shut(freshet_inbox* inbox);

/* A question with memory of its own. */
typedef struct freshet_inbox_entry {
  struct freshet_inbox_entry* next;
  freshet_inbox* inbox; /* that counts it until it is freed; NULL: none */
  int64_t put_us;       /* into the inbox, on the monotonic clock */
  freshet_question question;
} freshet_inbox_entry;

/* All that waits for the worker, linked by `next`; NULL: nothing. Each is to be answered and freed. shares: the worker
 * is going to share its state before it waits, so questions that only read are left out, unless several moments of
 * sharing were too short for them. */
freshet_inbox_entry* freshet_inbox_take(freshet_inbox* inbox, bool shares);
/* Answers with this status and message, and frees the entry. */
void freshet_inbox_entry_refuse(freshet_inbox_entry* entry, freshet_answer_status status,
                                const char* message);
/* Copies a question into one block of memory. */
freshet_inbox_entry* freshet_inbox_entry_create(const freshet_question* question);
void freshet_inbox_entry_free(freshet_inbox_entry* entry);
/* As freshet_inbox_put, from any thread. True: the entry is the inbox's now. */
bool freshet_inbox_put_entry(freshet_inbox* inbox, freshet_inbox_entry* entry);

/* An empty answer, OK, to be filled. */
freshet_answer* freshet_answer_create(void);
/* message: copied; why there is no other answer. */
void freshet_answer_refuse(freshet_answer* answer, freshet_answer_status status, const char* message);
/* A copy of the text in the answer's arena. */
freshet_slice freshet_answer_copy(freshet_answer* answer, freshet_slice text);

#endif
