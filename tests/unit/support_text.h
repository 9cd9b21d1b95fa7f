/*
 * support_text.h: what the tests of src/text share: files, the MiniLM weights when scripts/fetch-model has
 * brought them, and the reference ids and vectors of tests/data/minilm.
 */
#ifndef FRESHET_TESTS_SUPPORT_TEXT_H
#define FRESHET_TESTS_SUPPORT_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "freshet/bytes.h"

/* A whole file; free with freshet_buffer_free. Empty when it cannot be read. */
freshet_buffer support_read_file(const char* path);

/* The folder of the MiniLM weights, or NULL (with a message on stdout): then the test should skip. */
const char* support_minilm_folder(void);

typedef struct support_reference {
  char* text;
  uint32_t* ids; /* [id_count] */
  size_t id_count;
  float* vector; /* [384] */
} support_reference;

/* The rows of tests/data/minilm/reference.jsonl; free with support_references_free. */
support_reference* support_references_read(size_t* count);
void support_references_free(support_reference* references, size_t count);

#endif
