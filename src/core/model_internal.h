/*
 * model_internal.h: the state of the learner, shared by the model_*.c files and seen by nobody else.
 *
 *   model.c             creation, the table of items, users, memory
 *   model_rows.c        starts of factors, rows of m
 *   model_score.c       context of a user, query, the ranker's rows
 *   model_explain.c     the parts of a score
 *   model_similar.c     queries of nobody in particular: items like some, the most popular
 *   model_bonus.c       what a user's recent items bring to the items near them
 *   model_learn.c       one step of learning
 *   model_replay.c      ... and what follows from the trace
 *   model_focus.c       ... and of which choices the blend weights learn most
 *   model_pace.c        ... and how fast
 *   model_liking.c      what users disliked, and how it pushes away
 *   model_habits.c      what users choose again
 *   model_shown.c       what users were shown, and did not choose
 *   model_worth.c       what an event weighs, by how the item was chosen
 *   model_weights.c     what is learned, for people
 *   model_negatives.c   which items a step compares with
 *   model_rivals.c      ... of which some are neighbours of the newest item
 *   model_tree.c        running sums, for draws
 *   model_neighbours.c  what is chosen together, in bounded lists that fade
 *   model_order.c       ... and whether its order matters
 *   model_doubt.c       ... and which counts tell something
 *   model_favour.c      ... and how far what is chosen often is favoured
 *   model_sessions.c    ... and what the items of a session agree on
 *   model_popularity.c  decayed counts
 *   model_text.c        text vectors: start of the factors, nearest texts
 *   model_links.c       nearest texts as rows
 *   model_lenders.c     what new items borrow from texts like theirs
 *   model_wanted.c      the text of a request
 *   model_user_text.c   the text of a user's history
 *   model_delta.c       the delta log (model_given.c: which rows are in it), stored items, the hash
 *   model_fold.c        deltas of others, item by item (model_trace.c: their traces)
 */
#ifndef FRESHET_CORE_MODEL_INTERNAL_H
#define FRESHET_CORE_MODEL_INTERNAL_H

#include "core/maths.h"
#include "core/model_again.h"
#include "core/model_blend.h"
#include "core/model_kernels.h"
#include "core/model_keys.h"
#include "core/model_lists.h"
#include "core/model_passed.h"
#include "core/model_signal.h"
#include "core/model_sorter.h"
#include "core/model_step.h"
#include "core/model_take.h"
#include "core/model_thin.h"
#include "core/model_tree.h"
#include "core/model_unlinked.h"
#include "core/prefetch.h"
#include "freshet/model.h"

enum {
  DIM_MAX = 1024,
  NEIGHBOURS_MAX = 4096,
  NEGATIVES_MAX = 250, /* with the positive they are numbered in a byte: see freshet_marks */
  ITEMS_MAX = FRESHET_ITEMS_MAX,
  TEXT_DIM_MAX = 4096,
  HALF_LIVES = FRESHET_SPEEDS, /* popularities, by half-life */
  RECENT_EVENTS = 4096,        /* kept for the recent negatives: 13 half-lives of 300 */
  TEXT_NEIGHBOURS = FRESHET_TEXT_NEIGHBOURS,
  WEIGHT_UNITS_MAX = 256, /* of one observation: a weight of 16 */
  WEIGHT_UNITS = 16,      /* an observation's weight counts in sixteenths, so that counts are integers */
};

/* The first 64 bytes are what a candidate of a learning step needs, the next what its context does. */
typedef struct item {
  _Alignas(64) double bias;
  double factor_squares;  /* Adagrad, of v */
  double context_squares; /* Adagrad, of m */
  double bias_squares;    /* forgetting Adagrad, of the bias */
  uint64_t popular_at;    /* the event at which popular was exact */
  float popular[HALF_LIVES];
  uint32_t pending;    /* 0: untouched since the last take; else see freshet_model_gathered_of */
  uint32_t changed_in; /* model.drains as it was when the item came into model.changed last */
  bool row_stale;      /* is in model.stale */
  bool listed;
  /* -- */
  neighbours near;
  int64_t folded_to;
  uint64_t key;
  uint32_t next;    /* slot: the next in its bucket, by key */
  float adjustment; /* what rules add to its score */
  /* -- */
  float row_popular[HALF_LIVES]; /* f5 as the ranker's row shows it: it is refreshed from time to time */
  float row_liking;              /* l, the same way */
  uint32_t dislikes;             /* in 1/WEIGHT_UNITS: by how much users disliked it */
  uint32_t repeats;              /* in 1/WEIGHT_UNITS: choices by users who had chosen it before */
  uint64_t repeat_spans;         /* codes of the time since then, each as many times */
  uint32_t id_size;
  const char* id; /* in model.ids; NULL while only the key is known */
} item;

