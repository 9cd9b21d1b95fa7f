/*
 * users.h: the rows of users in memory: a bounded cache over the store, and the overlay of rows that changed
 * since the last commit, which must not leave memory before it.
 *
 * Every row belongs to a partition of `events`: the one its events come from.
 */
#ifndef FRESHET_USERS_USERS_H
#define FRESHET_USERS_USERS_H

#include "codec/codec.h"
#include "freshet/model.h"
#include "stream/source.h"
#include "stream/store.h"

/* Why a user is owed a list, the most urgent first. */
typedef enum freshet_owed_reason {
  FRESHET_OWED_WITHDRAWN = 0, /* the last list carries an item that may not be shown any more */
  FRESHET_OWED_TAKEN_OVER,    /* this app generation publishes the user's lists from now on */
  FRESHET_OWED_EVENT,         /* the last list has not learned from the newest event */
  FRESHET_OWED_OUTDATED,      /* the last list misses something that is known by now */
  FRESHET_OWED_REASONS
} freshet_owed_reason;

typedef struct freshet_user_row {
  /* What UserState holds, see codec.h. */
  int64_t events;
  uint64_t event_checksum;
  int64_t newest_offset;
  int64_t newest_occurred_at_ms;
  int64_t listed_offset;
  int64_t refresh_since_ms;
  freshet_user* user;
  uint32_t* listed; /* [listed_count] slots of the last list */
  uint32_t listed_count;
  /* The last list is committed, and what it carries is not known: another process made it, and crashed. */
  bool is_list_unknown;

  int32_t partition;
  bool exists;            /* false: erased, or never seen; becomes a tombstone at the commit */
  bool dirty;             /* in the overlay */
  bool is_written;        /* dirty, but as it is now it is in the transaction of the next commit already */
  bool committing;        /* on its way through a transaction: the store does not have it yet */
  bool touched;           /* had an event in this batch, or gets a list now */
  uint8_t owed;           /* for which freshet_owed_reason a list is owed, a bit each; not stored */
  uint64_t text_of;       /* the history whose text user->text is, or is to be: user_texts.h; not stored */
  int64_t withdrawn_ms;   /* since when the list carries something withdrawn, 0: it does not; not stored */
  int64_t record_time_ms; /* of the newest event, where event-to-list latency starts; 0: it is history */

  /* The table's own. */
  struct freshet_user_row* next; /* same bucket */
  struct freshet_user_row* newer;
  struct freshet_user_row* older; /* order of last use */
  uint64_t hash;
  uint32_t id_size;
  char id[];
} freshet_user_row;

static inline freshet_slice freshet_user_row_id(const freshet_user_row* row) {
  return (freshet_slice){row->id, row->id_size};
}

/* Is a list owed for this reason? */
static inline bool freshet_user_row_owes(const freshet_user_row* row, freshet_owed_reason reason) {
  return (row->owed >> reason & 1) != 0;
}

static inline void freshet_user_row_set_owed(freshet_user_row* row, freshet_owed_reason reason,
                                             bool is_owed) {
  row->owed = (uint8_t)(is_owed ? row->owed | 1U << reason : row->owed & ~(1U << reason));
}

typedef struct freshet_users freshet_users;

/* None of the parts is owned. The model may be exchanged only while the table is empty. */
freshet_users* freshet_users_create(freshet_model* model, freshet_store* store, freshet_codec* codec,
                                    uint32_t cached_rows);
void freshet_users_destroy(freshet_users* users);

/* The row of a user: from memory, from the store, or new (exists = false). It stays valid until the next trim
 * or drop. Errors: those of the store, FRESHET_DAMAGED (verdict STOP) for a stored row that cannot be
 * read. */
freshet_status freshet_users_get(freshet_users* users, int32_t partition, freshet_slice user_id,
                                 freshet_user_row** row, freshet_error* error);

/* Tells users apart: the hash of their rows. */
uint64_t freshet_users_hash(int32_t partition, freshet_slice user_id);

/* The row of this user will be asked for soon: after FRESHET_USERS_AHEAD other calls. Brings what is in memory nearer to
 * the processor, and changes nothing. */
enum { FRESHET_USERS_AHEAD = 12 };
void freshet_users_announce(freshet_users* users, int32_t partition, freshet_slice user_id);

/* Is anything known about the user in this partition? It brings no row into memory. Errors: FRESHET_IO. */
freshet_status freshet_users_knows(freshet_users* users, int32_t partition, freshet_slice user_id,
                                   bool* known, freshet_error* error);

/* Puts the row into the overlay. */
void freshet_users_change(freshet_users* users, freshet_user_row* row);
/* Forgets everything about the user; the row stays in the overlay as a tombstone-to-be. */
void freshet_users_erase(freshet_users* users, freshet_user_row* row);

/* Replaces what the last list carries [count]; copied. It is known now. */
void freshet_users_set_listed(freshet_user_row* row, const uint32_t* slots, size_t count);
/* The user's last list is one that carries nobody knows what. */
void freshet_users_set_list_unknown(freshet_user_row* row);
/* Is it so in a stored state? Then its `listed` holds one key, which no item has. */
bool freshet_users_is_list_unknown(const freshet_user_state* state);

/* Is a list owed? */
static inline bool freshet_user_row_is_owed(const freshet_user_row* row) {
  return row->listed_offset < row->newest_offset || row->refresh_since_ms != 0;
}

/* The overlay, in order of first change. */
size_t freshet_users_changed(const freshet_users* users, freshet_user_row* const** rows);
/* Row `at` of the overlay is read now: brings rows after it nearer to the processor. */
void freshet_users_announce_changed(const freshet_users* users, size_t at);
/* The overlay goes into a transaction: it is empty from now on, and its rows stay in memory until the commit
 * has ended. */
void freshet_users_start_commit(freshet_users* users);
/* The store has them. */
void freshet_users_end_commit(freshet_users* users);

/* Evicts the longest unused clean rows beyond the bound. Between batches only. */
void freshet_users_trim(freshet_users* users);
/* Forgets all rows of a partition, changed or not: it was revoked. Not while a commit is under way. */
void freshet_users_drop(freshet_users* users, int32_t partition);
size_t freshet_users_count(const freshet_users* users);
/* The row of a user if it is in memory, else NULL. */
freshet_user_row* freshet_users_find(const freshet_users* users, int32_t partition, freshet_slice user_id);
/* Visits every row in memory. */
void freshet_users_each(freshet_users* users, void (*visit)(void* context, freshet_user_row* row),
                        void* context);

/* The row as UserState bytes, appended. */
freshet_status freshet_users_encode(freshet_users* users, const freshet_user_row* row, freshet_buffer* out,
                                    freshet_error* error);

#endif
