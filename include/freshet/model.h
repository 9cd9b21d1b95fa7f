/*
 * model.h: the recommender: what is known about items and users, and how an event changes it.
 *
 * The formulas are in src/core/README.md. The model is pure: no input or output, no clock, no threads. Times
 * and seeds come in as data. Every random choice depends on the configured seed, the model's own event count
 * and ids, and never on how events were cut into batches or commits. With plain loops, -ffp-contract=off and
 * no libm, the same observations in the same order give the same bits on every x86-64.
 *
 * Items are addressed by `slot`, a small integer that is stable for the life of a model. Slots differ between
 * processes; keys (freshet_id_key) do not. An item gives its slot back when its learned state is parked
 * (freshet_model_set_parked) and the model is made again. A slot that is passed to a function must be in use (below
 * freshet_model_item_count); otherwise the process aborts.
 *
 * Sharing item knowledge between workers. Additive parts (factors, biases, accumulators, blend weights) are
 * kept on a grid of exact multiples of a power of two. So adding is exact, associative and commutative, and
 * neither the order in which deltas are folded nor the places where commits cut make a difference. The other
 * parts (counts, popularity, neighbours) are a function of the `trace`, the sequence of (item, context items)
 * of the events. A delta is both since the last freshet_model_take_delta. To fold it into another model is to
 * apply the sum and to replay the trace.
 *
 * Memory: functions of the model abort when memory is out; the bounds in the configuration limit what they
 * need.
 *
 * Thread rule: only one thread may call functions that take a non-const model, and no other call may run at
 * the same time. Calls that take a const model may run in parallel with each other.
 */
#ifndef FRESHET_MODEL_H
#define FRESHET_MODEL_H

#include "freshet/bytes.h"
#include "freshet/event.h"
#include "freshet/ranker.h"
#include "freshet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FRESHET_HISTORY = 20 }; /* recent items of a user that make its context */

enum { FRESHET_ITEMS_MAX = 1 << 26 }; /* slots that a model may have */

/* Not a slot. */
#define FRESHET_NO_ITEM UINT32_MAX

/* What the texts of a user's last items add to the factors of a user with few events. It counts in rankings
 * only: learning does not see it. */
typedef enum freshet_user_text_use {
  FRESHET_USER_TEXT_OFF = 0, /* nothing */
  FRESHET_USER_TEXT_POOLED,  /* the mean of the text vectors of the items */
  FRESHET_USER_TEXT_ENCODED  /* the vector of their texts together, which freshet_user_set_text brings */
} freshet_user_text_use;

typedef struct freshet_model_config {
  uint32_t dim;        /* d, a multiple of 16, 16 .. 1,024; default 64 */
  uint32_t neighbours; /* M, most co-occurrence entries per item, 1 .. 4,096; default 128 */
  uint32_t negatives;  /* per event, 1 .. 250; default 31 */
  uint32_t text_dim;   /* of the text vectors that will be set, at most 4,096; 0: no text */
  uint32_t max_items;  /* from here on new ids are refused, 1 .. 2^26; state that is read may bring more */
  uint32_t seen_limit; /* seen items kept per user, the most recent ones, 1 .. 2^26 */
  uint64_t seed;       /* of all random choices */
  bool learning;       /* false: history, counts and seen advance, nothing is learned */
  freshet_user_text_use user_texts;
  /* true: only freshet_model_link_texts finds neighbours by text. false: every call that learns, ranks or
   * reads neighbours first finds all that are missing. */
  bool links_apart;
} freshet_model_config;

/* The default of every field. */
freshet_model_config freshet_model_defaults(void);

typedef struct freshet_model freshet_model;

/* Creates an empty model; the caller destroys it. *config is copied. *model is NULL after an error. Errors:
 * FRESHET_INVALID for a setting out of range; the message names it and its bounds. */
freshet_status freshet_model_create(const freshet_model_config* config, freshet_model** model,
                                    freshet_error* error);
/* NULL is allowed. Users that were made for the model are not destroyed with it. */
void freshet_model_destroy(freshet_model* model);
/* The configuration, valid as long as the model. */
const freshet_model_config* freshet_model_get_config(const freshet_model* model);
/* Bytes held now. */
size_t freshet_model_memory(const freshet_model* model);

/* ---- items ---- */

