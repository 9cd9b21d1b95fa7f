/*
 * bench.c: `freshet bench`: picks the measurement by its name. Each one has a file of its own; nothing is
 * measured here.
 */
#include "commands/bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "commands/commands.h"

static const struct {
  const char* name;
  const char* summary;
  const char* usage;
  int (*run)(int argc, char** argv);
} benches[] = {
    {"embed", "texts a second through the text encoder", freshet_bench_embed_usage, freshet_bench_embed},
    {"rank", "exact top-k over random items, checked against an oracle", freshet_bench_rank_usage,
     freshet_bench_rank},
    {"texts", "which texts of a catalogue are alike: the first fill, new and changed items",
     freshet_bench_texts_usage, freshet_bench_texts},
    {"e2e", "load and latency of a running service, on a real broker", freshet_bench_e2e_usage,
     freshet_bench_e2e},
    {"fleet", "what workers cost each other, and how many single ones a fleet is worth",
     freshet_bench_fleet_usage, freshet_bench_fleet},
    {"lists", "what a list takes of the worker's thread, part by part", freshet_bench_lists_usage,
     freshet_bench_lists},
};

static int run(int argc, char** argv) {
  for (size_t i = 0; argc > 1 && i < sizeof benches / sizeof *benches; i++) {
    if (strcmp(argv[1], benches[i].name) != 0) continue;
    if (argc > 2 && strcmp(argv[2], "--help") == 0) {
      printf("%s", benches[i].usage);
      return FRESHET_EXIT_OK;
    }
    return benches[i].run(argc - 1, argv + 1);
  }
  fprintf(stderr, "usage: freshet bench NAME [OPTION...]\n");
  for (size_t i = 0; i < sizeof benches / sizeof *benches; i++) {
    fprintf(stderr, "  %-6s  %s\n", benches[i].name, benches[i].summary);
  }
  return FRESHET_EXIT_USAGE;
}

const freshet_command freshet_command_bench = {
    .name = "bench",
    .summary = "measure one part on this machine, results checked",
    .usage =
        "usage: freshet bench NAME [OPTION...]\n\n"
        "Measures one part of Freshet on this machine and checks the results on the way.\n"
        "`freshet bench NAME --help` lists the options of one.\n\n"
        "  embed  texts a second through the text encoder\n"
        "  rank   exact top-k over random items\n"
        "  texts  which texts of a catalogue are alike: the first fill, new and changed items\n"
        "  e2e    load and latency of a running service\n"
        "  fleet  what workers cost each other, and how many single ones a fleet is worth\n"
        "  lists  what a list takes of the worker's thread, part by part\n",
    .run = run,
    .has_model = true,
};