/* Ids lie side by side in blocks, since none is given back before the model goes. */
typedef struct id_block {
  struct id_block* next;
  char bytes[];
} id_block;

struct freshet_model {
  freshet_model_config config;
  freshet_model_parked parked; /* all NULL: there are none */
  const freshet_model_kernels* kernels;

  /* -- items, by slot -- */
  uint32_t count, capacity;
  item* items;
  uint32_t* counts; /* [capacity] N, in 1/WEIGHT_UNITS */
  float* roots;     /* [capacity] 1 / sqrt(N + 1) */
  /* [capacity] B(N). Both are arrays of their own because a query reads them of a thousand items */
  uint8_t* levels;
  float* factors; /* v [capacity][dim] */
  /* m [context_capacity][dim] of the items that have been in a context; the m of any other item is its start (see
   * freshet_model_read_context_factor). Most items of a large catalogue have none */
  float* context_factors;
  uint32_t* context_rows; /* [capacity] 1 + row in context_factors; 0: none */
  uint32_t context_count, context_capacity;
  int8_t* text_vectors; /* [capacity][text_padded] quantised; 0 where there is none; NULL without text */
  float* text_scales;   /* [capacity] 1 / norm of the quantised vector */
  float* text_floors;   /* [capacity] the cosine that enters its list */
  freshet_text_list* text_lists; /* [capacity] NULL without text */
  /* [capacity][dim] where factors start that do not start where the vector says, in units of 2^-13; NULL while there are
   * none: see freshet_model_text_part */
  int16_t* text_starts;
  /* [capacity] the state of its neighbours by text. 0: they are found, or it has no text. Else LINK_WAITS,
   * LINK_READ, or 1 + its place in the block that is being compared. */
  uint32_t* text_links;
  slot_stack unlinked; /* slots whose neighbours are still to be found; the last one comes first */
  /* slots whose lists have holes, and some whose hole is filled; they come after `unlinked` */
  slot_stack holed;
  link_block linking; /* those that are being compared */
  uint32_t text_padded;
  float* projection;  /* [dim][text_padded] */
  id_block* ids;      /* the newest block first */
  char* id_end;       /* of the newest block */
  size_t id_room;     /* bytes before id_end that are free */
  size_t owned_bytes; /* ids, neighbour blocks */

  /* -- the table of keys, and counts over it for draws by frequency -- */
  key_table keys;
  key_table wide; /* that is to be: twice as many buckets; without buckets: there is none */
  size_t widened; /* buckets of `keys` that are in it */
  int64_t total_count;
  int64_t total_dislikes; /* in 1/WEIGHT_UNITS */
  int64_t total_watched;  /* choices of which it is known whether they were repeats, in 1/WEIGHT_UNITS */
  int64_t total_repeats;
  int64_t total_repeat_spans;

  /* -- global -- */
  uint64_t events;
  double popular_totals[HALF_LIVES];
  double decay_per_event[HALF_LIVES];
  uint32_t recent[RECENT_EVENTS];      /* ring: slot of event e at e mod RECENT_EVENTS */
  uint16_t recent_lags[RECENT_EVENTS]; /* quantiles of the lag */
  _Alignas(64) double blend[BLEND_PADDED];
  double blend_squares[BLEND_PADDED];
  _Alignas(64) float blend_rates[BLEND_PADDED];
  _Alignas(64) float paced_rates[BLEND_PADDED]; /* model_pace.c: blend_rates, as fast as they are now */
  uint64_t paced_turn;                          /* 0: there are none yet */
  worth_bases* worth;                           /* model_worth.c */
  uint64_t clipped;                             /* weights that were cut to their bounds */
  int64_t folded_to;
  bool is_of_other_log;                              /* stored rows count offsets of a log that is gone */
  float follows_decay[ORDER_CODES][FRESHET_HISTORY]; /* .7^k or faster: model_order.c */
  float together_decay[FRESHET_HISTORY];             /* .9^k */
  float half_decay[ORDER_CODES][FRESHET_HISTORY];    /* .5^k or faster */
  float text_decay[FRESHET_HISTORY];                 /* .95^k */
  float context_decay[FRESHET_HISTORY];              /* .85^k */

