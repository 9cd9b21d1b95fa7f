/*
 * test_worker.c: the real worker on a simulated broker, store and clock. A seed decides everything: what is
 * written, in which batches it arrives, which process dies at which call, what is aborted, given up, taken
 * away and given back. After each run the test compares with an oracle that knows only what was written:
 *
 * state      Every accepted event is learned exactly once: count and checksum of each user, in the store of
 *            the last owner and in one that a fresh worker has filled from the changelog.
 * commits    Whenever the state is committed beside lists, the changelog holds what the events before the committed offsets
 *            make of each user, and nothing more; and the lists that the offsets' word tells of are committed.
 * lists      Every user with events has a list whose version is the newest event; erased users end with a
 *            tombstone. What one process publishes between two rewinds never goes back in version; with
 *            delivery = committed nothing does, and where no item comes or goes each version comes once. After a crash older versions may come again: a reader that
 *            keeps the larger offset never sees them.
 * items      No list holds an item that was withdrawn, as far as its writer had read. When all is quiet, no
 *            user's last list holds one, whenever it was withdrawn and whichever process was away then.
 * replies    Every request has a reply, and with delivery = committed exactly one.
 * dead       Each bad record is in the dead-letter topic exactly once, with its bytes, or as many as the topic takes. One under the key of a
 *            user that was erased later is there once or not at all, as the commit came before or after.
 * model      One worker, one partition: the bits of a run without faults, and those of a worker that starts
 *            with nothing; with item texts and without. Two workers: the additive parts are equal when both
 *            have read everything.
 *
 * slots      A fourth of the runs have as few slots as they need: items are parked and come back, and the additive
 *            parts are equal all the same. Which neighbours are left depends on when that happens, so the bits do, and
 *            so does what a user's row still says about items that were seen or shown.
 *
 * mishaps    In a third of the runs a topic is made again, is cut or grows. Events that had been committed count once, and
 *            the others of the lost log never; the catalogue is that of the new log. What was learned about items in a
 *            lost part is lost, and everything else holds.
 *
 * changelog  A worker whose disk is of another changelog restores its users from the log, and one whose changelog has
 *            lost its end refuses to start.
 *
 * limits     Topics take records of a size that changes in the storm. No record is too large for a limit that never
 *            changed; after a change everything holds all the same.
 *
 * ready      No process is ready while it restores users, and a spare one that gets its first partition is not either.
 *
 * SIM_SEED=n runs one seed, SIM_RUNS=n runs more of them, SIM_LOG=1 prints what the workers log, SIM_STATS=1
 * prints a line for each run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "support_run.h"

enum { TEXT_DIM = 24 };

static freshet_codec* codec;
static freshet_encoder* encoder;

/* Every other run has texts: they are a part of what is learned. */
static void give_texts(run* r) {
  if (r->scenario.seed % 2 == 0) r->encoders[0] = r->encoders[1] = encoder;
}

/* ---- while it runs ---- */

/* Expired items are looked for whenever the catalogue is. */
enum { EXPIRY_CHECK_MS = 1 };

static void check_list(sim_world* world, sim_process* process, const freshet_output* output) {
  const run* r = world->context;
  if (!output->has_value) return;
  freshet_list list;
  freshet_error error = {0};
  if (freshet_decode_list(codec, output->value, &list, &error) != FRESHET_OK) {
    sim_fail(world, "a list cannot be decoded: %s", error.message);
    return;
  }
  bool waits = r->shape.delivery == FRESHET_DELIVERY_COMMITTED; /* for its commit */
  const int64_t* read = process->logs[0].positions[FRESHET_TOPIC_ITEMS];
  const int64_t* since = waits ? process->items_read : read;
  int64_t checked_ms = (waits ? process->items_read_ms : process->logs[0].polled_ms) - EXPIRY_CHECK_MS;
  for (size_t i = 0; i < list.item_count; i++) {
    freshet_slice item = list.items[i].item_id;
    if (!sim_scenario_was_listed(&r->scenario, item, since, read, checked_ms)) {
      sim_fail(world, "process %llu lists item %.*s, which it knows to be withdrawn",
               (unsigned long long)process->id, (int)item.size, item.data);
    }
  }
}

/* ---- afterwards: what was lost ---- */

static bool has_lost(const run* r, run_mishap what) {
  return r->is_over && r->shape.mishap == what;
}

