/*
 * replay.c: `freshet replay`: publishes history to the topics of events and items. This file opens the
 * inputs one after the other, keeps the pace, and writes checkpoints. Formats are the readers' matter,
 * delivery that of replay_output.h.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cluster.h"
#include "commands/commands.h"
#include "commands/replay/replay_arguments.h"
#include "commands/replay/replay_checkpoint.h"
#include "commands/replay/replay_landed.h"
#include "commands/replay/replay_output.h"
#include "commands/replay/replay_progress.h"
#include "commands/replay/replay_reader.h"
#include "commands/replay/replay_rejects.h"
#include "commands/replay/replay_stages.h"
#include "stream/clock.h"

enum {
  LOOK_EVERY = 256, /* records between looks at the clock */
  CHECKPOINT_US =
      5 * 1000 * 1000, /* between two checkpoints: what a crash has to look for in the topic ... */
  CHECKPOINT_RECORDS = FRESHET_REPLAY_LANDED_MAX / 2, /* ... and the most of it, beside what others write */
  NAP_US = 20 * 1000,
  US_PER_S = 1000 * 1000,
};

/* ---- the replay ---- */

typedef struct replay {
  const freshet_replay_arguments* arguments;
  const freshet_config* config;
  freshet_event_limits limits;
  freshet_replay_output* output; /* NULL: dry run */
  const freshet_replay_cluster* cluster;
  freshet_replay_rejects rejects;
  freshet_replay_checkpoint done;        /* its counts run on; what is written is acknowledged */
  uint64_t left_out;                     /* by --user and --type */
  uint64_t by_type[FRESHET_EVENT_TYPES]; /* published by this process */
  int64_t first_ms, last_ms;             /* event times; 0: none yet */
  uint64_t late;                         /* published events that are older than one before them */
  int64_t now_ms;                        /* wall clock, at the last look */
  double bytes_total, bytes_before;      /* of regular files: all, and those before the current one */
  double bytes_current;
  uint64_t records; /* read by this process and not skipped */
  uint64_t tombstones;
  bool times_told; /* for the current input: how its times are written */
  bool passing;    /* over records that are done already */
  int64_t start_us, checkpoint_us;
  int64_t pace_start_us; /* when the first record was sent ... */
  int64_t pace_first_ms; /* ... and its event time; 0: not yet */
  freshet_replay_progress progress;
} replay;

static volatile sig_atomic_t stop_asked;

static void on_signal(int number) {
  (void)number;
  stop_asked = 1;
}

static bool stopping(void* context) {
  (void)context;
  return stop_asked != 0;
}

static void catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND}; /* a second one kills */
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

static int64_t now_us(void) {
  freshet_clock* clock = freshet_clock_system();
  return freshet_clock_monotonic_us(clock);
}

static void show(replay* r, const freshet_replay_reader* reader, int64_t at_us) {
  freshet_replay_place place = {.records = r->records, .event_time_ms = r->last_ms};
  if (r->bytes_total > 0) {
    double share = reader->vtable->progress(reader);
    place.share = (r->bytes_before + share * r->bytes_current) / r->bytes_total;
  }
  freshet_replay_progress_show(&r->progress, at_us, &place);
}

static void replace_text(char** text, freshet_buffer* with) {
  free(*text);
  *text = with->size == 0 ? NULL : strndup((const char*)with->data, with->size);
  freshet_buffer_free(with);
}

/* Where the reader stands goes into the checkpoint: after a place that is exact nothing is to be skipped. */
static void note_place(replay* r, const freshet_replay_reader* reader) {
  if (r->passing) return;
  freshet_buffer place = {0};
  if (freshet_replay_reader_place(reader, &place)) r->done.records = 0;
  replace_text(&r->done.place, &place);
}

/* From here on a crash has to look for what was published. As long as this process still recalls what an
 * earlier one has published, the older mark holds. */