  /* -- since the last take -- */
  gathered gathered[2];
  uint32_t
      gathers; /* which one gathers now: 0 or GATHERS_SECOND. The other one is empty, or a take is under way */
  delta_take take;
  double pending_blend[BLEND_PADDED], pending_blend_squares[BLEND_PADDED];
  /* this model has learned an own event; deltas that were folded before it are history, not a fleet's work */
  bool has_learned;
  /* events of other workers since the last take, after the first event of this worker */
  uint64_t folded_events;
  freshet_sorter sorter; /* model_fold.c */
  /* of the last commits; each commit counts half as much as the next one */
  uint64_t own_events, others_events;
  bool thins;        /* own events are thinned until the next take */
  bool thins_always; /* whatever other workers do: see freshet_model_expect_fleet */
  freshet_buffer delta_items, delta_values, delta_trace, delta_globals;

  uint32_t* changed; /* [capacity] slots that have changed since the last drain_changed */
  uint32_t changed_count;
  uint32_t drains; /* 1 + how often they were drained */
  freshet_model_watch watch;
  uint32_t* drained; /* [capacity] what the last drain gave out */
  uint32_t* stale;   /* [capacity] slots for sync_ranker */
  uint32_t stale_count;
  uint64_t rows_at; /* 1 + the event up to which rows have been brought up to date in turn; 0: none yet */
  uint32_t rows_to; /* the slot whose row comes next */
  uint64_t hot_at;  /* the event at which the rows of recent items were brought up to date */

  /* -- scratch of a step -- */
  candidates* step;
  freshet_marks marks;                             /* of the candidates: 1 + candidate */
  float* user_factor;                              /* h [dim] */
  float* slope;                                    /* gradient of h [dim] */
  _Alignas(64) float blend_gradient[BLEND_PADDED]; /* 0 between steps */
};

/* ---- model.c ---- */
void freshet_model_powers(float base, float out[FRESHET_HISTORY]); /* out[k] = base^k */
float* freshet_model_floats(size_t count);                         /* zeroed, 64-byte aligned; free() */
void* freshet_model_zeros(size_t size);                            /* the same, in bytes */
/* A table (table.h) with room for `count` elements of that size, by slot as a rule; freshet_table_free(). */
void* freshet_model_table(void* table, size_t count, size_t size);
static inline float* freshet_model_factor(const freshet_model* model, uint32_t slot) {
  return model->factors + (size_t)slot * model->config.dim;
}
/* NULL while m is its start: see model_rows.c. */
static inline float* freshet_model_context_factor(const freshet_model* model, uint32_t slot) {
  const uint32_t row = model->context_rows[slot];
  return row == 0 ? NULL : model->context_factors + (size_t)(row - 1) * model->config.dim;
}
/* m, to be changed. */
float* freshet_model_own_context_factor(freshet_model* model, uint32_t slot);
/* m [dim], wherever it is. */
void freshet_model_read_context_factor(const freshet_model* model, uint32_t slot, float* m);
/* The neighbours by text of an item; NULL when the model has no texts. */
static inline const freshet_text_list* freshet_model_near_text(const freshet_model* model, uint32_t slot) {
  return model->text_lists == NULL ? NULL : &model->text_lists[slot];
}
/* item.pending: 1 + its place, and the bit that tells in which of model.gathered. */
enum { GATHERS_SHIFT = 31 };
#define GATHERS_SECOND (UINT32_C(1) << GATHERS_SHIFT)
static inline gathered* freshet_model_gathering(freshet_model* model) {
  return &model->gathered[model->gathers >> GATHERS_SHIFT];
}
static inline uint32_t freshet_model_place_of(const freshet_model* model, uint32_t slot) {
  return (model->items[slot].pending & ~GATHERS_SECOND) - 1;
}
/* Where the item's values before the take to come are, or before the one under way; NULL: it has changed since neither. */
static inline gathered* freshet_model_gathered_of(freshet_model* model, uint32_t slot, uint32_t* place) {
  const uint32_t pending = model->items[slot].pending;
  *place = freshet_model_place_of(model, slot);
  return pending == 0 ? NULL : &model->gathered[pending >> GATHERS_SHIFT];
}
/* Its v before [dim], followed by its m; NULL as above. */
static inline float* freshet_model_rows_before(freshet_model* model, uint32_t slot) {
  uint32_t place;
  const gathered* g = freshet_model_gathered_of(model, slot, &place);
  return g == NULL ? NULL : g->rows + (size_t)place * 2 * model->config.dim;
}
static inline bool freshet_model_is_gathered(const freshet_model* model, const item* it) {
  return (int32_t)(it->pending ^ model->gathers) > 0;
}
/* Call this before anything of the item changes: it keeps the old values for the delta and notes that the
 * item has changed. */
