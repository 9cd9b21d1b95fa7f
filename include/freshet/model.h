/*
 * model.h: the recommender: what is known about items and users, and how an event changes it.
 *
 * The recipe (state, context, score, learning step) is the one of README, "The model". The model is pure: no
 * I/O, no clock, no threads; time and seeds come in as data. Every random choice depends on the configured
 * seed, the model's own event count and ids, never on how events were cut into batches or commits. With plain
 * loops, -ffp-contract=off and no libm, the same observations in the same order give the same bits on every
 * x86-64.
 *
 * Items are addressed by `slot`, a small integer that is stable for the life of a model: an item that is
 * withdrawn keeps its slot, since users' histories point at it. Slots differ between processes; keys
 * (freshet_id_key) do not.
 *
 * Sharing item knowledge between workers. Additive parts (factors, biases, accumulators, blend weights) are
 * kept on a grid of exact multiples of a power of two, so that adding is exact, associative and commutative:
 * it makes no difference in which order deltas are folded or where commits cut. The rest (counts, popularity,
 * co-occurrence) is a function of the `trace`, the sequence (item, context items) of the events. A delta is
 * both parts since the last take; folding it into another model applies the sum and replays the trace.
 *
 * Thread rule: one thread for everything that takes a non-const model; the const calls may run in parallel
 * with each other.
 */
#ifndef FRESHET_MODEL_H
#define FRESHET_MODEL_H

#include "freshet/bytes.h"
#include "freshet/event.h"
#include "freshet/ranker.h"
#include "freshet/status.h"

enum {
  FRESHET_HISTORY = 20,        /* recent items of a user that make its context */
  FRESHET_NO_ITEM = 0xffffffff /* not a slot */
};

/* What the texts of a user's last items add to the user while there are few events: nothing, the mean of the
 * items' text vectors, or the vector of their texts together, which freshet_user_set_text brings. In the
 * space of factors, and in rankings only: learning does not see it. */
typedef enum freshet_user_text_use {
  FRESHET_USER_TEXT_OFF = 0,
  FRESHET_USER_TEXT_POOLED,
  FRESHET_USER_TEXT_ENCODED
} freshet_user_text_use;

typedef struct freshet_model_config {
  uint32_t dim;        /* d, a multiple of 16; default 64 */
  uint32_t neighbours; /* M, co-occurrence entries per item; default 128 */
  uint32_t negatives;  /* per event; default 50 */
  uint32_t text_dim;   /* of the text vectors that will be set; 0: no text */
  uint32_t max_items;  /* bound on slots */
  uint32_t seen_limit; /* seen items kept per user, the most recent */
  uint64_t seed;
  bool learning; /* false: history, counts and seen advance, nothing is learned */
  freshet_user_text_use user_texts;
  bool links_apart; /* true: neighbours by text are found in freshet_model_link_texts only; else all that are
                       missing whenever something is learned, ranked or asked */
} freshet_model_config;

/* The defaults of every field. */
freshet_model_config freshet_model_defaults(void);

typedef struct freshet_model freshet_model;

freshet_status freshet_model_create(const freshet_model_config* config, freshet_model** model,
                                    freshet_error* error);
void freshet_model_destroy(freshet_model* model);
const freshet_model_config* freshet_model_get_config(const freshet_model* model);
/* Bytes held now: for the memory budget and its metric. */
size_t freshet_model_memory(const freshet_model* model);

/* ---- items ---- */

/* The slot of an id, made when new. Errors: FRESHET_CONFLICT when another id has the same key,
 * FRESHET_NO_MEMORY at max_items. */
freshet_status freshet_model_intern(freshet_model* model, freshet_slice id, uint32_t* slot,
                                    freshet_error* error);
/* The same by key, for state read before its item is announced; the id is filled in by a later intern. */
freshet_status freshet_model_intern_key(freshet_model* model, uint64_t key, uint32_t* slot,
                                        freshet_error* error);
/* FRESHET_NO_ITEM when unknown. */
uint32_t freshet_model_find(const freshet_model* model, freshet_slice id);
uint32_t freshet_model_find_key(const freshet_model* model, uint64_t key);
size_t freshet_model_item_count(const freshet_model* model); /* slots in use: 0 .. count-1 */
freshet_slice freshet_model_item_id(const freshet_model* model,
                                    uint32_t slot); /* empty while only the key is known */