/* Writes the slot of an id to *slot; a new id gets a new slot. The id is copied. Errors: FRESHET_CONFLICT
 * (verdict FRESHET_DEAD_LETTER) when another id has the same key, FRESHET_NO_MEMORY (verdict FRESHET_STOP) when
 * there are max_items already. */
freshet_status freshet_model_intern(freshet_model* model, freshet_slice id, uint32_t* slot,
                                    freshet_error* error);
/* As freshet_model_intern, with another bound than max_items: for a caller that knows which items will be parked. */
freshet_status freshet_model_intern_within(freshet_model* model, freshet_slice id, uint32_t most,
                                           uint32_t* slot, freshet_error* error);
/* As freshet_model_intern, by key: for state that is read before its item is announced. A later
 * freshet_model_intern fills in the id. Another model has admitted the item, so max_items does not count here: models
 * that read the same state know the same items, whatever their limits are. The bound is 2^26. */
freshet_status freshet_model_intern_key(freshet_model* model, uint64_t key, uint32_t* slot,
                                        freshet_error* error);

/* Items whose learned state is kept outside of the model, to save memory. Such a state is fetched when the item gets a
 * slot. Until then no list of neighbours names the item: freshet_model_read_item leaves it out. */
typedef struct freshet_model_parked {
  void* context;
  /* Is the learned state of the key kept outside? */
  bool (*holds)(void* context, uint64_t key);
  /* Appends it, as freshet_model_write_item wrote it. False: it cannot be had, and the caller knows of the failure; the
   * item starts as if nothing had been learned. */
  bool (*fetch)(void* context, uint64_t key, freshet_buffer* out);
} freshet_model_parked;
/* Copied. For an empty model; the context outlives it. */
void freshet_model_set_parked(freshet_model* model, const freshet_model_parked* parked);
/* Is the item without a slot, and its state parked? */
bool freshet_model_is_parked(const freshet_model* model, uint64_t key);
/* Looks through what freshet_model_write_item wrote, before it is parked. *last_chosen: when the item was chosen for the
 * last time, in events of the model. Errors: those of freshet_model_read_item. */
freshet_status freshet_model_check_item(freshet_model* model, freshet_slice bytes, uint64_t* last_chosen,
                                        freshet_error* error);

/* The slot of an id; FRESHET_NO_ITEM when the id is unknown. */
uint32_t freshet_model_find(const freshet_model* model, freshet_slice id);
/* The slot of a key; FRESHET_NO_ITEM when the key is unknown. */
uint32_t freshet_model_find_key(const freshet_model* model, uint64_t key);
/* How many slots are in use: 0 .. count - 1. */
size_t freshet_model_item_count(const freshet_model* model);
/* The id, empty while only the key is known. Points into the model and is valid as long as it. */
freshet_slice freshet_model_item_id(const freshet_model* model, uint32_t slot);
/* The key: freshet_id_key of the id. */
uint64_t freshet_model_item_key(const freshet_model* model, uint32_t slot);
/* Only listed items are ranked. A new item is not listed. */
void freshet_model_set_listed(freshet_model* model, uint32_t slot, bool listed);
/* Whether the item is listed. */
bool freshet_model_is_listed(const freshet_model* model, uint32_t slot);
/* Sets what is added to the item's score for every user, such as rules ask for: finite, may be negative,
 * default 0. */
void freshet_model_set_adjustment(freshet_model* model, uint32_t slot, float adjustment);
enum { FRESHET_START_MAX = 4 };
/* Sets or replaces the item's text vector [text_dim]: copied, need not be normalised. NULL removes it. The
 * learned part of the factors is kept. The part that comes from the text, the start, is exchanged for `start`
 * [dim] (copied, values within +-FRESHET_START_MAX), or for a fixed projection of the vector when `start` is
 * NULL. Only for a model with text_dim > 0; `start` must be NULL when vector is. Errors: FRESHET_INVALID for
 * values that are not finite or out of bounds; nothing has changed then. */
freshet_status freshet_model_set_text(freshet_model* model, uint32_t slot, const float* vector,
                                      const float* start, freshet_error* error);
/* Has it a text with a word in it? Only then it has a start and neighbours by text. */
bool freshet_model_has_text(const freshet_model* model, uint32_t slot);
/* Copies the item's start to start [dim], which it returns; values are multiples of 2^-13. NULL while it has no text. */
const float* freshet_model_start(const freshet_model* model, uint32_t slot, float* start);
/* The item's factors v [dim], with its start, if it has been chosen before; NULL while nothing has been
 * learned about it. Points into the model, valid until its next non-const call. */