/* What was learned about items was in the lost part alone. */
static bool has_lost_learned(const run* r) {
  return has_lost(r, RUN_DELTAS_CUT) || has_lost(r, RUN_CHECKPOINTS_MADE_AGAIN);
}

/* Events of a lost log that were listed before their state was committed are not known any more. Their lists are still there. */
static bool has_lost_listed(const run* r) {
  return has_lost(r, RUN_EVENTS_MADE_AGAIN);
}

/* ---- while it runs: commits of the state beside lists ---- */

/* The newest committed record of a key. */
static const sim_record* newest_of(const sim_cluster* cluster, freshet_topic topic, int32_t partition,
                                   const char* key) {
  const sim_partition* log = &cluster->logs[topic][partition];
  for (size_t i = log->count; i > 0; i--) {
    const sim_record* record = &log->records[i - 1];
    const bool is_committed =
        record->transaction < 0 || cluster->transactions[record->transaction].decided == SIM_COMMITTED;
    if (is_committed && !record->is_marker &&
        freshet_slice_equal(freshet_buffer_slice(&record->key), freshet_slice_of(key)))
      return record;
  }
  return NULL;
}

/* The version of the newest list that is committed, -1: there is none. */
static int64_t listed_version(const sim_cluster* cluster, const char* user) {
  int64_t newest = -1;
  for (int32_t p = 0; p < cluster->partitions[FRESHET_TOPIC_RECOMMENDATIONS]; p++) {
    const sim_record* record = newest_of(cluster, FRESHET_TOPIC_RECOMMENDATIONS, p, user);
    freshet_list list;
    if (record != NULL && record->has_value &&
        freshet_decode_list(codec, freshet_buffer_slice(&record->value), &list, NULL) == FRESHET_OK &&
        list.version_offset > newest)
      newest = list.version_offset;
  }
  return newest;
}

/* The changelog holds what the events before the offset make of a user, and nothing more. Lists of all events that the
 * offset's word tells are committed. */
static void check_committed_user(run* r, int user, const freshet_partition* events) {
  const sim_cluster* cluster = &r->world.cluster;
  char id[8];
  sim_user_id(user, id);
  if (user % r->shape.input_partitions != events->partition) return;
  const sim_truth truth = sim_scenario_truth_before(&r->scenario, user, events->offset);
  const sim_record* row = newest_of(cluster, FRESHET_TOPIC_USERS, events->partition, id);
  freshet_user_state state = {.newest_offset = -1};
  if (row != NULL && row->has_value)
    freshet_decode_user_state(codec, freshet_buffer_slice(&row->value), &state, NULL);
  if (truth.exists ? state.events != truth.events || state.event_checksum != truth.checksum
                   : state.newest_offset >= 0)
    sim_fail(&r->world, "user %s is committed with %lld events before offset %lld, there are %lld", id,
             (long long)state.events, (long long)events->offset, (long long)truth.events);
  const sim_truth told = sim_scenario_truth_before(&r->scenario, user, events->listed.offset);
  const int64_t version = listed_version(cluster, id);
  if (told.exists && version < told.newest_offset)
    sim_fail(&r->world,
             "the newest list of user %s that is committed is of %lld, and all before %lld should be", id,
             (long long)version, (long long)events->listed.offset);
}

static void check_state_commit(sim_world* world, const sim_transaction* transaction) {
  run* r = world->context;
  const bool is_afterwards = r->visited >= 0;
  if (is_afterwards || has_lost(r, RUN_EVENTS_MADE_AGAIN)) return;
  for (size_t i = 0; i < transaction->offset_count; i++) {
    if (transaction->offsets[i].topic != FRESHET_TOPIC_EVENTS) continue;
    for (int user = 0; user < r->scenario.users; user++)
      check_committed_user(r, user, &transaction->offsets[i]);
  }
}

/* ---- afterwards: lists ---- */

/* Nothing but an event causes a list, and none is published before its commit. */
static bool has_each_list_once(const run* r) {
  return r->scenario.is_still && r->shape.delivery == FRESHET_DELIVERY_COMMITTED && !r->is_over &&
         r->encoders[0] == NULL;
}

