/*
 * text.c: makes the encoder that a configuration asks for: which kind, which folder, with hashed words or not.
 * A model is a named folder, or a folder in the cache of the user or of the machine. It knows every kind of
 * encoder; nothing else in the program needs to.
 */
#include "text/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text/bert.h"
#include "text/encoder_http.h"
#include "text/joined.h"
#include "text/words.h"

enum { PATH_SIZE = 4096 };

/* Where `freshet fetch-model --system` puts models. */
#define SYSTEM_CACHE "/var/cache/freshet"

freshet_text_config freshet_text_defaults(void) {
  return (freshet_text_config){.encoder = FRESHET_TEXT_AUTO,
                               .dim = 256,
                               .precision = FRESHET_TEXT_FP32,
                               .threads = 1,
                               .timeout_ms = 10000};
}

bool freshet_text_model_folder(const char* name, char* path, size_t size) {
  const char *cache = getenv("FRESHET_CACHE"), *home = getenv("HOME");
  bool is_moved = cache != NULL && cache[0] != '\0';
  int length = snprintf(path, size, SYSTEM_CACHE "/models/%s", name);
  bool is_in_system = length >= 0 && (size_t)length < size && access(path, F_OK) == 0;
  length = is_moved ? snprintf(path, size, "%s/models/%s", cache, name)
                    : snprintf(path, size, "%s/.cache/freshet/models/%s", home == NULL ? "" : home, name);
  if (!is_moved && is_in_system && access(path, F_OK) != 0) {
    length = snprintf(path, size, SYSTEM_CACHE "/models/%s", name);
  }
  return length >= 0 && (size_t)length < size;
}

static bool is_named(const freshet_text_config* config) {
  return config->model != NULL && config->model[0] != '\0';
}

/* Finds the folder that config.model names. */
static freshet_status find_folder(const freshet_text_config* config, char path[PATH_SIZE],
                                  freshet_error* error) {
  const char* model = is_named(config) ? config->model : FRESHET_TEXT_DEFAULT_MODEL;
  bool in_cache = !is_named(config) || (strchr(model, '/') == NULL && access(model, F_OK) != 0);
  bool fits = in_cache ? freshet_text_model_folder(model, path, PATH_SIZE)
                       : (size_t)snprintf(path, PATH_SIZE, "%s", model) < PATH_SIZE;
  if (fits) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "the path of the text model is too long");
}

static freshet_status create_bert(const freshet_text_config* config, const freshet_kernels* kernels,
                                  const char* folder, freshet_encoder** encoder, freshet_error* error) {
  if (access(folder, F_OK) != 0) {
    return freshet_error_set(
        error, FRESHET_NOT_FOUND, FRESHET_STOP,
        "the text model %s is not there; `freshet fetch-model` brings " FRESHET_TEXT_DEFAULT_MODEL
        ", and with --chinese bge-small-zh-v1.5",
        folder);
  }
  const freshet_bert_options options = {
      .folder = folder, .precision = config->precision, .threads = config->threads, .kernels = kernels};
  return freshet_encoder_bert_create(&options, encoder, error);
}

static freshet_status create_words(const freshet_text_config* config, freshet_encoder** encoder,
                                   freshet_error* error) {
  if (is_named(config)) return freshet_encoder_words_create(config->model, encoder, error);
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "text encoder words: needs text.model, a file");
}

static freshet_status create_http(const freshet_text_config* config, freshet_encoder** encoder,
                                  freshet_error* error) {
  const freshet_http_options options = {.url = config->url,
                                        .model = config->model,
                                        .key_env = config->key_env,
                                        .dim = config->dim,
                                        .timeout_ms = config->timeout_ms};
  return freshet_encoder_http_create(&options, encoder, error);
}

/* What auto becomes: bert when a model is named or the default model's folder exists, else hashing. */
static freshet_text_encoder resolve(const freshet_text_config* config, const char* folder) {
  if (config->encoder != FRESHET_TEXT_AUTO) return config->encoder;
  return is_named(config) || access(folder, F_OK) == 0 ? FRESHET_TEXT_BERT : FRESHET_TEXT_HASHING;
}

static freshet_status create_own(const freshet_text_config* config, const freshet_kernels* kernels,
                                 freshet_text_encoder which, const char* folder, freshet_encoder** encoder,
                                 freshet_error* error) {
  switch (which) {
    case FRESHET_TEXT_BERT:
      return create_bert(config, kernels, folder, encoder, error);
    case FRESHET_TEXT_WORDS:
      return create_words(config, encoder, error);
    case FRESHET_TEXT_HASHING:
      return freshet_encoder_hashing_create(config->dim, encoder, error);
    case FRESHET_TEXT_HTTP:
      return create_http(config, encoder, error);
    case FRESHET_TEXT_NONE:
      return FRESHET_OK;
    case FRESHET_TEXT_AUTO:
      break; /* resolved before */
  }
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "text encoder %d: no such encoder", which);
}

freshet_status freshet_text_create(const freshet_text_config* config, freshet_encoder** encoder,
                                   freshet_error* error) {
  return freshet_text_create_with(config, NULL, encoder, error);
}

freshet_status freshet_text_create_with(const freshet_text_config* config, const freshet_kernels* kernels,
                                        freshet_encoder** encoder, freshet_error* error) {
  char folder[PATH_SIZE];
  freshet_encoder* own = NULL;
  *encoder = NULL;
  freshet_status status = find_folder(config, folder, error);
  if (status != FRESHET_OK) return status;
  const freshet_text_encoder which = resolve(config, folder);
  status = create_own(config, kernels, which, folder, &own, error);
  if (own != NULL && config->lexical_weight > 0 && which != FRESHET_TEXT_HASHING) {
    return freshet_encoder_joined_create(own, config->lexical_weight, encoder, error);
  }
  *encoder = own;
  return status;
}
