/*
 * fuzz_wordpiece.c: any bytes are a text, and any bytes may be in a vocabulary. Byte 0 chooses the options and where
 * the vocabulary comes from. The bytes up to the first 0xff are more lines of the vocabulary; the rest is the text.
 */
#include <stdlib.h>
#include <string.h>

#include "text/wordpiece.h"

enum { IDS_MAX = 64, IS_SHORT = 8, IS_ALONE = 16 };

static void encode(freshet_slice vocabulary, freshet_slice text, freshet_wordpiece_options options,
                   size_t max) {
  freshet_wordpiece* wordpiece = NULL;
  uint32_t ids[IDS_MAX];
  if (freshet_wordpiece_create(vocabulary, &options, &wordpiece, NULL) != FRESHET_OK) return;
  size_t count = freshet_wordpiece_encode(wordpiece, text, ids, max);
  FRESHET_ASSERT(count >= 2 && count <= max);
  for (size_t i = 0; i < count; i++) FRESHET_ASSERT(ids[i] < freshet_wordpiece_size(wordpiece));
  freshet_wordpiece_destroy(wordpiece);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char base[] = "[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nb\n##b\n##ab\n.\n";
  if (size == 0) return 0;
  uint8_t bits = *data++;
  const uint8_t* cut = memchr(data, 0xff, --size);
  size_t extra = cut == NULL ? 0 : (size_t)(cut - data);
  freshet_buffer vocabulary = {0};
  if ((bits & IS_ALONE) == 0) freshet_buffer_append(&vocabulary, base, sizeof base - 1);
  freshet_buffer_append(&vocabulary, data, extra);
  encode(freshet_buffer_slice(&vocabulary), (freshet_slice){(const char*)data + extra, size - extra},
         (freshet_wordpiece_options){bits & 1, (bits & 2) != 0, (bits & 4) != 0},
         (bits & IS_SHORT) != 0 ? 2 : IDS_MAX);
  freshet_buffer_free(&vocabulary);
  return 0;
}
