/*
 * support_disk.h: a store (store.h) on a disk that outlives the process. Writes are atomic; a machine that
 * goes down may lose the last ones.
 */
#ifndef FRESHET_TESTS_SUPPORT_DISK_H
#define FRESHET_TESTS_SUPPORT_DISK_H

#include "stream/store.h"
#include "support_random.h"

typedef struct sim_disk sim_disk;

sim_disk* sim_disk_create(void);
void sim_disk_destroy(sim_disk* disk);
/* Undoes the last writes, at most as many as there are. */
void sim_disk_tear(sim_disk* disk, size_t writes);
/* A row that is stored, chosen by chance, cannot be read any more, until it is written again. Nothing happens when
 * there is such a row already. */
void sim_disk_damage(sim_disk* disk, sim_random* random);
/* Somebody has met the damaged row, and has got an error. */
bool sim_disk_is_ruined(const sim_disk* disk);
/* The damage that nobody has met is gone. */
void sim_disk_mend(sim_disk* disk);
/* The disk is empty and sound. */
void sim_disk_wipe(sim_disk* disk);
/* A process opens the disk: writes that an earlier process had collected but not written are gone. The store
 * belongs to the disk; its destroy does nothing. `survives` is asked before a write and after it; false means
 * that the process died there. */
freshet_store* sim_disk_open(sim_disk* disk, bool (*survives)(void* context), void* context);
/* For this process: is a write that has started still under way after wait_ms? NULL: never. */
void sim_disk_delay(sim_disk* disk, bool (*goes_on)(void* context, int wait_ms));

#endif