uint64_t freshet_model_item_key(const freshet_model* model, uint32_t slot);
/* Only listed items are ranked: announced, available and not expired. Default: not listed. */
void freshet_model_set_listed(freshet_model* model, uint32_t slot, bool listed);
bool freshet_model_is_listed(const freshet_model* model, uint32_t slot);
/* What is added to the item's score for every user, such as rules ask for; finite, may be negative. Default
 * 0. */
void freshet_model_set_adjustment(freshet_model* model, uint32_t slot, float adjustment);
/* Sets or replaces the item's text vector [text_dim] (copied; need not be normalised), NULL removes it. The
 * learned part of the factors is kept; the part that comes from text, its start, is exchanged for `start`
 * [dim] (copied, values within +-FRESHET_START_MAX), or for a fixed projection of the vector when that is
 * NULL. Errors: FRESHET_INVALID for values that are not finite or out of bounds. */
enum { FRESHET_START_MAX = 4 };
freshet_status freshet_model_set_text(freshet_model* model, uint32_t slot, const float* vector,
                                      const float* start, freshet_error* error);
/* The item's start [dim]; NULL while it has no text. Points into the model until its next non-const call. */
const float* freshet_model_start(const freshet_model* model, uint32_t slot);
/* The item's factors v [dim], start and all, if it has been chosen before; NULL: they are nothing but start.
 * Points into the model until its next non-const call. */
const float* freshet_model_learned_factors(const freshet_model* model, uint32_t slot);

enum { FRESHET_TEXT_NEIGHBOURS = 20 };
/* The items with the most similar texts, in no particular order. Returns how many. */
size_t freshet_model_text_neighbours(freshet_model* model, uint32_t slot,
                                     uint32_t near[FRESHET_TEXT_NEIGHBOURS]);

/* Finds neighbours of texts that have come: compares about `pairs` (at least one piece of work, a few
 * thousand) of texts, SIZE_MAX: all there are to compare. Meanwhile lists hold the nearest among the texts
 * that are done; new ones come before old ones. Returns freshet_model_unlinked. */
size_t freshet_model_link_texts(freshet_model* model, size_t pairs);
/* Texts whose neighbours are yet to be found, and lists that miss one since its text has changed. */
size_t freshet_model_unlinked(const freshet_model* model);

/* Appends the item's neighbours by text as a row. False: they are not found yet, or it has no text. Rows that
 * are to be read together have to be written together, with nothing changed in between. */
bool freshet_model_write_links(const freshet_model* model, uint32_t slot, freshet_buffer* out);
/* Takes a row of earlier if the item has the same text vector, and nothing has been compared yet; after the
 * last row of all, freshet_model_keep_links makes them lists. Others are to be found as ever. */
void freshet_model_read_links(freshet_model* model, uint32_t slot, freshet_slice row);
void freshet_model_keep_links(freshet_model* model);

/* The cosine of two items' text vectors; 0 where one has none. */
float freshet_model_text_likeness(const freshet_model* model, uint32_t a, uint32_t b);
/* How often the item has been chosen, weighted by event type: how much is known about it. */
float freshet_model_item_weight(const freshet_model* model, uint32_t slot);

/* ---- users ---- */

typedef struct freshet_interaction {
  uint32_t item;   /* slot */
  float weight;    /* of its event type */
  int64_t time_ms; /* event time */
} freshet_interaction;

/* What is known about one user. Owned by the caller; fields are public so that it can be stored. */
typedef struct freshet_user {
  uint32_t positives;                          /* positive observations learned */
  float accumulator;                           /* Adagrad, for the vector */
  uint32_t recent_count;                       /* <= FRESHET_HISTORY */
  freshet_interaction recent[FRESHET_HISTORY]; /* newest first */
  uint32_t seen_count;
  uint32_t seen_capacity;
  uint32_t* seen;    /* [seen_count] slots, oldest first, no duplicates, at most seen_limit */
  uint8_t* seen_how; /* [seen_count] the greatest freshet_event_type that each was seen by */
  float* vector;     /* [dim] p_u, starts at 0 */
  float* text;       /* [dim] the text of its last items in the space of factors; NULL: unknown. Not state:
                        it follows from the history */
} freshet_user;

