/*
 * dedup.h: the window of event ids of one partition: a set for the question, a queue for forgetting, and the
 * chunks in which the window is written to the changelog, so that it moves with the partition.
 *
 * A chunk holds ids of one commit: key = NUL 'd' + 8-byte big-endian number, value = version byte 1, newest
 * record time in ms (i64 LE), keys of the event ids (u64 LE each). Chunks leave the window whole: by count
 * when the ids of the younger ones reach the bound, by time when their newest record is older than the
 * window, measured against the newest record of the partition (never a wall clock, so that a replay forgets
 * at the same places).
 */
#ifndef FRESHET_USERS_DEDUP_H
#define FRESHET_USERS_DEDUP_H

#include <stdbool.h>
#include <stdint.h>

#include "freshet/bytes.h"
#include "freshet/status.h"

typedef struct freshet_dedup freshet_dedup;

enum { FRESHET_DEDUP_KEY_SIZE = 10 };
/* Every chunk key starts with this; no user id does. */
extern const char freshet_dedup_key_prefix[2];
/* Of a row of the changelog or the store: is it a chunk's? Else it is a user's. */
static inline bool freshet_dedup_is_key(freshet_slice key) {
  return key.size > 0 && key.data[0] == '\0';
}

freshet_dedup* freshet_dedup_create(uint32_t max_events, int64_t window_ms);
void freshet_dedup_destroy(freshet_dedup* dedup);

/* Adds the key of an event id. false: it is in the window already (nothing changes). */
bool freshet_dedup_add(freshet_dedup* dedup, uint64_t event_key, int64_t record_time_ms);

/* The key will be added soon: brings its place nearer to the processor, and changes nothing. */
void freshet_dedup_announce(const freshet_dedup* dedup, uint64_t event_key);

/* The newest record time of the window, in ms; 0: none yet. */
int64_t freshet_dedup_newest_ms(const freshet_dedup* dedup);

/* The next chunk of ids that have not been taken yet; false when there is none (left). `key` is
 * FRESHET_DEDUP_KEY_SIZE bytes. */
bool freshet_dedup_take_chunk(freshet_dedup* dedup, uint8_t* key, freshet_buffer* value);
/* The next chunk to forget, if the bounds demand it: its key, to be removed from changelog and store. */
bool freshet_dedup_take_expired(freshet_dedup* dedup, uint8_t* key);

/* Looks whether key and value are those of a stored chunk. Errors: FRESHET_INVALID. */
freshet_status freshet_dedup_check(freshet_slice key, freshet_slice value, freshet_error* error);
/* Reads a stored chunk back; in key order. Errors: FRESHET_INVALID. */
freshet_status freshet_dedup_load(freshet_dedup* dedup, freshet_slice key, freshet_slice value,
                                  freshet_error* error);

#endif
