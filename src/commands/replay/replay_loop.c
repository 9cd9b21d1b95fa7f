/*
 * replay_loop.c: one record after the other, as replay_loop.h says. A checkpoint counts records of the chain of
 * readers, which are the same in every reading, and says how many of them are acknowledged.
 */
#include "commands/replay/replay_loop.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/input/input_stages.h"
#include "commands/replay/replay_landed.h"
#include "stream/clock.h"

enum {
  LOOK_EVERY = 256, /* records between looks at the clock */
  CHECKPOINT_US =
      5 * 1000 * 1000, /* between two checkpoints: what a crash has to look for in the topic ... */
  CHECKPOINT_RECORDS = FRESHET_REPLAY_LANDED_MAX / 2, /* ... and the most of it, beside what others write */
  NAP_US = 20 * 1000,
  US_PER_S = 1000 * 1000,
  PLACE_SIZE = 4096,
};

volatile sig_atomic_t freshet_replay_stop_asked;

static int64_t now_us(void) {
  freshet_clock* clock = freshet_clock_system();
  return freshet_clock_monotonic_us(clock);
}

static void show(freshet_replay* r, const freshet_input_reader* reader) {
  char time[FRESHET_TIME_TEXT_SIZE];
  const freshet_census_counts* counts = freshet_census_counts_of(r->census);
  double share = 0;
  if (r->bytes_total > 0)
    share = (r->bytes_before + reader->vtable->progress(reader) * r->bytes_current) / r->bytes_total;
  freshet_progress_show_share(r->progress, r->records, share,
                              counts->last_ms == 0 ? "" : freshet_time_text(counts->last_ms, time));
}

static void replace_text(char** text, freshet_buffer* with) {
  free(*text);
  *text = with->size == 0 ? NULL : strndup((const char*)with->data, with->size);
  freshet_buffer_free(with);
}

/* Where the reader stands goes into the checkpoint: after a place that is exact nothing is to be skipped. */
static void note_place(freshet_replay* r, const freshet_input_reader* reader) {
  if (r->passing) return;
  freshet_buffer place = {0};
  if (freshet_input_place(reader, &place)) r->done.records = 0;
  replace_text(&r->done.place, &place);
}

/* From here on a crash has to look for what was published. As long as this process still recalls what an
 * earlier one has published, the older mark holds. */
static freshet_status note_mark(freshet_replay* r, freshet_error* error) {
  if (freshet_replay_output_recalls(r->output) && r->done.behind < CHECKPOINT_RECORDS) return FRESHET_OK;
  freshet_replay_output_forget(r->output);
  freshet_buffer mark = {0};
  freshet_status status = freshet_replay_output_mark(r->output, &mark, error);
  replace_text(&r->done.mark, &mark);
  r->done.behind = 0;
  return status;
}

/* Waits for acknowledgements and then notes the place, that of the reader if there is one. Without a place to
 * note, only waits. */
static freshet_status settle(freshet_replay* r, const freshet_input_reader* reader, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (r->output != NULL) status = freshet_replay_output_settle(r->output, error);
  if (status == FRESHET_OK) status = freshet_input_rejects_flush(&r->rejects, &r->done.errors_bytes, error);
  if (status != FRESHET_OK || r->arguments->resume == NULL || r->output == NULL) return status;
  r->done.rejected = freshet_census_counts_of(r->census)->rejected;
  r->checkpoint_us = now_us();
  if (reader != NULL) note_place(r, reader);
  status = note_mark(r, error);
  if (status == FRESHET_OK) status = freshet_replay_checkpoint_write(r->arguments->resume, &r->done, error);
  return status;
}

/* When the next record may go, by --rate and --speedup. What is recalled, not sent, does not count. */
static int64_t due_us(freshet_replay* r, const freshet_event* event) {
  int64_t due = 0;
  uint64_t sent = freshet_replay_output_sent(r->output);
  if (sent == 0) r->pace_start_us = now_us();
  if (r->arguments->rate > 0) {
    due = r->pace_start_us + (int64_t)((double)sent / r->arguments->rate * US_PER_S);
  }
  if (r->arguments->speedup > 0 && event != NULL) {
    if (sent == 0 || r->pace_first_ms == 0) r->pace_first_ms = event->occurred_at_ms;
    double passed_ms = (double)(event->occurred_at_ms - r->pace_first_ms);
    int64_t by_time = r->pace_start_us + (int64_t)(passed_ms / r->arguments->speedup * 1000);
    if (by_time > due) due = by_time;
  }
  return due;
}

static void pace(freshet_replay* r, const freshet_input_reader* reader, const freshet_event* event) {
  if (r->arguments->rate == 0 && r->arguments->speedup == 0) return;
  int64_t due = due_us(r, event);
  for (int64_t now = now_us(); now < due && !freshet_replay_stop_asked; now = now_us()) {
    freshet_replay_output_poll(r->output);
    show(r, reader);
    usleep((useconds_t)(due - now < NAP_US ? due - now : NAP_US));
  }
}

