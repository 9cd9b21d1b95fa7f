#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/commands.h"
#include "commands/options.h"
#include "commands/replay_checkpoint.h"
#include "commands/replay_output.h"
#include "commands/replay_progress.h"
#include "commands/replay_reader.h"
#include "commands/replay_rejects.h"
#include "commands/replay_stages.h"
#include "worker/clock.h"

enum {
  INPUTS_MAX = 1024,
  LOOK_EVERY = 256,                /* records between looks at the clock */
  CHECKPOINT_US = 5 * 1000 * 1000, /* between two checkpoints: what a crash sends again */
  NAP_US = 20 * 1000,
  US_PER_S = 1000 * 1000,
  ALL_TYPES = (1 << FRESHET_EVENT_TYPES) - 1,
};

static const char usage[] =
    "usage: freshet replay -c FILE [OPTION]... [--items FILE]... [--events FILE]... [--from FILE...]\n\n"
    "Publishes history from files to the topics of events and items. Files are CSV (the first row names the\n"
    "columns), JSON Lines or Avro container files, each plain or gzip; - is standard input. A row with a "
    "user_id\n"
    "is an event, any other an item. Fields: event_id type user_id item_id value occurred_at dwell_s "
    "quantity\n"
    "price; item_id title text categories (separated by |) available expires_at. Times are ISO 8601 or "
    "numbers\n"
    "since 1970, in s, ms or us as the first one tells. Events without an id get one that is the same in "
    "every\n"
    "replay, so that what is replayed twice is learned once. Files of --items go first.\n\n"
    "  --events FILE         a file that must hold events; may be repeated\n"
    "  --items FILE          a file that must hold items; may be repeated\n"
    "  --from FILE...        files of either kind\n"
    "  --format FORMAT       csv, jsonl or avro (default: by the first bytes; csv for pipes)\n"
    "  --map FIELD=NAME,...  what the files call our fields, as in user_id=customer_no\n"
    "  --time-unit UNIT      s, ms or us, when the first time does not tell\n"
    "  --dry-run             publish nothing; check every row and count\n"
    "  --rate N              at most N records a second\n"
    "  --speedup N           N times as fast as the events happened, as in 60x\n"
    "  --sort-window N       sort events by time among N rows at a time; a row takes about 600 bytes of "
    "memory\n"
    "  --limit N             stop after N events\n"
    "  --user ID             only events of this user\n"
    "  --type TYPE,...       only events of these types: click, rating, purchase\n"
    "  --errors FILE         write rejected rows there, as CSV that can be corrected and replayed\n"
    "  --resume FILE         keep the place in FILE, and go on from there when it exists; a crash sends at "
    "most\n"
    "                        the last seconds again, under the same event ids\n" FRESHET_OPTIONS_USAGE
    "\nexit codes: 0 all published, 1 failed or interrupted, 2 usage, 3 done but rows were rejected,\n"
    "5 the place or the rejected rows cannot be written, 6 the cluster or a topic is not there\n";

/* ---- arguments ---- */

typedef struct arguments {
  freshet_options common;
  freshet_replay_input inputs[INPUTS_MAX];
  size_t input_count;
  freshet_replay_map map;
  const char* map_text;
  freshet_replay_format format;
  freshet_time_unit unit;
  bool dry_run;
  double rate, speedup; /* 0: not bounded */
  uint64_t limit;       /* UINT64_MAX: none */
  uint64_t window;      /* of sorting; 0: as they come */
  const char* user;
  unsigned types; /* bit set */
  const char* errors;
  const char* resume;
} arguments;

static bool refuse(const char* what, const char* value) {
  fprintf(stderr, "freshet replay: %s '%s'\n", what, value);
  return false;
}

static bool add_input(arguments* a, const char* path, freshet_replay_expect expect) {
  if (a->input_count == INPUTS_MAX) return refuse("too many files, from", path);
  a->inputs[a->input_count++] = (freshet_replay_input){.path = path, .expect = expect};
  return true;
}

/* A positive number, followed by one of the given endings or nothing. */
static bool parse_positive(const char* text, const char* ending, double* value) {
  char* end;
  *value = strtod(text, &end);
  bool ended = *end == '\0' || strcmp(end, ending) == 0;
  return (end != text && ended && isfinite(*value) && *value > 0) || refuse("not a positive number:", text);
}

static bool parse_count(const char* text, uint64_t most, uint64_t* count) {
  char* end;
  *count = strtoull(text, &end, 10);
  return (end != text && *end == '\0' && text[0] != '-' && *count <= most) ||
         refuse("not a sensible number:", text);
}