static void check_user_lists(run* r, int user) {
  sim_world* world = &r->world;
  sim_truth truth = sim_scenario_truth(&r->scenario, user);
  char id[8];
  sim_user_id(user, id);
  int64_t previous = -1, newest = -1, kept = -1, position = 0;
  uint64_t writer = 0;
  bool is_tombstone_last = false;
  int32_t partition = 0;
  for (; partition < world->cluster.partitions[FRESHET_TOPIC_RECOMMENDATIONS]; partition++) {
    const sim_record* record;
    for (position = 0;
         (record = sim_read(&world->cluster, FRESHET_TOPIC_RECOMMENDATIONS, partition, &position)) != NULL;
         position++) {
      if (!freshet_slice_equal(freshet_buffer_slice(&record->key), freshet_slice_of(id))) continue;
      freshet_list list = {.version_offset = -1};
      if (record->has_value &&
          freshet_decode_list(codec, freshet_buffer_slice(&record->value), &list, NULL) != FRESHET_OK) {
        sim_fail(world, "a list of user %s cannot be decoded", id);
        return;
      }
      if (list.version_offset > newest) newest = list.version_offset;
      if (record->is_late) continue;
      bool goes_back = record->has_value && list.version_offset < previous;
      bool may =
          record->writer != writer && (r->shape.delivery == FRESHET_DELIVERY_FAST || has_lost_listed(r));
      if (goes_back && !may)
        sim_fail(world, "lists of user %s go back from version %lld to %lld", id, (long long)previous,
                 (long long)list.version_offset);
      if (record->has_value && list.version_offset == previous && has_each_list_once(r))
        sim_fail(world, "version %lld of the list of user %s comes twice", (long long)previous, id);
      if (!record->has_value || list.version_offset > kept) kept = list.version_offset;
      is_tombstone_last = !record->has_value;
      /* An erased user who comes back has the offsets of the new log. */
      if (!record->has_value && has_lost(r, RUN_EVENTS_MADE_AGAIN)) previous = newest = -1;
      if (!record->has_value) continue;
      previous = list.version_offset;
      writer = record->writer;
    }
  }
  if (has_lost_listed(r)) return;
  if (truth.exists && (newest != truth.newest_offset || kept != newest)) {
    sim_fail(world, "user %s: the newest event is at %lld, its newest list at %lld, a reader keeps %lld", id,
             (long long)truth.newest_offset, (long long)newest, (long long)kept);
  }
  if (truth.is_erased && !is_tombstone_last) sim_fail(world, "user %s was erased and has a list", id);
  if (!truth.exists && !truth.is_erased && newest >= 0) sim_fail(world, "user %s has a list", id);
}

/* The last list of each user holds no item that went before the quiet at the end began. */
static void check_withdrawn(run* r) {
  sim_cluster* cluster = &r->world.cluster;
  int64_t ends[SIM_PARTITIONS_MAX];
  /* the time since which it is gone */
  int64_t quiet_ms = sim_now_ms(cluster) - (cluster->now_us - r->done_us) / 1000;
  for (int p = 0; p < SIM_PARTITIONS_MAX; p++) ends[p] = cluster->logs[FRESHET_TOPIC_ITEMS][p].end;
  for (int user = 0; user < r->scenario.users && !r->is_cleaned && !has_lost_listed(r); user++) {
    char id[8];
    const sim_record* last = NULL;
    sim_user_id(user, id);
    for (int32_t p = 0; p < cluster->partitions[FRESHET_TOPIC_RECOMMENDATIONS]; p++) {
      int64_t position = 0;
      const sim_record* record;
      for (; (record = sim_read(cluster, FRESHET_TOPIC_RECOMMENDATIONS, p, &position)) != NULL; position++) {
        bool is_his = freshet_slice_equal(freshet_buffer_slice(&record->key), freshet_slice_of(id));
        if (is_his && !record->is_late) last = record;
      }
    }
    freshet_list list;
    if (last == NULL || !last->has_value ||
        freshet_decode_list(codec, freshet_buffer_slice(&last->value), &list, NULL) != FRESHET_OK)
      continue;
    for (size_t i = 0; i < list.item_count; i++) {
      freshet_slice item = list.items[i].item_id;
      if (!sim_scenario_is_listed(&r->scenario, item, ends, quiet_ms))
        sim_fail(&r->world, "the last list of user %s still holds item %.*s, which was withdrawn", id,
                 (int)item.size, item.data);
    }
  }
}

/* ---- afterwards: rules ---- */