static freshet_status note_mark(replay* r, freshet_error* error) {
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
static freshet_status settle(replay* r, const freshet_replay_reader* reader, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (r->output != NULL) status = freshet_replay_output_settle(r->output, error);
  if (status == FRESHET_OK) status = freshet_replay_rejects_flush(&r->rejects, &r->done.errors_bytes, error);
  if (status != FRESHET_OK || r->arguments->resume == NULL || r->output == NULL) return status;
  r->done.rejected = r->rejects.count;
  r->checkpoint_us = now_us();
  if (reader != NULL) note_place(r, reader);
  status = note_mark(r, error);
  return status == FRESHET_OK ? freshet_replay_checkpoint_write(r->arguments->resume, &r->done, error)
                              : status;
}

/* When the next record may go, by --rate and --speedup. What is recalled, not sent, does not count. */
static int64_t due_us(replay* r, const freshet_event* event) {
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

static void pace(replay* r, const freshet_replay_reader* reader, const freshet_event* event) {
  if (r->arguments->rate == 0 && r->arguments->speedup == 0) return;
  int64_t due = due_us(r, event);
  for (int64_t now = now_us(); now < due && !stop_asked; now = now_us()) {
    freshet_replay_output_poll(r->output);
    show(r, reader, now);
    usleep((useconds_t)(due - now < NAP_US ? due - now : NAP_US));
  }
}

static freshet_status publish_event(replay* r, const freshet_replay_reader* reader,
                                    const freshet_event* event, int64_t time_ms, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (r->output != NULL) {
    pace(r, reader, event);
    status = freshet_replay_output_event(r->output, event, time_ms, error);
  }
  if (status != FRESHET_OK) return status;
  r->done.events++;
  r->by_type[event->type]++;
  if (r->first_ms == 0 || event->occurred_at_ms < r->first_ms) r->first_ms = event->occurred_at_ms;
  r->late += event->occurred_at_ms < r->last_ms;
  if (event->occurred_at_ms > r->last_ms) r->last_ms = event->occurred_at_ms;
  return FRESHET_OK;
}

static freshet_status publish_item(replay* r, const freshet_replay_reader* reader, const freshet_item* item,
                                   int64_t time_ms, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (r->output != NULL) {
    pace(r, reader, NULL);
    status = freshet_replay_output_item(r->output, item, time_ms, error);
  }
  if (status == FRESHET_OK) r->done.items++;
  return status;
}

static bool is_user_wanted(const replay* r, freshet_slice user_id) {
  return r->arguments->user == NULL || freshet_slice_equal(user_id, freshet_slice_of(r->arguments->user));
}

/* An erasure is never left out for its type: history must not bring an erased user back. */
static freshet_status publish_tombstone(replay* r, const freshet_replay_reader* reader,
                                        const freshet_replay_record* record, freshet_error* error) {
  if (record->key.size == 0 || record->key.size > FRESHET_ID_MAX) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_DEAD_LETTER, "the record's key is no id");
  }
  if (record->is_event && !is_user_wanted(r, record->key)) {
    r->left_out++;
    return FRESHET_OK;
  }
  r->tombstones++;
  if (r->output == NULL) return FRESHET_OK;
  pace(r, reader, record->is_event ? &record->event : NULL);
  return freshet_replay_output_tombstone(r->output, record->is_event, record->key, record->record_ms, error);
}

/* Checks and publishes what is wanted. A record of a topic keeps its own time, and its key must be its id. */
static freshet_status take(replay* r, const freshet_replay_reader* reader,
                           const freshet_replay_record* record, freshet_error* error) {
  freshet_status status;
  if (record->is_tombstone) return publish_tombstone(r, reader, record, error);
  if (!record->is_event) {
    freshet_slice key = record->has_key ? record->key : record->item.item_id;
    status = freshet_item_validate(&record->item, key, error);
    return status == FRESHET_OK ? publish_item(r, reader, &record->item, record->record_ms, error) : status;
  }
  const freshet_event* event = &record->event;
  bool wanted = (r->arguments->types & 1u << event->type) != 0 && is_user_wanted(r, event->user_id);
  if (!wanted) {
    r->left_out++;
    return FRESHET_OK;
  }
  freshet_slice key = record->has_key ? record->key : event->user_id;
  status =
      freshet_event_validate(event, key, record->has_key ? record->record_ms : r->now_ms, &r->limits, error);
  int64_t time_ms = record->has_key ? record->record_ms : event->occurred_at_ms;
  return status == FRESHET_OK ? publish_event(r, reader, event, time_ms, error) : status;
}