const float* freshet_model_learned_factors(const freshet_model* model, uint32_t slot);

enum { FRESHET_TEXT_NEIGHBOURS = 20 };
/* Writes the slots of the items with the most similar texts to near, in no particular order. Returns how many
 * they are: 0 for an item without a text. */
size_t freshet_model_text_neighbours(freshet_model* model, uint32_t slot,
                                     uint32_t near[FRESHET_TEXT_NEIGHBOURS]);

/* Finds the neighbours of new texts: compares about `pairs` pairs of texts, at least one piece of work of a
 * few thousand; SIZE_MAX compares all. Until the work is done, neighbours are the nearest among the texts that
 * were compared; new texts go before old ones. Returns freshet_model_unlinked. */
size_t freshet_model_link_texts(freshet_model* model, size_t pairs);
/* How many texts still have work: their neighbours are not found yet, or one of them has changed. */
size_t freshet_model_unlinked(const freshet_model* model);

/* Appends the item's neighbours by text to *out as a row (layout: src/core/model_links.c). False: they are not
 * found yet, or the item has no text. Rows that will be read together have to be written together, with no
 * change of the model in between. */
bool freshet_model_write_links(const freshet_model* model, uint32_t slot, freshet_buffer* out);
/* Takes a row that was written before. A row is ignored when the item has another text vector now, when its
 * neighbours are known already, or when it is malformed: they will be found by comparing. */
void freshet_model_read_links(freshet_model* model, uint32_t slot, freshet_slice row);
/* Ends the reading: makes neighbours of the rows that freshet_model_read_links took. */
void freshet_model_keep_links(freshet_model* model);

/* The cosine of the text vectors of two items; 0 when one of them has no text. */
float freshet_model_text_likeness(const freshet_model* model, uint32_t a, uint32_t b);
/* Do users of this stream choose items again? True when more than 1 % of the choices are repeats,
 * and these are more than 20. */
bool freshet_model_repeats(const freshet_model* model);
/* How often the item has been chosen, weighted by event type, >= 0: how much is known about it. */
float freshet_model_item_weight(const freshet_model* model, uint32_t slot);
enum { FRESHET_POPULARITIES = 3 };
/* How popular the item is now, as times the mean of all items: 1 is the mean, 0 an item that was never chosen. By
 * counts that halve every 300, 3,000 and 30,000 events. */
void freshet_model_item_popularity(const freshet_model* model, uint32_t slot,
                                   float times[FRESHET_POPULARITIES]);

/* ---- users ---- */

typedef struct freshet_interaction {
  uint32_t item;   /* slot */
  float weight;    /* of its event type; negative: disliked, by up to 1 */
  int64_t time_ms; /* event time */
  uint32_t signal; /* how it was chosen: freshet_signal_of; 0: not known */
} freshet_interaction;

/* Habits kept for a user: the most, and while nobody chooses anything again. */
enum { FRESHET_HABITS_MAX = 256, FRESHET_HABITS_FEW = 64, FRESHET_DAY_PARTS = 8 };

/* How a user chose one item. Fields are public so that they can be stored. */
typedef struct freshet_habit {
  uint32_t item;                  /* slot */
  uint32_t last_s;                /* the newest choice: seconds since the epoch */
  uint32_t first_visit;           /* the number of the user's visit with the first choice */
  uint32_t last_choice;           /* positive observations of the user before the newest choice */
  uint32_t before;                /* low half of the key of the item that came before it; 0: none */
  uint16_t count;                 /* choices; stays at the largest number */
  uint16_t span;                  /* mean time between two choices, as a code: model_habits.c */
  uint8_t gaps;                   /* how many times between two choices are in it */
  uint8_t day[FRESHET_DAY_PARTS]; /* choices by part of the day, halved from time to time */
} freshet_habit;

/* Items that a user was shown, kept for a user. */
enum { FRESHET_SHOWN_MAX = 128 };

/* An item that a user was shown and has not chosen. Fields are public so that they can be stored. */
typedef struct freshet_shown {
  uint32_t item;     /* slot */
  uint32_t shown_s;  /* the newest showing: seconds since the epoch */
  uint32_t choices;  /* positive observations of the user before it */
  uint8_t place;     /* of it, in groups: model_shown.c */
  float passes;      /* how often the item was passed over before it, by how far the place is looked at */
  uint32_t passed_s; /* the showing before it; 0: none */
} freshet_shown;

