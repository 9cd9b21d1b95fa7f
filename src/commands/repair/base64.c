/* base64.c: see base64.h. The alphabet is that of RFC 4648, section 4, with padding. */
#include "commands/repair/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void freshet_json_base64(freshet_json* json, const char* key, freshet_slice bytes) {
  freshet_buffer text = {0};
  freshet_buffer_reserve(&text, (bytes.size + 2) / 3 * 4 + 1);
  for (size_t at = 0; at < bytes.size; at += 3) {
    const size_t left = bytes.size - at;
    uint32_t three = 0;
    for (size_t i = 0; i < 3; i++) three = three << 8 | (i < left ? (uint8_t)bytes.data[at + i] : 0);
    char four[4];
    for (size_t i = 0; i < 4; i++) four[i] = i > left ? '=' : letters[three >> (18 - 6 * i) & 63];
    freshet_buffer_append(&text, four, sizeof four);
  }
  freshet_json_text(json, key, freshet_buffer_slice(&text));
  freshet_buffer_free(&text);
}