/* Everything that happens now and then. */
static freshet_status look(replay* r, const freshet_replay_reader* reader, freshet_error* error) {
  int64_t now = now_us();
  freshet_clock* clock = freshet_clock_system();
  r->now_ms = freshet_clock_now_ms(clock);
  if (r->output != NULL) freshet_replay_output_poll(r->output);
  show(r, reader, now);
  freshet_status status = freshet_replay_rejects_check(&r->rejects, error);
  if (status != FRESHET_OK || r->arguments->resume == NULL) return status;
  bool due = now - r->checkpoint_us >= CHECKPOINT_US || r->done.behind >= CHECKPOINT_RECORDS;
  return due ? settle(r, reader, error) : FRESHET_OK;
}

/* What stands for a record, so that a resumed replay sees whether the file is the same. 0: rejected. */
static uint64_t record_key(const freshet_replay_record* record, freshet_status status) {
  if (status != FRESHET_OK) return 0;
  return freshet_id_key(record->is_event ? record->event.event_id : record->item.item_id);
}

/* How times are written was detected at the first event, so it is told. */
static void tell_times(replay* r, const char* path, const freshet_replay_record* record,
                       freshet_time_unit unit) {
  char text[FRESHET_TIME_TEXT_SIZE];
  r->times_told = true;
  freshet_replay_progress_end(&r->progress);
  fprintf(stderr, "%s: times in %s%s, the first is %s\n", path, freshet_time_unit_name(unit),
          unit == FRESHET_TIME_UNKNOWN ? " (UTC without an offset)" : "",
          freshet_time_text(record->event.occurred_at_ms, text));
}

/* An input while it is replayed. */
typedef struct current {
  const char* path;
  freshet_replay_reader* reader;
  freshet_replay_converter* converter;
  uint64_t number, skip; /* records read; those before the checkpoint, counted from its place */
  bool more;
} current;