static bool parse_types(const char* text, unsigned* types) {
  *types = 0;
  while (*text != '\0') {
    freshet_event_type type;
    freshet_slice word = {text, strcspn(text, ",")};
    if (!freshet_replay_type_of(word, &type)) return refuse("not a list of types:", text);
    *types |= 1u << type;
    text += word.size + (text[word.size] == ',');
  }
  return *types != 0 || refuse("an empty list of types", "");
}

static bool parse_word(const char* text, const char* const* words, int* number) {
  for (*number = 1; words[*number] != NULL; ++*number) {
    if (strcmp(words[*number], text) == 0) return true;
  }
  return refuse("unknown format or unit", text);
}

enum {
  EVENTS = 256,
  ITEMS,
  FROM,
  FORMAT,
  MAP,
  TIME_UNIT,
  DRY_RUN,
  RATE,
  SPEEDUP,
  LIMIT,
  SORT_WINDOW,
  USER,
  TYPE,
  ERRORS,
  RESUME
};

static bool take_option(arguments* a, int option, const char* value) {
  static const char* const formats[] = {"", "csv", "jsonl", "avro", NULL};
  static const char* const units[] = {"", "s", "ms", "us", NULL};
  int number = 0;
  switch (option) {
    case EVENTS:
      return add_input(a, value, FRESHET_REPLAY_EVENTS);
    case ITEMS:
      return add_input(a, value, FRESHET_REPLAY_ITEMS);
    case FROM:
      return add_input(a, value, FRESHET_REPLAY_ANY);
    case FORMAT:
      if (!parse_word(value, formats, &number)) return false;
      a->format = (freshet_replay_format)number;
      return true;
    case MAP:
      a->map_text = value;
      return true;
    case TIME_UNIT:
      if (!parse_word(value, units, &number)) return false;
      a->unit = (freshet_time_unit)number;
      return true;
    case DRY_RUN:
      return a->dry_run = true;
    case RATE:
      return parse_positive(value, "/s", &a->rate);
    case SPEEDUP:
      return parse_positive(value, "x", &a->speedup);
    case LIMIT:
      return parse_count(value, UINT64_MAX, &a->limit);
    case SORT_WINDOW:
      return parse_count(value, FRESHET_REPLAY_WINDOW_MAX, &a->window);
    case USER:
      a->user = value;
      return true;
    case TYPE:
      return parse_types(value, &a->types);
    case ERRORS:
      a->errors = value;
      return true;
    case RESUME:
      a->resume = value;
      return true;
    default:
      return false;
  }
}

/* Files of items first, else in the order given. */
static void order_inputs(arguments* a) {
  size_t items = 0;
  for (size_t i = 0; i < a->input_count; i++) {
    freshet_replay_input input = a->inputs[i];
    input.format = a->format;
    input.map = &a->map;
    size_t at = i;
    if (input.expect == FRESHET_REPLAY_ITEMS) {
      at = items++;
      memmove(&a->inputs[at + 1], &a->inputs[at], (i - at) * sizeof *a->inputs);
    }
    a->inputs[at] = input;
  }
}

static bool parse(int argc, char** argv, arguments* a) {
  static const struct option longs[] = {{"events", required_argument, NULL, EVENTS},
                                        {"items", required_argument, NULL, ITEMS},
                                        {"from", required_argument, NULL, FROM},
                                        {"format", required_argument, NULL, FORMAT},
                                        {"map", required_argument, NULL, MAP},
                                        {"time-unit", required_argument, NULL, TIME_UNIT},
                                        {"dry-run", no_argument, NULL, DRY_RUN},
                                        {"rate", required_argument, NULL, RATE},
                                        {"speedup", required_argument, NULL, SPEEDUP},
                                        {"limit", required_argument, NULL, LIMIT},
                                        {"sort-window", required_argument, NULL, SORT_WINDOW},
                                        {"user", required_argument, NULL, USER},
                                        {"type", required_argument, NULL, TYPE},
                                        {"errors", required_argument, NULL, ERRORS},
                                        {"resume", required_argument, NULL, RESUME},
                                        {NULL, 0, NULL, 0}};
  a->limit = UINT64_MAX;
  a->types = ALL_TYPES;
  int option;
  while ((option = getopt_long(argc, argv, FRESHET_OPTIONS_SHORT, longs, NULL)) != -1) {
    if (!freshet_options_take(&a->common, option, optarg) && !take_option(a, option, optarg)) return false;
  }
  for (; optind < argc; optind++) {
    if (!add_input(a, argv[optind], FRESHET_REPLAY_ANY)) return false;
  }
  if (a->input_count == 0) {
    fprintf(stderr, "freshet replay: no files; give --events, --items or --from\n");
    return false;
  }
  freshet_error error = {0};
  if (freshet_replay_map_parse(a->map_text, &a->map, &error) != FRESHET_OK) {
    freshet_command_failed("replay", &error);
    return false;
  }
  order_inputs(a);
  return true;
}