/* What is known about one user. Owned by the caller; fields are public so that they can be stored. */
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
  uint32_t visits;   /* a visit ends after 600 s without an event */
  uint32_t habit_count, habit_capacity;
  freshet_habit* habits; /* [habit_count] at most FRESHET_HABITS_MAX, each item once */
  uint32_t shown_count, shown_capacity;
  freshet_shown* shown; /* [shown_count] at most FRESHET_SHOWN_MAX, each item once */
  /* [dim] the text of the last items in the space of factors; NULL: unknown. It is not state: it follows from
   * the history. */
  float* text;
} freshet_user;

/* Makes a user without a history for a model of this dim; the caller destroys it. */
freshet_user* freshet_user_create(const freshet_model* model);
/* Adds a habit as it was stored; *habit is copied. Does nothing when the user has the most, or a habit of that
 * item. */
void freshet_user_restore_habit(freshet_user* user, const freshet_habit* habit);
/* Makes a habit of each item of the history: for a user whose habits were not stored. */
void freshet_user_habits_of_history(freshet_user* user);
/* False: a value is out of range, so it was not stored by a model. The slot is not looked at. */
bool freshet_shown_is_sane(const freshet_shown* shown);
/* Adds an item that was shown as it was stored; *shown is copied. Does nothing for a value out of range, and when the user
 * has the most, or this item. */
void freshet_user_restore_shown(freshet_user* user, const freshet_shown* shown);
/* NULL is allowed. */
void freshet_user_destroy(freshet_user* user);
/* Adds an item to the seen set as the newest; an item that is there already moves. At seen_limit items the
 * oldest leaves. freshet_model_learn calls it. */
void freshet_user_mark_seen(freshet_user* user, uint32_t slot, uint32_t seen_limit);
/* From this many positive observations on, the text of a user's history does not count. */
enum { FRESHET_USER_TEXT_EVENTS = 10 };
/* True when the vector of the text of its history would change the user's lists. */
bool freshet_user_wants_text(const freshet_model* model, const freshet_user* user);
/* Sets the text of the user's history: vector [text_dim], made by the encoder of the model's vectors, or
 * start [dim], the text in the space of factors. When both are given, start is used. Both are copied; one of
 * them may be NULL. Values that are not finite are ignored. */
void freshet_user_set_text(freshet_user* user, const freshet_model* model, const float* vector,
                           const float* start);
/* Notes by which type of event the user has seen the item; the greatest type is kept. Does nothing for an item
 * that is not in the seen set. */
void freshet_user_mark_how(freshet_user* user, uint32_t slot, freshet_event_type how);

/* ---- learning ---- */

typedef struct freshet_observation {
  uint32_t item; /* slot */
  bool positive; /* the user chose it; false: context and seen set only, and the dislike */
  float dislike; /* 0 .. 1: how much the user disliked it; only of what is not positive */
  float
      weight; /* > 0: of the event's type; with what the model has learned of `signal` 1 .. 256 sixteenths */
  int64_t time_ms; /* event time */
  uint32_t signal; /* how it was chosen: freshet_signal_of; 0: not known */
  bool is_hint;    /* a choice that lists are not for: context and seen set only */
} freshet_observation;

/* How somebody chose an item, in 18 bits: the type, dwell time or quantity, and price, the numbers rounded to an eighth
 * of a power of two. 0 for feedback. Pure. */
uint32_t freshet_signal_of(const freshet_event* event);

/* Learns from one event and then appends it to the user's history. Errors: FRESHET_INVALID when the update
 * would not be finite; then only history and counts have changed. */
freshet_status freshet_model_learn(freshet_model* model, freshet_user* user,
                                   const freshet_observation* observation, freshet_error* error);
/* The user was shown the item, at this place of a list: from 0; -1: not known. Unless an observation of the item follows,
 * it counts against the item in the user's lists. Cheap; the model does not change. */
void freshet_model_show(const freshet_model* model, freshet_user* user, uint32_t slot, int32_t place,
                        int64_t time_ms);
