/*
 * http_tokens.c: reads the token file, notices when it changes, and compares tokens in constant time. It
 * owns the tokens in memory. What a token allows it must not know.
 */
#include "service/http_tokens.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LOOK_MS = 1000 };

typedef struct token {
  char* text;
  bool may_change;
} token;

struct freshet_http_tokens {
  char* path;
  const freshet_logger* logger;
  token* tokens; /* [count] */
  size_t count;
  struct stat as_of; /* the file that they were read from */
  int64_t next_look_ms;
};

static void clear(freshet_http_tokens* tokens) {
  for (size_t i = 0; i < tokens->count; i++) free(tokens->tokens[i].text);
  free(tokens->tokens);
  tokens->tokens = NULL;
  tokens->count = 0;
}

/* What follows `word` and a blank at the start of the line; NULL: it begins otherwise. */
static char* after(char* line, const char* word) {
  static const char blanks[] = " \t";
  size_t size = strlen(word);
  if (strncmp(line, word, size) != 0 || line[size] == '\0' || strchr(blanks, line[size]) == NULL) return NULL;
  return line + size + strspn(line + size, blanks);
}

char* freshet_http_tokens_parse(char* line, bool* may_change) {
  line[strcspn(line, "\r\n")] = '\0';
  char* of_reader = after(line, "read");
  char* of_admin = after(line, "admin");
  char* found = of_reader != NULL ? of_reader : of_admin != NULL ? of_admin : line;
  *may_change = of_reader == NULL;
  return found[0] == '\0' || line[0] == '#' ? NULL : found;
}

/* size: of the line, with its end. */
static freshet_status add_line(freshet_http_tokens* tokens, char* line, size_t size, int number,
                               freshet_error* error) {
  const char* problem = NULL;
  token made = {0};
  if (size > FRESHET_HTTP_TOKEN_LINE_MAX) {
    problem = "is longer than 4096 bytes";
  } else if (line[0] != '\0' && strlen(line) != size) {
    problem = "holds a NUL byte";
  } else {
    made.text = freshet_http_tokens_parse(line, &made.may_change);
  }
  if (problem != NULL)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "http.token_file: line %d of %s %s",
                             number, tokens->path, problem);
  if (made.text == NULL) return FRESHET_OK;
  made.text = strdup(made.text);
  tokens->tokens = realloc(tokens->tokens, (tokens->count + 1) * sizeof *tokens->tokens);
  FRESHET_ASSERT(tokens->tokens != NULL && made.text != NULL);
  tokens->tokens[tokens->count++] = made;
  return FRESHET_OK;
}

static freshet_status read_lines(freshet_http_tokens* tokens, FILE* file, freshet_error* error) {
  char* line = NULL;
  size_t room = 0;
  ssize_t size;
  freshet_status status = FRESHET_OK;
  for (int number = 1; status == FRESHET_OK && (size = getline(&line, &room, file)) >= 0; number++)
    status = add_line(tokens, line, (size_t)size, number, error);
  if (line != NULL) explicit_bzero(line, room);
  free(line);
  if (status != FRESHET_OK || tokens->count > 0) return status;
  return freshet_error_set(error, FRESHET_IO, FRESHET_STOP,
                           "http.token_file: %s is empty; a token a line is expected", tokens->path);
}

/* Into *tokens, which has none. */
static freshet_status read_file(freshet_http_tokens* tokens, freshet_error* error) {
  FILE* file = fopen(tokens->path, "re");
  if (file == NULL || fstat(fileno(file), &tokens->as_of) != 0) {
    freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "http.token_file: cannot read %s: %s", tokens->path,
                      strerror(errno));
    if (file != NULL) fclose(file);
    return FRESHET_IO;
  }
  freshet_status status = read_lines(tokens, file, error);
  fclose(file);
  return status;
}

freshet_status freshet_http_tokens_create(const char* path, const freshet_logger* logger,
                                          freshet_http_tokens** out, freshet_error* error) {
  freshet_http_tokens* tokens = calloc(1, sizeof *tokens);
  FRESHET_ASSERT(tokens != NULL);
  tokens->path = strdup(path);
  FRESHET_ASSERT(tokens->path != NULL);
  tokens->logger = logger;
  freshet_status status = read_file(tokens, error);
  if (status != FRESHET_OK) {
    freshet_http_tokens_destroy(tokens);
    return status;
  }
  *out = tokens;
  return FRESHET_OK;
}

void freshet_http_tokens_destroy(freshet_http_tokens* tokens) {
  if (tokens == NULL) return;
  clear(tokens);
  free(tokens->path);
  free(tokens);
}

static bool changed(const freshet_http_tokens* tokens) {
  struct stat now;
  return stat(tokens->path, &now) != 0 || now.st_ino != tokens->as_of.st_ino ||
         now.st_dev != tokens->as_of.st_dev || now.st_size != tokens->as_of.st_size ||
         now.st_mtim.tv_sec != tokens->as_of.st_mtim.tv_sec ||
         now.st_mtim.tv_nsec != tokens->as_of.st_mtim.tv_nsec;
}

static void look(freshet_http_tokens* tokens, int64_t now_ms) {
  if (now_ms < tokens->next_look_ms) return;
  tokens->next_look_ms = now_ms + LOOK_MS;
  if (!changed(tokens)) return;
  freshet_http_tokens fresh = {.path = tokens->path};
  freshet_error error = {0};
  if (read_file(&fresh, &error) == FRESHET_OK) {
    clear(tokens);
    tokens->tokens = fresh.tokens;
    tokens->count = fresh.count;
    tokens->as_of = fresh.as_of;
    freshet_log_fact(tokens->logger, FRESHET_INFO, "http.tokens_read", "tokens=%zu", tokens->count);
  } else {
    clear(&fresh);
    freshet_log_fact(tokens->logger, FRESHET_WARN, "http.tokens_kept", "message=\"%s\"", error.message);
  }
}

/* Takes the same time wherever the first difference is. */
static bool same(const char* expected, freshet_slice given) {
  unsigned char difference = given.size != strlen(expected);
  for (size_t i = 0; expected[i] != '\0'; i++) {
    difference |= (unsigned char)(expected[i] ^ (i < given.size ? given.data[i] : 0));
  }
  return difference == 0;
}

int freshet_http_tokens_find(freshet_http_tokens* tokens, freshet_slice given, int64_t now_ms,
                             bool* may_change) {
  look(tokens, now_ms);
  int found = FRESHET_HTTP_NO_TOKEN;
  *may_change = false;
  for (size_t i = 0; i < tokens->count; i++) {
    if (!same(tokens->tokens[i].text, given)) continue;
    found = (int)i;
    *may_change = tokens->tokens[i].may_change;
  }
  return found;
}
