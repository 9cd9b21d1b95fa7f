/*
 * changelog_check.h: does the store reflect this changelog, or another one of the same name? A changelog that was
 * deleted and made again may have grown beyond the stored position, with other users in it. It must not change the
 * store: restore.c decides.
 */
#ifndef FRESHET_WORKER_CHANGELOG_CHECK_H
#define FRESHET_WORKER_CHANGELOG_CHECK_H

#include "stream/ports.h"

/* Holds the last rows before `position` in the log against the store, which reflects the log up to there. *same
 * true also when none of them is left (compacted). first: the first offset that the log has. Reads through
 * ports->changelog, in which the partition must be shut, and leaves it shut. */
freshet_status freshet_changelog_is_same(const freshet_ports* ports, int32_t partition, int64_t first,
                                         int64_t position, bool* same, freshet_error* error);

#endif
