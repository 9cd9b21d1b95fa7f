/*
 * input_dataset.h: well-known data sets as they come. A table says for each of their files, by name, whether it holds
 * events or items and with which options it is read. The built-in table is datasets.txt; a user's file has the same
 * form. It opens nothing but that file.
 */
#ifndef FRESHET_COMMANDS_INPUT_DATASET_H
#define FRESHET_COMMANDS_INPUT_DATASET_H

#include "commands/input/input_reader.h"

/* datasets.txt, compiled in, ended by a NUL. */
extern const char freshet_dataset_table[];

/* Rows of a table that belong together. */
typedef struct freshet_dataset freshet_dataset;

/* Is it the name of a format (csv, jsonl, json, avro), not of a data set? */
bool freshet_format_is_plain(const char* format);

/* format: a name of the built-in table, or a file of rows. Errors, verdict FRESHET_STOP: FRESHET_NOT_FOUND when it is
 * neither, with the names that there are; FRESHET_INVALID for a row that is none. The caller destroys. */
freshet_status freshet_dataset_open(const char* format, freshet_dataset** set, freshet_error* error);
void freshet_dataset_destroy(freshet_dataset* set); /* NULL is allowed */

/* Called for each file and each row that it matches; options: the text of the row, as long as the set lives. */
typedef void (*freshet_dataset_add)(void* context, const char* path, freshet_input_expect holds,
                                    const char* options);

/* For the path, or, when it is a folder, for each of its files, in the order of their names. wanted: only rows that
 * hold it. Errors, verdict FRESHET_STOP: FRESHET_NOT_FOUND when there is no such path or nothing in it,
 * FRESHET_INVALID for a file name that no row has. */
freshet_status freshet_dataset_expand(const freshet_dataset* set, const char* path,
                                      freshet_input_expect wanted, freshet_dataset_add add, void* context,
                                      freshet_error* error);

#endif