void freshet_model_touch_first(freshet_model* model, uint32_t slot);
/* Writes what the item has gained before the take under way, if that has not been done. */
void freshet_model_leave_take(freshet_model* model, uint32_t slot);
size_t freshet_model_delta_memory(const freshet_model* model); /* bytes */
void freshet_model_free_deltas(freshet_model* model);
static inline void freshet_model_touch(freshet_model* model, uint32_t slot) {
  const item* it = &model->items[slot];
  if (!freshet_model_is_gathered(model, it) || it->changed_in != model->drains || !it->row_stale)
    freshet_model_touch_first(model, slot);
}
void freshet_model_note_changed(freshet_model* model, uint32_t slot);
void freshet_model_note_stale(freshet_model* model, uint32_t slot);
/* The slot of an item that another item's state names; FRESHET_NO_ITEM for a parked one, or
 * when there is no room and items may be parked. */
uint32_t freshet_model_named_slot(freshet_model* model, uint64_t key);
/* The start of v and m without text: .05 N(0,1) by key. v or m may be NULL. */
void freshet_model_start_factors(const freshet_model* model, uint64_t key, float* v, float* m);

/* Has feedback hidden the item from the user? */
bool freshet_user_hides(const freshet_user* user, uint32_t slot);
/* The user chooses an item that feedback had hidden: rules decide again. */
void freshet_user_unhide(freshet_user* user, uint32_t slot);

/* ---- model_score.c ---- */
void freshet_model_context(const freshet_model* model, const freshet_user* user, int64_t time_ms, context* c);
/* Bounds the weights of features, which are sums of blend weights. */
void freshet_model_bound_thetas(double thetas[FEATURES]);
void freshet_model_user_factor(const freshet_model* model, const freshet_user* user, const context* c,
                               float* h);
enum { COUNT_LEVEL_LAST = 200 }; /* N from which the level is the last */
extern const uint8_t freshet_model_count_levels[COUNT_LEVEL_LAST + 1];
/* B(N) of a count in 1/WEIGHT_UNITS. */
static inline uint32_t freshet_model_count_level(uint32_t count) {
  uint32_t n = count / WEIGHT_UNITS;
  return freshet_model_count_levels[n < COUNT_LEVEL_LAST ? n : COUNT_LEVEL_LAST];
}

/* cos^4 that makes f4 log(2). */
extern const float freshet_model_text_unit;
/* Texts that somebody asks for count at least so much, whether or not they have helped to predict choices. */
extern const float freshet_model_wanted_text_floor;

/* ---- model_wanted.c ---- */
/* start [dim]: the projection of unit [text_padded], 64-byte aligned. */
void freshet_model_project_text(const freshet_model* model, const float* unit, float* start);

/* ---- model_user_text.c ---- */
void freshet_model_add_user_text(const freshet_model* model, const freshet_user* user, const context* c,
                                 float* h);

