/*
 * encoder_pin.c: keeps one word, the kind of encoder, in STATE_FOLDER/encoder.
 */
#include "app/encoder_pin.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/text_encoder.h"

enum { WORD_SIZE = 16 };

static const struct {
  const char* word; /* what the names of such encoders begin with, too */
  freshet_encoder_choice choice;
} kinds[] = {{"bert", FRESHET_ENCODER_BERT}, {"hashing", FRESHET_ENCODER_HASHING}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void path_of(const freshet_config* config, char path[PATH_MAX]) {
  snprintf(path, PATH_MAX, "%s/encoder", config->state.folder);
}

/* The place among the kinds, -1: none is kept. */
static int read_kind(const freshet_config* config) {
  char path[PATH_MAX], word[WORD_SIZE] = "";
  path_of(config, path);
  FILE* file = fopen(path, "re");
  if (file == NULL) return -1;
  if (fgets(word, sizeof word, file) == NULL) word[0] = '\0';
  fclose(file);
  word[strcspn(word, "\n")] = '\0';
  for (int i = 0; i < KINDS; i++) {
    if (strcmp(word, kinds[i].word) == 0) return i;
  }
  return -1;
}

static int kind_of(const freshet_encoder* encoder) {
  for (int i = 0; i < KINDS; i++) {
    if (strncmp(encoder->name, kinds[i].word, strlen(kinds[i].word)) == 0) return i;
  }
  return -1;
}

/* Best effort: without the file `auto` chooses again at the next start. */
static void keep_kind(const freshet_config* config, int kind) {
  char path[PATH_MAX];
  path_of(config, path);
  if (kind < 0) {
    unlink(path);
    return;
  }
  mkdir(config->state.folder, 0777);
  FILE* file = fopen(path, "we");
  if (file == NULL) return;
  fprintf(file, "%s\n", kinds[kind].word);
  fclose(file);
}

static freshet_status create_kept(const freshet_config* config, int kept, freshet_encoder** encoder,
                                  freshet_error* error) {
  freshet_config chosen = *config;
  freshet_error cause = {0};
  chosen.text.encoder = kinds[kept].choice;
  freshet_status status = freshet_command_encoder_create(&chosen, encoder, &cause);
  if (status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(
      error, cause.status, cause.verdict,
      "%.300s; the vectors of this state are of text.encoder = %s: bring its model back, or set "
      "text.encoder to another one, which makes all vectors again",
      cause.message, kinds[kept].word);
}

freshet_status freshet_encoder_pinned_create(const freshet_config* config, const freshet_logger* logger,
                                             freshet_encoder** encoder, freshet_error* error) {
  bool is_auto = config->text.encoder == FRESHET_ENCODER_AUTO;
  int kept = is_auto ? read_kind(config) : -1;
  freshet_error cause = {0};
  freshet_status status = freshet_command_encoder_create(config, encoder, &cause);
  if (kept < 0) {
    if (status != FRESHET_OK)
      return freshet_error_set(error, cause.status, cause.verdict, "%s", cause.message);
    keep_kind(config, *encoder == NULL ? -1 : kind_of(*encoder));
    return FRESHET_OK;
  }
  if (status == FRESHET_OK && kind_of(*encoder) == kept) return FRESHET_OK;
  if (status == FRESHET_OK) {
    freshet_log_fact(
        logger, FRESHET_WARN, "text.encoder_kept",
        "kept=%s auto=%s do=\"`freshet embed --switch`, or set text.encoder = %s, to make all vectors "
        "again with it\"",
        kinds[kept].word, kinds[kind_of(*encoder)].word, kinds[kind_of(*encoder)].word);
    freshet_encoder_destroy(*encoder);
  }
  return create_kept(config, kept, encoder, error);
}

freshet_status freshet_encoder_pin_switch(const freshet_config* config, const char** before,
                                          const char** after, freshet_error* error) {
  freshet_encoder* encoder = NULL;
  int kept = read_kind(config);
  *before = kept < 0 ? "" : kinds[kept].word;
  if (config->text.encoder != FRESHET_ENCODER_AUTO)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "text.encoder is set, and not auto: change the setting itself");
  freshet_status status = freshet_command_encoder_create(config, &encoder, error);
  if (status != FRESHET_OK) return status;
  int chosen = kind_of(encoder);
  freshet_encoder_destroy(encoder);
  *after = chosen < 0 ? "" : kinds[chosen].word;
  keep_kind(config, chosen);
  if (read_kind(config) == chosen) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP,
                           "%s/encoder cannot be written: run the command as the user of the service",
                           config->state.folder);
}
