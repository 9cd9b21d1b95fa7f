/*
 * input_reader.h: history from a file of any format or from a topic, record by record. A reader hides whether it
 * is CSV, JSON, an Avro container file, a known data set or Kafka, and how far it is. `freshet replay`, its dry
 * run and `freshet evaluate` all read through freshet_input_open, so that they take and reject equal rows.
 *
 * Thread rule: a reader serves one thread at a time.
 */
#ifndef FRESHET_COMMANDS_INPUT_READER_H
#define FRESHET_COMMANDS_INPUT_READER_H

#include "commands/input/input_options.h"
#include "freshet/event.h"

typedef enum freshet_input_expect {
  FRESHET_INPUT_ANY = 0, /* a record with a user is an event, any other an item */
  FRESHET_INPUT_EVENTS,
  FRESHET_INPUT_ITEMS,
} freshet_input_expect;

/* In front of the name of a topic that is read. */
#define FRESHET_INPUT_KAFKA "kafka://"

/* Where topics are read. All is borrowed. */
typedef struct freshet_input_cluster {
  const struct freshet_kafka_config* kafka;
  const struct freshet_codec_config* codec;
  int64_t since_ms, until_ms; /* INT64_MIN, INT64_MAX: no bound */
} freshet_input_cluster;

/* One input. All is borrowed and outlives its reader. */
typedef struct freshet_input {
  const char* path; /* "-": standard input; or FRESHET_INPUT_KAFKA and a topic */
  freshet_input_expect expect;
  const freshet_input_options* options;
  bool is_alone; /* no other input has these options: every given name must be in this one */
  const freshet_input_cluster* cluster; /* for topics; NULL: topics are refused */
  const char* place;                    /* where reading goes on, by `place` of another reader; NULL: begin */
} freshet_input;

/* Is the path that of a topic? */
bool freshet_input_is_topic(const char* path);

typedef enum freshet_input_outcome {
  FRESHET_INPUT_TAKEN = 0,
  FRESHET_INPUT_LEFT_OUT, /* not asked for: by its user, its type, or --types WORD=- */
  FRESHET_INPUT_RETURNED, /* a purchase of a negative quantity */
} freshet_input_outcome;

/* Views hold until the next record is read. */
typedef struct freshet_input_record {
  unsigned long
      line; /* line, number of the record in an Avro file or an array, both from 1, or offset in a topic */
  int32_t partition; /* of a topic */
  bool is_event;     /* else it is an item */
  bool is_tombstone; /* erases the user, withdraws the item: only ids and the event's time are filled in */
  bool decoded;      /* by its reader: event or item is filled in, fields are not */
  bool has_key;      /* of a topic */
  freshet_slice key; /* of a topic: must be the id */
  int64_t record_ms; /* of a topic: the record's own time; 0: none */
  freshet_slice fields[FRESHET_FIELDS]; /* the texts; empty where absent */
  uint32_t present;                     /* bit f: the record has a value with the name of field f */
  freshet_input_outcome outcome;
  bool has_own_id;    /* the event's id was given, not made */
  bool lost_price;    /* the price was no number, or negative, so it is left out */
  bool lost_quantity; /* the quantity was no number, or beyond a million, so it counts as one */
  freshet_event event;
  freshet_item item;
} freshet_input_record;

typedef struct freshet_input_reader freshet_input_reader;
typedef struct freshet_input_reader_vtable {
  /* *more is false at the end. Errors: verdict FRESHET_DEAD_LETTER for a record that cannot be read (line is
   * set, and the next one can be read), FRESHET_STOP when nothing more can. */
  freshet_status (*next)(freshet_input_reader* self, freshet_input_record* record, bool* more,
                         freshet_error* error);
  double (*progress)(const freshet_input_reader* self); /* 0 to 1; 0 when the size is not known */
  /* Appends where another reader would have to start, a text without spaces; true: to go on right here,
   * false: at the same beginning as this one. NULL: always at the beginning of the input, "". */
  bool (*place)(const freshet_input_reader* self, freshet_buffer* text);
  /* Appends the record that was read last as a line of text, whole. NULL: there is no such text. */
  void (*row)(const freshet_input_reader* self, freshet_buffer* text);
  /* Appends the names of the columns, separated by ", ". NULL: there are none. */
  void (*columns)(const freshet_input_reader* self, freshet_buffer* text);
  /* Appends how the file is written, such as "separated by tab". NULL: nothing to tell. */
  void (*style)(const freshet_input_reader* self, freshet_buffer* text);
  /* Appends which column each field comes from, such as "user_id from customer_no, item_id". NULL: nothing. */
  void (*mapping)(const freshet_input_reader* self, freshet_buffer* text);
  /* The unit of its times, as far as it is told. NULL: its times are decoded. */
  freshet_time_unit (*unit)(const freshet_input_reader* self);
  void (*close)(freshet_input_reader* self);
} freshet_input_reader_vtable;
struct freshet_input_reader {
  const freshet_input_reader_vtable* vtable;
};

/* As the functions of the table say, also where there is none. */
bool freshet_input_place(const freshet_input_reader* reader, freshet_buffer* text);
void freshet_input_row(const freshet_input_reader* reader, freshet_buffer* text);
void freshet_input_columns(const freshet_input_reader* reader, freshet_buffer* text);
void freshet_input_style(const freshet_input_reader* reader, freshet_buffer* text);
void freshet_input_mapping(const freshet_input_reader* reader, freshet_buffer* text);
freshet_time_unit freshet_input_unit(const freshet_input_reader* reader);
/* Appends one part of a mapping. */
void freshet_input_mapping_add(freshet_buffer* text, freshet_field field, freshet_slice column);

/* Records as their format has them: texts by field, or decoded. The caller closes *reader. Errors, verdict
 * FRESHET_STOP: FRESHET_NOT_FOUND when the file cannot be opened, FRESHET_INVALID when its head is wrong, names are
 * missing, or it is of a kind that is not read: the message says what it is and what to do. */
freshet_status freshet_input_open_raw(const freshet_input* input, freshet_input_reader** reader,
                                      freshet_error* error);

/* The formats, for freshet_input_open_raw. They own `bytes`, also when they fail. */
freshet_status freshet_input_open_table(const freshet_input* input, freshet_bytes* bytes,
                                        freshet_input_reader** reader, freshet_error* error);
/* lines: a record is a line; else a value, wherever it begins and ends. */
freshet_status freshet_input_open_json(const freshet_input* input, freshet_bytes* bytes, bool lines,
                                       freshet_input_reader** reader, freshet_error* error);
freshet_status freshet_input_open_avro(const freshet_input* input, freshet_bytes* bytes,
                                       freshet_input_reader** reader, freshet_error* error);
freshet_status freshet_input_open_topic(const freshet_input* input, freshet_input_reader** reader,
                                        freshet_error* error);
/* The items of Retailrocket as of the newest of their properties, from all parts in the folder of the path. */
freshet_status freshet_input_open_properties(const freshet_input* input, freshet_input_reader** reader,
                                             freshet_error* error);

/* Which names are missing: sets *error and returns its status. needed: a field that the record cannot do without;
 * else a name of --map that is not there. */
freshet_status freshet_input_no_column(const freshet_input* input, freshet_field field, bool needed,
                                       bool is_event, freshet_slice columns, freshet_error* error);
/* A record of either kind with a time, but without the user of --map: is the name wrong? */
bool freshet_input_lacks_user(const freshet_input* input, bool has_user, bool has_time);
/* Must a field of the map be in this input? */
bool freshet_input_must_have(const freshet_input* input, freshet_field field, bool is_event);

#endif