freshet_user* freshet_user_create(const freshet_model* model);
void freshet_user_destroy(freshet_user* user);
/* Appends to the seen set (moves to the newest place when already there; drops the oldest at the limit). */
void freshet_user_mark_seen(freshet_user* user, uint32_t slot, uint32_t seen_limit);
/* From so many positive observations on, the text of a user's history counts for nothing. */
enum { FRESHET_USER_TEXT_EVENTS = 10 };
/* Would the vector of the text of its history change the user's lists? */
bool freshet_user_wants_text(const freshet_model* model, const freshet_user* user);
/* The text of the user's history: vector [text_dim] by the encoder of the model's vectors, or start [dim],
 * the text in the space of factors, which goes before. One of them may be NULL; both are copied. One with
 * values that are not finite is ignored. */
void freshet_user_set_text(freshet_user* user, const freshet_model* model, const float* vector,
                           const float* start);
/* By what: a greater type than before is kept. Does nothing for an item that is not in the seen set. */
void freshet_user_mark_how(freshet_user* user, uint32_t slot, freshet_event_type how);

/* ---- learning ---- */

typedef struct freshet_observation {
  uint32_t item;   /* slot */
  bool positive;   /* false: a low rating, context and seen only */
  float weight;    /* > 0: model.weight.click|rating|purchase, after dwell and quantity */
  int64_t time_ms; /* event time */
} freshet_observation;

/* Learns from one event and then appends it to the user's history. Errors: FRESHET_INVALID when the update
 * would not be finite: then nothing has changed but history and counts. */
freshet_status freshet_model_learn(freshet_model* model, freshet_user* user,
                                   const freshet_observation* observation, freshet_error* error);
/* Events learned, all workers': the model's own time. */
uint64_t freshet_model_events(const freshet_model* model);

/* ---- ranking ---- */

/* Columns of an item's row in the ranker: the dense part of the score is query . row + bias. */
uint32_t freshet_model_row_dim(const freshet_model* model);
/* Brings the ranker up to date with everything that changed since the last call (rows, listing, popularity);
 * NULL: only what freshet_model_score_all and freshet_model_explain read.
 * The ranker must have been made with dim = freshet_model_row_dim and be used with this model only. */
freshet_status freshet_model_sync_ranker(freshet_model* model, freshet_ranker* ranker, freshet_error* error);

/* Scratch for one query; one for each thread that prepares. */
typedef struct freshet_model_scratch freshet_model_scratch;
freshet_model_scratch* freshet_model_scratch_create(const freshet_model* model);
void freshet_model_scratch_destroy(freshet_model_scratch* scratch);

/* Fills *query for the user at time now_ms: dense vector, bonus and excluded (seen) items. Pointers lead into
 * the scratch and the user and hold until the scratch is used again. k and allowed are the caller's to set.
 */
void freshet_model_query(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                         freshet_model_scratch* scratch, freshet_rank_query* query);

/* A text that a list should suit. It counts like an item with this text that the user has chosen a moment
 * ago, `weight` times: in the dense vector by its start, and by a bonus on the FRESHET_TEXT_MATCHES items
 * whose texts are most like it. One at a time; belongs to one thread, but queries may read it from several.
 */
enum { FRESHET_TEXT_MATCHES = 256 };
typedef struct freshet_wanted_text freshet_wanted_text;
freshet_wanted_text* freshet_wanted_text_create(const freshet_model* model);
void freshet_wanted_text_destroy(freshet_wanted_text* text);
/* vector [text_dim]: of the text, by the encoder of the model's vectors; NULL: only the start is known. start
 * [dim]: the text in the space of factors; NULL: the projection of the vector. Matches are listed items that
 * are allowed (a bitmap by slot, NULL: all are). Looks at all text vectors. Errors: FRESHET_INVALID for
 * values that are not finite. */
freshet_status freshet_wanted_text_set(freshet_wanted_text* text, const freshet_model* model,
                                       const float* vector, const float* start, float weight,
                                       const uint64_t* allowed, size_t allowed_slots, freshet_error* error);

