/*
 * import_files.h: reads the files of an export, checks them, and writes what they hold to the topics of an application.
 * It must not decide whether the application may take it (import.c). Thread rule: one thread.
 */
#ifndef FRESHET_COMMANDS_TRANSFER_IMPORT_FILES_H
#define FRESHET_COMMANDS_TRANSFER_IMPORT_FILES_H

#include "commands/transfer/manifest.h"
#include "service/config.h"
#include "stream/sink.h"

typedef struct freshet_import_files {
  const freshet_config* config;     /* borrowed, as everything here */
  const freshet_manifest* manifest; /* its state_hash is what the files must give */
  const char* folder;
  bool forgets_versions; /* offsets of `events` begin again: lists get versions from the new log */
  bool publishes;        /* every user is owed a list */
  bool sends_items;      /* to the topic of items */
  int32_t item_shares;   /* partitions of `items` */
} freshet_import_files;

/* Called for every position of the export. */
typedef void (*freshet_import_position)(void* context, freshet_topic topic, int32_t partition,
                                        int64_t offset);

/* Reads every file, and compares checksums and the state hash. Writes nothing. Errors: FRESHET_INVALID and FRESHET_IO
 * name the file and the block. */
freshet_status freshet_import_files_check(const freshet_import_files* files, freshet_import_position position,
                                          void* context, freshet_error* error);
/* Reads them again and writes to the sink, in the transaction that is open. Errors: those of the check, and of the
 * sink. */
freshet_status freshet_import_files_send(const freshet_import_files* files, freshet_sink* sink,
                                         freshet_error* error);

#endif