static bool is_hidden(freshet_hide hide, freshet_event_type how) {
  bool is_owned = how == FRESHET_RATING || how == FRESHET_PURCHASE;
  return hide == FRESHET_HIDE_SEEN || (hide == FRESHET_HIDE_OWNED && is_owned) ||
         (hide == FRESHET_HIDE_BOUGHT && how == FRESHET_PURCHASE);
}

/* The user's newest event as of the list is the only one that is certainly remembered. */
static bool holds_what_was_just_seen(const run* r, const freshet_list* list, freshet_slice* seen) {
  for (size_t i = 0; i < r->scenario.written; i++) {
    const sim_action* action = &r->scenario.actions[i];
    freshet_event event;
    bool is_it = action->meaning == SIM_EVENT && !action->is_aborted && !action->is_impression &&
                 action->partition == list->version_partition && action->offset == list->version_offset;
    if (!is_it ||
        freshet_decode_event(codec, freshet_buffer_slice(&action->value), &event, NULL) != FRESHET_OK ||
        !is_hidden(r->rules.hide, event.type))
      continue;
    *seen = event.item_id;
    for (size_t k = 0; k < list->item_count; k++) {
      if (freshet_slice_equal(list->items[k].item_id, *seen)) return true;
    }
  }
  return false;
}

/* No list and no reply holds more items of a category than allowed, and each item has exactly one. None holds
 * a hidden item. */
static void check_rules(run* r) {
  const freshet_topic topics[] = {FRESHET_TOPIC_RECOMMENDATIONS, FRESHET_TOPIC_REPLIES};
  const sim_cluster* cluster = &r->world.cluster;
  uint32_t most = r->rules.max_per_category;
  for (size_t t = 0; t < sizeof topics / sizeof topics[0]; t++) {
    for (int32_t p = 0; p < cluster->partitions[topics[t]]; p++) {
      int64_t position = 0;
      const sim_record* record;
      for (; (record = sim_read(cluster, topics[t], p, &position)) != NULL; position++) {
        freshet_list list;
        freshet_slice seen;
        if (!record->has_value ||
            freshet_decode_list(codec, freshet_buffer_slice(&record->value), &list, NULL) != FRESHET_OK)
          continue;
        if (most > 0 && list.item_count > most)
          sim_fail(&r->world, "a list of %zu items of a category of which %u may be in one", list.item_count,
                   most);
        if (!has_lost(r, RUN_EVENTS_MADE_AGAIN) && holds_what_was_just_seen(r, &list, &seen))
          sim_fail(&r->world, "the list at %lld [%d] holds item %.*s, which is hidden", (long long)position,
                   p, (int)seen.size, seen.data);
      }
    }
  }
}

/* ---- afterwards: dead letters ---- */

static int64_t header_number(const sim_record* record, const char* name) {
  freshet_slice value = sim_header(record, name);
  return value.data == NULL ? -1 : strtoll(value.data, NULL, 10);
}

static bool starts_with(freshet_slice whole, freshet_slice part) {
  return part.size <= whole.size && (part.size == 0 || memcmp(whole.data, part.data, part.size) == 0);
}

/* The bytes of a letter are those of its record. Those of one that the topic does not take whole are cut, and headers
 * tell what they were. */
static bool has_bytes_of(const run* r, const sim_record* record, const sim_action* action) {
  const freshet_slice key = freshet_buffer_slice(&action->key), value = freshet_buffer_slice(&action->value);
  const freshet_slice cut_key = freshet_buffer_slice(&record->key);
  const freshet_slice cut_value = freshet_buffer_slice(&record->value);
  const freshet_slice hash = sim_header(record, "freshet.original.value.xxh3");
  if (hash.data == NULL) return freshet_slice_equal(cut_key, key) && freshet_slice_equal(cut_value, value);
  char expected[24];
  snprintf(expected, sizeof expected, "%016llx", (unsigned long long)XXH3_64bits(value.data, value.size));
  return r->world.limits[FRESHET_TOPIC_DEAD_LETTERS] > 0 &&
         key.size + value.size > cut_key.size + cut_value.size && starts_with(key, cut_key) &&
         starts_with(value, cut_value) && freshet_slice_equal(hash, freshet_slice_of(expected)) &&
         header_number(record, "freshet.original.key.size") == (int64_t)key.size &&
         header_number(record, "freshet.original.value.size") == (int64_t)value.size;
}

