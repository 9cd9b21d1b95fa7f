/* The whole command against the embedded broker: what is published, what is refused, and where it goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <getopt.h>
#include <time.h>
#include <unistd.h>

#include "codec/codec.h"
#include "commands/commands.h"
#include "kafka/embedded.h"
#include "kafka/kafka.h"

enum { ARGUMENTS_MAX = 32, EVENTS = 500, USERS = 7, POLL_MS = 100, BATCH = 100, PARTITIONS = 3 };

static char folder[] = "replay-XXXXXX";
static freshet_kafka_embedded* broker;
static char bootstrap[256];

static char* path_of(const char* name) {
  static char paths[8][64];
  static int turn;
  char* path = paths[turn++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static void write_text(const char* name, const char* text) {
  FILE* file = fopen(path_of(name), "w");
  fputs(text, file);
  fclose(file);
}

static void write_events(const char* name) {
  FILE* file = fopen(path_of(name), "w");
  fputs("type,user_id,item_id,value,occurred_at\n", file);
  for (int i = 0; i < EVENTS; i++) {
    fprintf(file, "%s,u%d,i%d,%s,%lld\n", i % 2 == 0 ? "rating" : "click", i % USERS, i % 11,
            i % 2 == 0 ? "4" : "", 1323435000000LL + i / 3);
  }
  fclose(file);
}

/* Runs `freshet replay` with the arguments up to NULL. */
static int replay(const char* first, ...) {
  char* arguments[ARGUMENTS_MAX] = {"replay", "-X", bootstrap};
  int count = 3;
  va_list list;
  va_start(list, first);
  for (const char* a = first; a != NULL; a = va_arg(list, const char*)) arguments[count++] = (char*)a;
  va_end(list);
  optind = 0; /* getopt starts anew */
  return freshet_command_replay.run(count, arguments);
}

static int start(void** state) {
  (void)state;
  if (mkdtemp(folder) == NULL) return 1;
  const char* topics[FRESHET_TOPICS] = {[FRESHET_TOPIC_EVENTS] = "events", [FRESHET_TOPIC_ITEMS] = "items"};
  if (freshet_kafka_embedded_create(topics, PARTITIONS, &broker, NULL) != FRESHET_OK) return 1;
  snprintf(bootstrap, sizeof bootstrap, "kafka.bootstrap.servers=%s",
           freshet_kafka_embedded_bootstrap(broker));
  return 0;
}

static int stop(void** state) {
  (void)state;
  freshet_kafka_embedded_destroy(broker);
  return rmdir(folder);
}

/* A fresh broker for each test. */
static int restart(void** state) {
  return stop(state) != 0 || strcpy(folder, "replay-XXXXXX") == NULL || start(state) != 0;
}

/* ---- reading back ---- */

typedef struct published {
  freshet_event events[4 * EVENTS]; /* ids copied; sorted by id */
  char ids[4 * EVENTS][64];
  size_t count;
} published;

static int compare(const void* a, const void* b) {
  return strcmp(a, b);
}

static void take(published* all, freshet_codec* codec, const freshet_record* record, freshet_topic topic) {
  if (topic == FRESHET_TOPIC_ITEMS) {
    freshet_item item;
    assert_int_equal(freshet_decode_item(codec, record->value, &item, NULL), FRESHET_OK);
    assert_true(freshet_slice_equal(item.item_id, record->key));
    snprintf(all->ids[all->count], 64, "%.*s", (int)item.item_id.size, item.item_id.data);
  } else {
    freshet_event event;
    assert_int_equal(freshet_decode_event(codec, record->value, &event, NULL), FRESHET_OK);
    assert_true(freshet_slice_equal(event.user_id, record->key));
    assert_int_equal(record->timestamp_ms, event.occurred_at_ms);
    snprintf(all->ids[all->count], 64, "%.*s", (int)event.event_id.size, event.event_id.data);
  }
  all->count++;
}

static void read_partition(published* all, freshet_codec* codec, freshet_reader* log, freshet_topic topic,
                           int32_t p) {
  int64_t first, end;
  assert_int_equal(freshet_reader_range(log, topic, p, &first, &end, NULL), FRESHET_OK);
  assert_int_equal(freshet_reader_open(log, topic, p, FRESHET_OFFSET_BEGINNING, NULL), FRESHET_OK);
  while (freshet_reader_position(log, topic, p) < end) {
    freshet_record records[BATCH];
    size_t count = 0;
    assert_int_equal(freshet_reader_poll(log, POLL_MS, records, BATCH, &count, NULL), FRESHET_OK);
    for (size_t i = 0; i < count; i++) take(all, codec, &records[i], topic);
  }
  assert_int_equal(freshet_reader_shut(log, topic, p, NULL), FRESHET_OK);
}

