/* split.c: see split.h. ASCII, most of most texts, needs no tables. */
#include "text/split.h"

typedef struct splitter {
  freshet_split_word each;
  void* context;
  int32_t word[FRESHET_SPLIT_WORD_MAX + 2]; /* from [1] on */
  size_t count;
  bool is_ideographs;
} splitter;

static void end_word(splitter* s) {
  if (s->count > 0) s->each(s->context, s->word + 1, s->count, s->is_ideographs);
  s->count = 0;
}

static void add_character(splitter* s, int32_t character, bool is_ideograph) {
  if (s->count == FRESHET_SPLIT_WORD_MAX || s->is_ideographs != is_ideograph) end_word(s);
  s->is_ideographs = is_ideograph;
  s->word[1 + s->count++] = character;
}

static void add_ascii(splitter* s, int32_t c) {
  const int32_t lower = c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
  if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9')) {
    add_character(s, lower, false);
  } else {
    end_word(s);
  }
}

static void add_folded(splitter* s, int32_t code_point) {
  int32_t folded[FRESHET_FOLD_MAX];
  const size_t count = freshet_unicode_fold(code_point, folded);
  for (size_t i = 0; i < count; i++) {
    if (freshet_unicode_is_word(folded[i])) {
      add_character(s, folded[i], freshet_unicode_is_ideograph(folded[i]));
    } else {
      end_word(s);
    }
  }
}

void freshet_text_split(freshet_slice text, freshet_split_word each, void* context) {
  splitter s = {.each = each, .context = context};
  const char *at = text.data, *end = text.data + text.size;
  for (size_t read = 0; at < end && read < FRESHET_SPLIT_CHARACTERS_MAX; read++) {
    if ((*at & 0x80) == 0) {
      add_ascii(&s, *at++);
    } else {
      add_folded(&s, freshet_unicode_next(&at, end));
    }
  }
  end_word(&s);
}