static bool is_letter_of(const run* r, const sim_record* record, const sim_action* action) {
  freshet_slice topic = sim_header(record, "__connect.errors.topic");
  const char* name = action->topic == FRESHET_TOPIC_EVENTS ? "events" : "items";
  return freshet_slice_equal(topic, freshet_slice_of(name)) &&
         header_number(record, "__connect.errors.partition") == action->partition &&
         header_number(record, "__connect.errors.offset") == action->offset &&
         record->has_value == action->has_value && has_bytes_of(r, record, action);
}

/* Whether a later record erases the user of its key. */
static bool is_erased_later(const run* r, size_t at) {
  const sim_action* bad = &r->scenario.actions[at];
  for (size_t i = at + 1; i < r->scenario.written; i++) {
    const sim_action* later = &r->scenario.actions[i];
    if (later->meaning == SIM_ERASURE && !later->is_aborted && later->topic == bad->topic &&
        later->partition == bad->partition &&
        freshet_slice_equal(freshet_buffer_slice(&later->key), freshet_buffer_slice(&bad->key)))
      return true;
  }
  return false;
}

static void check_dead_letters(run* r) {
  sim_cluster* cluster = &r->world.cluster;
  size_t letters = 0, bad = 0;
  for (size_t i = 0; i < r->scenario.written; i++) {
    const sim_action* action = &r->scenario.actions[i];
    if (action->meaning != SIM_BAD || action->is_aborted) continue;
    size_t found = 0;
    bad++;
    for (int32_t p = 0; p < cluster->partitions[FRESHET_TOPIC_DEAD_LETTERS]; p++) {
      int64_t position = 0;
      const sim_record* record;
      for (; (record = sim_read(cluster, FRESHET_TOPIC_DEAD_LETTERS, p, &position)) != NULL; position++)
        found += is_letter_of(r, record, action);
    }
    letters += found;
    const bool may_miss = is_erased_later(r, i) || (action->is_gone && action->topic == FRESHET_TOPIC_ITEMS);
    if (found != 1 && !(found == 0 && may_miss))
      sim_fail(&r->world, "bad record at topic %d [%d] %lld: %zu dead letters", (int)action->topic,
               action->partition, (long long)action->offset, found);
  }
  for (int32_t p = 0; p < cluster->partitions[FRESHET_TOPIC_DEAD_LETTERS]; p++) {
    int64_t position = 0;
    for (; sim_read(cluster, FRESHET_TOPIC_DEAD_LETTERS, p, &position) != NULL; position++) letters--;
  }
  if (letters != 0) sim_fail(&r->world, "there are dead letters for records that are not bad (%zu bad)", bad);
}

/* ---- afterwards: state ---- */

typedef struct user_check {
  run* r;
  int32_t partition;
  size_t rows;
} user_check;

static bool count_row(void* context, freshet_slice key, freshet_slice value) {
  (void)value;
  user_check* check = context;
  if (key.data[0] != '\0') check->rows++;
  return true;
}

static void check_state(run* r, sim_disk* disk, const char* whose) {
  freshet_store* store = sim_disk_open(disk, NULL);
  size_t expected = 0;
  for (int user = 0; user < r->scenario.users; user++) {
    sim_truth truth = sim_scenario_truth(&r->scenario, user);
    if (!truth.exists) continue;
    expected++;
    char id[8];
    sim_user_id(user, id);
    freshet_buffer bytes = {0};
    freshet_user_state state = {0};
    freshet_status status =
        freshet_store_get(store, FRESHET_FAMILY_USERS, truth.partition, freshet_slice_of(id), &bytes, NULL);
    if (status == FRESHET_OK)
      status = freshet_decode_user_state(codec, freshet_buffer_slice(&bytes), &state, NULL);
    bool is_right = status == FRESHET_OK && state.events == truth.events &&
                    state.event_checksum == truth.checksum && state.newest_offset == truth.newest_offset &&
                    state.listed_offset == truth.newest_offset;
    if (!is_right) {
      sim_fail(&r->world,
               "%s: user %s (%s) has %lld events of %lld, checksum %llx of %llx, newest %lld and listed %lld "
               "of %lld",
               whose, id, freshet_status_name(status), (long long)state.events, (long long)truth.events,
               (unsigned long long)state.event_checksum, (unsigned long long)truth.checksum,
               (long long)state.newest_offset, (long long)state.listed_offset,
               (long long)truth.newest_offset);
    }
    freshet_buffer_free(&bytes);
  }
  user_check check = {.r = r};
  for (int32_t p = 0; p < r->shape.input_partitions; p++) {
    freshet_store_scan(store, FRESHET_FAMILY_USERS, p, (freshet_slice){0}, count_row, &check, NULL);
  }
  if (check.rows != expected)
    sim_fail(&r->world, "%s: %zu users are stored, %zu exist", whose, check.rows, expected);
}

