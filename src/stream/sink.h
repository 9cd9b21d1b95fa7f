/*
 * sink.h: the port through which records are written. There are two ways out: `publish`, which is idempotent and
 * outside of any transaction, and `write`, inside the transaction that `begin` has opened. The adapter owns its
 * connection (src/kafka). It must not know what a record means. Nobody but the outbox (outbox.h) uses it.
 *
 * Thread rule: the worker's. While a job writes beside it, `write` belongs to the job's thread.
 */
#ifndef FRESHET_STREAM_SINK_H
#define FRESHET_STREAM_SINK_H

#include "stream/source.h"

typedef struct freshet_output {
  freshet_topic topic;
  int32_t partition; /* -1: murmur2 of the key, as Java clients do */
  freshet_slice key;
  bool has_value; /* false: a tombstone */
  freshet_slice value;
  int64_t timestamp_ms; /* 0: now */
  const freshet_header* headers;
  size_t header_count;
} freshet_output;

typedef struct freshet_sink freshet_sink;
/* Writes many records, by freshet_sink_write. */
typedef freshet_status (*freshet_sink_job)(void* context, freshet_error* error);
typedef struct freshet_sink_vtable {
  /* Copies key, value and headers. The record leaves with the next poll, settle or commit at the latest. When the queue is
   * full it serves delivery reports until there is room (back-pressure). */
  freshet_status (*publish)(freshet_sink* self, const freshet_output* output, freshet_error* error);
  /* Publishes to a topic that is not one of ours (`output->topic` does not count), and forgets it:
   * nothing waits for its acknowledgement. False: there is no such topic, or none that may be written to. */
  bool (*publish_to)(freshet_sink* self, const char* topic, const freshet_output* output);
  /* Why a record may not be published to that topic; NULL: it may. Static, for people. */
  const char* (*refusal_of)(freshet_sink* self, const char* topic);
  /* Bytes of key, value and headers together that a record of this topic may have. A larger one would end its
   * transaction: see that none is written. */
  size_t (*limit)(freshet_sink* self, freshet_topic topic);
  /* Waits until everything published is acknowledged. Errors: FRESHET_TIMEOUT; FRESHET_UNAVAILABLE when a
   * record was given up. */
  freshet_status (*settle)(freshet_sink* self, int timeout_ms, freshet_error* error);
  freshet_status (*begin)(freshet_sink* self, freshet_error* error);
  /* Whether begin, and write to this topic, are allowed while a commit is under way: there is a producer for it, and
   * every record of the commit in this topic is acknowledged. So in each partition all records of a transaction come
   * before those of the next one. Once true, it is true until the next commit. */
  bool (*may_write)(freshet_sink* self, freshet_topic topic);
  /* Is every record of the open transaction acknowledged? Then its commit has only offsets left to send. Any thread may be
   * writing them (start_writing). NULL: it cannot be told, and the commit waits for them. */
  bool (*is_written)(freshet_sink* self);
  /* Is everything acknowledged of the open transaction that has left, after waiting at most about wait_ms? Records that are
   * gathered for the commit do not count, and a transaction that can only be aborted has nothing to wait for. NULL: it cannot be
   * told, and nobody waits. */
  bool (*is_at_rest)(freshet_sink* self, int wait_ms);
  /* Copies key, value and headers. The record leaves by the commit at the latest. Where commits follow each other at once, the
   * first records of each partition leave with the next poll, and later lists and replies are gathered for the commit: to open a
   * partition takes longer than all that follows. */
  freshet_status (*write)(freshet_sink* self, const freshet_output* output, freshet_error* error);
  /* Runs the job on a thread beside the caller. False: there is none, and nothing has happened. Until end_writing has told
   * how the job has ended, the caller may publish, poll and settle, but not begin, write, commit, abort or abandon. The job
   * has the records that it writes for itself. */
  bool (*start_writing)(freshet_sink* self, freshet_sink_job job, void* context);
  /* How the job has ended, after waiting at most wait_ms (below 0: however long it takes). FRESHET_TIMEOUT: not yet, ask
   * again. */
  freshet_status (*end_writing)(freshet_sink* self, int wait_ms, freshet_error* error);
  /* Starts to commit: waits until everything published before this call is acknowledged, sends the input
   * offsets (the next to read of each) with the group's generation, commits. Returns at once; publish, settle
   * and poll go on meanwhile, begin and write as soon as may_write says so, and commit and abort only after the
   * outcome. A published record that was given up aborts. */
  freshet_status (*commit)(freshet_sink* self, const freshet_partition* offsets, size_t count,
                           freshet_error* error);
  /* How the started commit has ended, after waiting at most wait_ms, or until the last of its records
   * is acknowledged.
   * FRESHET_TIMEOUT: not yet, ask again.
   * FRESHET_OK: it is committed, and written_end tells where the records went. FRESHET_ABORTED: nothing of it
   * exists: rewind and retry. FRESHET_FENCED, and others with verdict FRESHET_STOP when the outcome cannot be
   * known. */
  freshet_status (*outcome)(freshet_sink* self, int wait_ms, freshet_error* error);
  freshet_status (*abort)(freshet_sink* self, freshet_error* error);
  /* Lets go of the commit under way: nobody will be told how it has ended, and the log alone knows. The sink ends or
   * aborts it as soon as the cluster answers, and aborts the transaction that is open beside it; before that it is not
   * ready for another transaction. Only for a caller who forgets everything that depends on the outcome. */
  void (*abandon)(freshet_sink* self);
  /* May begin be called? Not while what was abandoned is not over: begin would wait for it for some seconds, and then
   * return FRESHET_ABORTED. A failure to end it is ready, too: begin tells. NULL: always. */
  bool (*is_ready)(freshet_sink* self);
  /* Offset after the last record of the last committed transaction in (topic, partition); -1: it wrote none
   * there. */
  int64_t (*written_end)(freshet_sink* self, freshet_topic topic, int32_t partition);
  /* The configured name of a topic. */
  const char* (*topic_name)(freshet_sink* self, freshet_topic topic);
  /* Serves delivery reports without waiting, and lets what was published leave: for the end of a turn. */
  void (*poll)(freshet_sink* self);
  void (*destroy)(freshet_sink* self);
} freshet_sink_vtable;
struct freshet_sink {
  const freshet_sink_vtable* vtable;
};