/* ---- model_liking.c ---- */
/* l: the log of the item's share of events that are no dislikes, less that of all items. */
float freshet_model_like_odds(const freshet_model* model, uint32_t slot);
/* The weight i of LIKE_WEIGHTS, within its bounds. */
float freshet_model_like_weight(const freshet_model* model, int i);
/* How much l counts in a score. */
float freshet_model_like_scale(const freshet_model* model);
/* opinion [dim]: what is added to the query beside theta6 h. */
void freshet_model_opinion(const freshet_model* model, const context* c, float* opinion);
/* Gradients of LIKE: the item was chosen (dislike 0), or disliked by up to 1. Writes over model->slope. */
void freshet_model_like_gradient(freshet_model* model, const context* c, uint32_t slot, float dislike,
                                 float weight);
/* In 1/WEIGHT_UNITS. Any dislike counts at least one. */
uint32_t freshet_model_dislike_units(float dislike);
void freshet_model_dislike_add(freshet_model* model, uint32_t slot, uint32_t units);

/* ---- model_negatives.c ---- */
/* negatives: how many to draw, at most NEGATIVES_MAX; own [own_count]: more candidates: habits and rivals. */
void freshet_model_draw(freshet_model* model, uint32_t positive, uint32_t negatives, const uint32_t* own,
                        size_t own_count, candidates* step);
/* Replaces N, when stored state is read. */
void freshet_model_count_set(freshet_model* model, uint32_t slot, uint32_t count);
void freshet_model_count_add(freshet_model* model, uint32_t slot, uint32_t units); /* N and the tree */
/* For an addition that comes soon. key: of the item. */
void freshet_model_count_fetch(const freshet_model* model, uint32_t slot, uint64_t key);
void freshet_model_negatives_init(freshet_model* model);
uint32_t freshet_model_table_find(const freshet_model* model, uint64_t key);
/* For a look-up that comes soon: the key's bucket, and then the first item in it. */
void freshet_model_table_fetch(const freshet_model* model, uint64_t key);
void freshet_model_table_fetch_item(const freshet_model* model, uint64_t key);
void freshet_model_table_insert(freshet_model* model, uint32_t slot);
void freshet_model_table_free(freshet_model* model);
size_t freshet_model_table_memory(const freshet_model* model);

/* ---- model_order.c ---- */
void freshet_model_init_order(freshet_model* model);
/* How much `follows` counts if the other item came first. code below ORDER_CODES. */
float freshet_model_back_share(uint32_t code);
/* The code of the order that has been learned. goes_on: of steps within a session, else of the step that begins one. */
uint32_t freshet_model_order_code(const freshet_model* model, bool goes_on);
/* A user went from one item to another: how often both were chosen in this order, and the other way round. */
void freshet_model_note_order(freshet_model* model, bool goes_on, float same, float back);

/* ---- model_focus.c ---- */
/* Scales the gradients of the blend weights, which all follow the softmax. weight: of the event. */
void freshet_model_focus(freshet_model* model, const candidates* s, float weight);

/* ---- model_pace.c ---- */
/* [BLEND_PADDED] how fast the blend weights learn at this event. */
const float* freshet_model_paced_rates(freshet_model* model);

/* ---- model_rivals.c ---- */
enum { FRESHET_NEGATIVES_PER_RIVAL = 5, FRESHET_RIVALS_MAX = NEGATIVES_MAX / FRESHET_NEGATIVES_PER_RIVAL };
/* Draws neighbours of the context's newest item as negatives; FRESHET_NO_ITEM stands for one that the user has seen.
 * Returns how many draws there are. */
uint32_t freshet_model_draw_rivals(const freshet_model* model, const freshet_user* user, const context* c,
                                   uint32_t slots[FRESHET_RIVALS_MAX]);
/* Adds to the chances of candidates, while they are marked, that they can be rivals. draws: of
 * freshet_model_draw_rivals. */
void freshet_model_meet_rivals(const freshet_model* model, const freshet_user* user, const context* c,
                               uint32_t draws, candidates* s);

