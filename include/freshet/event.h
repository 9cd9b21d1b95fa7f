/*
 * event.h: what flows in and out, as plain structs, and the checks of their values.
 *
 * All strings are views (UTF-8, not NUL-terminated). The structs own nothing: their views and arrays point
 * into memory of the producer of the struct, usually a decoder, and are valid until it is used again. An
 * array may be NULL when its count is 0.
 *
 * Thread rule: the functions are pure; any thread may call them.
 */
#ifndef FRESHET_EVENT_H
#define FRESHET_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "freshet/bytes.h"
#include "freshet/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum freshet_event_type {
  FRESHET_CLICK = 0,
  FRESHET_RATING = 1,
  FRESHET_PURCHASE = 2,
  FRESHET_FEEDBACK = 3,
} freshet_event_type;

/* What a FRESHET_FEEDBACK says; the order is that of FeedbackKind in schemas/Feedback.avsc. */
typedef enum freshet_feedback_kind {
  FRESHET_DISLIKE = 0,
  FRESHET_HIDE = 1,
  FRESHET_NOT_INTERESTED = 2,
  FRESHET_RETURNED = 3, /* a purchase was sent back */
  FRESHET_SKIP = 4,     /* passed on after feedback_after_s */
  FRESHET_IMPRESSION = 5,
  FRESHET_FEEDBACK_OTHER = 6, /* a kind that a newer producer writes: nothing is learned */
  FRESHET_FEEDBACK_KINDS
} freshet_feedback_kind;

enum {
  FRESHET_EVENT_TYPES = 4,
  FRESHET_ID_MAX = 512,               /* bytes of a user, item, event or request id */
  FRESHET_TEXT_MAX = 4 * 1024 * 1024, /* bytes of an item's text; encoders read a prefix */
  FRESHET_BEFORE_1970_MS = 1,         /* stands for a time before 1970, which 0 and less cannot say */
  FRESHET_CATEGORIES_MAX = 64,
  FRESHET_CONTEXT_MAX = 64 * 1024, /* bytes of a request's text; encoders read a prefix */
  FRESHET_REQUEST_IDS_MAX = 1000,  /* ids or categories in one array of a request */
  FRESHET_ATTRIBUTES_MAX = 64,
};

typedef struct freshet_event {
  freshet_event_type type;
  freshet_slice event_id;
  freshet_slice user_id;
  freshet_slice item_id;
  int64_t occurred_at_ms; /* since the Unix epoch */
  float rating;           /* FRESHET_RATING only: 1 to 5 (model.rating_min to model.rating_max) */
  float dwell_s;          /* FRESHET_CLICK only: seconds on the page, 0 when unknown */
  int32_t quantity;       /* FRESHET_PURCHASE only: pieces, 1 when unknown */
  double price;           /* FRESHET_PURCHASE only: for one piece, 0 when unknown */
  /* -- FRESHET_FEEDBACK only -- */
  freshet_feedback_kind feedback;
  float after_s;        /* of a skip: seconds until the user passed on */
  int32_t place;        /* in the list that held the item, from 0; -1 when unknown */
  int64_t list_version; /* version_offset of that list; -1 when unknown */
} freshet_event;

/* A property of an item, such as brand = acme. */
typedef struct freshet_attribute {
  freshet_slice name;
  freshet_slice value;
} freshet_attribute;

typedef struct freshet_item {
  freshet_slice item_id;
  freshet_slice title;
  freshet_slice text; /* may be empty */
  const freshet_slice* categories;
  size_t category_count;
  bool available;
  int64_t expires_at_ms; /* 0: never */
  const float* vector;   /* [vector_dim] ready-made embedding, or NULL */
  size_t vector_dim;
  int64_t created_at_ms; /* 0: unknown; FRESHET_BEFORE_1970_MS: all that is older */
  const freshet_attribute* attributes;
  size_t attribute_count;
} freshet_item;

/* Why an item stands in a list: one part of its score. */
typedef enum freshet_reason_kind {
  FRESHET_REASON_TASTE = 0,    /* the user's vector and the item's */
  FRESHET_REASON_FOLLOWS = 1,  /* what followed `item` before */
  FRESHET_REASON_TOGETHER = 2, /* what is chosen together with `item` */
  FRESHET_REASON_TEXT = 3,     /* a text like `item`'s */
  FRESHET_REASON_POPULAR = 4,  /* popular now */
  FRESHET_REASON_QUALITY = 5,  /* liked in general: the item's learned bias */
  FRESHET_REASON_OTHER = 6,    /* only read: a kind that a newer version writes */
  FRESHET_REASON_RULE = 7,     /* rules that boost or bury it */
  FRESHET_REASON_CONTEXT = 8,  /* suits the text of the request */
  FRESHET_REASON_AUDIENCE = 9, /* liked by those who like `item` */
  FRESHET_REASON_NEW = 10,     /* on offer for a short time only */
  FRESHET_REASON_AGAIN = 11,   /* the user has chosen it before */
  FRESHET_REASON_SHOWN = 12,   /* the user was shown it and did not choose it: never above 0 */
} freshet_reason_kind;

typedef struct freshet_reason {
  freshet_reason_kind kind;
  freshet_slice item_id; /* the recent item that it comes from; empty where none */
  float score;           /* its part of the score; the parts sum to the score within 1e-4 */
  int64_t every_s;       /* AGAIN: the mean time between two choices of the user; 0: not known */
} freshet_reason;