/* Those before the checkpoint are only read, since ids, the unit of times and the order depend on them. */
static freshet_status pass_over(replay* r, const current* c, uint64_t key, freshet_error* error) {
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
static freshet_status step(replay* r, current* c, freshet_error* error) {
  freshet_replay_record record = {0};
  freshet_error why = {0};
  freshet_status status = c->reader->vtable->next(c->reader, &record, &c->more, &why);
  if (status != FRESHET_OK && why.verdict != FRESHET_DEAD_LETTER) {
    return freshet_error_set(error, status, why.verdict, "%s", why.message);
  }
  uint64_t key = c->more ? record_key(&record, status) : 0;
  if (c->more && status == FRESHET_OK && record.is_event && !record.decoded && !r->times_told) {
    tell_times(r, c->path, &record, freshet_replay_converter_unit(c->converter));
  }
  r->passing = c->number < c->skip;
  if (r->passing) return pass_over(r, c, key, error);
  if (!c->more) return FRESHET_OK;
  if (status == FRESHET_OK) status = take(r, c->reader, &record, &why);
  if (status != FRESHET_OK && why.verdict != FRESHET_DEAD_LETTER) {
    return freshet_error_set(error, status, why.verdict, "%s", why.message);
  }
  if (status != FRESHET_OK) freshet_replay_rejects_add(&r->rejects, c->path, &record, why.message);
  r->records++;
  r->done.records++;
  r->done.behind++;
  r->done.last = key;
  return FRESHET_OK;
}

static double file_size(const char* path);

static void tell_input(replay* r, const char* path, uint64_t records) {
  freshet_replay_progress_end(&r->progress);
  fprintf(stderr, "%s: %" PRIu64 " records\n", path, records);
  double now = file_size(path);
  if (now > r->bytes_current) {
    fprintf(stderr,
            "%s: has grown from %.0f to %.0f bytes while it was read; what came late may be missing\n", path,
            r->bytes_current, now);
  }
}

static freshet_status open_input(replay* r, const freshet_replay_input* described, current* c,
                                 freshet_error* error) {
  freshet_error why = {0};
  freshet_replay_input input = *described;
  input.cluster = r->cluster;
  input.place = r->done.place;
  *c = (current){.path = input.path, .skip = r->done.records, .more = true};
  freshet_status status = freshet_replay_reader_open(&input, &c->reader, &why);
  if (status != FRESHET_OK) { /* invalid also when a file is absent: "not found" is the exit code of topics */
    if (!freshet_replay_is_topic(&input)) status = FRESHET_INVALID;
    return freshet_error_set(error, status, FRESHET_STOP, "%s", why.message);
  }
  c->converter = freshet_replay_converter_create(r->arguments->unit);
  c->reader = freshet_replay_convert(c->reader, c->converter);
  if (r->arguments->window > 0) c->reader = freshet_replay_sort(c->reader, (size_t)r->arguments->window);
  r->times_told = false;
  r->passing = c->skip > 0;
  return FRESHET_OK;
}

static freshet_status replay_input(replay* r, const freshet_replay_input* input, freshet_error* error) {
  current c;
  freshet_status status = open_input(r, input, &c, error);
  if (status != FRESHET_OK) return status;
  uint64_t before = r->records;
  /* The range of a topic is fixed when it is opened; a crash must not change it. */
  if (freshet_replay_is_topic(input) && r->done.place == NULL) status = settle(r, c.reader, error);
  while (status == FRESHET_OK && c.more && !stop_asked && r->done.events < r->arguments->limit) {
    if (c.number % LOOK_EVERY == 0) status = look(r, c.reader, error);
    if (status == FRESHET_OK) status = step(r, &c, error);
    c.number++;
  }
  if (status == FRESHET_ABORTED && stop_asked) status = FRESHET_OK;
  tell_input(r, input->path, r->records - before);
  if (status == FRESHET_OK && !stop_asked && !c.more) {
    r->done.input++;
    r->done.records = r->done.last = 0;
    replace_text(&r->done.place, &(freshet_buffer){0});
  } else if (status == FRESHET_OK) { /* else the record in hand may not have been taken */
    note_place(r, c.reader);
  }
  c.reader->vtable->close(c.reader);
  freshet_replay_converter_destroy(c.converter);
  return status;
}

/* 0 when it is no file. */
static double file_size(const char* path) {
  struct stat facts;
  return stat(path, &facts) == 0 && S_ISREG(facts.st_mode) ? (double)facts.st_size : 0;
}

static freshet_status replay_all(replay* r, freshet_error* error) {
  const freshet_replay_arguments* a = r->arguments;
  for (size_t i = 0; i < a->input_count; i++) {
    r->bytes_total += file_size(a->inputs[i].path);
    if (i < r->done.input) r->bytes_before = r->bytes_total;
  }
  freshet_replay_place place = {.share = r->bytes_total > 0 ? r->bytes_before / r->bytes_total : 0};
  r->start_us = r->checkpoint_us = now_us();
  r->progress = freshet_replay_progress_begin(r->start_us, &place);
  freshet_status status = settle(r, NULL, error); /* a crash may come before the next checkpoint */
  while (status == FRESHET_OK && r->done.input < a->input_count && !stop_asked && r->done.events < a->limit) {
    const freshet_replay_input* input = &a->inputs[r->done.input];
    r->bytes_current = file_size(input->path);
    status = replay_input(r, input, error);
    r->bytes_before += r->bytes_current;
  }
  /* What was taken is settled also when reading failed: the checkpoint then points at the bad place. */
  freshet_error later = {0};
  freshet_status settled = settle(r, NULL, &later);
  if (settled == FRESHET_OK || status != FRESHET_OK) return status;
  return freshet_error_set(error, settled, later.verdict, "%s", later.message);
}

/* ---- beginning and end ---- */

static freshet_status load_checkpoint(replay* r, freshet_error* error) {
  const freshet_replay_arguments* a = r->arguments;
  uint64_t hash = freshet_replay_arguments_hash(a);
  r->done.arguments = hash;
  if (a->resume == NULL || a->dry_run) return FRESHET_OK;
  freshet_error why = {0};
  freshet_status status = freshet_replay_checkpoint_read(a->resume, &r->done, &why);
  bool is_other = status == FRESHET_OK && r->done.arguments != hash;
  r->done.arguments = hash;
  if (status == FRESHET_NOT_FOUND) return FRESHET_OK;
  if (status != FRESHET_OK) return freshet_error_set(error, status, why.verdict, "%s", why.message);
  if (is_other) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "checkpoint %s is of a replay with other files or options", a->resume);
  }
  r->rejects.count = r->done.rejected;
  fprintf(stderr, "resuming after %" PRIu64 " events and %" PRIu64 " items\n", r->done.events, r->done.items);
  return FRESHET_OK;
}

