/*
 * embed.c: `freshet embed`: lines of text in, vectors out, to try an encoder and to check it. With --status
 * and --drop it shows or removes text generations (embed_status.h). It needs no running service.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/encoder_pin.h"
#include "app/text_encoder.h"
#include "commands/commands.h"
#include "commands/embed_status.h"
#include "commands/options.h"

enum {
  BATCH = 64,        /* texts that are encoded in one call */
  TOKENS_MAX = 8192, /* ids that are printed */
};

static const char usage[] =
    "usage: freshet embed [OPTION...] [FILE...]\n"
    "       freshet embed --status [OPTION...]\n"
    "       freshet embed --drop NAME [OPTION...]\n"
    "       freshet embed --switch [OPTION...]\n\n"
    "Reads lines of text (standard input when no file is given; an empty line is a text) and prints one "
    "JSON\n"
    "object a line: {\"vector\": [...]}, of length 1, in digits that read back as the same floats: what the\n"
    "encoder itself makes, without the hashed words of text.lexical_weight.\n\n"
    "  --encoder NAME        auto, bert, words, hashing or http (text.encoder)\n"
    "  --model FOLDER        of the model, or its name in the cache (text.model)\n"
    "  --precision P         fp32 or int8 (text.precision)\n"
    "  --threads N           that share a batch (text.threads)\n"
    "  --jsonl               a line is a JSON object; its \"text\" is read\n"
    "  --tokens              print the token ids too: {\"ids\": [...], \"vector\": "
    "[...]}\n"
    "  --status              instead: which encoders have made vectors of the app's items, how many, and\n"
    "                        whose serve; read from the topics\n"
    "  --drop NAME           instead: withdraw all vectors of an encoder that neither serves nor is "
    "configured;\n"
    "                        going back to it encodes everything again\n"
    "  --switch              instead: let text.encoder = auto choose again, as for a model that has come "
    "since;\n"
    "                        the next start with this state folder makes all vectors "
    "again\n\n" FRESHET_OPTIONS_USAGE
    "\nexit codes: 0 done, 1 a line could not be read or encoded, 2 wrong usage, 6 a file, the model, the\n"
    "embedding server or the cluster is not there\n";

typedef struct embedding {
  bool jsonl, tokens, status, switches;
  const char* drop;
  freshet_encoder* encoder;
  char* lines[BATCH]; /* owned; texts may point into them or into objects */
  json_t* objects[BATCH];
  freshet_slice texts[BATCH];
  size_t count;
  float* vectors; /* [BATCH][dim] */
  const char* file;
  size_t line;
} embedding;

static void print_result(const embedding* e, size_t index) {
  const freshet_encoder* encoder = e->encoder;
  printf("{");
  if (e->tokens) {
    uint32_t ids[TOKENS_MAX];
    size_t count = encoder->vtable->tokenize(encoder, e->texts[index], ids, TOKENS_MAX);
    printf("\"ids\": [");
    for (size_t i = 0; i < count; i++) printf(i == 0 ? "%u" : ", %u", ids[i]);
    printf("], ");
  }
  printf("\"vector\": [");
  for (uint32_t i = 0; i < encoder->dim; i++) {
    printf(i == 0 ? "%.9g" : ", %.9g", (double)e->vectors[index * encoder->dim + i]);
  }
  printf("]}\n");
}

/* Encodes and prints what has been gathered. */
static freshet_status flush_batch(embedding* e, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (e->count > 0) status = freshet_encode(e->encoder, e->texts, e->count, e->vectors, error);
  for (size_t i = 0; i < e->count; i++) {
    if (status == FRESHET_OK) print_result(e, i);
    json_decref(e->objects[i]);
    free(e->lines[i]);
  }
  e->count = 0;
  return status;
}

static freshet_status parse_object(embedding* e, freshet_slice line, json_t** object, freshet_slice* text,
                                   freshet_error* error) {
  json_error_t detail;
  *object = json_loadb(line.data, line.size, JSON_ALLOW_NUL, &detail);
  const json_t* value = json_object_get(*object, "text");
  if (!json_is_string(value)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s:%zu: %s", e->file, e->line,
                             *object == NULL ? detail.text : "no object with a string \"text\"");
  }
  *text = (freshet_slice){json_string_value(value), json_string_length(value)};
  return FRESHET_OK;
}

/* Takes ownership of memory, which holds the line. */
static freshet_status add_line(embedding* e, char* memory, freshet_slice line, freshet_error* error) {
  size_t slot = e->count++;
  e->lines[slot] = memory;
  e->objects[slot] = NULL;
  e->texts[slot] = line;
  freshet_status status = FRESHET_OK;
  if (e->jsonl) status = parse_object(e, line, &e->objects[slot], &e->texts[slot], error);
  if (status == FRESHET_OK) return e->count == BATCH ? flush_batch(e, error) : FRESHET_OK;
  e->count--;
  json_decref(e->objects[slot]);
  free(memory);
  return status;
}

static freshet_status read_lines(embedding* e, FILE* file, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (e->line = 1; status == FRESHET_OK; e->line++) {
    char* memory = NULL;
    size_t capacity = 0;
    ssize_t size = getline(&memory, &capacity, file);
    if (size < 0) {
      free(memory);
      break;
    }
    if (size > 0 && memory[size - 1] == '\n') size--;
    if (e->jsonl && size == 0) {
      free(memory);
      continue;
    }
    status = add_line(e, memory, (freshet_slice){memory, (size_t)size}, error);
  }
  if (status == FRESHET_OK && ferror(file)) {
    status = freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "%s: %s", e->file, strerror(errno));
  }
  return status;
}

