/*
 * wordpiece.c: WordPiece as BERT has it: clean the text, split it into words, and look up the longest pieces
 * of the vocabulary. It owns the vocabulary. It must not know vectors.
 */
#include "text/wordpiece.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include <xxhash.h>

#include "text/unicode.h"

enum { NO_ID = 0xffffffff, UTF8_MAX = 4, DECOMPOSITION_MAX = 8 };

typedef struct piece {
  uint32_t offset; /* place in text, after the "##" */
  uint32_t size;
  bool continues; /* the piece continues a word: it began with "##" */
} piece;

struct freshet_wordpiece {
  freshet_wordpiece_options options;
  char* text; /* the vocabulary's bytes */
  piece* pieces;
  size_t piece_count;
  size_t piece_size_max; /* bytes */
  uint32_t* slots;       /* [slot_mask + 1] piece id or NO_ID: open addressing, linear probing */
  size_t slot_mask;
  uint32_t unknown, start, end;
};

/* ---- vocabulary ---- */

static size_t first_slot(const freshet_wordpiece* self, const char* text, size_t size, bool continues) {
  return XXH3_64bits_withSeed(text, size, continues) & self->slot_mask;
}

/* The slot that holds the piece, or the free slot where it would be. */
static uint32_t* find_slot(const freshet_wordpiece* self, const char* text, size_t size, bool continues) {
  for (size_t i = first_slot(self, text, size, continues);; i = (i + 1) & self->slot_mask) {
    uint32_t id = self->slots[i];
    if (id == NO_ID) return &self->slots[i];
    const piece* p = &self->pieces[id];
    if (p->size == size && p->continues == continues && memcmp(self->text + p->offset, text, size) == 0) {
      return &self->slots[i];
    }
  }
}

static uint32_t find_piece(const freshet_wordpiece* self, const char* text, size_t size, bool continues) {
  return *find_slot(self, text, size, continues);
}

static size_t count_lines(freshet_slice text) {
  size_t lines = 0;
  for (size_t i = 0; i < text.size; i++) lines += text.data[i] == '\n';
  return lines + (text.size > 0 && text.data[text.size - 1] != '\n');
}

static void add_pieces(freshet_wordpiece* self, size_t text_size) {
  const char* end = self->text + text_size;
  for (const char* line = self->text; line < end; self->piece_count++) {
    const char* newline = memchr(line, '\n', (size_t)(end - line));
    const char* line_end = newline == NULL ? end : newline;
    size_t size = (size_t)(line_end - line);
    if (size > 0 && line[size - 1] == '\r') size--;
    bool continues = size > 2 && line[0] == '#' && line[1] == '#';
    if (continues) line += 2, size -= 2;
    self->pieces[self->piece_count] = (piece){(uint32_t)(line - self->text), (uint32_t)size, continues};
    *find_slot(self, line, size, continues) = (uint32_t)self->piece_count;
    if (size > self->piece_size_max) self->piece_size_max = size;
    line = line_end + 1;
  }
}

static freshet_status find_special(const freshet_wordpiece* self, const char* name, uint32_t* id,
                                   freshet_error* error) {
  *id = find_piece(self, name, strlen(name), false);
  if (*id != NO_ID) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "vocabulary: no token %s", name);
}

freshet_status freshet_wordpiece_create(freshet_slice vocabulary, const freshet_wordpiece_options* options,
                                        freshet_wordpiece** wordpiece, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  size_t lines = count_lines(vocabulary), slots = 16;
  if (lines > FRESHET_WORDPIECE_VOCABULARY_MAX || vocabulary.size > UINT32_MAX / 2) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "vocabulary: more than %d tokens",
                             FRESHET_WORDPIECE_VOCABULARY_MAX);
  }
  while (slots < 2 * lines) slots *= 2;
  freshet_wordpiece* self = calloc(1, sizeof *self);
  if (self == NULL) goto no_memory;
  self->options = *options;
  self->slot_mask = slots - 1;
  self->text = malloc(vocabulary.size + 1);
  self->pieces = calloc(lines + 1, sizeof *self->pieces);
  self->slots = malloc(slots * sizeof *self->slots);
  if (self->text == NULL || self->pieces == NULL || self->slots == NULL) goto no_memory;
  memset(self->slots, 0xff, slots * sizeof *self->slots);
  if (vocabulary.size > 0) memcpy(self->text, vocabulary.data, vocabulary.size);
  add_pieces(self, vocabulary.size);
  if ((status = find_special(self, "[UNK]", &self->unknown, error)) != FRESHET_OK) goto failed;
  if ((status = find_special(self, "[CLS]", &self->start, error)) != FRESHET_OK) goto failed;
  if ((status = find_special(self, "[SEP]", &self->end, error)) != FRESHET_OK) goto failed;
  *wordpiece = self;
  return FRESHET_OK;
no_memory:
  status = freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "vocabulary: out of memory");
failed:
  freshet_wordpiece_destroy(self);
  return status;
}

void freshet_wordpiece_destroy(freshet_wordpiece* wordpiece) {
  if (wordpiece == NULL) return;
  free(wordpiece->text);
  free(wordpiece->pieces);
  free(wordpiece->slots);
  free(wordpiece);
}

size_t freshet_wordpiece_size(const freshet_wordpiece* wordpiece) {
  return wordpiece->piece_count;
}

/* ---- characters, by the definitions of BertNormalizer and BertPreTokenizer ---- */

static bool is_whitespace(int32_t c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return true;
    default:
      return c == '\t' || c == '\n' || c == '\r';
  }
}

