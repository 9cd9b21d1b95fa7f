/*
 * replies.c: encodes a reply so that its topic takes it, and sends it to `replies` and, where that is allowed, to the
 * topic that the request names. Whatever a request holds, the asker gets a reply, if only a note.
 */
#include "lists/replies.h"

#include <stdarg.h>
#include <stdio.h>

#include "stream/outbox.h"

enum { NOTE_SIZE = 512, CORRELATION_MAX = 4096 };

static void append_note(freshet_answer* answer, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
static void append_note(freshet_answer* answer, const char* format, ...) {
  char note[NOTE_SIZE];
  const freshet_slice before = answer->list.note;
  int used = before.size == 0 ? 0 : snprintf(note, sizeof note, "%.*s; ", (int)before.size, before.data);
  va_list arguments;
  va_start(arguments, format);
  if (used >= 0 && (size_t)used < sizeof note)
    vsnprintf(note + used, sizeof note - (size_t)used, format, arguments);
  va_end(arguments);
  answer->list.note = freshet_answer_copy(answer, freshet_slice_of(note));
}

/* The correlation comes back as it came, if it is of a usual size: it must not fill the reply. */
static bool carries_correlation(const freshet_pending_request* pending) {
  return pending->has_correlation && pending->correlation.size <= CORRELATION_MAX;
}

/* May the reply go to the topic that the request names? false: the asker is told on `replies` instead. */
static bool may_reply_there(const freshet_ports* ports, const freshet_pending_request* pending,
                            freshet_answer* answer) {
  if (pending->reply_topic == NULL) return false;
  const char* refusal = freshet_outbox_refusal_of(ports->outbox, pending->reply_topic);
  if (refusal == NULL) return true;
  append_note(answer, "no reply to topic '%.64s': %s", pending->reply_topic, refusal);
  freshet_count(&ports->metrics->replies_undeliverable, 1);
  return false;
}

/* false: there are none. */
static bool drop_reasons(freshet_answer* answer) {
  freshet_list* list = &answer->list;
  bool dropped = false;
  freshet_recommendation* items = freshet_arena_take(&answer->arena, list->item_count * sizeof *items);
  for (size_t i = 0; i < list->item_count; i++) {
    items[i] = list->items[i];
    dropped |= items[i].reason_count > 0;
    items[i].reason_count = 0;
  }
  list->items = items;
  return dropped;
}

/* Encodes the answer into bytes so that the topic takes it: without reasons, or without items, if need be. *fits: false for
 * a topic that takes no reply with such an id at all. */
static freshet_status encode_to_fit(const freshet_ports* ports, const freshet_pending_request* pending,
                                    freshet_answer* answer, freshet_buffer* bytes, bool* fits,
                                    freshet_error* error) {
  freshet_list* list = &answer->list;
  size_t beside = list->request_id.size + (carries_correlation(pending) ? pending->correlation.size : 0);
  size_t limit = freshet_outbox_limit(ports->outbox, FRESHET_TOPIC_REPLIES);
  freshet_status status;
  if (pending->has_correlation && !carries_correlation(pending))
    append_note(answer, "kafka_correlationId is left out: it is longer than %d bytes", CORRELATION_MAX);
  for (;;) {
    bytes->size = 0;
    status = freshet_encode_list(ports->codec, list, bytes, error);
    *fits = bytes->size + beside <= limit;
    if (status != FRESHET_OK || list->item_count == 0 || *fits) return status;
    freshet_count(&ports->metrics->lists_shortened, 1);
    if (drop_reasons(answer)) {
      append_note(answer,
                  "the reasons are left out: with them the reply has %zu bytes, and the topic takes %zu",
                  bytes->size + beside, limit);
    } else {
      list->item_count = 0;
      append_note(answer,
                  "the list is left out: it has %zu bytes, and the topic takes %zu; ask for a smaller k",
                  bytes->size + beside, limit);
    }
  }
}

/* Written, it would abort each commit. */
static void leave_out(const freshet_ports* ports, const freshet_output* output) {
  freshet_count(&ports->metrics->replies_undeliverable, 1);
  freshet_count(&ports->metrics->replies_too_large, 1);
  const uint64_t count = freshet_metric(&ports->metrics->replies_too_large);
  const size_t correlation = output->header_count > 0 ? output->headers[0].value.size : 0;
  freshet_log_fact(ports->logger, freshet_log_tells(count) ? FRESHET_WARN : FRESHET_DEBUG, "reply.too_large",
                   "topic=%s bytes=%zu limit=%zu count=%llu request_id=\"%.*s\"",
                   freshet_outbox_topic_name(ports->outbox, output->topic),
                   output->key.size + output->value.size + correlation,
                   freshet_outbox_limit(ports->outbox, output->topic), (unsigned long long)count,
                   (int)output->key.size, output->key.data);
}

freshet_status freshet_reply_send(const freshet_ports* ports, const freshet_pending_request* pending,
                                  freshet_answer* answer, freshet_buffer* bytes, freshet_error* error) {
  bool there_too = may_reply_there(ports, pending, answer);
  bool fits;
  freshet_status status = encode_to_fit(ports, pending, answer, bytes, &fits, error);
  if (status != FRESHET_OK) return status;
  freshet_header correlation = {"kafka_correlationId", freshet_buffer_slice(&pending->correlation)};
  bool correlated = carries_correlation(pending);
  freshet_output output = {.topic = FRESHET_TOPIC_REPLIES,
                           .partition = -1,
                           .key = answer->list.request_id,
                           .has_value = true,
                           .value = freshet_buffer_slice(bytes),
                           .headers = correlated ? &correlation : NULL,
                           .header_count = correlated};
  if (fits) {
    status = freshet_outbox_add(ports->outbox, &output, FRESHET_BY_DELIVERY, error);
  } else {
    leave_out(ports, &output);
  }
  if (status != FRESHET_OK || !there_too) return status;
  if (!freshet_outbox_add_foreign(ports->outbox, pending->reply_topic, &output))
    freshet_count(&ports->metrics->replies_undeliverable, 1);
  return FRESHET_OK;
}
