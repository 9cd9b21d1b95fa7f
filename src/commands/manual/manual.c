/*
 * manual.c: finds a page of the manual and its title, and writes the tables that the program itself knows. The
 * pages are in a file that the build makes (manual_pages.cmake). It must not know formats.
 */
#include "commands/manual/manual.h"

#include <stdio.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/schema_source.h"
#include "commands/commands.h"
#include "service/monitor.h"

const freshet_manual_page* freshet_manual_find(const char* name) {
  for (const freshet_manual_page* page = freshet_manual_pages; page->name != NULL; page++) {
    if (strcmp(page->name, name) == 0) return page;
  }
  return NULL;
}

freshet_slice freshet_manual_title(const freshet_manual_page* page) {
  const char* begin = page->text;
  while (*begin == '#' || *begin == ' ') begin++;
  const char* end = strchr(begin, '\n');
  return (freshet_slice){begin, end == NULL ? strlen(begin) : (size_t)(end - begin)};
}

/* ---- tables ---- */

static void put(freshet_buffer* out, const char* text) {
  freshet_buffer_append(out, text, strlen(text));
}

/* The next line of `text` after "# HELP " or "# TYPE ": name and what is said of it. NULL: no more. */
static const char* next_fact(const char* text, const char* kind, freshet_slice* name, freshet_slice* said) {
  const char* at = strstr(text, kind);
  if (at == NULL) return NULL;
  const char* begin = at + strlen(kind);
  const char* space = strchr(begin, ' ');
  const char* end = strchr(begin, '\n');
  *name = (freshet_slice){begin, (size_t)(space - begin)};
  *said = (freshet_slice){space + 1, (size_t)(end - space) - 1};
  return end;
}

/* All metrics in the order in which a service prints them: its own text is read. */
static void write_metrics(freshet_buffer* out) {
  static freshet_worker_metrics metrics;
  static freshet_http_counts counts;
  freshet_buffer text = {0};
  freshet_metric_name(metrics.texts_serving, sizeof metrics.texts_serving,
                      "hashing"); /* else it has no line */
  freshet_monitor_write_metrics(&metrics, "app", &counts, &text);
  freshet_buffer_append(&text, "", 1);
  const char* at = (const char*)text.data;
  freshet_slice name, help, kind;
  put(out, "| metric | type | meaning |\n|---|---|---|\n");
  while ((at = next_fact(at, "# HELP ", &name, &help)) != NULL) {
    at = next_fact(at, "# TYPE ", &name, &kind);
    FRESHET_ASSERT(at != NULL);
    put(out, "| `");
    freshet_buffer_append(out, name.data, name.size);
    put(out, "` | ");
    freshet_buffer_append(out, kind.data, kind.size);
    put(out, " | ");
    freshet_buffer_append(out, help.data, help.size);
    put(out, " |\n");
  }
  freshet_buffer_free(&text);
}

static void write_schemas(freshet_buffer* out) {
  static const char* const names[] = {"Click",
                                      "Rating",
                                      "Purchase",
                                      "Feedback",
                                      "Item",
                                      "RecommendationRequest",
                                      "RecommendationList",
                                      "UserState",
                                      "ItemState",
                                      "TextGeneration",
                                      "ItemDelta",
                                      "GenerationFact"};
  char row[128];
  put(out, "| schema | fingerprint (CRC-64-AVRO) |\n|---|---|\n");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    uint64_t fingerprint = 0;
    if (freshet_schema_fingerprint(freshet_schema_source_of(names[i]), &fingerprint, NULL) != FRESHET_OK)
      continue;
    snprintf(row, sizeof row, "| `%s` | `%016llx` |\n", names[i], (unsigned long long)fingerprint);
    put(out, row);
  }
}

bool freshet_manual_write_table(const char* name, freshet_buffer* out) {
  if (strcmp(name, "metrics") == 0) {
    write_metrics(out);
  } else if (strcmp(name, "schemas") == 0) {
    write_schemas(out);
  } else {
    return false;
  }
  return true;
}