/* What events with this signal weigh now, as learned: 1/4 .. 4; 1 when nothing is known. */
float freshet_model_worth_of(const freshet_model* model, uint32_t signal);
/* One learned weight, for people to read. */
typedef struct freshet_weight {
  const char* part; /* what it is a weight of, such as "dwell_s" or "score of a known user" */
  const char* of;   /* which of them, such as "30" or "taste" */
  double weight;
} freshet_weight;
enum { FRESHET_WEIGHTS_MAX = 80 };
/* Writes what the model has learned to weigh, part after part. Texts are constants. Returns how many there are. Weights
 * of dislikes, habits, prices and impressions are left out while the stream has none. */
size_t freshet_model_weights(const freshet_model* model, freshet_weight out[FRESHET_WEIGHTS_MAX]);
/* How often a learned weight, or the weight of an event, was cut to its bounds since the last call. It is no state. */
uint64_t freshet_model_take_clipped(freshet_model* model);
/* How many events were learned, by all workers: the model's own time. */
uint64_t freshet_model_events(const freshet_model* model);

/* ---- ranking ---- */

/* Columns of an item's row in the ranker: the dense part of the score is query . row + bias. */
uint32_t freshet_model_row_dim(const freshet_model* model);
/* Fills in what a ranker for this model is made with: dim, and the factors, which the model lends. The model must outlive
 * the ranker, and freshet_model_sync_ranker must come between a change and the next ranking. */
void freshet_model_lend_rows(const freshet_model* model, freshet_ranker_config* config);
/* Brings the ranker up to date with everything that changed since the last call: rows, listing, popularity.
 * NULL: only what freshet_model_score_all and freshet_model_explain read. The ranker must have been made with
 * dim = freshet_model_row_dim and must be used with this model only. Errors: those of freshet_ranker_set. */
freshet_status freshet_model_sync_ranker(freshet_model* model, freshet_ranker* ranker, freshet_error* error);
/* Where a whole catalogue has changed, some hundred of the rows are brought up to date, in less than a millisecond. For callers
 * between whose rankings much may happen: call it until there are not many any more. */
freshet_status freshet_model_sync_many(freshet_model* model, freshet_ranker* ranker, freshet_error* error);
bool freshet_model_has_many_stale(const freshet_model* model);

/* Working memory for one query; each thread that makes queries needs its own. */
typedef struct freshet_model_scratch freshet_model_scratch;
/* Makes working memory for queries to this model; the caller destroys it. */
freshet_model_scratch* freshet_model_scratch_create(const freshet_model* model);
/* For one more query on the thread of `other`, at the same time: shares with it what is used only while a query is made,
 * which is most of it and then stays in the cache. `other` must outlive it. */
freshet_model_scratch* freshet_model_scratch_beside(const freshet_model* model, freshet_model_scratch* other);
/* NULL is allowed. */
void freshet_model_scratch_destroy(freshet_model_scratch* scratch);

/* Fills *query for the user at time now_ms (since the Unix epoch): dense vector, bonus and excluded (seen)
 * items. Its pointers lead into the scratch and the user, and are valid until one of them changes. The caller
 * sets k and allowed. */
void freshet_model_query(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                         freshet_model_scratch* scratch, freshet_rank_query* query);

enum { FRESHET_TEXT_MATCHES = 256 };
/* A text that a list should suit. It counts like an item with this text that the user has chosen `weight`
 * times a moment ago: in the dense vector by its start, and by a bonus on the FRESHET_TEXT_MATCHES items whose
 * texts are most like it. It holds one text at a time. One thread sets it; several may read it in queries. */
typedef struct freshet_wanted_text freshet_wanted_text;
/* Makes an empty one; the caller destroys it. */
freshet_wanted_text* freshet_wanted_text_create(const freshet_model* model);
/* NULL is allowed. */
void freshet_wanted_text_destroy(freshet_wanted_text* text);
/* Sets the text. vector [text_dim]: made by the encoder of the model's vectors; NULL: only the start is known.
 * start [dim]: the text in the space of factors; NULL: the projection of the vector. weight: in chosen items,
 * >= 0. Matches are listed items that are allowed: a bitmap by slot of allowed_slots bits, NULL: all are. It
 * compares the text with all text vectors. Errors: FRESHET_INVALID for values that are not finite. */
freshet_status freshet_wanted_text_set(freshet_wanted_text* text, const freshet_model* model,
                                       const float* vector, const float* start, float weight,
                                       const uint64_t* allowed, size_t allowed_slots, freshet_error* error);

/* As freshet_model_query, for a user who looks for a text; text may be NULL. */
void freshet_model_query_text(const freshet_model* model, const freshet_user* user,
                              const freshet_wanted_text* text, int64_t now_ms, freshet_model_scratch* scratch,
                              freshet_rank_query* query);