/* Everything in the topic: its ids, sorted. */
static published* read_topic(freshet_topic topic) {
  published* all = calloc(1, sizeof *all);
  freshet_kafka_property property = {"bootstrap.servers", strchr(bootstrap, '=') + 1};
  freshet_kafka_config config = {.properties = &property, .property_count = 1, .app_id = "reader"};
  config.topics[FRESHET_TOPIC_EVENTS] = "events";
  config.topics[FRESHET_TOPIC_ITEMS] = "items";
  freshet_codec_config codec_config = {0};
  freshet_codec* codec = NULL;
  freshet_reader* log = NULL;
  assert_int_equal(freshet_codec_create(&codec_config, &codec, NULL), FRESHET_OK);
  assert_int_equal(freshet_kafka_reader_create(&config, &log, NULL), FRESHET_OK);
  for (int32_t p = 0; p < PARTITIONS; p++) read_partition(all, codec, log, topic, p);
  freshet_reader_destroy(log);
  freshet_codec_destroy(codec);
  qsort(all->ids, all->count, sizeof all->ids[0], compare);
  return all;
}

static size_t distinct(const published* all) {
  size_t count = all->count > 0;
  for (size_t i = 1; i < all->count; i++) count += strcmp(all->ids[i - 1], all->ids[i]) != 0;
  return count;
}

/* ---- tests ---- */

static void events_and_items_are_published_with_their_times(void** state) {
  (void)state;
  write_events("events.csv");
  write_text("items.csv", "item_id,title,text,categories\ni0,Zero,,\ni1,One,Some text,a|b\n");
  assert_int_equal(replay("--events", path_of("events.csv"), "--items", path_of("items.csv"), NULL),
                   FRESHET_EXIT_OK);
  published* events = read_topic(FRESHET_TOPIC_EVENTS);
  published* items = read_topic(FRESHET_TOPIC_ITEMS);
  assert_int_equal(events->count, EVENTS);
  assert_int_equal(distinct(events), EVENTS);
  assert_int_equal(items->count, 2);
  assert_string_equal(items->ids[1], "i1");
  free(items);

  /* once more: the same ids, so that dedup can tell */
  assert_int_equal(replay("--events", path_of("events.csv"), NULL), FRESHET_EXIT_OK);
  published* twice = read_topic(FRESHET_TOPIC_EVENTS);
  assert_int_equal(twice->count, 2 * EVENTS);
  assert_int_equal(distinct(twice), EVENTS);
  free(events);
  free(twice);
  unlink(path_of("events.csv"));
  unlink(path_of("items.csv"));
}

static void filters_and_limits_choose(void** state) {
  (void)state;
  write_events("events.csv");
  char* path = path_of("events.csv");
  assert_int_equal(replay("--events", path, "--user", "u3", "--type", "click", NULL), FRESHET_EXIT_OK);
  published* some = read_topic(FRESHET_TOPIC_EVENTS);
  size_t expected = 0;
  for (int i = 0; i < EVENTS; i++) expected += i % USERS == 3 && i % 2 == 1;
  assert_int_equal(some->count, expected);
  free(some);
  assert_int_equal(replay("--from", path, "--limit", "10", NULL), FRESHET_EXIT_OK);
  some = read_topic(FRESHET_TOPIC_EVENTS);
  assert_int_equal(some->count, expected + 10);
  free(some);
  unlink(path);
}

static void it_goes_on_where_it_stopped(void** state) {
  (void)state;
  write_events("a.csv");
  write_events("b.csv");
  char *a = path_of("a.csv"), *b = path_of("b.csv"), *place = path_of("place");
  assert_int_equal(replay("--resume", place, "--limit", "120", "--from", a, b, NULL), FRESHET_EXIT_OK);
  assert_int_equal(replay("--resume", place, "--limit", "700", "--from", a, b, NULL), FRESHET_EXIT_OK);
  published* all = read_topic(FRESHET_TOPIC_EVENTS);
  assert_int_equal(all->count, 700);
  free(all);
  assert_int_equal(replay("--resume", place, "--from", a, b, NULL), FRESHET_EXIT_OK);
  assert_int_equal(replay("--resume", place, "--from", a, b, NULL), FRESHET_EXIT_OK); /* nothing left */
  all = read_topic(FRESHET_TOPIC_EVENTS);
  assert_int_equal(all->count, 2 * EVENTS);
  assert_int_equal(distinct(all), EVENTS); /* the two files hold the same */
  free(all);
  /* other files, or a shorter one, are not what was begun */
  assert_int_equal(replay("--resume", place, "--from", b, a, NULL), FRESHET_EXIT_FAILED);
  unlink(place);
  assert_int_equal(replay("--resume", place, "--limit", "120", "--from", a, NULL), FRESHET_EXIT_OK);
  write_text("a.csv", "user_id,item_id,occurred_at\nu,i,1323435000000\n");
  assert_int_equal(replay("--resume", place, "--from", a, NULL), FRESHET_EXIT_FAILED);
  write_text("place", "something else\n");
  assert_int_equal(replay("--resume", place, "--from", a, NULL), FRESHET_EXIT_FAILED);
  unlink(place);
  unlink(a);
  unlink(b);
}

