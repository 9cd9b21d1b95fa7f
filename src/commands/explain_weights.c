/*
 * explain_weights.c: `freshet explain-weights`: asks a running service over HTTP what its model has learned to weigh, and
 * prints it in words. It reads no state of its own.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/ask_service.h"
#include "commands/commands.h"
#include "commands/options.h"

static const char usage[] =
    "usage: freshet explain-weights -c FILE [--url URL] [--json] [-X SECTION.KEY=VALUE]...\n\n"
    "Asks the running service over HTTP what its model has learned: what an event weighs by its type, dwell "
    "time,\n"
    "quantity and price, and how much each part of a score counts.\n\n" FRESHET_OPTIONS_USAGE
    "  --url URL             of the service; default: http.bind and http.port of the configuration\n"
    "  --json                print the answer as it came\n"
    "\nexit codes: 0 answered, 1 refused, 2 usage or configuration, 6 no service answers\n";

/* A part of the answer in words. */
static const struct {
  const char *part, *heading, *unit;
} headings[] = {
    {"event", "An event of this type, as times a click", ""},
    {"dwell_s", "A click with this dwell time, as times one without", " s"},
    {"quantity", "A purchase of so many pieces, as times one piece", " pieces"},
    {"price", "A purchase at this price, as times one without a price", " times the usual price"},
    {"score of a new user", "The score of an item for a user without history: weight of each part", ""},
    {"score of a known user", "The score of an item for a user with 20 choices or more: weight of each part",
     ""},
    {"score for what a session agrees on",
     "An item that goes with several items of the session: weight, by how many these are", ""},
    {"doubt that items go together",
     "Counts of items that were chosen together: how much of them counts nothing", ""},
    {"chosen together with an earlier item",
     "An item that goes with earlier items of the user: from 0, as by cosines, to 1", ""},
    {"recent item, by place", "A recent item in the user's taste, as times the newest", ""},
    {"recent item, by time since then", "The same, by the time since the user chose it: a factor", ""},
    {"dislike", "Dislikes: weight of each part", ""},
    {"shown without a choice, by time since then",
     "An item that was shown and not chosen: what this takes, by the time since then", ""},
    {"looked at, by place of a list", "A place of a list: how often it is looked at, as times the first one",
     ""},
    {"habit", "Choosing again: weight", ""},
};

static bool parse(int argc, char** argv, freshet_options* options, freshet_question* question) {
  static const struct option longs[] = {
      {"url", required_argument, NULL, 'a'}, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (freshet_options_take(options, option, optarg)) continue;
    if (option == '?') return false;
    if (option == 'a') question->url = optarg;
    if (option == 'j') question->json = true;
  }
  if (optind < argc) fprintf(stderr, "freshet explain-weights: what is '%s'?\n", argv[optind]);
  return optind == argc;
}

static const char* text_of(const json_t* object, const char* key) {
  const char* text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

static void print_weights(const json_t* answer) {
  enum { WIDTH = 46 };
  const char *before = "", *unit = "";
  size_t i;
  const json_t* weight;
  const json_t* weights = json_object_get(answer, "weights");
  json_array_foreach(weights, i, weight) {
    const char* part = text_of(weight, "part");
    char name[2 * WIDTH];
    if (strcmp(part, before) != 0) {
      const char* heading = part; /* of a newer service */
      unit = "";
      for (size_t h = 0; h < sizeof headings / sizeof *headings; h++) {
        if (strcmp(part, headings[h].part) != 0) continue;
        heading = headings[h].heading;
        unit = headings[h].unit;
      }
      printf("%s%s\n", i == 0 ? "" : "\n", heading);
      before = part;
    }
    snprintf(name, sizeof name, "%s%s", text_of(weight, "of"), unit);
    printf("  %-*s %7.3f\n", WIDTH, name, json_number_value(json_object_get(weight, "weight")));
  }
}

static int run(int argc, char** argv) {
  freshet_options options = {0};
  freshet_question question = {.command = "explain-weights",
                               .path = "/v1/weights",
                               .list = "weights",
                               .missing = "the service knows no /v1/weights: is it an older version?",
                               .print = print_weights};
  if (parse(argc, argv, &options, &question)) return freshet_ask_service(&question, &options);
  fprintf(stderr, "see `freshet help explain-weights`\n");
  return FRESHET_EXIT_USAGE;
}

const freshet_command freshet_command_explain_weights = {
    .name = "explain-weights",
    .summary = "what the running service has learned to weigh, in words",
    .usage = usage,
    .run = run,
};
