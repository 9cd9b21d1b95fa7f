/*
 * recommend.c: `freshet recommend`: asks a running service over HTTP for a list and prints it with its
 * reasons. It reads no state of its own.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/ask_service.h"
#include "commands/commands.h"
#include "commands/options.h"
#include "service/http_client.h"

enum { REASONS_SHOWN = 3 };

static const char usage[] =
    "usage: freshet recommend -c FILE --user U [--context TEXT] [-k N] [OPTION...]\n"
    "       freshet recommend -c FILE --like ITEM | --popular | --newest [-k N] [OPTION...]\n\n"
    "Asks the running service over HTTP what it recommends to a user now, and why; or for items like one,\n"
    "the most popular or the newest items.\n\n" FRESHET_OPTIONS_USAGE
    "  --user U              for whom; with another list: hide what the rules hide from this user\n"
    "  --like ITEM           items like this one, whatever is popular\n"
    "  --popular, --newest   items that are chosen most now; the latest items\n"
    "  --category C          only items of this category\n"
    "  --context TEXT        what the items should suit: a search phrase, a page, a question\n"
    "  -k N                  how many (default 10)\n"
    "  --url URL             of the service; default: http.bind and http.port of the configuration\n"
    "  --json                print the answer as it came\n"
    "\nexit codes: 0 answered, 1 refused, 2 usage or configuration, 6 no service answers\n";

typedef struct wish {
  freshet_options options;
  const char *user, *like, *list, *category, *context, *k, *url; /* list: "popular", "newest" */
  bool json;
} wish;

static bool is_given(const char* text) {
  return text != NULL && text[0] != '\0';
}

static bool parse(int argc, char** argv, wish* w) {
  static const struct option longs[] = {
      {"user", required_argument, NULL, 'u'},
      {"like", required_argument, NULL, 'l'},
      {"popular", no_argument, NULL, 'p'},
      {"newest", no_argument, NULL, 'n'},
      {"category", required_argument, NULL, 'g'},
      {"context", required_argument, NULL, 't'},
      {"url", required_argument, NULL, 'a'},
      {"json", no_argument, NULL, 'j'},
      {NULL, 0, NULL, 0},
  };
  int option;
  bool is_twice = false;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT "k:", longs, NULL)) != -1) {
    if (freshet_options_take(&w->options, option, optarg)) continue;
    if (option == '?') return false;
    if (option == 'u') w->user = optarg;
    if (option == 'l') w->like = optarg;
    if (option == 'p' || option == 'n') {
      is_twice = is_twice || w->list != NULL;
      w->list = option == 'p' ? "popular" : "newest";
    }
    if (option == 'g') w->category = optarg;
    if (option == 't') w->context = optarg;
    if (option == 'k') w->k = optarg;
    if (option == 'a') w->url = optarg;
    if (option == 'j') w->json = true;
  }
  const bool has_list = is_given(w->like) || w->list != NULL;
  if (optind < argc) {
    fprintf(stderr, "freshet recommend: what is '%s'?\n", argv[optind]);
  } else if (is_twice || (w->like != NULL && w->list != NULL)) {
    fprintf(stderr, "freshet recommend: only one of --like, --popular and --newest can be given\n");
  } else if (!has_list && !is_given(w->user)) {
    fprintf(stderr, "freshet recommend: one of --user, --like, --popular and --newest is needed\n");
  } else if (w->list != NULL && w->context != NULL) {
    fprintf(stderr, "freshet recommend: --context does not go with --%s\n", w->list);
  } else {
    return true;
  }
  return false;
}

static void append(freshet_buffer* out, const char* text) {
  freshet_buffer_append(out, text, strlen(text));
}

static void append_parameter(freshet_buffer* out, const char* name, const char* value) {
  if (value == NULL) return;
  append(out, "&");
  append(out, name);
  append(out, "=");
  freshet_client_escape(freshet_slice_of(value), out);
}

/* NUL-terminated. */
static void write_path(const wish* w, freshet_buffer* out) {
  const bool is_personal = w->like == NULL && w->list == NULL;
  append(out, is_personal ? "/v1/users/" : "/v1/items/");
  if (w->list == NULL) freshet_client_escape(freshet_slice_of(is_personal ? w->user : w->like), out);
  append(out, is_personal ? "/recommendations" : w->list == NULL ? "/similar" : w->list);
  append(out, "?k=");
  freshet_client_escape(freshet_slice_of(w->k == NULL ? "10" : w->k), out);
  if (!is_personal) append_parameter(out, "user_id", w->user);
  append_parameter(out, "include_categories", w->category);
  append_parameter(out, "context", w->context);
  freshet_buffer_append(out, "", 1);
}

static const char* text_of(const json_t* object, const char* key) {
  const char* text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

static void print_reasons(const json_t* reasons) {
  size_t shown = 0, i;
  const json_t* reason;
  json_array_foreach(reasons, i, reason) {
    bool speaks_for_it = json_number_value(json_object_get(reason, "score")) > 0;
    if (!speaks_for_it || shown == REASONS_SHOWN) continue;
    printf("%s%s", shown == 0 ? "     " : "; ", text_of(reason, "text"));
    shown++;
  }
  if (shown > 0) printf("\n");
}

static void print_list(const json_t* list) {
  size_t i;
  const json_t* item;
  const json_t* items = json_object_get(list, "items");
  if (text_of(list, "note")[0] != '\0') printf("note: %s\n", text_of(list, "note"));
  if (json_array_size(items) == 0) printf("nothing to recommend\n");
  json_array_foreach(items, i, item) {
    const char* title = text_of(item, "title");
    printf("%3zu. %s", i + 1, title[0] == '\0' ? text_of(item, "item_id") : title);
    if (title[0] != '\0') printf("  (%s)", text_of(item, "item_id"));
    printf("\n");
    print_reasons(json_object_get(item, "reasons"));
  }
}

static int run(int argc, char** argv) {
  wish w = {0};
  if (!parse(argc, argv, &w)) {
    fprintf(stderr, "see `freshet help recommend`\n");
    return FRESHET_EXIT_USAGE;
  }
  freshet_buffer path = {0};
  write_path(&w, &path);
  freshet_question question = {.command = "recommend",
                               .path = (const char*)path.data,
                               .url = w.url,
                               .list = "items",
                               .json = w.json,
                               .print = print_list};
  int code = freshet_ask_service(&question, &w.options);
  freshet_buffer_free(&path);
  return code;
}

const freshet_command freshet_command_recommend = {
    .name = "recommend",
    .summary = "ask the running service for a list, with titles and reasons",
    .usage = usage,
    .run = run,
};
