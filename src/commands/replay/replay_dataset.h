/*
 * replay_dataset.h: well-known data sets as they come: which of their files hold what, and in which layout.
 *
 *   movielens    100k (u.data, u.item), 1M and 10M (ratings.dat, movies.dat), 20M to latest (ratings.csv,
 *                movies.csv)
 *   netflix      combined_data_*.txt or mv_*.txt, movie_titles.*
 *   retailrocket events.csv, item_properties*.csv (all parts make one input)
 *
 * Each file may also be gzip, with .gz behind its name.
 */
#ifndef FRESHET_COMMANDS_REPLAY_DATASET_H
#define FRESHET_COMMANDS_REPLAY_DATASET_H

#include "commands/replay/replay_input.h"

/* Calls `add` for the path, or, when it is a folder, for each of its files that the data set knows, in the
 * order of their names. Errors, verdict FRESHET_STOP: FRESHET_NOT_FOUND when there is no such path or nothing
 * in it. `add` returns false to end. */
freshet_status freshet_replay_dataset_expand(freshet_replay_format format, const char* path,
                                             bool (*add)(void* context, const char* path,
                                                         freshet_replay_expect expect),
                                             void* context, freshet_error* error);

/* For freshet_replay_reader_open. Errors: as there; FRESHET_INVALID for a file name that the data set does
 * not know. */
freshet_status freshet_replay_dataset_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                           freshet_error* error);

/* For freshet_replay_dataset_open: the items of Retailrocket as of the newest of their properties, from all
 * parts in the folder of the path. */
freshet_status freshet_replay_properties_open(const freshet_replay_input* input,
                                              freshet_replay_reader** reader, freshet_error* error);

#endif
