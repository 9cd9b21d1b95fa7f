/*
 * habit_rows.c: see habit_rows.h. A habit is, little-endian: u64 key of the item, u32 seconds of the newest choice,
 * u32 first visit, u32 last choice, u32 item before, u16 count, u16 span, u8 gaps, u8 [8] choices by part of the day.
 */
#include "users/habit_rows.h"

typedef struct __attribute__((packed)) habit_row {
  uint64_t key;
  uint32_t last_s, first_visit, last_choice, before;
  uint16_t count, span;
  uint8_t gaps;
  uint8_t day[FRESHET_DAY_PARTS];
} habit_row;
_Static_assert(sizeof(habit_row) == FRESHET_HABIT_BYTES, "as documented");

void freshet_habits_write(const freshet_model* model, const freshet_user* user, freshet_buffer* out) {
  for (uint32_t i = 0; i < user->habit_count; i++) {
    const freshet_habit* h = &user->habits[i];
    habit_row row = {.key = freshet_model_item_key(model, h->item),
                     .last_s = h->last_s,
                     .first_visit = h->first_visit,
                     .last_choice = h->last_choice,
                     .before = h->before,
                     .count = h->count,
                     .span = h->span,
                     .gaps = h->gaps};
    memcpy(row.day, h->day, sizeof row.day);
    freshet_buffer_append(out, &row, sizeof row);
  }
}

void freshet_habits_read(freshet_model* model, freshet_slice bytes, freshet_user* user) {
  for (size_t at = 0; at + sizeof(habit_row) <= bytes.size; at += sizeof(habit_row)) {
    habit_row row;
    uint32_t slot;
    memcpy(&row, bytes.data + at, sizeof row);
    if (row.key == 0 || freshet_model_intern_key(model, row.key, &slot, NULL) != FRESHET_OK) continue;
    freshet_habit habit = {.item = slot,
                           .last_s = row.last_s,
                           .first_visit = row.first_visit,
                           .last_choice = row.last_choice,
                           .before = row.before,
                           .count = row.count,
                           .span = row.span,
                           .gaps = row.gaps};
    memcpy(habit.day, row.day, sizeof habit.day);
    freshet_user_restore_habit(user, &habit);
  }
}
