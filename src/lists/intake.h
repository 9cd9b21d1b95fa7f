/*
 * intake.h: from a record on `requests`, or a question in the inbox, to a pending request. It decodes and validates,
 * sends to the dead letters what cannot be answered, and sees to the encoding of texts.
 *
 * It owns the numbers of texts on their way. It does not know when a pending request is answered.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_LISTS_INTAKE_H
#define FRESHET_LISTS_INTAKE_H

#include "catalogue/texts.h"
#include "lists/pending_requests.h"
#include "stream/held.h"
#include "stream/ports.h"

/* Takes a question of kind FRESHET_ASK_ERASE, which goes another way, and its entry. */
typedef freshet_status (*freshet_intake_erase)(void* context, freshet_inbox_entry* entry,
                                               freshet_error* error);

typedef struct freshet_intake {
  const freshet_ports* ports;         /* borrowed */
  const freshet_held* held;           /* borrowed */
  freshet_inbox* inbox;               /* borrowed; NULL: there are no questions of other threads */
  freshet_pending_requests* requests; /* borrowed; where pending requests go */
  freshet_intake_erase erase;
  void* erase_context;
  const freshet_texts* texts; /* borrowed; NULL while the item tables are not loaded */
  freshet_buffer known;       /* scratch */
  uint64_t last_text_id;
  int64_t asked_us; /* monotonic: when the inbox had a question last; 0: never */
} freshet_intake;

/* A record of `requests`. */
/* Errors: FRESHET_UNAVAILABLE: its schema is being asked for, and it has to come again. */
freshet_status freshet_intake_record(freshet_intake* intake, const freshet_record* record,
                                     freshet_error* error);
/* All questions in the inbox that are for the worker; shares: see freshet_inbox_take. Errors: those of `erase`. */
freshet_status freshet_intake_questions(freshet_intake* intake, bool shares, freshet_error* error);
/* A request's text has been encoded, or has failed to be. */
void freshet_intake_encoded(freshet_intake* intake, const freshet_embedded* embedded);

#endif