enum { FRESHET_SIMILAR_MAX = FRESHET_HISTORY / 2 };
/* As freshet_model_query_text, for items that are like `items` [count]: what is chosen together with them, what
 * follows them, what reads like them, and what the same people like. The first FRESHET_SIMILAR_MAX items count, and
 * each of them more than the next. Popularity and taste of a user count nothing, and nothing is excluded. */
void freshet_model_query_similar(const freshet_model* model, const uint32_t* items, size_t count,
                                 const freshet_wanted_text* text, freshet_model_scratch* scratch,
                                 freshet_rank_query* query);
/* As freshet_model_query, for nobody: popular: the score is the popularity of the item; else it is 0, and the caller
 * may bring a bonus. Adjustments count in both cases. Nothing is excluded. */
void freshet_model_query_impersonal(const freshet_model* model, bool popular, freshet_model_scratch* scratch,
                                    freshet_rank_query* query);

/* Writes the scores of all slots for a query, listed or not, to scores [item_count]: for evaluation, which
 * asks for the place of one item among all. The scores equal the ranker's except for rounding. */
void freshet_model_score_all(const freshet_model* model, const freshet_rank_query* query, float* scores);
/* The score of one item for a query. */
float freshet_model_score(const freshet_model* model, const freshet_rank_query* query, uint32_t slot);

/* One summand of a score. */
typedef struct freshet_part {
  freshet_reason_kind kind;
  uint32_t item; /* slot of the recent item it comes from, or FRESHET_NO_ITEM */
  float score;
  uint32_t every_s; /* FRESHET_REASON_AGAIN: the mean time between two choices; 0: not known */
} freshet_part;

enum { FRESHET_PARTS_MAX = 7 + 3 * FRESHET_HISTORY };

/* Writes the parts of the score of `slot` for the user to parts, the largest first; they sum to the score.
 * Returns how many they are. */
size_t freshet_model_explain(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                             uint32_t slot, freshet_model_scratch* scratch,
                             freshet_part parts[FRESHET_PARTS_MAX]);

/* As freshet_model_explain, for a query with a text; text may be NULL. */
size_t freshet_model_explain_text(const freshet_model* model, const freshet_user* user,
                                  const freshet_wanted_text* text, int64_t now_ms, uint32_t slot,
                                  freshet_model_scratch* scratch, freshet_part parts[FRESHET_PARTS_MAX]);

/* As freshet_model_explain_text, for the query that was made last with this scratch: it is not computed
 * again. */
size_t freshet_model_explain_query(const freshet_model* model, const freshet_wanted_text* text, uint32_t slot,
                                   const freshet_model_scratch* scratch,
                                   freshet_part parts[FRESHET_PARTS_MAX]);

/* ---- the delta log ---- */

/* What was learned in one commit. All numbers are little-endian; src/core/model_delta.c documents the
 * layouts. */
typedef struct freshet_model_delta {
  uint64_t events;       /* in the trace */
  freshet_slice items;   /* u64 keys [n]: the dictionary for values and trace */
  freshet_slice values;  /* what the additive part of each item has gained, [n][row width] */
  freshet_slice trace;   /* the sequence of (item, context), as indices into items */
  freshet_slice globals; /* what the blend weights have gained */
} freshet_model_delta;

/* Takes what was learned here since the last take, or the rest of the take under way. The slices point into the model and
 * are valid until its next non-const call. An empty delta has events == 0 and items.size == 0. */
void freshet_model_take_delta(freshet_model* model, freshet_model_delta* delta);

/* The same a little at a time, for a loop that must not be held up, and a log that takes no large record. What has been
 * learned when the take starts is in it, and nothing that is learned later. Nothing happens while another take is under way.
 * Cheap. */
void freshet_model_start_take(freshet_model* model);
/* Writes what up to `most` items have gained. True: this has been done for all items of the take. */
bool freshet_model_prepare_take(freshet_model* model, size_t most);
/* The next part, of at most about `most` bytes (one event or item more), after the rest of the preparation. A part is a delta
 * of its own: folded one after the other, the parts give what the whole gives. Its slices hold as above. False: the take is
 * over, and *part is empty. */
bool freshet_model_take_part(freshet_model* model, size_t most, freshet_model_delta* part);
/* Is a take under way? */
bool freshet_model_is_taking(const freshet_model* model);