/* What decides which records are published, under which ids: a checkpoint holds for these arguments only. */
static uint64_t hash_arguments(const arguments* a) {
  freshet_buffer text = {0};
  for (size_t i = 0; i < a->input_count; i++) {
    freshet_buffer_append(&text, a->inputs[i].path, strlen(a->inputs[i].path) + 1);
    freshet_buffer_append(&text, &(char){(char)a->inputs[i].expect}, 1);
  }
  const char* texts[] = {a->map_text == NULL ? "" : a->map_text, a->user == NULL ? "" : a->user};
  for (size_t i = 0; i < 2; i++) freshet_buffer_append(&text, texts[i], strlen(texts[i]) + 1);
  unsigned numbers[] = {a->format, a->unit, a->types, (unsigned)a->window};
  freshet_buffer_append(&text, numbers, sizeof numbers);
  uint64_t hash = freshet_id_key(freshet_buffer_slice(&text));
  freshet_buffer_free(&text);
  return hash;
}

/* ---- the replay ---- */

typedef struct replay {
  const arguments* arguments;
  const freshet_config* config;
  freshet_event_limits limits;
  freshet_replay_output* output; /* NULL: dry run */
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
  int64_t start_us, checkpoint_us;
  int64_t pace_first_ms; /* event time where --speedup begins; 0: not yet */
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
  return clock->monotonic_us(clock);
}

static void show(replay* r, const freshet_replay_reader* reader, int64_t at_us) {
  freshet_replay_place place = {.records = r->records, .event_time_ms = r->last_ms};
  if (r->bytes_total > 0) {
    double share = reader->vtable->progress(reader);
    place.share = (r->bytes_before + share * r->bytes_current) / r->bytes_total;
  }
  freshet_replay_progress_show(&r->progress, at_us, &place);
}

/* Waits for acknowledgements and then notes the place. Without a place to note, only waits. */
static freshet_status settle(replay* r, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (r->output != NULL) status = freshet_replay_output_settle(r->output, error);
  if (status == FRESHET_OK) status = freshet_replay_rejects_flush(&r->rejects, &r->done.errors_bytes, error);
  if (status != FRESHET_OK || r->arguments->resume == NULL || r->output == NULL) return status;
  r->done.rejected = r->rejects.count;
  r->checkpoint_us = now_us();
  return freshet_replay_checkpoint_write(r->arguments->resume, &r->done, error);
}

/* When the next record may go, by --rate and --speedup. */
static int64_t due_us(replay* r, const freshet_event* event) {
  int64_t due = 0;
  if (r->arguments->rate > 0) {
    due = r->start_us + (int64_t)((double)r->records / r->arguments->rate * US_PER_S);
  }
  if (r->arguments->speedup > 0 && event != NULL) {
    if (r->pace_first_ms == 0) r->pace_first_ms = event->occurred_at_ms;
    double passed_ms = (double)(event->occurred_at_ms - r->pace_first_ms);
    int64_t by_time = r->start_us + (int64_t)(passed_ms / r->arguments->speedup * 1000);
    if (by_time > due) due = by_time;
  }
  return due;
}

static void pace(replay* r, const freshet_replay_reader* reader, const freshet_event* event) {
  int64_t due = due_us(r, event);
  for (int64_t now = due == 0 ? 0 : now_us(); now < due && !stop_asked; now = now_us()) {
    freshet_replay_output_poll(r->output);
    show(r, reader, now);
    usleep((useconds_t)(due - now < NAP_US ? due - now : NAP_US));
  }
}

