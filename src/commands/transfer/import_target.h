/*
 * import_target.h: the application that an export is imported into: may it take the state, where does it go on reading,
 * and the transaction that gives it everything or nothing. It must not know what is in the files (import_files.h).
 */
#ifndef FRESHET_COMMANDS_TRANSFER_IMPORT_TARGET_H
#define FRESHET_COMMANDS_TRANSFER_IMPORT_TARGET_H

#include "commands/transfer/import_files.h"
#include "kafka/kafka.h"

typedef enum freshet_import_start {
  FRESHET_IMPORT_UNSAID = 0, /* exported, where the topic is the same */
  FRESHET_IMPORT_EXPORTED,
  FRESHET_IMPORT_EARLIEST,
  FRESHET_IMPORT_LATEST,
} freshet_import_start;

typedef struct freshet_import_target freshet_import_target;

/* Asks the cluster. Errors: FRESHET_CONFLICT when the app has state or other counts of partitions; FRESHET_INVALID when
 * the model differs, or *start is not said but must be; FRESHET_NOT_FOUND when topics are missing. On FRESHET_OK *start
 * is said. The caller closes, whatever the status. */
freshet_status freshet_import_target_open(const freshet_config* config, const freshet_manifest* manifest,
                                          freshet_import_start* start, freshet_import_target** target,
                                          freshet_error* error);
void freshet_import_target_close(freshet_import_target* target); /* NULL is allowed */

/* For freshet_import_files: are there no items yet, and how many partitions has their topic? */
bool freshet_import_target_wants_items(const freshet_import_target* target);
int32_t freshet_import_target_item_shares(const freshet_import_target* target);

/* A freshet_import_position; context: the target. */
void freshet_import_target_note(void* context, freshet_topic topic, int32_t partition, int64_t offset);

/* Does the log hold the noted positions? Nothing is changed. Errors: FRESHET_CONFLICT names one that it does not. */
freshet_status freshet_import_target_check(freshet_import_target* target, freshet_error* error);
/* Waits until the app is stopped, sets its offsets, then sends the files in one transaction. Errors: FRESHET_CONFLICT
 * when the app runs. */
freshet_status freshet_import_target_take(freshet_import_target* target, const freshet_import_files* files,
                                          freshet_error* error);

#endif
