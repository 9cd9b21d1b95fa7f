/* Users move to the homes of another number of partitions: on a log in memory, against what is plainly right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stream/layout.h"
#include "stream/mark.h"
#include "users/dedup.h"
#include "users/mover.h"

enum { BEFORE = 4, AFTER = 6, USERS = 300, RECORDS = 8192, NOW_MS = 1234567 };

/* ---- the changelog ---- */

typedef struct entry {
  freshet_buffer key, value;
  bool has_value;
} entry;

static struct {
  entry entries[AFTER][RECORDS];
  int64_t count[AFTER];
  int64_t at[AFTER]; /* of the reader; -1: shut */
} topic;

static void append(int32_t partition, freshet_slice key, bool has_value, freshet_slice value) {
  assert_true(topic.count[partition] < RECORDS);
  entry* e = &topic.entries[partition][topic.count[partition]++];
  *e = (entry){.has_value = has_value};
  freshet_buffer_append(&e->key, key.data, key.size);
  if (has_value) freshet_buffer_append(&e->value, value.data, value.size);
}

static const entry* last_of(int32_t partition, freshet_slice key) {
  for (int64_t i = topic.count[partition]; i > 0; i--) {
    const entry* e = &topic.entries[partition][i - 1];
    if (freshet_slice_equal(freshet_buffer_slice(&e->key), key)) return e;
  }
  return NULL;
}

static int clear(void** state) {
  (void)state;
  for (int32_t p = 0; p < AFTER; p++) {
    for (int64_t i = 0; i < topic.count[p]; i++) {
      freshet_buffer_free(&topic.entries[p][i].key);
      freshet_buffer_free(&topic.entries[p][i].value);
    }
    topic.count[p] = 0;
    topic.at[p] = -1;
  }
  return 0;
}

static freshet_status range(freshet_reader* self, freshet_topic t, int32_t p, int64_t* first, int64_t* end,
                            freshet_error* error) {
  (void)self, (void)t, (void)error;
  *first = 0;
  *end = topic.count[p];
  return FRESHET_OK;
}
static freshet_status open_log(freshet_reader* self, freshet_topic t, int32_t p, int64_t offset,
                               freshet_error* error) {
  (void)self, (void)t, (void)error;
  topic.at[p] = offset == FRESHET_OFFSET_BEGINNING ? 0 : offset;
  return FRESHET_OK;
}
static freshet_status shut_log(freshet_reader* self, freshet_topic t, int32_t p, freshet_error* error) {
  (void)self, (void)t, (void)error;
  topic.at[p] = -1;
  return FRESHET_OK;
}
static freshet_status poll_log(freshet_reader* self, int timeout_ms, freshet_record* out, size_t capacity,
                               size_t* count, freshet_error* error) {
  (void)self, (void)timeout_ms, (void)error;
  *count = 0;
  for (int32_t p = 0; p < AFTER; p++) {
    for (; topic.at[p] >= 0 && topic.at[p] < topic.count[p] && *count < capacity; topic.at[p]++) {
      const entry* e = &topic.entries[p][topic.at[p]];
      out[(*count)++] = (freshet_record){.topic = FRESHET_TOPIC_USERS,
                                         .partition = p,
                                         .offset = topic.at[p],
                                         .has_key = true,
                                         .key = freshet_buffer_slice(&e->key),
                                         .has_value = e->has_value,
                                         .value = freshet_buffer_slice(&e->value)};
    }
  }
  return FRESHET_OK;
}
static int64_t position(freshet_reader* self, freshet_topic t, int32_t p) {
  (void)self, (void)t;
  return topic.at[p];
}
static freshet_status write_log(freshet_sink* self, const freshet_output* output, freshet_error* error) {
  (void)self, (void)error;
  append(output->partition, output->key, output->has_value, output->value);
  return FRESHET_OK;
}

static const freshet_reader_vtable reader_vtable = {
    .range = range, .open = open_log, .shut = shut_log, .poll = poll_log, .position = position};
static const freshet_sink_vtable sink_vtable = {.write = write_log};
static freshet_reader reader = {&reader_vtable};
static freshet_sink sink = {&sink_vtable};

/* ---- rows ---- */

static freshet_codec* codec;

static int make_codec(void** state) {
  const freshet_codec_config config = {.output = FRESHET_FRAMING_SINGLE_OBJECT};
  (void)state;
  return freshet_codec_create(&config, &codec, NULL) == FRESHET_OK ? 0 : -1;
}

static int drop_codec(void** state) {
  freshet_codec_destroy(codec);
  return clear(state);
}

static freshet_slice name_of(int user) {
  static char names[4][24];
  static unsigned next;
  char* name = names[next++ % 4];
  snprintf(name, sizeof names[0], "user-%d", user);
  return freshet_slice_of(name);
}

