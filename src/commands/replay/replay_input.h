/*
 * replay_input.h: what is replayed, and the interface of the readers of each format: CSV, JSON Lines, Avro
 * container files, well-known data sets and topics of Kafka. It owns nothing. It must not know how a format is
 * found out (replay_reader.h).
 */
#ifndef FRESHET_COMMANDS_REPLAY_INPUT_H
#define FRESHET_COMMANDS_REPLAY_INPUT_H

#include "commands/replay/replay_row.h"

typedef enum freshet_replay_format {
  FRESHET_REPLAY_AUTO = 0, /* told by the first bytes; CSV for what is no regular file */
  FRESHET_REPLAY_CSV,
  FRESHET_REPLAY_JSONL,
  FRESHET_REPLAY_AVRO,
  FRESHET_REPLAY_MOVIELENS, /* replay_dataset.h */
  FRESHET_REPLAY_NETFLIX,
  FRESHET_REPLAY_RETAILROCKET,
} freshet_replay_format;

typedef enum freshet_replay_expect {
  FRESHET_REPLAY_ANY = 0,
  FRESHET_REPLAY_EVENTS,
  FRESHET_REPLAY_ITEMS,
} freshet_replay_expect;

/* In front of the name of a topic that is replayed. */
#define FRESHET_REPLAY_KAFKA "kafka://"

/* Where topics are read. All is borrowed. */
typedef struct freshet_replay_cluster {
  const struct freshet_kafka_config* kafka;
  const struct freshet_codec_config* codec;
  int64_t since_ms, until_ms; /* INT64_MIN, INT64_MAX: no bound */
} freshet_replay_cluster;

typedef struct freshet_replay_input {
  const char* path; /* "-": standard input; or FRESHET_REPLAY_KAFKA and a topic */
  freshet_replay_format format;
  freshet_replay_expect expect; /* FRESHET_REPLAY_ITEMS: a CSV file must have what items need, and so on */
  const freshet_replay_map* map;
  const freshet_replay_cluster* cluster; /* for topics */
  const char* place; /* where reading goes on, by `place` of another reader; NULL: begin */
} freshet_replay_input;

/* Views hold until the next record is read. */
typedef struct freshet_replay_record {
  unsigned long line; /* line, number of the record in an Avro file, both from 1, or offset in a topic */
  int32_t partition;  /* of a topic */
  bool is_event;      /* else it is an item */
  bool is_tombstone;  /* erases the user, withdraws the item: only ids and the event's time are filled in */
  bool decoded;       /* event or item is filled in, else fields are */
  bool has_key;       /* of a topic */
  freshet_slice key;  /* of a topic: must be the id */
  int64_t record_ms;  /* of a topic: the record's own time; 0: none */
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
  /* Appends where another reader would have to start, a text without spaces; true: to go on right here,
   * false: at the same beginning as this one. NULL: always at the beginning of the input, "". */
  bool (*place)(const freshet_replay_reader* self, freshet_buffer* text);
  void (*close)(freshet_replay_reader* self);
} freshet_replay_reader_vtable;
struct freshet_replay_reader {
  const freshet_replay_reader_vtable* vtable;
};

/* One for each format. Errors: as those of freshet_replay_reader_open. */
freshet_status freshet_replay_csv_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                       freshet_error* error);
freshet_status freshet_replay_jsonl_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                         freshet_error* error);
freshet_status freshet_replay_avro_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                        freshet_error* error);
freshet_status freshet_replay_topic_open(const freshet_replay_input* input, freshet_replay_reader** reader,
                                         freshet_error* error);

#endif
