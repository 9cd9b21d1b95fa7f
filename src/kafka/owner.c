/*
 * owner.c: see owner.h. A transactional id may hold any characters, so those that would end a word are escaped.
 */
#include "kafka/owner.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "stream/words.h"

enum { UUID_LENGTH = 36 };

/* Each byte that is no plain character of a word as %XX. false: no room. */
static bool escape(const char* in, char* out, size_t size) {
  size_t used = 0;
  for (; *in != '\0'; in++) {
    bool is_plain = *in > ' ' && *in < 127 && *in != '%' && *in != ':';
    if (used + 4 > size) return false;
    used += (size_t)snprintf(out + used, size - used, is_plain ? "%c" : "%%%02X",
                             is_plain ? *in : (unsigned char)*in);
  }
  out[used] = '\0';
  return true;
}

static bool unescape(const char* in, char* out, size_t size) {
  size_t used = 0;
  for (; *in != '\0' && used + 1 < size; used++) {
    unsigned value = (unsigned char)*in;
    if (*in == '%' && sscanf(in + 1, "%2X", &value) != 1) return false;
    if (value == 0) return false;
    in += *in == '%' ? (in[1] != '\0' && in[2] != '\0' ? 3 : 2) : 1;
    out[used] = (char)value;
  }
  out[used] = '\0';
  return *in == '\0';
}

/* FNV-1a. */
uint32_t freshet_owner_client(const char* client_id) {
  uint32_t hash = 2166136261U;
  if (client_id == NULL) return 0;
  for (; *client_id != '\0'; client_id++) hash = (hash ^ (unsigned char)*client_id) * 16777619U;
  return hash;
}

void freshet_owner_write(const char* transactional_id, const char* member_id, const char* client_id,
                         char text[FRESHET_OWNER_TEXT_SIZE]) {
  char id[FRESHET_OWNER_ID_SIZE];
  size_t length = strlen(member_id);
  text[0] = '\0';
  if (length < UUID_LENGTH || strpbrk(member_id + length - UUID_LENGTH, ": ") != NULL) return;
  if (!escape(transactional_id, id, sizeof id) || id[0] == '\0') return;
  snprintf(text, FRESHET_OWNER_TEXT_SIZE, "o1:%s:%08" PRIx32 ":%s", member_id + length - UUID_LENGTH,
           freshet_owner_client(client_id), id);
}

freshet_owner freshet_owner_read(const char* text, size_t size) {
  char word[FRESHET_OWNER_TEXT_SIZE];
  freshet_owner owner = {{0}, {0}, 0};
  int used = 0;
  freshet_words_find(text, size, "o1:", word, sizeof word);
  if (sscanf(word, "o1:%36[^:]:%8" SCNx32 ":%n", owner.member, &owner.client, &used) == 2 && used > 0 &&
      strlen(owner.member) == UUID_LENGTH &&
      unescape(word + used, owner.transactional_id, sizeof owner.transactional_id))
    return owner;
  return (freshet_owner){{0}, {0}, 0};
}
