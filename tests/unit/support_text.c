#include "unit/support_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "freshet/encoder.h"
#include "freshet/status.h"

enum { MINILM_DIM = 384 };

freshet_buffer support_read_file(const char* path) {
  freshet_buffer bytes = {0};
  FILE* file = fopen(path, "rb");
  if (file == NULL) return bytes;
  for (size_t got = 1; got > 0;) {
    got = fread(freshet_buffer_reserve(&bytes, 1 << 16), 1, 1 << 16, file);
    bytes.size += got;
  }
  fclose(file);
  return bytes;
}

const char* support_minilm_folder(void) {
  static char folder[4096];
  char weights[4200];
  FRESHET_ASSERT(freshet_text_model_folder(FRESHET_TEXT_DEFAULT_MODEL, folder, sizeof folder));
  snprintf(weights, sizeof weights, "%s/model.safetensors", folder);
  if (access(weights, R_OK) == 0) return folder;
  printf("skipped: no MiniLM weights in %s; scripts/fetch-model brings them\n", folder);
  return NULL;
}

static support_reference parse_reference(const char* line) {
  support_reference reference = {0};
  json_t* row = json_loads(line, 0, NULL);
  json_t* ids = json_object_get(row, "ids");
  json_t* vector = json_object_get(row, "vector");
  FRESHET_ASSERT(json_array_size(vector) == MINILM_DIM);
  reference.text = strdup(json_string_value(json_object_get(row, "text")));
  reference.id_count = json_array_size(ids);
  reference.ids = calloc(reference.id_count, sizeof *reference.ids);
  reference.vector = calloc(MINILM_DIM, sizeof *reference.vector);
  for (size_t i = 0; i < reference.id_count; i++) {
    reference.ids[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
  }
  for (size_t i = 0; i < MINILM_DIM; i++) {
    reference.vector[i] = (float)json_number_value(json_array_get(vector, i));
  }
  json_decref(row);
  return reference;
}

support_reference* support_references_read(size_t* count) {
  support_reference* references = NULL;
  freshet_buffer bytes = support_read_file(FRESHET_TEST_DATA "/minilm/reference.jsonl");
  *count = 0;
  freshet_buffer_append(&bytes, "", 1);
  for (char *rest = (char*)bytes.data, *line; (line = strsep(&rest, "\n")) != NULL;) {
    if (*line == '\0') continue;
    references = realloc(references, (*count + 1) * sizeof *references);
    references[(*count)++] = parse_reference(line);
  }
  freshet_buffer_free(&bytes);
  return references;
}

void support_references_free(support_reference* references, size_t count) {
  for (size_t i = 0; i < count; i++) {
    free(references[i].text);
    free(references[i].ids);
    free(references[i].vector);
  }
  free(references);
}