static int32_t home_of(int user, int32_t partitions) {
  return freshet_partition_by(FRESHET_PARTITIONER_CRC32, name_of(user), partitions);
}

static void put_row(int32_t partition, int user, int64_t events, bool is_owed) {
  freshet_buffer bytes = {0};
  const freshet_user_state row = {.user_id = name_of(user),
                                  .events = events,
                                  .newest_offset = 900 + events,
                                  .listed_offset = is_owed ? 3 : 900 + events,
                                  .refresh_since_ms = 0};
  assert_int_equal(freshet_encode_user_state(codec, &row, &bytes, NULL), FRESHET_OK);
  append(partition, row.user_id, true, freshet_buffer_slice(&bytes));
  freshet_buffer_free(&bytes);
}

/* The row of a user in a partition; false: there is none. */
static bool get_row(int32_t partition, int user, freshet_user_state* row) {
  const entry* e = last_of(partition, name_of(user));
  if (e == NULL || !e->has_value) return false;
  assert_int_equal(freshet_decode_user_state(codec, freshet_buffer_slice(&e->value), row, NULL), FRESHET_OK);
  return true;
}

static freshet_mover_counts move(void) {
  freshet_mover_counts counts;
  freshet_error error = {0};
  const freshet_mover_config config = {.reader = &reader,
                                       .codec = codec,
                                       .clock = freshet_clock_system(),
                                       .partitioner = FRESHET_PARTITIONER_CRC32,
                                       .before = BEFORE,
                                       .after = AFTER,
                                       .now_ms = NOW_MS};
  freshet_mover* mover = freshet_mover_create(&config);
  if (freshet_mover_look(mover, &counts, &error) != FRESHET_OK ||
      freshet_mover_move(mover, &sink, NULL, NULL, &error) != FRESHET_OK)
    fail_msg("%s", error.message);
  freshet_mover_destroy(mover);
  return counts;
}

static void every_user_comes_to_its_home_once(void** state) {
  (void)state;
  uint64_t moves = 0;
  for (int round = 0; round < 3; round++) {
    for (int user = 0; user < USERS; user++)
      put_row(home_of(user, BEFORE), user, round + user, user % 5 == 0);
  }
  for (int user = 0; user < USERS; user += 7) append(home_of(user, BEFORE), name_of(user), false, name_of(0));
  freshet_mover_counts counts = move();
  for (int user = 0; user < USERS; user++) {
    bool is_erased = user % 7 == 0, stays = home_of(user, BEFORE) == home_of(user, AFTER);
    moves += !is_erased && !stays;
    for (int32_t p = 0; p < AFTER; p++) {
      freshet_user_state row;
      bool found = get_row(p, user, &row);
      assert_int_equal(found, !is_erased && p == home_of(user, AFTER));
      if (!found) continue;
      assert_int_equal(row.events, 2 + user);
      assert_int_equal(row.newest_offset, stays ? 902 + user : -1);
      if (!stays) assert_int_equal(row.refresh_since_ms, user % 5 == 0 ? NOW_MS : 0);
    }
  }
  assert_int_equal(counts.moves, moves);
  assert_int_equal(counts.users, USERS - (USERS + 6) / 7);
  assert_int_equal(counts.doubles, 0);
}

/* The row where the user has lived stays, wherever the other one is. */
static void of_two_rows_the_right_one_stays(void** state) {
  (void)state;
  for (int user = 0; user < USERS; user++) {
    int32_t home = home_of(user, BEFORE), other = (home + 1 + user % (BEFORE - 1)) % BEFORE;
    put_row(other, user, 1, false);
    put_row(home, user, 50, false);
  }
  assert_int_equal(move().doubles, USERS);
  for (int user = 0; user < USERS; user++) {
    freshet_user_state row;
    for (int32_t p = 0; p < AFTER; p++) {
      bool found = get_row(p, user, &row);
      assert_int_equal(found, p == home_of(user, AFTER));
      if (found) assert_int_equal(row.events, 50);
    }
  }
}

/* ---- dedup windows ---- */

static void write_window(freshet_dedup* dedup, int32_t partition) {
  uint8_t key[FRESHET_DEDUP_KEY_SIZE];
  freshet_buffer value = {0};
  while (freshet_dedup_take_chunk(dedup, key, &value)) {
    append(partition, (freshet_slice){(const char*)key, sizeof key}, true, freshet_buffer_slice(&value));
    value.size = 0;
  }
  freshet_buffer_free(&value);
}

static int by_key(const void* left, const void* right) {
  const entry *a = *(const entry*const*)left, *b = *(const entry*const*)right;
  return memcmp(a->key.data, b->key.data, FRESHET_DEDUP_KEY_SIZE);
}

