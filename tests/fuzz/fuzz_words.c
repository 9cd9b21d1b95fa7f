/* fuzz_words.c: any bytes may claim to be a table of word vectors. Whatever is accepted has to encode. */
#include <math.h>
#include <stdlib.h>

#include "text/words.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  freshet_encoder* encoder = NULL;
  freshet_slice bytes = {(const char*)data, size};
  if (freshet_encoder_words_parse(bytes, "fuzz", &encoder, NULL) != FRESHET_OK) return 0;
  const freshet_slice texts[] = {freshet_slice_of("a b"), bytes}; /* the table itself has all of its words */
  float* out = calloc(2 * encoder->dim, sizeof *out);
  FRESHET_ASSERT(out != NULL && freshet_encode(encoder, texts, 2, out, NULL) == FRESHET_OK);
  for (uint32_t i = 0; i < 2 * encoder->dim; i++) FRESHET_ASSERT(isfinite(out[i]));
  free(out);
  freshet_encoder_destroy(encoder);
  return 0;
}
