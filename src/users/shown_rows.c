/*
 * shown_rows.c: see shown_rows.h. An item that was shown is, little-endian: u64 key, u32 seconds of the newest showing, u32
 * choices before it, f32 passes before it, u32 seconds of the showing before it, u8 group of places.
 */
#include "users/shown_rows.h"

typedef struct __attribute__((packed)) shown_row {
  uint64_t key;
  uint32_t shown_s, choices;
  float passes;
  uint32_t passed_s;
  uint8_t place;
} shown_row;
_Static_assert(sizeof(shown_row) == FRESHET_SHOWN_BYTES, "as documented");

void freshet_shown_write(const freshet_model* model, const freshet_user* user, freshet_buffer* out) {
  for (uint32_t i = 0; i < user->shown_count; i++) {
    const freshet_shown* shown = &user->shown[i];
    const shown_row row = {.key = freshet_model_item_key(model, shown->item),
                           .shown_s = shown->shown_s,
                           .choices = shown->choices,
                           .passes = shown->passes,
                           .passed_s = shown->passed_s,
                           .place = shown->place};
    freshet_buffer_append(out, &row, sizeof row);
  }
}

void freshet_shown_read(freshet_model* model, freshet_slice bytes, freshet_user* user) {
  for (size_t at = 0; at + sizeof(shown_row) <= bytes.size; at += sizeof(shown_row)) {
    shown_row row;
    memcpy(&row, bytes.data + at, sizeof row);
    freshet_shown shown = {.shown_s = row.shown_s,
                           .choices = row.choices,
                           .place = row.place,
                           .passes = row.passes,
                           .passed_s = row.passed_s};
    /* a damaged row makes no item */
    if (row.key == 0 || !freshet_shown_is_sane(&shown) || freshet_model_is_parked(model, row.key)) continue;
    if (freshet_model_intern_key(model, row.key, &shown.item, NULL) != FRESHET_OK) continue;
    freshet_user_restore_shown(user, &shown);
  }
}