/* As a worker loads it: living chunks in the order of their keys. */
static freshet_dedup* load_window(int32_t partition) {
  freshet_dedup* dedup = freshet_dedup_create(100000, 1000000);
  const entry* alive[RECORDS];
  size_t count = 0;
  for (int64_t i = 0; i < topic.count[partition]; i++) {
    const entry* e = &topic.entries[partition][i];
    if (e->key.data[0] == '\0' && e->has_value && last_of(partition, freshet_buffer_slice(&e->key)) == e)
      alive[count++] = e;
  }
  qsort(alive, count, sizeof *alive, by_key);
  int64_t newest_ms = 0, at_ms;
  for (size_t i = 0; i < count; i++) {
    memcpy(&at_ms, alive[i]->value.data + 1, sizeof at_ms);
    assert_true(at_ms >= newest_ms); /* in order of time: the oldest are forgotten first */
    newest_ms = at_ms;
    assert_int_equal(freshet_dedup_load(dedup, freshet_buffer_slice(&alive[i]->key),
                                        freshet_buffer_slice(&alive[i]->value), NULL),
                     FRESHET_OK);
  }
  return dedup;
}

static void event_ids_are_known_where_their_users_are(void** state) {
  (void)state;
  freshet_dedup* windows[BEFORE];
  for (int32_t p = 0; p < BEFORE; p++) windows[p] = freshet_dedup_create(100000, 1000000);
  for (int user = 0; user < USERS; user++) {
    int32_t home = home_of(user, BEFORE);
    put_row(home, user, 1, false);
    assert_true(freshet_dedup_add(windows[home], 1000 + (uint64_t)user, 10 * user));
    if (user % 20 == 0) write_window(windows[home], home);
  }
  for (int32_t p = 0; p < BEFORE; p++) {
    write_window(windows[p], p);
    freshet_dedup_destroy(windows[p]);
  }
  move();
  freshet_dedup* grown[AFTER];
  for (int32_t p = 0; p < AFTER; p++) grown[p] = load_window(p);
  for (int user = 0; user < USERS; user++)
    assert_false(freshet_dedup_add(grown[home_of(user, AFTER)], 1000 + (uint64_t)user, 10 * user));
  for (int32_t p = 0; p < AFTER; p++) {
    assert_true(freshet_dedup_add(grown[p], 77, 0)); /* not everything is known */
    freshet_dedup_destroy(grown[p]);
  }
}

/* ---- what is committed with an offset ---- */

static void words_share_the_metadata(void** state) {
  (void)state;
  const freshet_layout layout = {6, 4};
  const freshet_mark mark = {.offset = 12, .time_ms = 34, .hash = 0xabc};
  const freshet_listed listed = {.offset = 14, .listing = 0xdef};
  char text[FRESHET_MARK_TEXT_SIZE + FRESHET_LAYOUT_TEXT_SIZE + FRESHET_LISTED_TEXT_SIZE];
  char word[FRESHET_LAYOUT_TEXT_SIZE], lists[FRESHET_LISTED_TEXT_SIZE];
  freshet_mark_write(&mark, text);
  freshet_layout_write(&layout, word);
  freshet_layout found = freshet_layout_read(text, strlen(text));
  assert_int_equal(found.partitions, 0); /* of an earlier version */
  assert_int_equal(freshet_listed_read(text, strlen(text)).offset, -1);
  freshet_listed_write(&listed, lists);
  strcat(text, " ");
  strcat(text, lists);
  strcat(text, " ");
  strcat(text, word);
  assert_int_equal(freshet_listed_read(text, strlen(text)).offset, 14);
  assert_int_equal(freshet_listed_read(text, strlen(text)).listing, 0xdef);
  freshet_listed_write(&FRESHET_NOT_LISTED, lists);
  assert_string_equal(lists, "");
  freshet_mark read = freshet_mark_read(text, strlen(text));
  assert_true(freshet_mark_equal(&read, &mark));
  found = freshet_layout_read(text, strlen(text));
  assert_int_equal(found.partitions, 6);
  assert_int_equal(found.previous, 4);
  found = freshet_layout_read(word, strlen(word));
  assert_int_equal(found.partitions, 6);
  read = freshet_mark_read(word, strlen(word));
  assert_int_equal(read.offset, -1);
  assert_int_equal(freshet_layout_read("p1:6:4x", 7).partitions, 0);
  assert_int_equal(freshet_layout_read(NULL, 0).partitions, 0);
  assert_int_equal(freshet_listed_read("l1:-4:0000000000000def", 22).offset, -1);
  assert_int_equal(freshet_listed_read(NULL, 0).offset, -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(every_user_comes_to_its_home_once, clear),
      cmocka_unit_test_setup(of_two_rows_the_right_one_stays, clear),
      cmocka_unit_test_setup(event_ids_are_known_where_their_users_are, clear),
      cmocka_unit_test(words_share_the_metadata),
  };
  return cmocka_run_group_tests(tests, make_codec, drop_codec);
}
