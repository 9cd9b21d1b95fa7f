/*
 * bert_config.c: reads the files beside a model's weights: sizes, tokenizer settings, pooling. Each value is
 * checked here, so that the other files may rely on it. It must not know the weights.
 */
#include "text/bert_config.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "text/kernels.h"

enum { PATH_SIZE = 4096 };

#define INVALID(error, ...) freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, __VA_ARGS__)

/* A JSON file of the folder. A missing file is *json = NULL, and an error only when it is required. */
static freshet_status read_json(const char* folder, const char* name, bool required, json_t** json,
                                freshet_error* error) {
  char path[PATH_SIZE];
  json_error_t detail;
  *json = NULL;
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
    return INVALID(error, "%s: the path is too long", name);
  }
  if (access(path, F_OK) != 0) {
    if (!required) return FRESHET_OK;
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "%s: no such file", path);
  }
  *json = json_load_file(path, 0, &detail);
  if (*json != NULL) return FRESHET_OK;
  return INVALID(error, "%s: %s (line %d)", path, detail.text, detail.line);
}

/* ---- config.json ---- */

static freshet_status read_number(const json_t* json, const char* key, uint32_t most, uint32_t* value,
                                  freshet_error* error) {
  json_int_t number = json_integer_value(json_object_get(json, key));
  if (number < 1 || number > most) {
    return INVALID(error, "config.json: %s is not between 1 and %u", key, most);
  }
  *value = (uint32_t)number;
  return FRESHET_OK;
}

/* Checks a string: when it is given, it must be the one that this encoder implements. */
static freshet_status expect_string(const json_t* json, const char* key, const char* expected,
                                    freshet_error* error) {
  const char* value = json_string_value(json_object_get(json, key));
  if (value == NULL || strcmp(value, expected) == 0) return FRESHET_OK;
  return INVALID(error, "config.json: %s is \"%.60s\"; only \"%s\" is supported", key, value, expected);
}

static freshet_status read_numbers(const json_t* json, freshet_bert_config* c, freshet_error* error) {
  const struct {
    const char* key;
    uint32_t most;
    uint32_t* value;
  } numbers[] = {
      {"hidden_size", FRESHET_BERT_WIDTH_MAX, &c->hidden},
      {"num_hidden_layers", FRESHET_BERT_LAYERS_MAX, &c->layers},
      {"num_attention_heads", FRESHET_BERT_WIDTH_MAX, &c->heads},
      {"intermediate_size", FRESHET_BERT_WIDTH_MAX, &c->intermediate},
      {"max_position_embeddings", FRESHET_BERT_WIDTH_MAX, &c->positions},
      {"vocab_size", FRESHET_WORDPIECE_VOCABULARY_MAX, &c->vocabulary},
      {"type_vocab_size", FRESHET_BERT_WIDTH_MAX, &c->types},
  };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    freshet_status status = read_number(json, numbers[i].key, numbers[i].most, numbers[i].value, error);
    if (status != FRESHET_OK) return status;
  }
  if (c->positions < 2) return INVALID(error, "config.json: max_position_embeddings is below 2");
  if (c->hidden % c->heads != 0 || c->hidden / c->heads % FRESHET_KERNEL_ALIGNMENT != 0 ||
      c->intermediate % FRESHET_KERNEL_ALIGNMENT != 0) {
    return INVALID(error, "config.json: %u hidden, %u intermediate, %u heads: widths must be multiples of %d",
                   c->hidden, c->intermediate, c->heads, FRESHET_KERNEL_ALIGNMENT);
  }
  return FRESHET_OK;
}

static freshet_status read_model(const char* folder, freshet_bert_config* c, freshet_error* error) {
  json_t* json = NULL;
  freshet_status status = read_json(folder, "config.json", true, &json, error);
  if (status != FRESHET_OK) return status;
  const json_t* epsilon = json_object_get(json, "layer_norm_eps");
  if ((status = expect_string(json, "model_type", "bert", error)) == FRESHET_OK &&
      (status = expect_string(json, "hidden_act", "gelu", error)) == FRESHET_OK &&
      (status = expect_string(json, "position_embedding_type", "absolute", error)) == FRESHET_OK) {
    status = read_numbers(json, c, error);
  }
  c->epsilon = json_is_number(epsilon) ? (float)json_number_value(epsilon) : 1e-12F;
  if (status == FRESHET_OK && !(c->epsilon >= 0 && c->epsilon < 1)) {
    status = INVALID(error, "config.json: layer_norm_eps is not between 0 and 1");
  }
  json_decref(json);
  return status;
}

/* ---- the other files ---- */

