/*
 * input_types.c: the table of words of input_types.h. It holds what shops, trackers and public data sets write for
 * events that show interest; words that take interest back, such as remove_from_cart, are left to --types.
 */
#include "commands/input/input_types.h"

#include <stdio.h>

#include "commands/input/input_names.h"

enum { SHOWN = 60 };

static const char* const type_names[FRESHET_EVENT_TYPES] = {[FRESHET_CLICK] = "click",
                                                            [FRESHET_RATING] = "rating",
                                                            [FRESHET_PURCHASE] = "purchase",
                                                            [FRESHET_FEEDBACK] = "feedback"};

static const struct {
  const char* word;
  freshet_event_type type;
} words[] = {
    {"click", FRESHET_CLICK},
    {"clicks", FRESHET_CLICK},

    {"view", FRESHET_CLICK},
    {"views", FRESHET_CLICK},
    {"viewed", FRESHET_CLICK},
    {"pv", FRESHET_CLICK},
    {"page_view", FRESHET_CLICK},
    {"view_item", FRESHET_CLICK},
    {"item_view", FRESHET_CLICK},
    {"product_view", FRESHET_CLICK},
    {"product_viewed", FRESHET_CLICK},
    {"detail_view", FRESHET_CLICK},
    {"detail", FRESHET_CLICK},
    {"cart", FRESHET_CLICK},
    {"add_to_cart", FRESHET_CLICK},
    {"added_to_cart", FRESHET_CLICK},
    {"cart_add", FRESHET_CLICK},
    {"product_added", FRESHET_CLICK},
    {"atc", FRESHET_CLICK},
    {"basket", FRESHET_CLICK},
    {"add_to_basket", FRESHET_CLICK},
    {"fav", FRESHET_CLICK},
    {"favorite", FRESHET_CLICK},
    {"favourite", FRESHET_CLICK},
    {"add_to_favorites", FRESHET_CLICK},
    {"like", FRESHET_CLICK},
    {"wishlist", FRESHET_CLICK},
    {"add_to_wishlist", FRESHET_CLICK},
    {"bookmark", FRESHET_CLICK},
    {"rating", FRESHET_RATING},
    {"rate", FRESHET_RATING},
    {"rated", FRESHET_RATING},
    {"review", FRESHET_RATING},
    {"stars", FRESHET_RATING},
    {"purchase", FRESHET_PURCHASE},
    {"purchases", FRESHET_PURCHASE},
    {"purchased", FRESHET_PURCHASE},
    {"buy", FRESHET_PURCHASE},
    {"bought", FRESHET_PURCHASE},
    {"order", FRESHET_PURCHASE},
    {"ordered", FRESHET_PURCHASE},
    {"transaction", FRESHET_PURCHASE},
    {"sale", FRESHET_PURCHASE},
    {"sold", FRESHET_PURCHASE},
    {"feedback", FRESHET_FEEDBACK}, /* for --type; in a row, one of the words of kinds */
};
enum { WORDS = sizeof words / sizeof words[0] };

static const struct {
  const char* word;
  freshet_feedback_kind kind;
} kinds[] = {
    {"dislike", FRESHET_DISLIKE},     {"disliked", FRESHET_DISLIKE},
    {"thumbs_down", FRESHET_DISLIKE}, {"hide", FRESHET_HIDE},
    {"hidden", FRESHET_HIDE},         {"not_interested", FRESHET_NOT_INTERESTED},
    {"returned", FRESHET_RETURNED},   {"skip", FRESHET_SKIP},
    {"skipped", FRESHET_SKIP},        {"impression", FRESHET_IMPRESSION},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

bool freshet_feedback_of(freshet_slice word, freshet_feedback_kind* kind) {
  for (size_t i = 0; i < KINDS && word.size > 0; i++) {
    *kind = kinds[i].kind;
    if (freshet_name_is_like(word, freshet_slice_of(kinds[i].word))) return true;
  }
  return false;
}

const char* freshet_type_name(freshet_event_type type) {
  return type_names[type];
}

bool freshet_type_of(freshet_slice word, freshet_event_type* type) {
  for (size_t i = 0; i < WORDS && word.size > 0; i++) {
    if (!freshet_name_is_like(word, freshet_slice_of(words[i].word))) continue;
    *type = words[i].type;
    return true;
  }
  freshet_feedback_kind kind;
  *type = FRESHET_FEEDBACK;
  return freshet_feedback_of(word, &kind);
}

/* Takes "WORD=TYPE" off the front of *rules. */
static void take_rule(const char** rules, freshet_slice* word, freshet_slice* type) {
  size_t size = strcspn(*rules, ",");
  *word = (freshet_slice){*rules, size};
  *type = (freshet_slice){0};
  for (size_t i = size; i > 0; i--) { /* the last = : words may have one too */
    if ((*rules)[i - 1] != '=') continue;
    *word = (freshet_slice){*rules, i - 1};
    *type = (freshet_slice){*rules + i, size - i};
    break;
  }
  while (type->size > 0 && *type->data == ' ') type->data++, type->size--;
  while (type->size > 0 && type->data[type->size - 1] == ' ') type->size--;
  *rules += size + ((*rules)[size] == ',');
}

static bool is_dash(freshet_slice text) {
  return text.size == 1 && text.data[0] == '-';
}

freshet_type_found freshet_type_find(const char* rules, freshet_slice word, freshet_event_type* type) {
  freshet_slice otherwise = {0};
  while (rules != NULL && *rules != '\0') {
    freshet_slice ruled, to;
    take_rule(&rules, &ruled, &to);
    if (freshet_slice_equal(ruled, freshet_slice_of("*"))) otherwise = to;
    if (!freshet_name_is_like(ruled, word)) continue;
    if (is_dash(to)) return FRESHET_TYPE_LEFT_OUT;
    return freshet_type_of(to, type) ? FRESHET_TYPE_KNOWN : FRESHET_TYPE_UNKNOWN;
  }
  if (freshet_type_of(word, type)) return FRESHET_TYPE_KNOWN;
  if (is_dash(otherwise)) return FRESHET_TYPE_LEFT_OUT;
  return freshet_type_of(otherwise, type) ? FRESHET_TYPE_KNOWN : FRESHET_TYPE_UNKNOWN;
}

freshet_status freshet_type_rules_check(const char* rules, freshet_error* error) {
  while (rules != NULL && *rules != '\0') {
    freshet_slice word, to;
    freshet_event_type type;
    take_rule(&rules, &word, &to);
    if (word.size > 0 && to.size > 0 && (is_dash(to) || freshet_type_of(to, &type))) continue;
    return freshet_error_set(
        error, FRESHET_INVALID, FRESHET_STOP,
        "types: '%.*s=%.*s' is not WORD=click, WORD=rating, WORD=purchase or WORD=- (left "
        "out)",
        (int)(word.size < SHOWN ? word.size : SHOWN), word.data == NULL ? "" : word.data,
        (int)(to.size < SHOWN ? to.size : SHOWN), to.data == NULL ? "" : to.data);
  }
  return FRESHET_OK;
}

void freshet_type_print(void) {
  for (int type = 0; type < FRESHET_EVENT_TYPES; type++) {
    printf("%-9s", type_names[type]);
    for (size_t i = 0; i < WORDS; i++) {
      if ((int)words[i].type == type) printf(" %s", words[i].word);
    }
    for (size_t i = 0; i < KINDS && type == FRESHET_FEEDBACK; i++) printf(" %s", kinds[i].word);
    printf("\n");
  }
}
