/*
 * replay_reader.h: history from a file of any format, record by record. A reader hides whether it is CSV,
 * JSON Lines or an Avro container file, plain or gzip, and how far it is.
 */
#ifndef FRESHET_COMMANDS_REPLAY_READER_H
#define FRESHET_COMMANDS_REPLAY_READER_H

#include "commands/replay_row.h"

typedef enum freshet_replay_format {
  FRESHET_REPLAY_AUTO = 0, /* told by the first bytes; CSV for what is no regular file */
  FRESHET_REPLAY_CSV,
  FRESHET_REPLAY_JSONL,
  FRESHET_REPLAY_AVRO,
} freshet_replay_format;

typedef enum freshet_replay_expect {
  FRESHET_REPLAY_ANY = 0,
  FRESHET_REPLAY_EVENTS,
  FRESHET_REPLAY_ITEMS,
} freshet_replay_expect;

typedef struct freshet_replay_input {
  const char* path; /* "-": standard input */
  freshet_replay_format format;
  freshet_replay_expect expect; /* FRESHET_REPLAY_ITEMS: a CSV file must have what items need, and so on */
  const freshet_replay_map* map;
} freshet_replay_input;

/* Views hold until the next record is read. */
typedef struct freshet_replay_record {
  unsigned long line;                          /* line, or number of the record in an Avro file; from 1 */
  bool is_event;                               /* else it is an item */
  bool decoded;                                /* event or item is filled in, else fields are */
  freshet_slice fields[FRESHET_REPLAY_FIELDS]; /* the texts; empty where absent */
  freshet_event event;
  freshet_item item;
} freshet_replay_record;

typedef struct freshet_replay_reader freshet_replay_reader;
typedef struct freshet_replay_reader_vtable {
  /* *more is false at the end. Errors: verdict FRESHET_DEAD_LETTER for a record that cannot be read (line is
   * set, and the next one can be read), FRESHET_STOP when nothing more can. */
  freshet_status (*next)(freshet_replay_reader* self, freshet_replay_record* record, bool* more,
                         freshet_error* error);
  double (*progress)(const freshet_replay_reader* self); /* 0 to 1; 0 when the size is not known */
  void (*close)(freshet_replay_reader* self);
} freshet_replay_reader_vtable;
struct freshet_replay_reader {
  const freshet_replay_reader_vtable* vtable;
};

/* The caller closes *reader. Errors: FRESHET_NOT_FOUND when the file cannot be opened, FRESHET_INVALID when
 * its head is wrong or fields are missing; verdict FRESHET_STOP. */
freshet_status freshet_replay_reader_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                          freshet_error* error);

/* The formats, for freshet_replay_reader_open. */
freshet_status freshet_replay_csv_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                       freshet_error* error);
freshet_status freshet_replay_jsonl_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                         freshet_error* error);
freshet_status freshet_replay_avro_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                        freshet_error* error);

#endif
