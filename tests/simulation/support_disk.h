/*
 * support_disk.h: a store (store.h) on a disk that outlives the process. Writes are atomic; a machine that
 * goes down may lose the last ones.
 */
#ifndef FRESHET_TESTS_SUPPORT_DISK_H
#define FRESHET_TESTS_SUPPORT_DISK_H

#include "stream/store.h"

typedef struct sim_disk sim_disk;

sim_disk* sim_disk_create(void);
void sim_disk_destroy(sim_disk* disk);
/* Undoes the last writes, at most as many as there are. */
void sim_disk_tear(sim_disk* disk, size_t writes);
/* Somebody has met damage, and has got an error. */
bool sim_disk_is_ruined(const sim_disk* disk);
/* How many rows of users scans have visited, over all. */
uint64_t sim_disk_users_visited(const sim_disk* disk);
/* The disk is empty and sound. */
void sim_disk_wipe(sim_disk* disk);
/* What may happen to the process that uses the disk. A function that is NULL: it does not happen. */
typedef struct sim_disk_faults {
  /* Asked before a write and after it: false means that the process died there. */
  bool (*survives)(void* context);
  /* Is a write that has started still under way after wait_ms? */
  bool (*goes_on)(void* context, int wait_ms);
  /* Asked at each read: does it meet something that can no longer be read? */
  bool (*is_damaged)(void* context);
  void* context;
} sim_disk_faults;

/* A process opens the disk: writes that an earlier process had collected but not written are gone. The store
 * belongs to the disk; its destroy does nothing. faults: NULL: none. */
freshet_store* sim_disk_open(sim_disk* disk, const sim_disk_faults* faults);

#endif
