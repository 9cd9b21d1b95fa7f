/*
 * user_id.h: which keys of `events` name a user. The one rule for events, tombstones and erasures. It owns nothing.
 * What else an event needs is not said here (freshet_event_validate).
 */
#ifndef FRESHET_USERS_USER_ID_H
#define FRESHET_USERS_USER_ID_H

#include <stdbool.h>

#include "freshet/bytes.h"
#include "freshet/event.h"

/* 1 to FRESHET_ID_MAX bytes, of which the first is no control character: keys that start with one are Freshet's own
 * (windows of event ids, in the changelog and in the store). */
static inline bool freshet_is_user_id(freshet_slice key) {
  return key.size > 0 && key.size <= FRESHET_ID_MAX && (unsigned char)key.data[0] >= ' ';
}

#endif
