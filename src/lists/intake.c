/* intake.c: see intake.h. */
#include "lists/intake.h"

#include <stdlib.h>
#include <string.h>

#include "stream/dead_letters.h"
#include "text/unicode.h"

/* ---- texts ---- */

/* A vector of zeros: the encoder knows no word of the text. */
static void check_is_known(freshet_pending_request* pending, uint32_t dim) {
  for (uint32_t k = 0; k < dim; k++) {
    if (pending->vector[k] != 0) return;
  }
  pending->text = FRESHET_TEXT_UNASKED;
  pending->text_note = "context is not used: it holds no word that text.encoder knows";
}

/* The text is encoded in the background, unless that costs next to nothing. */
static void encode_text(freshet_intake* intake, freshet_pending_request* pending) {
  const freshet_ports* ports = intake->ports;
  const freshet_slice context = pending->entry->question.request.context;
  if (context.size == 0) return;
  const freshet_slice text =
      intake->texts == NULL ? context : freshet_texts_known_words(intake->texts, context, &intake->known);
  if (ports->encoder == NULL) {
    pending->text_note = "context is not used: text.encoder is none";
  } else if (!freshet_text_has_word(context)) {
    pending->text_note = "context is not used: it holds no word";
  } else if (text.size == 0) {
    pending->text_note = "context is not used: no item's text has a word of it";
  } else if (ports->embedder != NULL) {
    pending->text_id = ++intake->last_text_id;
    bool is_taken = freshet_embedder_submit(ports->embedder, pending->text_id, text, FRESHET_EMBED_REQUEST);
    pending->text = is_taken ? FRESHET_TEXT_WAITING : FRESHET_TEXT_UNASKED;
    if (!is_taken) pending->text_note = "context is not used: too many texts wait to be encoded";
  } else {
    pending->vector = calloc(ports->encoder->dim, sizeof *pending->vector);
    FRESHET_ASSERT(pending->vector != NULL);
    pending->text = FRESHET_TEXT_ENCODED;
    if (freshet_encode(ports->encoder, &text, 1, pending->vector, NULL) == FRESHET_OK) {
      check_is_known(pending, ports->encoder->dim);
      return;
    }
    pending->text = FRESHET_TEXT_UNASKED;
    pending->text_note = "context is not used: it could not be encoded";
  }
}

void freshet_intake_encoded(freshet_intake* intake, const freshet_embedded* embedded) {
  freshet_pending_request* pending = freshet_pending_requests_find_text(intake->requests, embedded->id);
  if (pending == NULL) return;
  if (embedded->status != FRESHET_OK) {
    pending->text = FRESHET_TEXT_UNASKED;
    pending->text_note = "context is not used: it could not be encoded";
    return;
  }
  size_t size = intake->ports->encoder->dim * sizeof *pending->vector;
  pending->vector = malloc(size);
  FRESHET_ASSERT(pending->vector != NULL);
  memcpy(pending->vector, embedded->vector, size);
  pending->text = FRESHET_TEXT_ENCODED;
  check_is_known(pending, intake->ports->encoder->dim);
}

/* ---- questions ---- */

freshet_status freshet_intake_questions(freshet_intake* intake, bool shares, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (intake->inbox == NULL) return FRESHET_OK;
  freshet_inbox_entry* entry = freshet_inbox_take(intake->inbox, shares);
  if (entry != NULL) intake->asked_us = freshet_clock_monotonic_us(intake->ports->clock);
  for (freshet_inbox_entry* next; entry != NULL; entry = next) {
    next = entry->next;
    if (entry->question.kind == FRESHET_ASK_ERASE && status == FRESHET_OK) {
      status = intake->erase(intake->erase_context, entry, error);
      continue;
    }
    freshet_pending_request* pending = freshet_pending_requests_add(intake->requests, entry);
    pending->asked_ms = freshet_clock_now_ms(intake->ports->clock);
    pending->came_us = freshet_clock_monotonic_us(intake->ports->clock);
    if (entry->question.kind == FRESHET_ASK_RECOMMEND) encode_text(intake, pending);
  }
  return status;
}

/* ---- records ---- */

static void read_headers(const freshet_intake* intake, const freshet_record* record,
                         freshet_pending_request* pending) {
  freshet_source* source = intake->ports->source;
  freshet_slice value;
  if (freshet_source_header(source, record, "kafka_replyTopic", &value) && value.size > 0) {
    pending->reply_topic = strndup(value.data, value.size);
    FRESHET_ASSERT(pending->reply_topic != NULL);
  }
  pending->has_correlation = freshet_source_header(source, record, "kafka_correlationId", &value);
  if (pending->has_correlation) freshet_buffer_append(&pending->correlation, value.data, value.size);
}

static void add_record(freshet_intake* intake, const freshet_record* record, const freshet_question* question,
                       const char* refusal) {
  const freshet_request* request = &question->request;
  freshet_pending_request* pending =
      freshet_pending_requests_add(intake->requests, freshet_inbox_entry_create(question));
  pending->is_record = true;
  pending->partition = record->partition;
  pending->offset = record->offset;
  pending->came_us = freshet_clock_monotonic_us(intake->ports->clock);
  pending->asked_ms = record->timestamp_ms;
  if (request->requested_at_ms > 0 && request->requested_at_ms < record->timestamp_ms)
    pending->asked_ms = request->requested_at_ms;
  read_headers(intake, record, pending);
  if (refusal != NULL) {
    pending->refusal = strdup(refusal);
    FRESHET_ASSERT(pending->refusal != NULL);
  } else {
    encode_text(intake, pending);
  }
}

freshet_status freshet_intake_record(freshet_intake* intake, const freshet_record* record,
                                     freshet_error* error) {
  const freshet_ports* ports = intake->ports;
  freshet_question question = {0};
  freshet_error cause = {0};
  freshet_request* request = &question.request;
  if (!record->has_value) return FRESHET_OK; /* nobody asks anything */
  freshet_status decoded = freshet_decode_request(ports->codec, record->value, request, &cause);
  if (decoded == FRESHET_UNAVAILABLE)
    return freshet_error_set(error, decoded, FRESHET_RETRY, "%s", cause.message);
  if (decoded != FRESHET_OK) {
    freshet_dead_letters_add(ports->outbox, ports, record, "VALUE_CONVERTER", &cause);
    return FRESHET_OK;
  }
  /* An asker who can be told gets a reply that says what is wrong. */
  freshet_slice key = record->has_key ? record->key : (freshet_slice){NULL, 0};
  bool is_valid = freshet_request_validate(request, key, &cause) == FRESHET_OK;
  const bool needs_key = request->kind == FRESHET_REQUEST_PERSONAL || request->user_id.size > 0;
  if (!freshet_request_can_be_told(request) || (needs_key && !record->has_key)) {
    if (is_valid)
      freshet_error_set(&cause, FRESHET_INVALID, FRESHET_DEAD_LETTER,
                        request->request_id.size == 0 ? "request_id is empty" : "the record has no key");
    freshet_dead_letters_add(ports->outbox, ports, record, "TRANSFORMATION", &cause);
    return FRESHET_OK;
  }
  /* The app generation that serves answers; one that is about to serve keeps requests until then. */
  if (!freshet_held_takes_requests(intake->held, record->partition)) return FRESHET_OK;
  add_record(intake, record, &question, is_valid ? NULL : cause.message);
  return FRESHET_OK;
}
