/*
 * source.h: the ports through which records are read. A `freshet_source` is the share of this process in the consumer
 * group: partitions of events, requests and items. A `freshet_reader` reads any partition of any topic from a given
 * offset, outside of the group: to restore users, and for the item tables that every worker reads whole. The adapters
 * own their connections (src/kafka). They must not know what a record means.
 *
 * Thread rule: the worker's, but for `wake`.
 */
#ifndef FRESHET_STREAM_SOURCE_H
#define FRESHET_STREAM_SOURCE_H

#include <stdbool.h>

#include "freshet/bytes.h"
#include "freshet/status.h"
#include "stream/listed.h"

/* The topics of the architecture; the adapter maps them to the configured names. */
typedef enum freshet_topic {
  FRESHET_TOPIC_EVENTS = 0,
  FRESHET_TOPIC_ITEMS,
  FRESHET_TOPIC_REQUESTS,
  FRESHET_TOPIC_RECOMMENDATIONS,
  FRESHET_TOPIC_REPLIES,
  FRESHET_TOPIC_DEAD_LETTERS,
  FRESHET_TOPIC_USERS,           /* <app>.users: changelog of user state */
  FRESHET_TOPIC_ITEM_STATES,     /* <app>.items */
  FRESHET_TOPIC_ITEM_DELTAS,     /* <app>.item-deltas, one partition: one order for all */
  FRESHET_TOPIC_APP_GENERATIONS, /* <base>.generations, one partition: who publishes lists (serving.h) */
  FRESHET_TOPIC_SHADOW,          /* <app>.recommendations: lists of a generation that does not serve */
  FRESHET_TOPICS,
} freshet_topic;

/* Lists and replies: a topic that others read, and not the state. */
static inline bool freshet_topic_is_for_readers(freshet_topic topic) {
  return topic == FRESHET_TOPIC_RECOMMENDATIONS || topic == FRESHET_TOPIC_SHADOW ||
         topic == FRESHET_TOPIC_REPLIES;
}

typedef struct freshet_header {
  const char* name; /* NUL-terminated */
  freshet_slice value;
} freshet_header;

/* A record as read. Views hold until the next poll of the same source or reader. */
typedef struct freshet_record {
  freshet_topic topic;
  int32_t partition;
  int64_t offset;
  int64_t timestamp_ms;
  bool has_key;
  freshet_slice key;
  bool has_value; /* false: a tombstone */
  freshet_slice value;
  bool is_sealed; /* of a state topic: this app has written it, and it has not changed since */
  /* Why nobody may use it, of a reader that returns such records too; NULL: nothing is known against it. Static. */
  const char* stranger;
  void* opaque; /* the adapter's */
} freshet_record;

typedef struct freshet_partition {
  freshet_topic topic;
  int32_t partition;
  int64_t offset;        /* assigned: the committed offset, where reading starts; -1: none committed, from the
                     beginning */
  freshet_listed listed; /* of a committed offset, and of one that is to be committed; else offset 0 or -1 */
} freshet_partition;

/* Called from inside poll (and close), on the polling thread. */
typedef struct freshet_source_handler {
  /* These partitions are ours now, none where the group has more members than partitions: their state is to be restored. Their records come after this returns
   * FRESHET_OK. Any other status stops the process. */
  freshet_status (*assigned)(void* context, const freshet_partition* partitions, size_t count,
                             freshet_error* error);
  /* These partitions go to another process: what is open is to be committed. They are its own when this returns.
   * lost: they are its own already, so nothing may be committed. */
  freshet_status (*revoked)(void* context, const freshet_partition* partitions, size_t count, bool lost,
                            freshet_error* error);
  void* context;
} freshet_source_handler;

typedef struct freshet_source freshet_source;
typedef struct freshet_source_vtable {
  /* Waits at most timeout_ms for the first record, then returns what is there. It never waits to fill `out`.
   * Records of one partition come in offset order without repeats, across seeks too. FRESHET_OK with *count 0
   * on time-out. Errors: FRESHET_FENCED (static member replaced), others with verdict FRESHET_STOP; transport
   * trouble is retried inside and only logged. */
  freshet_status (*poll)(freshet_source* self, int timeout_ms, freshet_record* out, size_t capacity,
                         size_t* count, freshet_error* error);
  /* The next records of these partitions start at the given offsets; what has been fetched is dropped. For
   * instance after an abort. */
  freshet_status (*seek)(freshet_source* self, const freshet_partition* partitions, size_t count,
                         freshet_error* error);
  /* Last known end of an assigned partition (next offset to be written), without asking the broker; -1: not
   * known yet. */
  int64_t (*end)(freshet_source* self, freshet_topic topic, int32_t partition);
  /* The offset that the group has committed by now for a partition that is being assigned; -1: none. Asks the broker. NULL:
   * it cannot be asked. Errors: FRESHET_CONFLICT if the partition is not the log that the offset was committed for. */
  freshet_status (*committed)(freshet_source* self, freshet_topic topic, int32_t partition, int64_t* offset,
                              freshet_error* error);
  /* The last header of that name of a record of the last poll; false: it has none. The value holds as long as
   * the record. */
  bool (*header)(freshet_source* self, const freshet_record* record, const char* name, freshet_slice* value);
  /* From any thread: a poll that waits, or the next one, returns at once. */
  void (*wake)(freshet_source* self);
  /* Leaves the group (calls revoked for what is held). */
  freshet_status (*close)(freshet_source* self, freshet_error* error);
  void (*destroy)(freshet_source* self);
} freshet_source_vtable;
struct freshet_source {
  const freshet_source_vtable* vtable;
};