/* What is learned about the users, without what depends on the time at which lists were published. */
static void compare_users(run* r, sim_disk* disk, sim_disk* reference) {
  freshet_store* stores[2] = {sim_disk_open(disk, NULL), sim_disk_open(reference, NULL)};
  for (int user = 0; user < r->scenario.users; user++) {
    char id[8];
    sim_user_id(user, id);
    freshet_buffer rows[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
      freshet_buffer bytes = {0};
      freshet_user_state state;
      if (stores[i]->vtable->get(stores[i], FRESHET_FAMILY_USERS, 0, freshet_slice_of(id), &bytes, NULL) ==
              FRESHET_OK &&
          freshet_decode_user_state(codec, freshet_buffer_slice(&bytes), &state, NULL) == FRESHET_OK) {
        state.listed_offset = state.refresh_since_ms = 0;
        state.listed_count = 0;
        /* A row loses what it says about items without a slot when it is written again. */
        if (r->shape.is_tight) state.seen_count = state.seen_how.size = state.shown.size = 0;
        freshet_encode_user_state(codec, &state, &rows[i], NULL);
      }
      freshet_buffer_free(&bytes);
    }
    if (!freshet_slice_equal(freshet_buffer_slice(&rows[0]), freshet_buffer_slice(&rows[1])))
      sim_fail(&r->world, "user %s has learned something else than the reference", id);
    for (int i = 0; i < 2; i++) freshet_buffer_free(&rows[i]);
  }
}

/* ---- afterwards: two workers ---- */

typedef struct additive_check {
  run* r;
  freshet_store* reference;
} additive_check;

/* The begin and end of the additive part of a stored item (layout: model_delta.c). It lies between the counts
 * and popularities and the neighbours; these depend on the order of folding. */
static freshet_slice additive_part(freshet_slice row) {
  enum { HEAD = 1 + 8, COUNTS = 4 + 8 + 3 * 4, SUMS = 4 * 8 };
  uint32_t dim;
  memcpy(&dim, row.data + HEAD, sizeof dim);
  size_t from = HEAD + sizeof dim + COUNTS, to = from + SUMS + 1;
  unsigned flags = (unsigned char)row.data[from + SUMS];
  for (int side = 0; side < 2; side++, flags >>= 2) {
    if ((flags & 1) != 0) to += dim * ((flags & 2) != 0 ? 4 : 2);
  }
  assert_true(to <= row.size);
  return (freshet_slice){row.data + from, to - from};
}

/* Nothing is learned about the item: it is as its key makes it. */
static bool is_untouched(freshet_slice additive) {
  for (size_t i = 0; i < additive.size; i++) {
    if (additive.data[i] != 0) return false;
  }
  return true;
}

static bool compare_additive(void* context, freshet_slice key, freshet_slice value) {
  additive_check* check = context;
  freshet_buffer other = {0};
  if (key.size != sizeof(uint64_t)) return true; /* not an item */
  freshet_status status =
      check->reference->vtable->get(check->reference, FRESHET_FAMILY_ITEMS, 0, key, &other, NULL);
  freshet_slice here = additive_part(value);
  bool is_equal = status == FRESHET_OK
                      ? freshet_slice_equal(here, additive_part(freshet_buffer_slice(&other)))
                      : is_untouched(here); /* one process may know an item that the other does not */
  if (!is_equal) sim_fail(&check->r->world, "two workers have read the same and differ about an item");
  freshet_buffer_free(&other);
  return true;
}

static void compare_items(run* r, sim_disk* disk, sim_disk* reference) {
  freshet_store* store = sim_disk_open(disk, NULL);
  additive_check check = {.r = r, .reference = sim_disk_open(reference, NULL)};
  freshet_store_scan(store, FRESHET_FAMILY_ITEMS, 0, (freshet_slice){0}, compare_additive, &check, NULL);
}

/* When everything is read, the additive part is the same for all processes, in whatever order it was learned
 * and folded; and a process that has stopped goes on from where it was. */