/* Characters that are dropped; tab, newline and carriage return, though controls, are spaces. */
static bool is_noise(int32_t c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CS:
      return c != '\t' && c != '\n' && c != '\r';
    default:
      return c == FRESHET_CODE_POINT_INVALID;
  }
}

/* All of ASCII that is neither letter, digit, space nor control counts, "$" and "+" too. */
static bool is_punctuation(int32_t c) {
  if (c < 0x80) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
  }
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return true;
    default:
      return false;
  }
}

/* The blocks of BERT's own definition; 0x2b920 stands where the block begins at 0x2b820, as in
 * `tokenizers`. */
static bool is_ideograph(int32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

/* ---- encoding ---- */

typedef struct encoding {
  const freshet_wordpiece* vocabulary;
  uint32_t* ids; /* [max] */
  size_t count, max;
  char word[FRESHET_WORDPIECE_WORD_MAX * UTF8_MAX]; /* UTF-8 */
  size_t starts[FRESHET_WORDPIECE_WORD_MAX + 1];    /* of its characters, and its end */
  size_t characters; /* more than the maximum: too long, the rest is not kept */
} encoding;

/* One place is kept for [SEP]. */
static bool is_full(const encoding* e) {
  return e->count + 1 == e->max;
}

static void emit(encoding* e, uint32_t id) {
  if (!is_full(e)) e->ids[e->count++] = id;
}

/* The longest piece that begins at character `from`; *to becomes the character behind it. */
static uint32_t longest_piece(const encoding* e, size_t from, size_t* to) {
  size_t start = e->starts[from];
  for (*to = e->characters; *to > from; --*to) {
    size_t size = e->starts[*to] - start;
    if (size > e->vocabulary->piece_size_max) continue;
    uint32_t id = find_piece(e->vocabulary, e->word + start, size, from > 0);
    if (id != NO_ID) return id;
  }
  return NO_ID;
}

/* A word that cannot be cut into pieces completely becomes one [UNK]. */
static void end_word(encoding* e) {
  uint32_t pieces[FRESHET_WORDPIECE_WORD_MAX];
  size_t count = 0;
  bool known = e->characters <= FRESHET_WORDPIECE_WORD_MAX;
  for (size_t from = 0, to; known && from < e->characters; from = to) {
    pieces[count] = longest_piece(e, from, &to);
    known = pieces[count++] != NO_ID;
  }
  if (!known) pieces[0] = e->vocabulary->unknown, count = 1;
  for (size_t i = 0; i < count; i++) emit(e, pieces[i]);
  e->characters = 0;
}

static void add_to_word(encoding* e, int32_t character) {
  if (e->characters < FRESHET_WORDPIECE_WORD_MAX) {
    size_t start = e->starts[e->characters];
    size_t size = (size_t)utf8proc_encode_char(character, (utf8proc_uint8_t*)e->word + start);
    e->starts[e->characters + 1] = start + size;
  }
  e->characters++;
}

static void add_folded(encoding* e, int32_t character) {
  bool alone = is_punctuation(character);
  if (e->vocabulary->options.strip_accents && utf8proc_category(character) == UTF8PROC_CATEGORY_MN) return;
  if (e->vocabulary->options.lowercase) character = utf8proc_tolower(character);
  if (alone) end_word(e);
  add_to_word(e, character);
  if (alone) end_word(e);
}

static void add_character(encoding* e, int32_t character) {
  int32_t parts[DECOMPOSITION_MAX] = {character};
  int boundary = 0;
  utf8proc_ssize_t count = 1;
  bool alone = e->vocabulary->options.split_ideographs && is_ideograph(character);
  if (is_noise(character)) return;
  if (alone || is_whitespace(character)) end_word(e);
  if (is_whitespace(character)) return;
  if (e->vocabulary->options.strip_accents && character >= 0x80) {
    count = utf8proc_decompose_char(character, parts, DECOMPOSITION_MAX, UTF8PROC_DECOMPOSE, &boundary);
    FRESHET_ASSERT(count >= 0 && count <= DECOMPOSITION_MAX);
  }
  for (utf8proc_ssize_t i = 0; i < count; i++) add_folded(e, parts[i]);
  if (alone) end_word(e);
}

/* A special token that is written out in the text, such as [MASK]: its id and size, or NO_ID. */
static uint32_t match_special(const encoding* e, const char* text, const char* end, size_t* size) {
  static const char* const specials[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  if (*text != '[') return NO_ID;
  for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
    *size = strlen(specials[i]);
    if ((size_t)(end - text) >= *size && memcmp(text, specials[i], *size) == 0) {
      return find_piece(e->vocabulary, text, *size, false);
    }
  }
  return NO_ID;
}

size_t freshet_wordpiece_encode(const freshet_wordpiece* wordpiece, freshet_slice text, uint32_t* ids,
                                size_t max) {
  FRESHET_ASSERT(max >= 2);
  encoding e = {.vocabulary = wordpiece, .ids = ids, .max = max};
  const char* at = text.data;
  const char* end = text.data + text.size;
  emit(&e, wordpiece->start);
  while (at < end && !is_full(&e)) {
    size_t size;
    uint32_t special = match_special(&e, at, end, &size);
    if (special == NO_ID) {
      add_character(&e, freshet_unicode_next(&at, end));
    } else {
      end_word(&e);
      emit(&e, special);
      at += size;
    }
  }
  end_word(&e);
  ids[e.count++] = wordpiece->end;
  return e.count;
}