static freshet_status read_file(embedding* e, const char* path, freshet_error* error) {
  FILE* file = fopen(path, "r");
  if (file == NULL) {
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "%s: %s", path, strerror(errno));
  }
  e->file = path;
  freshet_status status = read_lines(e, file, error);
  fclose(file);
  return status;
}

static freshet_status embed(embedding* e, char** files, int file_count, freshet_error* error) {
  freshet_status status = FRESHET_OK, flushed;
  if (e->encoder == NULL) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "text.encoder is none");
  }
  if (e->tokens && e->encoder->vtable->tokenize == NULL) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s has no token ids", e->encoder->name);
  }
  e->vectors = calloc((size_t)BATCH * e->encoder->dim, sizeof *e->vectors);
  FRESHET_ASSERT(e->vectors != NULL);
  e->file = "standard input";
  if (file_count == 0) status = read_lines(e, stdin, error);
  for (int i = 0; i < file_count && status == FRESHET_OK; i++) status = read_file(e, files[i], error);
  flushed = flush_batch(e, error); /* what came before a bad line is still printed */
  free(e->vectors);
  if (status == FRESHET_OK) status = flushed;
  return status;
}

/* Options of ours that stand for keys of the configuration, as "section.key=value", to be freed after
 * loading. */
typedef struct shorthands {
  char* pairs[FRESHET_OVERRIDES_MAX];
  size_t count;
} shorthands;

static void add_shorthand(shorthands* s, freshet_options* options, const char* key, const char* value) {
  char* pair = NULL;
  FRESHET_ASSERT(asprintf(&pair, "%s=%s", key, value) >= 0);
  freshet_options_take(options, 'X', pair);
  if (s->count < FRESHET_OVERRIDES_MAX) {
    s->pairs[s->count++] = pair;
  } else {
    free(pair); /* loading refuses so many by their count */
  }
}

static int switch_encoder(const freshet_config* config) {
  const char *before, *after;
  freshet_error error = {0};
  if (freshet_encoder_pin_switch(config, &before, &after, &error) != FRESHET_OK)
    return freshet_command_failed("embed", &error);
  if (strcmp(before, after) == 0) {
    printf("%s: text.encoder = auto has chosen %s, and does so again: nothing changes\n",
           config->state.folder, after);
  } else {
    printf("%s: text.encoder = auto chooses %s, instead of %s: the next start makes all vectors again\n",
           config->state.folder, after, before[0] == '\0' ? "none yet" : before);
  }
  return FRESHET_EXIT_OK;
}

static int run(int argc, char** argv) {
  enum {
    ENCODER = 256,
    MODEL,
    PRECISION,
    THREADS,
    JSONL,
    TOKENS,
    STATUS,
    DROP,
    SWITCH,
    KEYS = JSONL - ENCODER
  };
  static const char* const keys[KEYS] = {"text.encoder", "text.model", "text.precision", "text.threads"};
  static const struct option longs[] = {{"encoder", required_argument, NULL, ENCODER},
                                        {"model", required_argument, NULL, MODEL},
                                        {"precision", required_argument, NULL, PRECISION},
                                        {"threads", required_argument, NULL, THREADS},
                                        {"jsonl", no_argument, NULL, JSONL},
                                        {"tokens", no_argument, NULL, TOKENS},
                                        {"status", no_argument, NULL, STATUS},
                                        {"drop", required_argument, NULL, DROP},
                                        {"switch", no_argument, NULL, SWITCH},
                                        {NULL, 0, NULL, 0}};
  freshet_options options = {0};
  embedding e = {0};
  shorthands shorts = {.count = 0};
  int option, code = FRESHET_EXIT_USAGE;
  freshet_error error = {0};
  freshet_config* config = NULL;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (freshet_options_take(&options, option, optarg)) continue;
    if (option == '?') goto done;
    if (option == JSONL) e.jsonl = true;
    if (option == TOKENS) e.tokens = true;
    if (option == STATUS) e.status = true;
    if (option == DROP) e.drop = optarg;
    if (option == SWITCH) e.switches = true;
    if (option >= JSONL) continue;
    add_shorthand(&shorts, &options, keys[option - ENCODER], optarg);
  }
  if (freshet_options_load(&options, &config, &error) != FRESHET_OK) {
    freshet_command_failed("embed", &error);
    goto done;
  }
  if (e.switches) {
    code = switch_encoder(config);
    goto done;
  }
  bool of_the_app = e.status || e.drop != NULL;
  if (!of_the_app) config->text.lexical_weight = 0;
  freshet_status status = freshet_command_encoder_create(config, &e.encoder, &error);
  if (status == FRESHET_OK) {
    status = e.drop != NULL ? freshet_embed_drop(config, e.encoder, e.drop, &error)
             : e.status     ? freshet_embed_print_status(config, e.encoder, &error)
                            : embed(&e, argv + optind, argc - optind, &error);
  }
  code = status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("embed", &error);
  freshet_encoder_destroy(e.encoder);
done:
  freshet_config_destroy(config);
  for (size_t i = 0; i < shorts.count; i++) free(shorts.pairs[i]);
  return code;
}

const freshet_command freshet_command_embed = {
    .name = "embed",
    .summary = "turn lines of text into vectors",
    .usage = usage,
    .run = run,
};
