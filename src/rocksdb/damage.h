/*
 * damage.h: a state folder that cannot be read. All that it holds is in Kafka too, so it is moved aside and filled again,
 * as Kafka Streams does. A read that fails while the process runs leaves a mark in the folder for the next start.
 *
 * It knows the names of the files in the folder, and nothing of what they hold.
 */
#ifndef FRESHET_ROCKSDB_DAMAGE_H
#define FRESHET_ROCKSDB_DAMAGE_H

#include <stdbool.h>

#include "freshet/status.h"
#include "stream/logger.h"

/* Does a message of RocksDB say that files are damaged or missing? A full disk, a lock and a device that fails are none
 * of it. */
bool freshet_damage_is_meant(const char* message);

/* Marks the folder. Does nothing when that fails: then the next start finds the damage again. */
void freshet_damage_mark(const char* folder, const char* message);
/* A file that Freshet keeps beside those of the database: the kind of encoder (app/encoder_pin.c). Damage does not move
 * it. */
bool freshet_damage_is_kept(const char* name);
/* What a file system keeps in a folder that is a volume, and hidden files: they are nobody's data. */
bool freshet_damage_is_of_system(const char* name);
/* Does the folder hold tables of a database, and no file of somebody else? A first start that died early leaves
 * no tables. */
bool freshet_damage_has_tables(const char* folder);
/* Does the folder have a mark, or tables or a log without the file that leads to them? */
bool freshet_damage_is_marked(const char* folder);

/* Moves the database out of a folder that nobody has open, into FOLDER.damaged-TIME, or into FOLDER/damaged-TIME where
 * nothing can be made beside the folder. Subfolders stay. reason: NULL takes it from the mark. Logs state.damaged.
 * Errors: FRESHET_IO, FRESHET_CONFLICT when another process has the folder open. */
freshet_status freshet_damage_move_aside(const char* folder, const char* reason, const freshet_logger* logger,
                                         freshet_error* error);

#endif