static bool read_flag(const json_t* json, const char* key, bool otherwise) {
  const json_t* value = json_object_get(json, key);
  return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static freshet_status read_tokenizer(const char* folder, freshet_bert_config* c, freshet_error* error) {
  json_t *tokenizer = NULL, *sentence = NULL;
  freshet_status status = read_json(folder, "tokenizer_config.json", false, &tokenizer, error);
  if (status == FRESHET_OK) status = read_json(folder, "sentence_bert_config.json", false, &sentence, error);
  if (status == FRESHET_OK) {
    bool lowercase =
        read_flag(tokenizer, "do_lower_case", true) || read_flag(sentence, "do_lower_case", false);
    c->tokenizer = (freshet_wordpiece_options){
        .lowercase = lowercase,
        .strip_accents = read_flag(tokenizer, "strip_accents", lowercase),
        .split_ideographs = read_flag(tokenizer, "tokenize_chinese_chars", true),
    };
    json_int_t most = json_integer_value(json_object_get(sentence, "max_seq_length"));
    if (most < 2) most = json_integer_value(json_object_get(tokenizer, "model_max_length"));
    if (most < 2 || most > c->positions) most = c->positions;
    c->tokens_max = most < FRESHET_BERT_TOKENS_MAX ? (uint32_t)most : FRESHET_BERT_TOKENS_MAX;
  }
  json_decref(tokenizer);
  json_decref(sentence);
  return status;
}

static freshet_status read_pooling_name(const json_t* named, freshet_bert_config* c, freshet_error* error) {
  const char* name = json_string_value(named);
  if (name == NULL) return INVALID(error, "pooling config.json: pooling_mode is no string");
  if (strcmp(name, "cls") == 0) {
    c->pooling = FRESHET_POOLING_CLS;
  } else if (strcmp(name, "mean") == 0 || strcmp(name, "mean_sqrt_len_tokens") == 0) {
    c->pooling = FRESHET_POOLING_MEAN;
  } else {
    return INVALID(error, "pooling config.json: pooling_mode \"%.60s\" is not supported, only mean and cls",
                   name);
  }
  return FRESHET_OK;
}

/* Exactly one of the modes has to be on. Division by the root of the length instead of the length makes no
 * difference, because the vector is normalised afterwards. */
static freshet_status read_pooling_modes(const json_t* json, freshet_bert_config* c, freshet_error* error) {
  const json_t* named =
      json_object_get(json, "pooling_mode"); /* sentence-transformers 5.4 and later: one string */
  if (named != NULL) return read_pooling_name(named, c, error);
  bool cls = read_flag(json, "pooling_mode_cls_token", false);
  bool mean = read_flag(json, "pooling_mode_mean_tokens", false) ||
              read_flag(json, "pooling_mode_mean_sqrt_len_tokens", false);
  const char* key;
  json_t* value;
  json_object_foreach((json_t*)json, key, value) {
    if (strncmp(key, "pooling_mode_", 13) != 0 || !json_is_true(value)) continue;
    if (strstr(key, "cls_token") != NULL || strstr(key, "mean_") != NULL) continue;
    return INVALID(error, "pooling config.json: %.60s is not supported", key);
  }
  if (cls == mean) return INVALID(error, "pooling config.json: neither mean nor CLS pooling alone");
  c->pooling = cls ? FRESHET_POOLING_CLS : FRESHET_POOLING_MEAN;
  return FRESHET_OK;
}

static freshet_status read_pooling(const char* folder, const char* module, freshet_bert_config* c,
                                   freshet_error* error) {
  char name[PATH_SIZE];
  json_t* json = NULL;
  snprintf(name, sizeof name, "%.200s/config.json", module);
  freshet_status status = read_json(folder, name, true, &json, error);
  if (status == FRESHET_OK) status = read_pooling_modes(json, c, error);
  json_decref(json);
  return status;
}

static freshet_status read_modules(const char* folder, freshet_bert_config* c, freshet_error* error) {
  json_t *modules = NULL, *module;
  size_t i;
  freshet_status status = read_json(folder, "modules.json", false, &modules, error);
  c->pooling = FRESHET_POOLING_MEAN;
  json_array_foreach(modules, i, module) {
    const char* type = json_string_value(json_object_get(module, "type"));
    const char* path = json_string_value(json_object_get(module, "path"));
    const char* name = type == NULL || strrchr(type, '.') == NULL ? "" : strrchr(type, '.') + 1;
    if (status != FRESHET_OK) break;
    if (strcmp(name, "Pooling") == 0 && path != NULL) {
      status = read_pooling(folder, path, c, error);
    } else if (strcmp(name, "Transformer") != 0 && strcmp(name, "Normalize") != 0) {
      status = INVALID(error, "modules.json: a module of type \"%.60s\" is not supported", name);
    }
  }
  json_decref(modules);
  return status;
}

freshet_status freshet_bert_config_read(const char* folder, freshet_bert_config* config,
                                        freshet_error* error) {
  freshet_error detail = {0};
  *config = (freshet_bert_config){0};
  freshet_status status = read_model(folder, config, &detail);
  if (status == FRESHET_OK) status = read_tokenizer(folder, config, &detail);
  if (status == FRESHET_OK) status = read_modules(folder, config, &detail);
  if (status == FRESHET_OK) return FRESHET_OK;
  return freshet_error_set(error, status, FRESHET_STOP, "model %s: %s", folder, detail.message);
}