static freshet_status publish_event(replay* r, const freshet_replay_reader* reader,
                                    const freshet_event* event, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (r->output != NULL) {
    pace(r, reader, event);
    status = freshet_replay_output_event(r->output, event, error);
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
                                   freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (r->output != NULL) {
    pace(r, reader, NULL);
    status = freshet_replay_output_item(r->output, item, error);
  }
  if (status == FRESHET_OK) r->done.items++;
  return status;
}

static bool is_wanted(const replay* r, const freshet_event* event) {
  const arguments* a = r->arguments;
  return (a->types & 1u << event->type) != 0 &&
         (a->user == NULL || freshet_slice_equal(event->user_id, freshet_slice_of(a->user)));
}

/* Checks and publishes what is wanted. */
static freshet_status take(replay* r, const freshet_replay_reader* reader,
                           const freshet_replay_record* record, freshet_error* error) {
  freshet_status status;
  if (!record->is_event) {
    status = freshet_item_validate(&record->item, record->item.item_id, error);
    return status == FRESHET_OK ? publish_item(r, reader, &record->item, error) : status;
  }
  const freshet_event* event = &record->event;
  if (!is_wanted(r, event)) {
    r->left_out++;
    return FRESHET_OK;
  }
  status = freshet_event_validate(event, event->user_id, r->now_ms, &r->limits, error);
  return status == FRESHET_OK ? publish_event(r, reader, event, error) : status;
}

/* Everything that happens now and then. */
static freshet_status look(replay* r, const freshet_replay_reader* reader, freshet_error* error) {
  int64_t now = now_us();
  freshet_clock* clock = freshet_clock_system();
  r->now_ms = clock->now_ms(clock);
  if (r->output != NULL) freshet_replay_output_poll(r->output);
  show(r, reader, now);
  bool due = r->arguments->resume != NULL && now - r->checkpoint_us >= CHECKPOINT_US;
  return due ? settle(r, error) : FRESHET_OK;
}

/* One record; false in *more ends the input. Those before the checkpoint are only read, since ids, the unit
 * of times and the order depend on them. */
static freshet_status step(replay* r, freshet_replay_reader* reader, const char* path, uint64_t number,
                           uint64_t skip, bool* more, freshet_error* error) {
  freshet_replay_record record = {0};
  freshet_error why = {0};
  bool skipped = number < skip;
  freshet_status status = reader->vtable->next(reader, &record, more, &why);
  if (status == FRESHET_OK && *more && !skipped) status = take(r, reader, &record, &why);
  if (status == FRESHET_OK && !*more && skipped) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s has become shorter since the checkpoint (%" PRIu64 " records)", path, skip);
  }
  if (status != FRESHET_OK && why.verdict != FRESHET_DEAD_LETTER) {
    return freshet_error_set(error, status, why.verdict, "%s", why.message);
  }
  if (status != FRESHET_OK && !skipped) freshet_replay_rejects_add(&r->rejects, path, &record, why.message);
  if (*more && !skipped) {
    r->records++;
    r->done.records = number + 1;
  }
  return FRESHET_OK;
}

/* The unit of times was detected, so it is told. */
static void tell_input(replay* r, const char* path, freshet_time_unit unit) {
  freshet_replay_progress_end(&r->progress);
  fprintf(stderr, "%s: %" PRIu64 " records", path, r->done.records);
  if (unit != FRESHET_TIME_UNKNOWN) fprintf(stderr, ", times in %s", freshet_time_unit_name(unit));
  fputc('\n', stderr);
}

static freshet_status replay_input(replay* r, const freshet_replay_input* input, freshet_error* error) {
  freshet_replay_reader* reader = NULL;
  freshet_error why = {0};
  freshet_status status = freshet_replay_reader_open(input, &reader, &why);
  if (status != FRESHET_OK) { /* invalid also when absent: "not found" is the exit code of topics */
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s", why.message);
  }
  freshet_replay_converter* converter = freshet_replay_converter_create(r->arguments->unit);
  reader = freshet_replay_convert(reader, converter);
  if (r->arguments->window > 0) reader = freshet_replay_sort(reader, (size_t)r->arguments->window);
  uint64_t skip = r->done.records;
  bool more = true;
  for (uint64_t n = 0; status == FRESHET_OK && more && !stop_asked && r->done.events < r->arguments->limit;
       n++) {
    if (n % LOOK_EVERY == 0) status = look(r, reader, error);
    if (status == FRESHET_OK) status = step(r, reader, input->path, n, skip, &more, error);
  }
  tell_input(r, input->path, freshet_replay_converter_unit(converter));
  if (status == FRESHET_OK && !stop_asked && !more) {
    r->done.input++;
    r->done.records = 0;
  }
  reader->vtable->close(reader);
  freshet_replay_converter_destroy(converter);
  return status;
}

static double file_size(const char* path) {
  struct stat facts;
  return stat(path, &facts) == 0 && S_ISREG(facts.st_mode) ? (double)facts.st_size : 0;
}

