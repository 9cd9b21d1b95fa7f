/*
 * dead_letters.h: records that cannot be used are kept with the reason, in the dead-letter topic, with headers as
 * Kafka Connect writes them, so that existing tools read them. It owns nothing: the letters wait in the outbox
 * until the commit that moves the offset past the record. It must not know what made a record useless.
 */
#ifndef FRESHET_STREAM_DEAD_LETTERS_H
#define FRESHET_STREAM_DEAD_LETTERS_H

#include "stream/outbox.h"
#include "stream/ports.h"

/* The record leaves for the dead-letter topic with the next commit. stage: where it failed, in Kafka Connect's
 * words ("KEY_CONVERTER", "VALUE_CONVERTER", "TRANSFORMATION"). A record that is larger than the topic takes is cut, and
 * headers then tell the sizes of its key and value and the XXH3 hash of its value; its place is always told. */
void freshet_dead_letters_add(freshet_outbox* outbox, const freshet_ports* ports,
                              const freshet_record* record, const char* stage, const freshet_error* cause);

/* Of a user who is being erased: forgets the letters that have this key and wait for the commit, but for letters
 * about items, whose keys are no users. Their bytes stay in memory until the commit, and go no further. */
void freshet_dead_letters_forget(freshet_outbox* outbox, freshet_slice user_id);

#endif
