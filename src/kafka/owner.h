/*
 * owner.h: which process has committed an offset. It is a word of the offset's metadata, beside the words of mark.h and
 * layout.h. Private to src/kafka. It must not know what is done with it.
 */
#ifndef FRESHET_KAFKA_OWNER_H
#define FRESHET_KAFKA_OWNER_H

#include <stddef.h>
#include <stdint.h>

enum { FRESHET_OWNER_ID_SIZE = 96, FRESHET_OWNER_MEMBER_SIZE = 40, FRESHET_OWNER_TEXT_SIZE = 144 };

/* The process that has committed an offset. */
typedef struct freshet_owner {
  char transactional_id[FRESHET_OWNER_ID_SIZE]; /* without the number of its producer; "": not known */
  char member[FRESHET_OWNER_MEMBER_SIZE];       /* the UUID at the end of its member id */
  uint32_t client; /* freshet_owner_client of its client id; 0: it has the usual one */
} freshet_owner;

/* A hash of a client id, which other runs of the same process have too; NULL: 0. */
uint32_t freshet_owner_client(const char* client_id);
/* One word of ASCII without blanks. client_id: NULL for the usual one. "" for an unknown owner, and for an id that is
 * too long for a word. */
void freshet_owner_write(const char* transactional_id, const char* member_id, const char* client_id,
                         char text[FRESHET_OWNER_TEXT_SIZE]);
/* The owner among the words of such metadata, NULL too. No such word: its id is "". */
freshet_owner freshet_owner_read(const char* text, size_t size);

#endif