static freshet_status replay_all(replay* r, freshet_error* error) {
  const arguments* a = r->arguments;
  for (size_t i = 0; i < a->input_count; i++) {
    r->bytes_total += file_size(a->inputs[i].path);
    if (i < r->done.input) r->bytes_before = r->bytes_total;
  }
  freshet_replay_place place = {.share = r->bytes_total > 0 ? r->bytes_before / r->bytes_total : 0};
  r->start_us = r->checkpoint_us = now_us();
  r->progress = freshet_replay_progress_begin(r->start_us, &place);
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && r->done.input < a->input_count && !stop_asked && r->done.events < a->limit) {
    const freshet_replay_input* input = &a->inputs[r->done.input];
    r->bytes_current = file_size(input->path);
    status = replay_input(r, input, error);
    r->bytes_before += r->bytes_current;
  }
  /* What was taken is settled also when reading failed: the checkpoint then points at the bad place. */
  freshet_error later = {0};
  freshet_status settled = settle(r, &later);
  if (settled == FRESHET_OK || status != FRESHET_OK) return status;
  return freshet_error_set(error, settled, later.verdict, "%s", later.message);
}

/* ---- beginning and end ---- */

static freshet_status load_checkpoint(replay* r, freshet_error* error) {
  const arguments* a = r->arguments;
  r->done = (freshet_replay_checkpoint){.arguments = hash_arguments(a)};
  if (a->resume == NULL || a->dry_run) return FRESHET_OK;
  freshet_replay_checkpoint found;
  freshet_error why = {0};
  freshet_status status = freshet_replay_checkpoint_read(a->resume, &found, &why);
  if (status == FRESHET_NOT_FOUND) return FRESHET_OK;
  if (status != FRESHET_OK) return freshet_error_set(error, status, why.verdict, "%s", why.message);
  if (found.arguments != r->done.arguments) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "checkpoint %s is of a replay with other files or options", a->resume);
  }
  r->done = found;
  r->rejects.count = found.rejected;
  fprintf(stderr, "resuming after %" PRIu64 " events and %" PRIu64 " items\n", found.events, found.items);
  return FRESHET_OK;
}

static void print_result(const replay* r) {
  double seconds = (double)(now_us() - r->start_us) / US_PER_S;
  char first[FRESHET_TIME_TEXT_SIZE], last[FRESHET_TIME_TEXT_SIZE];
  printf("%s\n", r->output == NULL ? "dry run: nothing was published" : "published");
  printf("  events    %12" PRIu64, r->done.events);
  for (int type = 0; type < FRESHET_EVENT_TYPES; type++) {
    if (r->by_type[type] > 0) {
      printf("  %s %" PRIu64, freshet_replay_type_name((freshet_event_type)type), r->by_type[type]);
    }
  }
  printf("\n  items     %12" PRIu64 "\n", r->done.items);
  printf("  rejected  %12" PRIu64 "\n", r->rejects.count);
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

static int run_with(const arguments* a, const freshet_config* config) {
  replay r = {.arguments = a, .config = config};
  r.limits = (freshet_event_limits){.rating_min = (float)config->model.rating_min,
                                    .rating_max = (float)config->model.rating_max,
                                    .future_tolerance_ms = config->model.future_tolerance_s * 1000};
  catch_signals();
  freshet_error error = {0};
  freshet_replay_output_config output = {.config = config, .stopping = stopping};
  freshet_status status = load_checkpoint(&r, &error);
  if (status == FRESHET_OK) {
    status = freshet_replay_rejects_open(&r.rejects, a->errors, r.done.errors_bytes, &error);
  }
  if (status == FRESHET_OK && !a->dry_run) status = freshet_replay_output_open(&output, &r.output, &error);
  if (status == FRESHET_OK) status = replay_all(&r, &error);
  int code = finish(&r, status, &error);
  freshet_replay_output_close(r.output);
  freshet_replay_rejects_close(&r.rejects);
  return code;
}

static int run(int argc, char** argv) {
  arguments* a = calloc(1, sizeof *a);
  FRESHET_ASSERT(a != NULL);
  freshet_error error = {0};
  freshet_config* config = NULL;
  int code = FRESHET_EXIT_USAGE;
  if (parse(argc, argv, a)) {
    if (freshet_options_load(&a->common, &config, &error) == FRESHET_OK) {
      code = run_with(a, config);
    } else {
      freshet_command_failed("replay", &error);
    }
  }
  freshet_config_destroy(config);
  free(a);
  return code;
}

const freshet_command freshet_command_replay = {
    .name = "replay",
    .summary = "publish history from files to the topics of events and items",
    .usage = usage,
    .run = run,
};