/* Sends a record that is wanted and valid. A record of a topic keeps its own time. */
static freshet_status publish(freshet_replay* r, const freshet_input_reader* reader,
                              const freshet_input_record* record, freshet_error* error) {
  if (r->output == NULL) return FRESHET_OK;
  pace(r, reader, record->is_event ? &record->event : NULL);
  if (record->is_tombstone)
    return freshet_replay_output_tombstone(r->output, record->is_event, record->key, record->record_ms,
                                           error);
  if (!record->is_event)
    return freshet_replay_output_item(r->output, &record->item, record->record_ms, error);
  int64_t time_ms = record->has_key ? record->record_ms : record->event.occurred_at_ms;
  return freshet_replay_output_event(r->output, &record->event, time_ms, error);
}

static freshet_status take(freshet_replay* r, const freshet_input_reader* reader,
                           const freshet_input_record* record, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (record->outcome == FRESHET_INPUT_TAKEN) status = publish(r, reader, record, error);
  if (status != FRESHET_OK) return status;
  bool repeats;
  freshet_census_take(r->census, record, &repeats);
  bool counts = record->outcome == FRESHET_INPUT_TAKEN && !record->is_tombstone;
  r->done.events += counts && record->is_event;
  r->done.items += counts && !record->is_event;
  return FRESHET_OK;
}

static void reject(freshet_replay* r, const freshet_input_reader* reader, const char* path,
                   const freshet_input_record* record, const char* reason) {
  char place[PLACE_SIZE];
  snprintf(place, sizeof place, "%s", path);
  if (record->has_key) snprintf(place, sizeof place, "%s[%d]", path, (int)record->partition);
  freshet_progress_clear(r->progress);
  freshet_input_rejects_add(&r->rejects, place, reader, record, reason);
  freshet_census_reject(r->census, place, record, reason);
}

/* Everything that happens now and then. */
static freshet_status look(freshet_replay* r, const freshet_input_reader* reader, freshet_error* error) {
  int64_t now = now_us();
  if (r->output != NULL) freshet_replay_output_poll(r->output);
  show(r, reader);
  freshet_status status = freshet_input_rejects_check(&r->rejects, error);
  if (status != FRESHET_OK || r->arguments->resume == NULL) return status;
  bool due = now - r->checkpoint_us >= CHECKPOINT_US || r->done.behind >= CHECKPOINT_RECORDS;
  return due ? settle(r, reader, error) : FRESHET_OK;
}

/* A number for a record, so that a resumed replay sees whether the file is the same. 0: rejected. */
static uint64_t record_key(const freshet_input_record* record, freshet_status status) {
  if (status != FRESHET_OK) return 0;
  if (record->outcome != FRESHET_INPUT_TAKEN) return 1;
  return freshet_id_key(record->is_event ? record->event.event_id : record->item.item_id);
}

/* How the input is written was told by its first records, so it is said. */
static void tell_style(freshet_replay* r, const char* path, const freshet_input_reader* reader,
                       const freshet_input_record* record) {
  char time[FRESHET_TIME_TEXT_SIZE];
  freshet_buffer style = {0};
  r->style_told = true;
  freshet_input_style(reader, &style);
  freshet_progress_clear(r->progress);
  fprintf(stderr, "%s: %.*s", path, (int)style.size, style.size == 0 ? "" : (const char*)style.data);
  freshet_buffer_free(&style);
  if (record->is_event) {
    freshet_time_unit unit = freshet_input_unit(reader);
    fprintf(stderr, ", times in %s%s, the first is %s", freshet_time_unit_name(unit),
            unit == FRESHET_TIME_UNKNOWN ? " (UTC without an offset)" : "",
            freshet_time_text(record->event.occurred_at_ms, time));
  }
  fputc('\n', stderr);
}

/* An input while it is replayed. */
typedef struct current {
  const char* path;
  freshet_input_reader* reader;
  uint64_t number, skip; /* records read; those before the checkpoint, counted from its place */
  bool more;
} current;

/* Those before the checkpoint are only read, since ids, the unit of times and the order depend on them. */
static freshet_status pass_over(freshet_replay* r, const current* c, uint64_t key, freshet_error* error) {
  if (!c->more) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s has become shorter since the checkpoint (%" PRIu64 " records)", c->path,
                             c->skip);
  }
  if (c->number + 1 == c->skip && key != r->done.last) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s is not the file of the checkpoint: record %" PRIu64 " is another one",
                             c->path, c->skip);
  }
  return FRESHET_OK;
}

/* One record. */
static freshet_status step(freshet_replay* r, current* c, freshet_error* error) {
  freshet_input_record record = {0};
  freshet_error why = {0};
  freshet_status status = c->reader->vtable->next(c->reader, &record, &c->more, &why);
  if (status != FRESHET_OK && why.verdict != FRESHET_DEAD_LETTER) {
    return freshet_error_set(error, status, why.verdict, "%s", why.message);
  }
  uint64_t key = c->more ? record_key(&record, status) : 0;
  bool is_good = c->more && status == FRESHET_OK && record.outcome == FRESHET_INPUT_TAKEN;
  if (is_good && !record.decoded && !r->style_told) tell_style(r, c->path, c->reader, &record);
  r->passing = c->number < c->skip;
  if (r->passing) return pass_over(r, c, key, error);
  if (!c->more) return FRESHET_OK;
  if (status == FRESHET_OK) status = take(r, c->reader, &record, &why);
  if (status != FRESHET_OK && why.verdict != FRESHET_DEAD_LETTER) {
    return freshet_error_set(error, status, why.verdict, "%s", why.message);
  }
  if (status != FRESHET_OK) reject(r, c->reader, c->path, &record, why.message);
  r->records++;
  r->done.records++;
  r->done.behind++;
  r->done.last = key;
  return FRESHET_OK;
}