/* One call for each function of the table above; destroy takes NULL too. */
static inline freshet_status freshet_sink_publish(freshet_sink* self, const freshet_output* output,
                                                  freshet_error* error) {
  return self->vtable->publish(self, output, error);
}
static inline bool freshet_sink_publish_to(freshet_sink* self, const char* topic,
                                           const freshet_output* output) {
  return self->vtable->publish_to(self, topic, output);
}
/* A sink without the function has no such topics. */
static inline const char* freshet_sink_refusal_of(freshet_sink* self, const char* topic) {
  return self->vtable->refusal_of == NULL ? "it is not there" : self->vtable->refusal_of(self, topic);
}
/* A sink without the function has no limits. */
static inline size_t freshet_sink_limit(freshet_sink* self, freshet_topic topic) {
  return self->vtable->limit == NULL ? SIZE_MAX : self->vtable->limit(self, topic);
}
static inline freshet_status freshet_sink_settle(freshet_sink* self, int timeout_ms, freshet_error* error) {
  return self->vtable->settle(self, timeout_ms, error);
}
static inline freshet_status freshet_sink_begin(freshet_sink* self, freshet_error* error) {
  return self->vtable->begin(self, error);
}
/* A sink without the function has one producer. */
static inline bool freshet_sink_may_write(freshet_sink* self, freshet_topic topic) {
  return self->vtable->may_write != NULL && self->vtable->may_write(self, topic);
}
/* A sink without the function does not know. */
static inline bool freshet_sink_is_written(freshet_sink* self) {
  return self->vtable->is_written == NULL || self->vtable->is_written(self);
}
static inline bool freshet_sink_is_at_rest(freshet_sink* self, int wait_ms) {
  return self->vtable->is_at_rest == NULL || self->vtable->is_at_rest(self, wait_ms);
}
static inline freshet_status freshet_sink_write(freshet_sink* self, const freshet_output* output,
                                                freshet_error* error) {
  return self->vtable->write(self, output, error);
}
/* A sink without the function has no thread. */
static inline bool freshet_sink_start_writing(freshet_sink* self, freshet_sink_job job, void* context) {
  return self->vtable->start_writing != NULL && self->vtable->start_writing(self, job, context);
}
static inline freshet_status freshet_sink_end_writing(freshet_sink* self, int wait_ms, freshet_error* error) {
  return self->vtable->end_writing(self, wait_ms, error);
}
static inline freshet_status freshet_sink_commit(freshet_sink* self, const freshet_partition* offsets,
                                                 size_t count, freshet_error* error) {
  return self->vtable->commit(self, offsets, count, error);
}
static inline freshet_status freshet_sink_outcome(freshet_sink* self, int wait_ms, freshet_error* error) {
  return self->vtable->outcome(self, wait_ms, error);
}
/* For a caller that does nothing meanwhile: waits until the started commit has ended. Never FRESHET_TIMEOUT. */
static inline freshet_status freshet_sink_await_outcome(freshet_sink* self, freshet_error* error) {
  enum { WAIT_MS = 1000 };
  freshet_status status;
  do {
    freshet_error_clear(error);
    status = freshet_sink_outcome(self, WAIT_MS, error);
  } while (status == FRESHET_TIMEOUT);
  return status;
}
static inline freshet_status freshet_sink_abort(freshet_sink* self, freshet_error* error) {
  return self->vtable->abort(self, error);
}
static inline void freshet_sink_abandon(freshet_sink* self) {
  self->vtable->abandon(self);
}
static inline bool freshet_sink_is_ready(freshet_sink* self) {
  return self->vtable->is_ready == NULL || self->vtable->is_ready(self);
}
static inline int64_t freshet_sink_written_end(freshet_sink* self, freshet_topic topic, int32_t partition) {
  return self->vtable->written_end(self, topic, partition);
}
static inline const char* freshet_sink_topic_name(freshet_sink* self, freshet_topic topic) {
  return self->vtable->topic_name(self, topic);
}
static inline void freshet_sink_poll(freshet_sink* self) {
  self->vtable->poll(self);
}
static inline void freshet_sink_destroy(freshet_sink* self) {
  if (self != NULL) self->vtable->destroy(self);
}

#endif
