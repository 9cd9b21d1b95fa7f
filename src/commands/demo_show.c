/* demo_show.c: see demo_show.h. Without colours the text is the same, so that it can be copied into a page. */
#include "commands/demo_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 80, TITLE = 34 /* columns of a title */, FEW = 3 /* earlier purchases that are named */ };

#define BOLD "\x1b[1m"
#define DIM "\x1b[2m"
#define GREEN "\x1b[32m"
#define CYAN "\x1b[36m"
#define PLAIN "\x1b[0m"

bool freshet_demo_has_colours(void) {
  const char* wish = getenv("NO_COLOR");
  const char* terminal = getenv("TERM");
  return isatty(STDOUT_FILENO) && (wish == NULL || wish[0] == '\0') && terminal != NULL &&
         strcmp(terminal, "dumb") != 0;
}

/* ---- lists ---- */

static void copy_id(char to[FRESHET_ID_MAX + 1], freshet_slice id) {
  snprintf(to, FRESHET_ID_MAX + 1, "%.*s", (int)id.size, id.data == NULL ? "" : id.data);
}

static void count_alike(freshet_demo_list* shown, const freshet_list* list, const freshet_demo_data* data) {
  char one[FRESHET_ID_MAX + 1], other[FRESHET_ID_MAX + 1];
  shown->pairs = shown->alike = 0;
  for (size_t i = 0; i < list->item_count; i++) {
    copy_id(one, list->items[i].item_id);
    for (size_t j = 0; j < i; j++) {
      copy_id(other, list->items[j].item_id);
      shown->pairs++;
      shown->alike += freshet_demo_titles_share_a_word(data, one, other);
    }
  }
}

void freshet_demo_list_read(freshet_demo_list* shown, const freshet_list* list,
                            const freshet_demo_data* data) {
  count_alike(shown, list, data);
  shown->count = list->item_count < FRESHET_DEMO_SHOWN ? list->item_count : FRESHET_DEMO_SHOWN;
  for (size_t i = 0; i < shown->count; i++) {
    const freshet_recommendation* item = &list->items[i];
    freshet_demo_entry* entry = &shown->entries[i];
    copy_id(entry->item_id, item->item_id);
    entry->reason_count = 0;
    for (size_t r = 0; r < item->reason_count && entry->reason_count < FRESHET_DEMO_REASONS; r++) {
      if (item->reasons[r].score <= 0) continue;
      freshet_demo_reason* reason = &entry->reasons[entry->reason_count++];
      reason->kind = item->reasons[r].kind;
      copy_id(reason->item_id, item->reasons[r].item_id);
    }
  }
}

/* From 0; the count when it is not in the list. */
static size_t place_in(const freshet_demo_list* list, const char* item_id) {
  size_t place = 0;
  while (place < list->count && strcmp(list->entries[place].item_id, item_id) != 0) place++;
  return place;
}

/* ---- words ---- */

static const char* words_of(freshet_reason_kind kind) {
  switch (kind) {
    case FRESHET_REASON_FOLLOWS:
      return "often bought after ";
    case FRESHET_REASON_TOGETHER:
      return "often bought together with ";
    case FRESHET_REASON_TEXT:
      return "its name is like ";
    case FRESHET_REASON_POPULAR:
      return "popular now";
    case FRESHET_REASON_QUALITY:
      return "liked in general";
    case FRESHET_REASON_AGAIN:
      return "the customer bought it before";
    default:
      return "suits the customer's taste";
  }
}

/* What has to do with the purchase is the story; without such a reason, the strongest one. */
static const freshet_demo_reason* best_reason(const freshet_demo_entry* entry, const char* buys) {
  for (size_t r = 0; r < entry->reason_count; r++) {
    if (strcmp(entry->reasons[r].item_id, buys) == 0) return &entry->reasons[r];
  }
  return entry->reason_count > 0 ? &entry->reasons[0] : NULL;
}

freshet_demo_change freshet_demo_change_of(const freshet_demo_story* story) {
  freshet_demo_change change = {0};
  for (size_t i = 0; i < story->after.count; i++) {
    const freshet_demo_entry* entry = &story->after.entries[i];
    const freshet_demo_reason* reason = best_reason(entry, story->buys);
    if (place_in(&story->before, entry->item_id) < story->before.count) continue;
    change.new_count++;
    change.by_purchase += reason != NULL && strcmp(reason->item_id, story->buys) == 0;
  }
  return change;
}

/* ---- the layout ---- */

static void print_title(FILE* out, const freshet_demo_data* data, const char* item_id, const char* colour) {
  fprintf(out, "%s%-*.*s%s", colour, TITLE, TITLE, freshet_demo_title(data, item_id),
          colour[0] == '\0' ? "" : PLAIN);
}