/* What was published after the checkpoint, by a process that did not come to the next one. */
static freshet_status recall(replay* r, freshet_error* error) {
  if (r->output == NULL || r->done.mark == NULL) return FRESHET_OK;
  bool whole;
  freshet_status status = freshet_replay_output_recall(r->output, r->done.mark, &whole, error);
  if (status == FRESHET_OK && !whole) {
    fprintf(stderr,
            "so much has been written to the topic since the checkpoint that some of the events after it "
            "may be sent again, under the same ids\n");
  }
  return status;
}

static void print_result(const replay* r) {
  double seconds = (double)(now_us() - r->start_us) / US_PER_S;
  char first[FRESHET_TIME_TEXT_SIZE], last[FRESHET_TIME_TEXT_SIZE];
  printf("%s\n", r->arguments->dry_run ? "dry run: nothing was published" : "published");
  printf("  events    %12" PRIu64, r->done.events);
  for (int type = 0; type < FRESHET_EVENT_TYPES; type++) {
    if (r->by_type[type] > 0) {
      printf("  %s %" PRIu64, freshet_replay_type_name((freshet_event_type)type), r->by_type[type]);
    }
  }
  printf("\n  items     %12" PRIu64 "\n", r->done.items);
  printf("  rejected  %12" PRIu64 "\n", r->rejects.count);
  if (r->tombstones > 0) printf("  erasures  %12" PRIu64 "\n", r->tombstones);
  if (r->left_out > 0) printf("  left out  %12" PRIu64 "\n", r->left_out);
  if (r->late > 0) printf("  late      %12" PRIu64 "  (older than an event before them)\n", r->late);
  if (r->first_ms != 0) {
    printf("  from %s to %s\n", freshet_time_text(r->first_ms, first), freshet_time_text(r->last_ms, last));
  }
  printf("  in %.2f s, %.0f records/s\n", seconds, (double)r->records / seconds);
}

static int finish(replay* r, freshet_status status, const freshet_error* error) {
  int code = status == FRESHET_OK ? FRESHET_EXIT_OK : freshet_command_failed("replay", error);
  if (r->start_us != 0) print_result(r);
  if (status != FRESHET_OK) return code;
  if (stop_asked) {
    fprintf(stderr, "freshet replay: interrupted%s%s\n",
            r->arguments->resume == NULL ? "" : "; go on with the same --resume ",
            r->arguments->resume == NULL ? "" : r->arguments->resume);
    return FRESHET_EXIT_FAILED;
  }
  return r->rejects.count > 0 ? FRESHET_EXIT_REJECTS : FRESHET_EXIT_OK;
}

/* ---- the clusters ---- */

static freshet_status open_lookup(const freshet_config* config, freshet_schema_lookup* lookup,
                                  freshet_error* error) {
  return config->registry.ids[0] == '\0' ? FRESHET_OK
                                         : freshet_schema_map_create(config->registry.ids, lookup, error);
}

