/*
 * bench.h: the measurements behind `freshet bench NAME`. Each has a file of its own, takes its own options
 * and prints its own result.
 */
#ifndef FRESHET_COMMANDS_BENCH_H
#define FRESHET_COMMANDS_BENCH_H

/* argv[0] is the measurement's name; returns an exit code. */
int freshet_bench_embed(int argc, char** argv);
int freshet_bench_rank(int argc, char** argv);
int freshet_bench_texts(int argc, char** argv);
int freshet_bench_e2e(int argc, char** argv);
int freshet_bench_fleet(int argc, char** argv);
int freshet_bench_lists(int argc, char** argv);

/* The usage text of each. */
extern const char freshet_bench_embed_usage[];
extern const char freshet_bench_rank_usage[];
extern const char freshet_bench_texts_usage[];
extern const char freshet_bench_e2e_usage[];
extern const char freshet_bench_fleet_usage[];
extern const char freshet_bench_lists_usage[];

#endif
