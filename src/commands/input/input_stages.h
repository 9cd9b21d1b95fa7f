/*
 * input_stages.h: readers over another reader. One looks at the first records before any of them is used, one makes
 * events and items of texts and judges them, one sorts events by time. Each is deterministic: the n-th record of a
 * chain is the same in every reading of a file, which a checkpoint relies on. Each owns the reader below it.
 *
 * Thread rule: that of a reader.
 */
#ifndef FRESHET_COMMANDS_INPUT_STAGES_H
#define FRESHET_COMMANDS_INPUT_STAGES_H

#include "commands/input/input_row.h"

enum { FRESHET_INPUT_WINDOW_MAX = 1000 * 1000 };

/* Which records are wanted, and what a valid one is. */
typedef struct freshet_input_wish {
  freshet_event_limits limits;
  const char* user; /* only events of this user; NULL: of all */
  unsigned types;   /* bit set by freshet_event_type */
  size_t window;    /* of sorting by time; 0: as they come. Up to FRESHET_INPUT_WINDOW_MAX */
} freshet_input_wish;

/* Opens the whole chain: records are converted, judged and sorted. The caller closes *reader. Errors: those of
 * freshet_input_open_raw; FRESHET_INVALID when a name of --map is in none of the first records. */
freshet_status freshet_input_open(const freshet_input* input, const freshet_input_wish* wish,
                                  freshet_input_reader** reader, freshet_error* error);

/* ---- the stages, each for itself ---- */

/* Reads the first records, tells how their lists are separated, and then gives them on. The converter is borrowed.
 * Errors: FRESHET_INVALID, verdict FRESHET_STOP, when a name of --map is in none of them; then the reader below is
 * closed. */
freshet_status freshet_input_preview(freshet_input_reader* inner, const freshet_input* input,
                                     freshet_input_converter* converter, freshet_input_reader** reader,
                                     freshet_error* error);

/* Fills in event or item of every record, names events without an id, and judges: what is not wanted has another
 * outcome, what is not valid is an error with verdict FRESHET_DEAD_LETTER and its fields in the record. Owns the
 * converter. */
freshet_input_reader* freshet_input_judge(freshet_input_reader* inner, freshet_input_converter* converter,
                                          const freshet_input_wish* wish);

/* Sorts events by time, equal times in the order of the file, within a window: an event comes in order unless
 * `window` events that are newer have been read before it. Items, errors and what is not wanted are passed on at
 * once. window: 1 to FRESHET_INPUT_WINDOW_MAX; memory grows to the size of so many rows. */
freshet_input_reader* freshet_input_sort(freshet_input_reader* inner, size_t window);

#endif