/* For measurements and tests: from now on the model shares as in a fleet where a commit has that many own events
 * and events of other workers, whatever is folded. A fleet that is large and busy shares fewer pairs of an event,
 * and rounds what rows have gained. Any numbers are allowed. Not to be called while another thread uses the model. */
void freshet_model_expect_fleet(freshet_model* model, uint64_t own_events, uint64_t others_events);
/* About how many bytes the next delta will have, without a take under way. Cheap. */
size_t freshet_model_delta_size(const freshet_model* model);
/* Has a later version written a row (freshet_model_write_item, freshet_model_write_globals), or a delta? */
bool freshet_model_row_is_later(freshet_slice row);
bool freshet_model_delta_is_later(const freshet_model_delta* delta);
/* Could the delta be folded? Nothing changes. Errors: those of freshet_model_fold. */
freshet_status freshet_model_check_delta(freshet_model* model, const freshet_model_delta* delta,
                                         freshet_error* error);
/* Folds a delta of another worker, or one of this worker from before a restart. `offset` is its place in the
 * log: items whose state was stored at a later offset skip it. Errors: FRESHET_INVALID for malformed bytes,
 * FRESHET_NO_MEMORY when its items do not fit; nothing has changed then. */
freshet_status freshet_model_fold(freshet_model* model, const freshet_model_delta* delta, int64_t offset,
                                  freshet_error* error);

/* Appends the learned state of one item to *out, without id, text and listing. `folded_to`: the offset in
 * the delta log before which everything is folded. Write it only when all deltas of this model have been
 * folded. */
void freshet_model_write_item(const freshet_model* model, uint32_t slot, int64_t folded_to,
                              freshet_buffer* out);
/* Does what freshet_model_write_item wrote say that nothing has been learned? Then an item without a row is in the same
 * state. */
bool freshet_model_row_is_blank(freshet_slice row);
/* Replaces the learned state of an item by what freshet_model_write_item wrote. Not while the item has learned
 * something that no delta holds yet. Of a list with more than config.neighbours entries the heaviest stay. Errors:
 * FRESHET_INVALID for malformed bytes or another model.dim; nothing has changed then. */
freshet_status freshet_model_read_item(freshet_model* model, uint32_t slot, freshet_slice bytes,
                                       freshet_error* error);
/* As freshet_model_write_item, for what belongs to no single item: blend weights, event count, popularity
 * totals, recent events. */
void freshet_model_write_globals(const freshet_model* model, int64_t folded_to, freshet_buffer* out);
/* As freshet_model_read_item, for what freshet_model_write_globals wrote. Not before all that has been learned is taken. */
freshet_status freshet_model_read_globals(freshet_model* model, freshet_slice bytes, freshet_error* error);

/* The log of deltas ends at offset `end` now, after everything was read that freshet_model_write_item and
 * freshet_model_write_globals have written. If more than that is folded already, the log is another one: what has been
 * learned stays, and nothing of this log is folded yet. Rows that are read later count in the same way. True: it is another
 * log. */
bool freshet_model_fit_log(freshet_model* model, int64_t end);
/* Makes an item (FRESHET_NO_ITEM: what belongs to no single item) count by another log, of which nothing is folded yet. */
void freshet_model_renumber(freshet_model* model, uint32_t slot);
/* Makes what freshet_model_write_item wrote count by another log, of which nothing is folded yet. */
void freshet_model_renumber_row(freshet_buffer* row);

/* Takes the slots whose learned state changed since the last drain, and returns how many they are; it costs nothing,
 * however many. *slots points into the model and is valid until its next non-const call. */
size_t freshet_model_drain_changed(freshet_model* model, const uint32_t** slots);

/* `before_change` is called before the learned state of an item changes for the first time since the last drain. It may
 * write that state (freshet_model_write_item), and must not call the model in any other way. */
typedef struct freshet_model_watch {
  void* context;
  void (*before_change)(void* context, uint32_t slot);
} freshet_model_watch;
/* NULL: nobody watches any more. The watch is copied. */
void freshet_model_watch_changes(freshet_model* model, const freshet_model_watch* watch);

/* A hash of everything learned (items in key order, globals): equal on every machine that has learned the same
 * events in the same order. */
uint64_t freshet_model_hash(const freshet_model* model);

#ifdef __cplusplus
}
#endif

#endif