static void check_convergence(run* r, sim_disk* fresh) {
  for (int slot = 0; slot < r->shape.workers && r->world.failure[0] == '\0'; slot++) {
    run_visit(r, 0, r->last_disk[slot]);
    if (r->world.failure[0] != '\0') return;
    check_state(r, r->last_disk[slot], "a worker that is back");
    if (has_lost_learned(r)) continue;
    compare_items(r, r->last_disk[slot], fresh);
    compare_items(r, fresh, r->last_disk[slot]);
  }
}

/* What may be recommended, as the last worker sees it. It is not checked after the cleaner has run: a bad
 * record may be the newest of its key then. */
static void check_catalogue(run* r) {
  const sim_cluster* cluster = &r->world.cluster;
  int64_t ends[SIM_PARTITIONS_MAX];
  for (int p = 0; p < SIM_PARTITIONS_MAX; p++) ends[p] = cluster->logs[FRESHET_TOPIC_ITEMS][p].end;
  for (int slot = 0; slot < r->shape.workers && !r->is_cleaned; slot++) {
    size_t at_most = 0, at_least = 0;
    for (int item = 0; item < r->scenario.items; item++) {
      char id[8];
      sim_item_id(item, id);
      int64_t looked_ms = r->items_listed_ms[slot] - 2 * EXPIRY_CHECK_MS;
      at_most += sim_scenario_is_listed(&r->scenario, freshet_slice_of(id), ends, looked_ms);
      at_least += sim_scenario_is_listed(&r->scenario, freshet_slice_of(id), ends, sim_now_ms(cluster));
    }
    if (r->items_listed[slot] < at_least || r->items_listed[slot] > at_most)
      sim_fail(&r->world, "worker %d knows %zu items to recommend, there are %zu", slot,
               (size_t)r->items_listed[slot], at_least);
  }
}

/* ---- afterwards: another changelog ---- */

/* The changelog is another one of the same length, in which its last user was deleted. The worker must believe the log,
 * as a worker with an empty disk does, and not its disk. */
static void check_replaced_changelog(run* r) {
  sim_record* last = sim_last(&r->world.cluster, FRESHET_TOPIC_USERS, 0);
  if (last == NULL) return;
  last->has_value = false;
  sim_disk* fresh = sim_disk_create();
  run_visit(r, 0, r->last_disk[0]);
  if (r->world.failure[0] == '\0') run_visit(r, 0, fresh);
  if (r->world.failure[0] == '\0') compare_users(r, r->last_disk[0], fresh);
  sim_disk_destroy(fresh);
}

/* The changelog has lost its end. The disk may hold the only copy of that, so the worker must refuse to start. */
static void check_truncated_changelog(run* r) {
  int64_t position = 0, time_ms;
  freshet_store* store = sim_disk_open(r->last_disk[0], NULL);
  freshet_store_position(store, FRESHET_TOPIC_USERS, 0, &position, &time_ms, NULL);
  if (position == 0) return;
  sim_truncate(&r->world.cluster, FRESHET_TOPIC_USERS, 0, position - 1);
  run_visit(r, 0, r->last_disk[0]);
  if (strstr(r->world.failure, "the topic was deleted and made again, or truncated") != NULL) {
    r->world.failure[0] = '\0';
  } else {
    sim_fail(&r->world, "a worker goes on with a changelog that has lost its end");
  }
}

/* ---- one seed ---- */

/* Runs the same scenario without faults, in other batches and commits. */
static void check_against_calm(run* stormy) {
  run_shape shape = stormy->shape;
  shape.has_faults = false;
  run calm;
  run_init(&calm, stormy->scenario.seed, 1, &shape);
  give_texts(&calm);
  run_go(&calm);
  if (calm.world.failure[0] != '\0') {
    sim_fail(&stormy->world, "without faults: %s", calm.world.failure);
  } else {
    if (calm.model_hash[0] != stormy->model_hash[0])
      sim_fail(&stormy->world, "the model differs from that of a run without faults");
    compare_users(stormy, stormy->last_disk[0], calm.last_disk[0]);
  }
  run_free(&calm);
}

