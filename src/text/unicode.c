/*
 * unicode.c: what the tokenizers ask about code points, answered by utf8proc: the next one, its folded form,
 * whether it is part of a word. Pure; the only file that knows utf8proc.
 */
#include "text/unicode.h"

#include <utf8proc.h>

int32_t freshet_unicode_next(const char** text, const char* end) {
  utf8proc_int32_t code_point;
  utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t*)*text, end - *text, &code_point);
  if (length <= 0) {
    *text += 1;
    return FRESHET_CODE_POINT_INVALID;
  }
  *text += length;
  return code_point;
}

size_t freshet_unicode_encode(int32_t code_point, char out[4]) {
  return (size_t)utf8proc_encode_char(code_point, (utf8proc_uint8_t*)out);
}

size_t freshet_unicode_fold(int32_t code_point, int32_t out[FRESHET_FOLD_MAX]) {
  int boundary = 0;
  utf8proc_ssize_t count = utf8proc_decompose_char(
      code_point, out, FRESHET_FOLD_MAX,
      UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK, &boundary);
  if (count >= 0 && count <= FRESHET_FOLD_MAX) return (size_t)count;
  out[0] = code_point;
  return 1;
}

bool freshet_unicode_is_word(int32_t code_point) {
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return true;
    default:
      return false;
  }
}

bool freshet_text_has_word(freshet_slice text) {
  const char *at = text.data, *end = text.data + text.size;
  while (at < end) {
    if (freshet_unicode_is_word(freshet_unicode_next(&at, end))) return true;
  }
  return false;
}

bool freshet_unicode_is_ideograph(int32_t c) {
  return (c >= 0x3040 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x4e00 && c <= 0x9fff) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x3ffff);
}
