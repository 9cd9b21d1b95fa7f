/*
 * replay_stages.h: readers that stand on another reader: one turns rows of text into events and items, one
 * sorts events by time. Each is deterministic, so that the n-th record of a chain is the same in every replay
 * of a file: that is what a checkpoint counts.
 */
#ifndef FRESHET_COMMANDS_REPLAY_STAGES_H
#define FRESHET_COMMANDS_REPLAY_STAGES_H

#include "commands/replay/replay_reader.h"

enum { FRESHET_REPLAY_WINDOW_MAX = 1000 * 1000 };

/* Fills in event or item of every record and names events without an id. Owns `inner`; the converter is
 * borrowed. A row that cannot be converted is an error with verdict FRESHET_DEAD_LETTER; its fields are in
 * the record. */
freshet_replay_reader* freshet_replay_convert(freshet_replay_reader* inner,
                                              freshet_replay_converter* converter);

/* Sorts events by time, equal times in the order of the file, within a window: an event comes in order unless
 * `window` events that are newer have been read before it. Items and errors are passed on at once. Stands on
 * a reader of converted records, which it owns. window: 1 to FRESHET_REPLAY_WINDOW_MAX; memory grows to the
 * size of so many rows. */
freshet_replay_reader* freshet_replay_sort(freshet_replay_reader* inner, size_t window);

#endif
