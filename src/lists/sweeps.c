/* sweeps.c: see sweeps.h. A slice is a scan from the last key on, which is cut. */
#include "lists/sweeps.h"

#include <stdlib.h>

#include "core/grow.h"
#include "users/dedup.h"

enum { LOOK_EVERY = 16 /* rows, at the clock */ };

typedef struct sweep {
  freshet_owed_reason reason;
  int32_t partition;
  freshet_buffer after; /* the key of the last row that was seen; empty: none */
  bool comes_again;     /* it begins again when it ends */
} sweep;

struct freshet_sweeps {
  const freshet_ports* ports;
  size_t most;
  freshet_sweeps_handler handler;
  sweep* list; /* [count] the first that may go on is served */
  size_t count, capacity;
};

freshet_sweeps* freshet_sweeps_create(const freshet_ports* ports, size_t most,
                                      const freshet_sweeps_handler* handler) {
  freshet_sweeps* sweeps = calloc(1, sizeof *sweeps);
  FRESHET_ASSERT(sweeps != NULL && most > 0);
  sweeps->ports = ports;
  sweeps->most = most;
  sweeps->handler = *handler;
  return sweeps;
}

void freshet_sweeps_destroy(freshet_sweeps* sweeps) {
  if (sweeps == NULL) return;
  for (size_t i = 0; i < sweeps->count; i++) freshet_buffer_free(&sweeps->list[i].after);
  free(sweeps->list);
  free(sweeps);
}

static void remove_at(freshet_sweeps* sweeps, size_t at) {
  freshet_buffer_free(&sweeps->list[at].after);
  sweeps->count--;
  for (size_t i = at; i < sweeps->count; i++) sweeps->list[i] = sweeps->list[i + 1];
}

static sweep* find(const freshet_sweeps* sweeps, freshet_owed_reason reason, int32_t partition) {
  for (size_t i = 0; i < sweeps->count; i++) {
    sweep* known = &sweeps->list[i];
    if (known->reason == reason && known->partition == partition) return known;
  }
  return NULL;
}

void freshet_sweeps_repeat(freshet_sweeps* sweeps, freshet_owed_reason reason, int32_t partition) {
  sweep* known = find(sweeps, reason, partition);
  if (known == NULL) {
    freshet_sweeps_begin(sweeps, reason, partition);
  } else {
    known->comes_again = known->after.size > 0;
  }
}

void freshet_sweeps_begin(freshet_sweeps* sweeps, freshet_owed_reason reason, int32_t partition) {
  sweep* known = find(sweeps, reason, partition);
  if (known != NULL) {
    known->after.size = 0;
    known->comes_again = false;
    return;
  }
  sweeps->list = freshet_grow(sweeps->list, &sweeps->capacity, sweeps->count + 1, sizeof *sweeps->list);
  sweeps->list[sweeps->count++] = (sweep){.reason = reason, .partition = partition};
}

void freshet_sweeps_forget(freshet_sweeps* sweeps, int32_t partition) {
  for (size_t i = sweeps->count; i-- > 0;) {
    if (sweeps->list[i].partition == partition) remove_at(sweeps, i);
  }
}

/* The place of the first sweep that may go on, or count. */
static size_t first_of(const freshet_sweeps* sweeps, unsigned reasons) {
  size_t at = 0;
  while (at < sweeps->count && (reasons >> sweeps->list[at].reason & 1) == 0) at++;
  return at;
}

bool freshet_sweeps_are_due(const freshet_sweeps* sweeps, unsigned reasons) {
  return first_of(sweeps, reasons) < sweeps->count;
}

typedef struct slice {
  const freshet_sweeps* sweeps;
  sweep* now;
  size_t rows;
  int64_t until_us;
  bool is_cut; /* there may be more */
  freshet_status status;
  freshet_error* error;
} slice;

static bool look_at_row(void* context, freshet_slice key, freshet_slice row) {
  slice* s = context;
  const freshet_sweeps_handler* handler = &s->sweeps->handler;
  if (!freshet_dedup_is_key(key))
    s->status = handler->visit(handler->context, s->now->reason, s->now->partition, key, row, s->error);
  if (s->status != FRESHET_OK) return false;
  s->now->after.size = 0;
  freshet_buffer_append(&s->now->after, key.data, key.size);
  s->rows++;
  const bool looks = s->rows % LOOK_EVERY == 0;
  s->is_cut = s->rows >= s->sweeps->most ||
              (looks && freshet_clock_monotonic_us(s->sweeps->ports->clock) >= s->until_us);
  return !s->is_cut;
}

freshet_status freshet_sweeps_turn(freshet_sweeps* sweeps, unsigned reasons, int64_t slice_us,
                                   freshet_error* error) {
  const size_t at = first_of(sweeps, reasons);
  if (at == sweeps->count) return FRESHET_OK;
  freshet_store* store = sweeps->ports->store;
  sweep* now = &sweeps->list[at];
  slice s = {.sweeps = sweeps, .now = now, .error = error};
  s.until_us = freshet_clock_monotonic_us(sweeps->ports->clock) + slice_us;
  freshet_status status =
      now->after.size == 0
          ? freshet_store_scan(store, FRESHET_FAMILY_USERS, now->partition, (freshet_slice){NULL, 0},
                               look_at_row, &s, error)
          : freshet_store_scan_after(store, FRESHET_FAMILY_USERS, now->partition,
                                     freshet_buffer_slice(&now->after), look_at_row, &s, error);
  if (status == FRESHET_OK) status = s.status;
  if (status != FRESHET_OK || s.is_cut) return status;
  if (now->comes_again) {
    now->comes_again = false;
    now->after.size = 0;
    return FRESHET_OK;
  }
  const freshet_owed_reason reason = now->reason;
  const int32_t partition = now->partition;
  remove_at(sweeps, at);
  sweeps->handler.done(sweeps->handler.context, reason, partition);
  return FRESHET_OK;
}