typedef struct freshet_recommendation {
  freshet_slice item_id;
  float score;
  const freshet_reason* reasons;
  size_t reason_count;
  float propensity; /* with which it was drawn for its place; 1: not by chance */
} freshet_recommendation;

typedef struct freshet_list {
  freshet_slice user_id;
  freshet_slice request_id;     /* empty for a list that no request asked for */
  int32_t version_partition;    /* the user's newest event in this list: its partition of `events` ... */
  int64_t version_offset;       /* ... and its offset. A reader keeps the list with the larger offset. */
  int64_t event_occurred_at_ms; /* event time of that event */
  int64_t generated_at_ms;
  const freshet_recommendation* items; /* best first */
  size_t item_count;
  freshet_slice note; /* what the asker should know, such as why the list is empty */
} freshet_list;

/* Which list is asked for. */
typedef enum freshet_request_kind {
  FRESHET_REQUEST_PERSONAL = 0, /* for the user, as lists are published */
  FRESHET_REQUEST_SIMILAR = 1,  /* items like the context items */
  FRESHET_REQUEST_POPULAR = 2,  /* what is chosen most now */
  FRESHET_REQUEST_NEWEST =
      3, /* what is on offer for the shortest time; without created_at an item is not new */
} freshet_request_kind;
enum { FRESHET_REQUEST_KINDS = 4 };
/* "PERSONAL", ...: the symbols of schemas/RecommendationRequest.avsc. Static. */
const char* freshet_request_kind_name(freshet_request_kind kind);
/* As the deployment's lists are (ranking.diversity); lists of other kinds than PERSONAL are the best ones then. */
#define FRESHET_DIVERSITY_AS_SET -1.0F

/* Asks for a list now, on a topic or over HTTP. A field that is 0 or empty asks for nothing. */
typedef struct freshet_request {
  freshet_request_kind kind;
  freshet_slice request_id;           /* empty: the client does not need to tell it from others */
  freshet_slice user_id;              /* empty: for nobody in particular; not for a PERSONAL list */
  int64_t requested_at_ms;            /* 0: the time at which it came */
  int32_t k;                          /* length of the list; more than there are gives all there are */
  freshet_slice context;              /* a text that the items should suit */
  const freshet_slice* context_items; /* [context_item_count] ids that the list should go with */
  size_t context_item_count;
  const freshet_slice* include_categories; /* only items with one of these; none: all items */
  size_t include_category_count;
  const freshet_slice* exclude_categories; /* no item with any of these */
  size_t exclude_category_count;
  const freshet_slice* exclude_items; /* ids of items that are not wanted, beside those the user has seen */
  size_t exclude_item_count;
  float diversity;   /* 0: the best list .. 1: as varied as can be; or FRESHET_DIVERSITY_AS_SET */
  float exploration; /* 0 .. 1: share of the list for items that little is known about */
  bool explain;      /* with reasons */
  int64_t min_age_s; /* only items that have been on offer for that long; items of unknown age are allowed */
} freshet_request;

/* Bounds of a valid event, from the configuration. */
typedef struct freshet_event_limits {
  float rating_min, rating_max; /* inclusive */
  int64_t future_tolerance_ms;  /* how far occurred_at may lie after the record's own time */
  /* A time before 1990 is refused where the record's own time is more than a year away: a date written as a number, a
   * counter. Records of history carry the time of the event. */
  bool refuses_old;
} freshet_event_limits;

/*
 * Checks an event: ids are present (neither blanks nor freshet_id_is_missing), at most FRESHET_ID_MAX bytes, UTF-8
 * and without control characters; a rating is finite and on the scale; the time is positive, not too old
 * (limits->refuses_old) and at most limits->future_tolerance_ms after record_time_ms; dwell time, quantity and price are in their ranges; `key`, the key of the record, is the
 * user_id. Errors: FRESHET_INVALID with verdict FRESHET_DEAD_LETTER; the message names the field and the
 * value.
 */
freshet_status freshet_event_validate(const freshet_event* event, freshet_slice key, int64_t record_time_ms,
                                      const freshet_event_limits* limits, freshet_error* error);

/* Checks an item: its id is valid and equal to `key`; title, text, categories and attributes are within
 * bounds; times are not negative, and it does not expire before 1990; a vector has at most 4,096 finite values.
 * Errors: as freshet_event_validate. */
freshet_status freshet_item_validate(const freshet_item* item, freshet_slice key, freshet_error* error);

/* Checks a request: request_id and user_id are valid or empty, and user_id is equal to `key`; k >= 1;
 * diversity and exploration are 0 .. 1; each array holds at most FRESHET_REQUEST_IDS_MAX ids; the context has
 * at most FRESHET_CONTEXT_MAX bytes. Errors: as freshet_event_validate. */
freshet_status freshet_request_validate(const freshet_request* request, freshet_slice key,
                                        freshet_error* error);

/* True when a reply can tell the client what is wrong with its request: the request has a valid request_id,
 * and a user_id that a reply can hold. */
bool freshet_request_can_be_told(const freshet_request* request);

/* Checks an id as those of events are, but for words and blanks. Errors: as freshet_event_validate; the message begins
 * with `field`. */
freshet_status freshet_id_validate(const char* field, freshet_slice id, freshet_error* error);

/* Is it a word that programs write where there is no value: NULL, None, nan, undefined and the like? */
bool freshet_id_is_missing(freshet_slice id);

/* The 64-bit key (XXH3) that stands for an id in state and deltas, equal on every machine. Never 0. */
uint64_t freshet_id_key(freshet_slice id);

#ifdef __cplusplus
}
#endif

#endif