static void check_everything(run* r) {
  for (int user = 0; user < r->scenario.users; user++) check_user_lists(r, user);
  run_check_replies(r, codec, r->shape.delivery == FRESHET_DELIVERY_COMMITTED);
  check_withdrawn(r);
  check_rules(r);
  check_dead_letters(r);
  check_catalogue(r);
  if (r->world.failure[0] != '\0') return;
  if (r->shape.workers == 1) check_state(r, r->last_disk[0], "the owner");
  sim_disk* fresh = sim_disk_create();
  uint64_t hash = run_visit(r, 0, fresh);
  if (r->world.failure[0] == '\0') check_state(r, fresh, "a fresh worker");
  if (r->shape.workers == 1 && !r->shape.is_tight && !has_lost_learned(r) && hash != r->model_hash[0])
    sim_fail(&r->world, "the model of a fresh worker differs from that of the one before");
  if (r->world.failure[0] == '\0') check_convergence(r, fresh);
  sim_disk_destroy(fresh);
}

static uint64_t state_commits, lists_beside; /* of all runs, see sim_world */

static void run_seed(uint64_t seed, bool is_plain) {
  run r;
  run_shape shape = run_shape_of(seed);
  shape.mishap = is_plain ? RUN_NONE : run_mishap_of(seed);
  shape.is_plain = is_plain;
  if (is_plain) shape.delivery = FRESHET_DELIVERY_COMMITTED;
  run_init(&r, seed, 0, &shape);
  give_texts(&r);
  r.world.published = check_list;
  r.world.state_committed = check_state_commit;
  run_go(&r);
  if (r.world.failure[0] == '\0') check_everything(&r);
  const bool is_comparable = r.scenario.is_comparable && !shape.is_tight && !has_lost_learned(&r) &&
                             !has_lost(&r, RUN_EVENTS_MADE_AGAIN);
  if (r.world.failure[0] == '\0' && is_comparable) check_against_calm(&r);
  const bool is_alone = shape.workers == 1 && shape.input_partitions == 1;
  if (r.world.failure[0] == '\0' && is_alone) check_replaced_changelog(&r);
  if (r.world.failure[0] == '\0' && is_alone) check_truncated_changelog(&r);
  if (getenv("SIM_STATS"))
    fprintf(stderr,
            "seed %llu workers=%d parts=%d actions=%zu calls=%llu deaths=%llu txns=%zu apart=%llu "
            "mishap=%d time=%.1fs\n",
            (unsigned long long)seed, shape.workers, shape.input_partitions, r.scenario.count,
            (unsigned long long)r.calls, (unsigned long long)r.deaths, r.world.cluster.transaction_count,
            (unsigned long long)r.world.state_commits, r.is_over ? (int)shape.mishap : 0,
            r.world.cluster.now_us / 1e6);
  char failure[sizeof r.world.failure];
  memcpy(failure, r.world.failure, sizeof failure);
  state_commits += r.world.state_commits;
  lists_beside += r.world.lists_beside;
  run_free(&r);
  if (failure[0] != '\0')
    fail_msg("SIM_SEED=%llu (%d workers, %d partitions, %s): %s", (unsigned long long)seed, shape.workers,
             shape.input_partitions, shape.delivery == FRESHET_DELIVERY_FAST ? "fast" : "committed", failure);
}

static void run_seeds(bool is_plain) {
  const char* seed = getenv("SIM_SEED");
  const char* runs = getenv("SIM_RUNS");
  uint64_t first = seed == NULL ? 1 : strtoull(seed, NULL, 10);
  uint64_t count = runs != NULL ? strtoull(runs, NULL, 10) : seed != NULL ? 1 : is_plain ? 150 : 300;
  for (uint64_t i = 0; i < count; i++) run_seed(first + i, is_plain);
}

static void test_seeds(void** state) {
  (void)state;
  run_seeds(false);
}

/* The state is committed beside lists, in the storm too. */
static void test_plain_seeds(void** state) {
  (void)state;
  state_commits = lists_beside = 0;
  run_seeds(true);
  print_message("%llu commits of the state beside %llu of lists\n", (unsigned long long)state_commits,
                (unsigned long long)lists_beside);
  if (getenv("SIM_SEED") == NULL) assert_true(state_commits > 1000 && lists_beside > 1000);
}

static int setup(void** state) {
  (void)state;
  codec = run_codecs_create();
  return freshet_encoder_hashing_create(TEXT_DIM, &encoder, NULL) == FRESHET_OK ? 0 : -1;
}

static int teardown(void** state) {
  (void)state;
  freshet_encoder_destroy(encoder);
  run_codecs_destroy();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds), cmocka_unit_test(test_plain_seeds)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