/* A topic of events that is replayed into itself would only be read a second time. */
static freshet_status check_sources(const replay* r, freshet_error* error) {
  const freshet_replay_arguments* a = r->arguments;
  for (size_t i = 0; i < a->input_count; i++) {
    const char* topic = a->inputs[i].path + strlen(FRESHET_REPLAY_KAFKA);
    bool is_target = freshet_replay_is_topic(&a->inputs[i]) &&
                     (strcmp(topic, r->config->topics.names[FRESHET_TOPIC_EVENTS]) == 0 ||
                      strcmp(topic, r->config->topics.names[FRESHET_TOPIC_ITEMS]) == 0);
    if (!is_target || a->source_count > 0 || a->dry_run) continue;
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s is the topic that replay writes to: read it anew with `freshet offsets` or "
                             "`freshet backfill`, or name another cluster with --source",
                             a->inputs[i].path);
  }
  return FRESHET_OK;
}

static freshet_status replay_with_codec(replay* r, const freshet_codec_config* codec, freshet_error* error) {
  const freshet_replay_arguments* a = r->arguments;
  freshet_logger logger = freshet_cluster_logger("replay");
  freshet_kafka_property* properties = NULL;
  size_t count = a->source_count;
  if (count == 0) properties = freshet_cluster_properties(r->config, NULL, 0, &count);
  freshet_kafka_config kafka = {.properties = a->source_count > 0 ? a->source : properties,
                                .property_count = count,
                                .app_id = r->config->app.id,
                                .client_id = "freshet-replay",
                                .logger = &logger,
                                .stopping = stopping};
  freshet_replay_cluster cluster = {
      .kafka = &kafka, .codec = codec, .since_ms = a->since_ms, .until_ms = a->until_ms};
  freshet_replay_output_config output = {
      .config = r->config, .codec = codec, .stopping = stopping, .accepts_loss = a->accepts_loss};
  r->cluster = &cluster;
  freshet_status status = check_sources(r, error);
  if (status == FRESHET_OK && !a->dry_run) status = freshet_replay_output_open(&output, &r->output, error);
  if (status == FRESHET_OK) status = recall(r, error);
  if (status == FRESHET_OK) status = replay_all(r, error);
  freshet_replay_output_close(r->output);
  free(properties);
  return status;
}

static int run_with(const freshet_replay_arguments* a, const freshet_config* config) {
  replay r = {.arguments = a, .config = config};
  r.limits = (freshet_event_limits){.rating_min = (float)config->model.rating_min,
                                    .rating_max = (float)config->model.rating_max,
                                    .future_tolerance_ms = config->model.future_tolerance_s * 1000};
  catch_signals();
  freshet_error error = {0};
  freshet_codec_config codec = {.output = (freshet_framing)config->registry.framing};
  if (config->registry.folder[0] != '\0') codec.schema_folder = config->registry.folder;
  freshet_status status = load_checkpoint(&r, &error);
  if (status == FRESHET_OK) status = open_lookup(config, &codec.lookup, &error);
  if (status == FRESHET_OK) {
    status = freshet_replay_rejects_open(&r.rejects, a->errors, r.done.errors_bytes, &error);
  }
  if (status == FRESHET_OK) status = replay_with_codec(&r, &codec, &error);
  int code = finish(&r, status, &error);
  freshet_replay_rejects_close(&r.rejects);
  if (codec.lookup.context != NULL) freshet_schema_map_destroy(&codec.lookup);
  freshet_replay_checkpoint_free(&r.done);
  return code;
}

static int run(int argc, char** argv) {
  freshet_replay_arguments a;
  freshet_error error = {0};
  freshet_config* config = NULL;
  int code = FRESHET_EXIT_USAGE;
  if (freshet_replay_arguments_parse(argc, argv, &a)) {
    if (freshet_options_load(&a.common, &config, &error) == FRESHET_OK) {
      code = run_with(&a, config);
    } else {
      freshet_command_failed("replay", &error);
    }
  }
  freshet_config_destroy(config);
  freshet_replay_arguments_free(&a);
  return code;
}

const freshet_command freshet_command_replay = {
    .name = "replay",
    .summary = "publish history from files and topics to the topics of events and items",
    .usage = freshet_replay_usage,
    .run = run,
};