static void print_move(FILE* out, size_t before, size_t after, bool is_new, bool colours) {
  const char* start = !colours ? "" : is_new ? BOLD GREEN : before > after ? GREEN : DIM;
  const char* end = colours ? PLAIN : "";
  if (is_new) {
    fprintf(out, " %s\u2190 new%s", start, end);
  } else if (before != after) {
    fprintf(out, " %s%s %zu%s", start, before > after ? "\u2191" : "\u2193",
            before > after ? before - after : after - before, end);
  } else {
    fprintf(out, " %s=%s", start, end);
  }
}

static void print_purchases(FILE* out, const freshet_demo_story* story, const freshet_demo_data* data,
                            bool colours) {
  fprintf(out, "\n%sCustomer %s%s\n", colours ? BOLD : "", story->customer, colours ? PLAIN : "");
  for (size_t i = 0; i < story->bought_count && i < FEW; i++)
    fprintf(out, "  %-13s %.60s\n", i == 0 ? "bought before" : "",
            freshet_demo_title(data, story->bought[i]));
  fprintf(out, "  %sbuys now    \u2192 %.60s%s\n\n", colours ? BOLD CYAN : "",
          freshet_demo_title(data, story->buys), colours ? PLAIN : "");
}

static void print_lists(FILE* out, const freshet_demo_story* story, const freshet_demo_data* data,
                        bool colours) {
  const freshet_demo_list *before = &story->before, *after = &story->after;
  fprintf(out, "    %-*s %s%.0f ms later%s\n", TITLE, "shown before", colours ? BOLD : "", story->took_ms,
          colours ? PLAIN : "");
  for (size_t i = 0; i < before->count || i < after->count; i++) {
    fprintf(out, "  %zu ", i + 1);
    if (i >= before->count) fprintf(out, "%-*s", TITLE, "");
    if (i < before->count) {
      const bool leaves = place_in(after, before->entries[i].item_id) == after->count;
      print_title(out, data, before->entries[i].item_id, colours && leaves ? DIM : "");
    }
    if (i < after->count) {
      const size_t place = place_in(before, after->entries[i].item_id);
      const bool is_new = place == before->count;
      fprintf(out, " ");
      print_title(out, data, after->entries[i].item_id, colours && is_new ? BOLD GREEN : "");
      print_move(out, place, i, is_new, colours);
    }
    fprintf(out, "\n");
  }
}

/* The reason of a new product at this place; NULL: it is not new, or there is none. */
static const freshet_demo_reason* reason_at(const freshet_demo_story* story, size_t place) {
  const freshet_demo_entry* entry = &story->after.entries[place];
  const bool is_new = place_in(&story->before, entry->item_id) == story->before.count;
  return is_new ? best_reason(entry, story->buys) : NULL;
}

static bool is_same(const freshet_demo_reason* a, const freshet_demo_reason* b) {
  return a != NULL && b != NULL && a->kind == b->kind && strcmp(a->item_id, b->item_id) == 0;
}

/* One line for each reason, with all places that have it. */
static void print_reasons(FILE* out, const freshet_demo_story* story, const freshet_demo_data* data,
                          bool colours) {
  bool is_told[FRESHET_DEMO_SHOWN] = {false};
  const char* heading = "why";
  for (size_t i = 0; i < story->after.count; i++) {
    const freshet_demo_reason* reason = reason_at(story, i);
    if (reason == NULL || is_told[i]) continue;
    int used = fprintf(out, "%s  %-4s", colours ? DIM : "", heading) - (colours ? (int)strlen(DIM) : 0);
    for (size_t j = i; j < story->after.count; j++) {
      if (!is_same(reason, reason_at(story, j))) continue;
      used += fprintf(out, "%s%zu", j == i ? "" : ", ", j + 1);
      is_told[j] = true;
    }
    used += fprintf(out, ": %s", words_of(reason->kind));
    fprintf(out, "%.*s%s\n", used < COLUMNS ? COLUMNS - used : 0,
            reason->item_id[0] == '\0' ? "" : freshet_demo_title(data, reason->item_id),
            colours ? PLAIN : "");
    heading = "";
  }
}

static unsigned percent_alike(const freshet_demo_list* list) {
  return list->pairs == 0 ? 0 : (unsigned)((100 * list->alike + list->pairs / 2) / list->pairs);
}

/* How alike the products of the list are, and how alike they would be. */
static void print_variety(FILE* out, const freshet_demo_story* story, bool colours) {
  if (story->plain.pairs == 0 || story->after.pairs == 0) return;
  fprintf(out, "%s  variety: %u %% of the pairs in this list share a word; without it %u %%%s\n",
          colours ? DIM : "", percent_alike(&story->after), percent_alike(&story->plain),
          colours ? PLAIN : "");
}

void freshet_demo_show(FILE* out, const freshet_demo_story* story, const freshet_demo_data* data,
                       bool colours) {
  print_purchases(out, story, data, colours);
  print_lists(out, story, data, colours);
  print_reasons(out, story, data, colours);
  print_variety(out, story, colours);
}