/* The window has taken in more than was published: the place counts what was published. */
static void sorted_replays_go_on_too(void** state) {
  (void)state;
  FILE* file = fopen(path_of("mixed.csv"), "w");
  fputs("event_id,user_id,item_id,occurred_at\n", file);
  for (int i = 0; i < EVENTS; i++) {
    fprintf(file, "e%03d,u,i,%lld\n", i, 1323435000000LL + 10 * i + i * 7919 % 101);
  }
  fclose(file);
  char *mixed = path_of("mixed.csv"), *place = path_of("place");
  for (int limit = 50; limit <= EVENTS; limit += 50) {
    char text[16];
    snprintf(text, sizeof text, "%d", limit);
    assert_int_equal(replay("--resume", place, "--sort-window", "20", "--limit", text, "--from", mixed, NULL),
                     FRESHET_EXIT_OK);
  }
  published* all = read_topic(FRESHET_TOPIC_EVENTS);
  assert_int_equal(all->count, EVENTS);
  assert_int_equal(distinct(all), EVENTS);
  free(all);
  unlink(mixed);
  unlink(place);
}

static void rejected_rows_can_be_corrected_and_replayed(void** state) {
  (void)state;
  write_text("bad.csv",
             "event_id,type,user_id,item_id,value,occurred_at\n"
             "e1,rating,u,i,4,1323435000000\n"
             "e2,rating,u,i,9,1323435000000\n"              /* off the scale */
             "e3,rating,,i,4,1323435000000\n"               /* nobody */
             "e4,watch,\"u,\"\"x\"\"\",i,4,1323435000000\n" /* no such type */
             "e5,click,u,i,,99999999999999\n"               /* the year 5138 */
             "e6,click,u,i,,soon\n");
  char *bad = path_of("bad.csv"), *errors = path_of("errors.csv");
  assert_int_equal(replay("--dry-run", "--errors", errors, "--events", bad, NULL), FRESHET_EXIT_REJECTS);
  published* all = read_topic(FRESHET_TOPIC_EVENTS);
  assert_int_equal(all->count, 0);
  free(all);
  assert_int_equal(replay("--errors", errors, "--events", bad, NULL), FRESHET_EXIT_REJECTS);

  char text[4096] = {0};
  FILE* file = fopen(errors, "r");
  assert_true(fread(text, 1, sizeof text - 1, file) > 0);
  fclose(file);
  assert_non_null(strstr(text, "e4,watch,\"u,\"\"x\"\"\",i,4,1323435000000,"));
  assert_non_null(strstr(text, "bad.csv,5,\"type 'watch' is none of"));
  assert_non_null(strstr(text, "bad.csv,3,rating 9 is off the scale"));
  for (char* at = text; (at = strstr(at, ",watch,")) != NULL;) memcpy(at, ",click,", 7);
  write_text("errors.csv", text);
  assert_int_equal(replay("--events", errors, NULL), FRESHET_EXIT_REJECTS); /* one of five is good now */
  all = read_topic(FRESHET_TOPIC_EVENTS);
  assert_int_equal(all->count, 2);
  assert_string_equal(all->ids[0], "e1");
  assert_string_equal(all->ids[1], "e4");
  free(all);
  unlink(bad);
  unlink(errors);
}

static void rate_and_speedup_hold_it_back(void** state) {
  (void)state;
  write_events("events.csv"); /* event time: 166 ms */
  char* path = path_of("events.csv");
  static const char* const options[][2] = {{"--rate", "1000/s"}, {"--speedup", "0.5x"}};
  static const double least_s[] = {0.45, 0.3};
  for (int i = 0; i < 2; i++) {
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(replay(options[i][0], options[i][1], "--events", path, NULL), FRESHET_EXIT_OK);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    assert_true(seconds > least_s[i]);
  }
  unlink(path);
}

static void wrong_usage_is_refused(void** state) {
  (void)state;
  assert_int_equal(replay(NULL, NULL), FRESHET_EXIT_USAGE);
  assert_int_equal(replay("--rate", "fast", "--from", "x", NULL), FRESHET_EXIT_USAGE);
  assert_int_equal(replay("--type", "watch", "--from", "x", NULL), FRESHET_EXIT_USAGE);
  assert_int_equal(replay("--map", "a=b", "--from", "x", NULL), FRESHET_EXIT_USAGE);
  assert_int_equal(replay("--format", "xml", "--from", "x", NULL), FRESHET_EXIT_USAGE);
  assert_int_equal(replay("--limit", "-3", "--from", "x", NULL), FRESHET_EXIT_USAGE);
  assert_int_equal(replay("--from", "absent.csv", NULL), FRESHET_EXIT_FAILED);
}

#define TEST(function) cmocka_unit_test_setup(function, restart)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(events_and_items_are_published_with_their_times),
      TEST(filters_and_limits_choose),
      TEST(it_goes_on_where_it_stopped),
      TEST(sorted_replays_go_on_too),
      TEST(rejected_rows_can_be_corrected_and_replayed),
      TEST(rate_and_speedup_hold_it_back),
      TEST(wrong_usage_is_refused),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