/* ---- model_popularity.c ---- */
void freshet_model_popularity_init(freshet_model* model);
/* f5 of items: log(.5 + share * number of items). */
void freshet_model_popularity_features(const freshet_model* model, const uint32_t* slots, size_t count,
                                       float* out, size_t stride);
extern const float freshet_model_popularity_rates[HALF_LIVES]; /* log of the decay an event */
/* The factor that makes a popularity a share, times the number of items. */
float freshet_model_popularity_scale(const freshet_model* model, int h);
static inline float freshet_model_popularity_age(const freshet_model* model, const item* it) {
  int64_t age = (int64_t)(model->events - it->popular_at);
  return (float)(age > 0 ? age : 0);
}
/* The item was chosen by these events [count], in their order. */
void freshet_model_popularity_add(freshet_model* model, uint32_t slot, const trace_choice* choices,
                                  size_t count);

/* ---- model_replay.c ---- */
typedef struct trace_pair {
  uint32_t weight_units;
  uint32_t place;      /* of the older of both items in the context, 0 is the newest */
  uint32_t times;      /* how many times the pair counts (model_thin.h); a new entry starts with one */
  bool is_sampled;     /* the list hears a part of its steps */
  uint32_t order_code; /* of the event */
  bool is_back;        /* the other item came first */
} trace_pair;
/* `other` was chosen together with the item `slot`: changes slot's list.
 * entry: index of `other` in the list, UNKNOWN_PLACE or NO_PLACE. */
void freshet_model_replay_pair(freshet_model* model, uint32_t slot, uint32_t other, const trace_pair* pair,
                               size_t entry);
/* What choices [count] of the item say of it, in their order; N is left to the caller. */
void freshet_model_replay_choices(freshet_model* model, uint32_t slot, const trace_choice* choices,
                                  size_t count);
/* What a choice of the item says of all items. */
void freshet_model_replay_event(freshet_model* model, uint32_t slot, const trace_choice* choice);
/* The item was disliked. weight_units: by how much. */
void freshet_model_replay_dislike(freshet_model* model, uint32_t slot, uint32_t weight_units, int64_t offset);

/* ---- model_text.c ---- */
void freshet_model_text_init(freshet_model* model);
void freshet_model_text_free(freshet_model* model);
void freshet_model_text_grow(freshet_model* model, uint32_t capacity);
/* The part of v and m that comes from the item's text, into part [dim]; all 0 without a text. It follows from the text
 * vector, so it is computed (about a microsecond) and not kept. The values are multiples of 2^-13. */
void freshet_model_text_part(const freshet_model* model, uint32_t slot, float* part);
/* The largest absolute value, 0 for NULL; infinite when one is no number. */
float freshet_model_text_top(const float* values, uint32_t count);
/* Rounds vector [dim], whose largest absolute value is top > 0, to bytes [dim]. Returns 1 / their norm. */
float freshet_model_text_quantise(const float* vector, uint32_t dim, float top, int8_t* bytes);
size_t freshet_model_text_memory(const freshet_model* model);
/* The cosine of two vectors by their inner product and the product of their scales, as lists keep it: a multiple of
 * 2^-16, at most FRESHET_COSINE_MAX. */
static inline float freshet_model_cosine(int32_t dot, float scales) {
  const float cosine = ((float)dot * scales + 0x1.8p7F) - 0x1.8p7F;
  return cosine < FRESHET_COSINE_MAX ? cosine : FRESHET_COSINE_MAX;
}
/* Enters `other` into the list of `slot` if it is nearer than the farthest item there. The caller has checked
 * that its cosine is not below the floor. */
void freshet_model_enter_text_neighbour(freshet_model* model, uint32_t slot, uint32_t other, float cosine);
/* The list of a slot that was full has lost an entry. */
void freshet_model_note_hole(freshet_model* model, uint32_t slot);
/* True when its list is complete, except for texts that wait to be compared. */
bool freshet_model_is_linked(const freshet_model* model, uint32_t slot);
/* Call this before lists of neighbours are read: it finds all missing ones, unless that is left to the caller
 * (links_apart). */
void freshet_model_settle_links(freshet_model* model);

#endif
