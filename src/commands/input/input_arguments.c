/*
 * input_arguments.c: inputs of input_arguments.h. A row of a data set gives options first; those of the command line go
 * before them.
 */
#include "commands/input/input_arguments.h"

#include <stdlib.h>

#include "commands/input/input_dataset.h"

struct freshet_owned_input {
  char* path;
  freshet_input_expect expect;
  freshet_input_options options;
  freshet_buffer storage; /* words of the options */
};

void freshet_input_arguments_add(freshet_input_arguments* a, const char* path, freshet_input_expect expect) {
  a->given = realloc(a->given, (a->given_count + 1) * sizeof *a->given);
  FRESHET_ASSERT(a->given != NULL);
  a->given[a->given_count++] = (freshet_given_path){path, expect};
}

freshet_status freshet_input_arguments_take(freshet_input_arguments* a, int code, const char* value,
                                            freshet_error* error) {
  freshet_input_options check;
  freshet_input_options_init(&check);
  freshet_status status = freshet_input_options_take(&check, code, value, error);
  a->options = realloc(a->options, (a->option_count + 1) * sizeof *a->options);
  FRESHET_ASSERT(a->options != NULL);
  a->options[a->option_count++] = (freshet_given_option){code, value};
  return status;
}

/* Options of the row and of the command line have been checked, so taking them again does not fail. */
static void add_owned(void* context, const char* path, freshet_input_expect expect, const char* row) {
  freshet_input_arguments* a = context;
  freshet_owned_input* added = calloc(1, sizeof *added);
  a->owned = realloc(a->owned, (a->count + 1) * sizeof *a->owned);
  FRESHET_ASSERT(added != NULL && a->owned != NULL);
  a->owned[a->count++] = added;
  added->path = strdup(path);
  FRESHET_ASSERT(added->path != NULL);
  added->expect = expect;
  freshet_input_options_init(&added->options);
  if (row != NULL) freshet_input_options_take_text(&added->options, row, &added->storage, NULL);
  for (size_t i = 0; i < a->option_count; i++)
    freshet_input_options_take(&added->options, a->options[i].code, a->options[i].value, NULL);
  if (row != NULL) added->options.format = NULL; /* a row's file is told by its first bytes */
}

static const char* format_of(const freshet_input_arguments* a) {
  const char* format = NULL;
  for (size_t i = 0; i < a->option_count; i++) {
    if (a->options[i].code == FRESHET_INPUT_FORMAT) format = a->options[i].value;
  }
  return format != NULL && strcmp(format, "auto") == 0 ? NULL : format;
}

/* Inputs of items go first, since events refer to them. */
static void order_inputs(freshet_input_arguments* a) {
  a->inputs = calloc(a->count + 1, sizeof *a->inputs);
  FRESHET_ASSERT(a->inputs != NULL);
  size_t at = 0;
  for (int round = 0; round < 2; round++) {
    for (size_t i = 0; i < a->count; i++) {
      freshet_owned_input* owned = a->owned[i];
      if ((owned->expect == FRESHET_INPUT_ITEMS) != (round == 0)) continue;
      bool is_alone = a->count == 1 || a->set != NULL;
      owned->options.map.own_item_id = !is_alone;
      a->inputs[at++] = (freshet_input){
          .path = owned->path, .expect = owned->expect, .options = &owned->options, .is_alone = is_alone};
    }
  }
}

freshet_status freshet_input_arguments_finish(freshet_input_arguments* a, freshet_error* error) {
  const char* format = format_of(a);
  freshet_status status = FRESHET_OK;
  if (!freshet_format_is_plain(format)) status = freshet_dataset_open(format, &a->set, error);
  for (size_t i = 0; status == FRESHET_OK && i < a->given_count; i++) {
    const freshet_given_path* given = &a->given[i];
    if (a->set == NULL || freshet_input_is_topic(given->path)) {
      add_owned(a, given->path, given->expect, NULL);
    } else {
      status = freshet_dataset_expand(a->set, given->path, given->expect, add_owned, a, error);
    }
  }
  if (status == FRESHET_OK) order_inputs(a);
  return status;
}

void freshet_input_arguments_free(freshet_input_arguments* a) {
  for (size_t i = 0; i < a->count; i++) {
    free(a->owned[i]->path);
    freshet_buffer_free(&a->owned[i]->storage);
    free(a->owned[i]);
  }
  free(a->owned);
  free(a->inputs);
  free(a->given);
  free(a->options);
  freshet_dataset_destroy(a->set);
}

void freshet_input_arguments_key(const freshet_input_arguments* a, freshet_buffer* key) {
  for (size_t i = 0; i < a->count; i++) {
    char expect = (char)a->inputs[i].expect;
    freshet_buffer_append(key, a->inputs[i].path, strlen(a->inputs[i].path) + 1);
    freshet_buffer_append(key, &expect, 1);
    freshet_input_options_key(a->inputs[i].options, key);
  }
}