/* freshet_model_query for a user who looks for a text, NULL: for none. */
void freshet_model_query_text(const freshet_model* model, const freshet_user* user,
                              const freshet_wanted_text* text, int64_t now_ms, freshet_model_scratch* scratch,
                              freshet_rank_query* query);

/* Scores of all slots for a query, into scores [item_count], listed or not: for evaluation, where the place
 * of one item among all is asked. The same as the ranker's but for rounding. */
void freshet_model_score_all(const freshet_model* model, const freshet_rank_query* query, float* scores);
/* The same of one item. */
float freshet_model_score(const freshet_model* model, const freshet_rank_query* query, uint32_t slot);

typedef struct freshet_part {
  freshet_reason_kind kind;
  uint32_t item; /* slot of the recent item it comes from, or FRESHET_NO_ITEM */
  float score;
} freshet_part;

enum { FRESHET_PARTS_MAX = 5 + 3 * FRESHET_HISTORY };

/* The parts of the score of `slot` for the user, the largest first; they sum to the score. Returns how many.
 */
size_t freshet_model_explain(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                             uint32_t slot, freshet_model_scratch* scratch,
                             freshet_part parts[FRESHET_PARTS_MAX]);

/* The same for a query with a text. */
size_t freshet_model_explain_text(const freshet_model* model, const freshet_user* user,
                                  const freshet_wanted_text* text, int64_t now_ms, uint32_t slot,
                                  freshet_model_scratch* scratch, freshet_part parts[FRESHET_PARTS_MAX]);

/* The same for the query that was made last with this scratch, which need not be made out again. */
size_t freshet_model_explain_query(const freshet_model* model, const freshet_wanted_text* text, uint32_t slot,
                                   const freshet_model_scratch* scratch,
                                   freshet_part parts[FRESHET_PARTS_MAX]);

/* ---- the delta log ---- */

/* One commit's worth of learning. All integers and floats little-endian; the layouts are documented in
 * model_delta.c. */
typedef struct freshet_model_delta {
  uint64_t events;       /* in the trace */
  freshet_slice items;   /* u64 keys [n]: the dictionary for values and trace */
  freshet_slice values;  /* what each item's additive part has gained, [n][row width] */
  freshet_slice trace;   /* the sequence of (item, context), as indices into items */
  freshet_slice globals; /* what the blend weights have gained */
} freshet_model_delta;

/* What has been learned here since the last take. The slices point into the model and hold until its next
 * non-const call. An empty delta has events == 0 and items.size == 0. */
void freshet_model_take_delta(freshet_model* model, freshet_model_delta* delta);
/* About how many bytes the next delta will have; cheap. */
size_t freshet_model_delta_size(const freshet_model* model);
/* Folds another worker's delta, or an own one from before a restart. `offset` is its place in the log: items
 * whose state was stored at a later one skip it. Errors: FRESHET_INVALID for malformed bytes (nothing is
 * changed then). */
freshet_status freshet_model_fold(freshet_model* model, const freshet_model_delta* delta, int64_t offset,
                                  freshet_error* error);

/* The learned state of one item as bytes (without id, text and listing), appended to *out. `folded_to`: the
 * offset in the delta log up to which (exclusive) it is folded. Only meaningful when nothing own is unfolded.
 */
void freshet_model_write_item(const freshet_model* model, uint32_t slot, int64_t folded_to,
                              freshet_buffer* out);
freshet_status freshet_model_read_item(freshet_model* model, uint32_t slot, freshet_slice bytes,
                                       freshet_error* error);
/* The same for what belongs to no single item: blend weights, event count, popularity time, recent events. */
void freshet_model_write_globals(const freshet_model* model, int64_t folded_to, freshet_buffer* out);
freshet_status freshet_model_read_globals(freshet_model* model, freshet_slice bytes, freshet_error* error);

/* Slots whose learned state changed since the last drain, in slot order; *slots points into the model until
 * its next non-const call. Returns their number. */
size_t freshet_model_drain_changed(freshet_model* model, const uint32_t** slots);

/* A hash of everything learned (items in key order, globals): equal on every machine that learned the same.
 */
uint64_t freshet_model_hash(const freshet_model* model);

#endif