static double file_size(const char* path);

static void tell_input(freshet_replay* r, const char* path, uint64_t records) {
  freshet_progress_clear(r->progress);
  fprintf(stderr, "%s: %" PRIu64 " records\n", path, records);
  double now = file_size(path);
  if (now > r->bytes_current) {
    fprintf(stderr,
            "%s: has grown from %.0f to %.0f bytes while it was read; what came late may be missing\n", path,
            r->bytes_current, now);
  }
}

static freshet_status open_input(freshet_replay* r, const freshet_input* described, current* c,
                                 freshet_error* error) {
  freshet_error why = {0};
  freshet_input input = *described;
  input.cluster = r->cluster;
  input.place = r->done.place;
  *c = (current){.path = input.path, .skip = r->done.records, .more = true};
  freshet_input_wish wish = {.limits = r->limits,
                             .user = r->arguments->user,
                             .types = r->arguments->types,
                             .window = (size_t)r->arguments->window};
  freshet_status status = freshet_input_open(&input, &wish, &c->reader, &why);
  if (status != FRESHET_OK) { /* invalid also when a file is absent: "not found" is the exit code of topics */
    if (!freshet_input_is_topic(input.path)) status = FRESHET_INVALID;
    return freshet_error_set(error, status, FRESHET_STOP, "%s", why.message);
  }
  r->style_told = false;
  r->passing = c->skip > 0;
  return FRESHET_OK;
}

static void close_input(freshet_replay* r, current* c) {
  freshet_buffer mapping = {0};
  freshet_input_mapping(c->reader, &mapping);
  freshet_census_note_mapping(r->census, c->path, freshet_buffer_slice(&mapping));
  freshet_buffer_free(&mapping);
  c->reader->vtable->close(c->reader);
}

static freshet_status replay_input(freshet_replay* r, const freshet_input* input, freshet_error* error) {
  current c;
  freshet_status status = open_input(r, input, &c, error);
  if (status != FRESHET_OK) return status;
  uint64_t before = r->records;
  /* The range of a topic is fixed when it is opened; a crash must not change it. */
  if (freshet_input_is_topic(input->path) && r->done.place == NULL) status = settle(r, c.reader, error);
  while (status == FRESHET_OK && c.more && !freshet_replay_stop_asked &&
         r->done.events < r->arguments->limit) {
    if (c.number % LOOK_EVERY == 0) status = look(r, c.reader, error);
    if (status == FRESHET_OK) status = step(r, &c, error);
    c.number++;
  }
  if (status == FRESHET_ABORTED && freshet_replay_stop_asked) status = FRESHET_OK;
  tell_input(r, input->path, r->records - before);
  if (status == FRESHET_OK && !freshet_replay_stop_asked && !c.more) {
    r->done.input++;
    r->done.records = r->done.last = 0;
    replace_text(&r->done.place, &(freshet_buffer){0});
  } else if (status == FRESHET_OK) { /* else the record in hand may not have been taken */
    note_place(r, c.reader);
  }
  close_input(r, &c);
  return status;
}

/* 0 when it is no file. */
static double file_size(const char* path) {
  struct stat facts;
  return stat(path, &facts) == 0 && S_ISREG(facts.st_mode) ? (double)facts.st_size : 0;
}

freshet_status freshet_replay_all(freshet_replay* r, freshet_error* error) {
  const freshet_replay_arguments* a = r->arguments;
  for (size_t i = 0; i < a->inputs.count; i++) {
    r->bytes_total += file_size(a->inputs.inputs[i].path);
    if (i < r->done.input) r->bytes_before = r->bytes_total;
  }
  r->start_us = r->checkpoint_us = now_us();
  r->progress = freshet_progress_create("replay", 0);
  freshet_status status = settle(r, NULL, error); /* a crash may come before the next checkpoint */
  while (status == FRESHET_OK && r->done.input < a->inputs.count && !freshet_replay_stop_asked &&
         r->done.events < a->limit) {
    const freshet_input* input = &a->inputs.inputs[r->done.input];
    r->bytes_current = file_size(input->path);
    status = replay_input(r, input, error);
    r->bytes_before += r->bytes_current;
  }
  /* What was taken is settled also when reading failed: the checkpoint then points at the bad place. */
  freshet_error later = {0};
  freshet_status settled = settle(r, NULL, &later);
  freshet_progress_destroy(r->progress);
  r->progress = NULL;
  if (settled == FRESHET_OK || status != FRESHET_OK) return status;
  return freshet_error_set(error, settled, later.verdict, "%s", later.message);
}
