/*
 * manifest.h: manifest.json of an export: where the state comes from, which files there are, and their checksums. It
 * is written last, so a folder without it is no export.
 *
 * It must not know how the state is gathered or written back.
 */
#ifndef FRESHET_COMMANDS_TRANSFER_MANIFEST_H
#define FRESHET_COMMANDS_TRANSFER_MANIFEST_H

#include "commands/transfer/transfer.h"

enum { FRESHET_MANIFEST_NAME_SIZE = 256 };

typedef struct freshet_transfer_file {
  char name[64];
  freshet_transfer_kind kind;
  int32_t partition; /* of users and dedup; else 0 */
  freshet_container_sums sums;
} freshet_transfer_file;

/* Zero-initialise; freshet_manifest_free frees. */
typedef struct freshet_manifest {
  char app[FRESHET_MANIFEST_NAME_SIZE];     /* app.id */
  char cluster[FRESHET_MANIFEST_NAME_SIZE]; /* the id that the cluster gives itself; "": it gives none */
  char events[FRESHET_MANIFEST_NAME_SIZE];  /* the topic that `events` was */
  int64_t made_at_ms;
  int32_t partitions; /* of `events` */
  int64_t dim, seed;  /* of the model */
  uint64_t state_hash;
  freshet_transfer_file** files; /* [file_count], each stays where it is */
  size_t file_count, file_capacity;
} freshet_manifest;

void freshet_manifest_free(freshet_manifest* manifest);

/* One more file, named after its kind and partition. Owned by the manifest. */
freshet_transfer_file* freshet_manifest_add(freshet_manifest* manifest, freshet_transfer_kind kind,
                                            int32_t partition);
/* Records of all files of a kind. */
uint64_t freshet_manifest_records(const freshet_manifest* manifest, freshet_transfer_kind kind);
/* Prints a line for each kind. */
void freshet_manifest_print(const freshet_manifest* manifest);

/* Errors: FRESHET_IO. */
freshet_status freshet_manifest_write(const freshet_manifest* manifest, const char* folder,
                                      freshet_error* error);
/* Errors: FRESHET_NOT_FOUND when the folder holds no export; FRESHET_INVALID when the manifest is damaged or of a
 * newer version. */
freshet_status freshet_manifest_read(freshet_manifest* manifest, const char* folder, freshet_error* error);

#endif