/* One call for each function of the table above; destroy takes NULL too. */
static inline freshet_status freshet_source_poll(freshet_source* self, int timeout_ms, freshet_record* out,
                                                 size_t capacity, size_t* count, freshet_error* error) {
  return self->vtable->poll(self, timeout_ms, out, capacity, count, error);
}
static inline freshet_status freshet_source_seek(freshet_source* self, const freshet_partition* partitions,
                                                 size_t count, freshet_error* error) {
  return self->vtable->seek(self, partitions, count, error);
}
static inline int64_t freshet_source_end(freshet_source* self, freshet_topic topic, int32_t partition) {
  return self->vtable->end(self, topic, partition);
}
static inline freshet_status freshet_source_committed(freshet_source* self, freshet_topic topic,
                                                      int32_t partition, int64_t* offset,
                                                      freshet_error* error) {
  *offset = -1;
  return self->vtable->committed == NULL ? FRESHET_OK
                                         : self->vtable->committed(self, topic, partition, offset, error);
}
static inline bool freshet_source_header(freshet_source* self, const freshet_record* record, const char* name,
                                         freshet_slice* value) {
  return self->vtable->header(self, record, name, value);
}
static inline void freshet_source_wake(freshet_source* self) {
  self->vtable->wake(self);
}
static inline freshet_status freshet_source_close(freshet_source* self, freshet_error* error) {
  return self->vtable->close(self, error);
}
static inline void freshet_source_destroy(freshet_source* self) {
  if (self != NULL) self->vtable->destroy(self);
}

enum { FRESHET_OFFSET_BEGINNING = -2 };

typedef struct freshet_reader freshet_reader;
typedef struct freshet_reader_vtable {
  freshet_status (*partitions)(freshet_reader* self, freshet_topic topic, int32_t* count,
                               freshet_error* error);
  /* First offset that still exists and the high watermark, which includes records of transactions that are
   * still open. Asks the broker. */
  freshet_status (*range)(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t* first,
                          int64_t* end, freshet_error* error);
  /* Starts reading at an offset (FRESHET_OFFSET_BEGINNING allowed). Reads committed records only. */
  freshet_status (*open)(freshet_reader* self, freshet_topic topic, int32_t partition, int64_t offset,
                         freshet_error* error);
  freshet_status (*shut)(freshet_reader* self, freshet_topic topic, int32_t partition, freshet_error* error);
  freshet_status (*poll)(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                         size_t* count, freshet_error* error);
  /* Everything before this offset has been returned by poll: transaction markers and aborted records count as
   * returned. */
  int64_t (*position)(freshet_reader* self, freshet_topic topic, int32_t partition);
  /* Last known end of a partition that is open, without asking the broker; -1: not known yet. NULL: never. */
  int64_t (*end)(freshet_reader* self, freshet_topic topic, int32_t partition);
  void (*destroy)(freshet_reader* self);
} freshet_reader_vtable;
struct freshet_reader {
  const freshet_reader_vtable* vtable;
};

/* One call for each function of the table above; destroy takes NULL too. */
static inline freshet_status freshet_reader_partitions(freshet_reader* self, freshet_topic topic,
                                                       int32_t* count, freshet_error* error) {
  return self->vtable->partitions(self, topic, count, error);
}
static inline freshet_status freshet_reader_range(freshet_reader* self, freshet_topic topic,
                                                  int32_t partition, int64_t* first, int64_t* end,
                                                  freshet_error* error) {
  return self->vtable->range(self, topic, partition, first, end, error);
}
static inline freshet_status freshet_reader_open(freshet_reader* self, freshet_topic topic, int32_t partition,
                                                 int64_t offset, freshet_error* error) {
  return self->vtable->open(self, topic, partition, offset, error);
}
static inline freshet_status freshet_reader_shut(freshet_reader* self, freshet_topic topic, int32_t partition,
                                                 freshet_error* error) {
  return self->vtable->shut(self, topic, partition, error);
}
static inline freshet_status freshet_reader_poll(freshet_reader* self, int timeout_ms, freshet_record* out,
                                                 size_t capacity, size_t* count, freshet_error* error) {
  return self->vtable->poll(self, timeout_ms, out, capacity, count, error);
}
static inline int64_t freshet_reader_position(freshet_reader* self, freshet_topic topic, int32_t partition) {
  return self->vtable->position(self, topic, partition);
}
static inline int64_t freshet_reader_end(freshet_reader* self, freshet_topic topic, int32_t partition) {
  return self->vtable->end == NULL ? -1 : self->vtable->end(self, topic, partition);
}
static inline void freshet_reader_destroy(freshet_reader* self) {
  if (self != NULL) self->vtable->destroy(self);
}

#endif
