/*
 * backfill_diff.c: `freshet backfill diff`: compares an app generation with the one that serves. It reads the states of
 * both, and lets both make lists for the same users at the same moment. It owns the sample of users while it runs. It
 * writes nothing to Kafka.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cluster.h"
#include "app/snapshot.h"
#include "commands/backfill/backfill.h"
#include "commands/scan.h"
#include "stream/clock.h"

enum { TOP = 10, WORST = 5, SIDES = 2 };

/* A user of the sample, with the newest event that chose an item. */
typedef struct known_user {
  uint64_t key; /* 0: free */
  int32_t partition;
  int64_t time_ms;
  char *id, *item; /* item NULL: none was chosen */
} known_user;

typedef struct worst_user {
  const known_user* user;
  double overlap;
} worst_user;

typedef struct diff {
  freshet_backfill* backfill;
  freshet_snapshot* sides[SIDES]; /* served, compared */
  known_user* users;              /* [capacity], a power of two, open addressing */
  size_t capacity, count, sample;
  uint64_t one_in; /* users with key % one_in == 0 are looked at; doubled when there are too many */
  int64_t now_ms;
  size_t have[SIDES], both;
  uint64_t judged, hits[SIDES];
  double overlaps;
  worst_user worst[WORST];
} diff;

/* ---- the sample ---- */

static void free_user(known_user* user) {
  free(user->id);
  free(user->item);
  *user = (known_user){0};
}

static known_user* place_of(const diff* d, uint64_t key) {
  size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 20) & (d->capacity - 1);
  while (d->users[i].key != 0 && d->users[i].key != key) i = (i + 1) & (d->capacity - 1);
  return &d->users[i];
}

/* There are too many users: from now on half as many are compared. */
static void thin_out(diff* d) {
  known_user* old = d->users;
  d->one_in *= 2;
  d->count = 0;
  d->users = calloc(d->capacity, sizeof *d->users);
  FRESHET_ASSERT(d->users != NULL);
  for (size_t i = 0; i < d->capacity; i++) {
    if (old[i].key == 0) continue;
    if (old[i].key % d->one_in != 0) {
      free_user(&old[i]);
      continue;
    }
    *place_of(d, old[i].key) = old[i];
    d->count++;
  }
  free(old);
}

/* The user's entry; NULL: not in the sample. */
static known_user* find(diff* d, const freshet_record* record) {
  uint64_t key = freshet_id_key(record->key);
  if (d->count > 2 * d->sample) thin_out(d);
  if (key % d->one_in != 0) return NULL;
  known_user* user = place_of(d, key);
  if (user->key != 0) return user;
  user->key = key;
  user->id = strndup(record->key.data, record->key.size);
  user->partition = record->partition;
  FRESHET_ASSERT(user->id != NULL);
  d->count++;
  return user;
}

static freshet_status take_event(void* context, const freshet_record* record, freshet_error* error) {
  (void)error;
  diff* d = context;
  freshet_event event;
  if (!record->has_key || !record->has_value ||
      freshet_decode_event(d->backfill->codec, record->value, &event, NULL) != FRESHET_OK)
    return FRESHET_OK;
  known_user* user = find(d, record);
  double positive = d->backfill->config->model.positive_rating;
  bool is_chosen = event.type == FRESHET_CLICK || event.type == FRESHET_PURCHASE ||
                   (event.type == FRESHET_RATING && event.rating >= positive);
  if (user == NULL || !is_chosen || (user->item != NULL && event.occurred_at_ms < user->time_ms))
    return FRESHET_OK;
  free(user->item);
  user->item = strndup(event.item_id.data, event.item_id.size);
  user->time_ms = event.occurred_at_ms;
  FRESHET_ASSERT(user->item != NULL);
  return FRESHET_OK;
}

static freshet_status read_events(diff* d, freshet_error* error) {
  const freshet_scan scan = {.reader = d->backfill->log,
                             .topic = FRESHET_TOPIC_EVENTS,
                             .name = d->backfill->kafka.topics[FRESHET_TOPIC_EVENTS],
                             .take = take_event,
                             .context = d};
  return freshet_scan_topic(&scan, error);
}

/* ---- lists of both ---- */

static bool holds(const freshet_snapshot_list* list, uint64_t item) {
  for (size_t i = 0; i < list->count; i++) {
    if (list->items[i] == item) return true;
  }
  return false;
}

static freshet_status make_both(diff* d, const freshet_snapshot_wish* wish,
                                freshet_snapshot_list lists[SIDES], freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (int side = 0; status == FRESHET_OK && side < SIDES; side++)
    status = freshet_snapshot_make(d->sides[side], wish, &lists[side], error);
  return status;
}

static void note_overlap(diff* d, const known_user* user, const freshet_snapshot_list lists[SIDES]) {
  size_t common = 0, most = lists[0].count > lists[1].count ? lists[0].count : lists[1].count;
  for (size_t i = 0; i < lists[0].count; i++) common += holds(&lists[1], lists[0].items[i]);
  double overlap = most == 0 ? 1 : (double)common / (double)most;
  d->both++;
  d->overlaps += overlap;
  int place = WORST - 1;
  if (d->worst[place].user != NULL && d->worst[place].overlap <= overlap) return;
  for (; place > 0 && (d->worst[place - 1].user == NULL || d->worst[place - 1].overlap > overlap); place--)
    d->worst[place] = d->worst[place - 1];
  d->worst[place] = (worst_user){user, overlap};
}

/* Lists of this moment; then lists as of the newest event, as if it had not come. */
static freshet_status compare_user(diff* d, const known_user* user, freshet_error* error) {
  freshet_snapshot_list lists[SIDES];
  freshet_snapshot_wish wish = {
      .user_id = freshet_slice_of(user->id), .partition = user->partition, .time_ms = d->now_ms, .k = TOP};
  freshet_status status = make_both(d, &wish, lists, error);
  if (status != FRESHET_OK) return status;
  for (int side = 0; side < SIDES; side++) d->have[side] += lists[side].is_known;
  if (!lists[0].is_known || !lists[1].is_known) return FRESHET_OK;
  note_overlap(d, user, lists);
  if (user->item == NULL) return FRESHET_OK;
  wish.time_ms = user->time_ms;
  wish.without = freshet_slice_of(user->item);
  status = make_both(d, &wish, lists, error);
  if (status != FRESHET_OK) return status;
  d->judged++;
  for (int side = 0; side < SIDES; side++) d->hits[side] += holds(&lists[side], freshet_id_key(wish.without));
  return FRESHET_OK;
}

static freshet_status compare_all(diff* d, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t i = 0; status == FRESHET_OK && i < d->capacity; i++) {
    if (d->users[i].key != 0) status = compare_user(d, &d->users[i], error);
  }
  return status;
}

static void print_diff(const diff* d, const char* served, const char* compared) {
  double users = d->count == 0 ? 1 : (double)d->count;
  printf("%-28s %16.16s %16.16s\n", "", served, compared);
  printf("%-28s %14.2f %% %14.2f %%\n", "users known", 100 * (double)d->have[0] / users,
         100 * (double)d->have[1] / users);
  if (d->judged == 0) {
    printf("%-28s %16s %16s  no user has chosen an item\n", "recall@10, held back", "-", "-");
  } else {
    printf("%-28s %16.4f %16.4f  the newest event of %llu users\n", "recall@10, held back",
           (double)d->hits[0] / (double)d->judged, (double)d->hits[1] / (double)d->judged,
           (unsigned long long)d->judged);
  }
  printf(
      "mean overlap@10 %.4f of lists made now, over %zu users that both know (1 in %llu users looked at)\n",
      d->both == 0 ? 0 : d->overlaps / (double)d->both, d->both, (unsigned long long)d->one_in);
  for (int i = 0; i < WORST && d->worst[i].user != NULL && d->worst[i].overlap < 1; i++)
    printf("  least alike: user %.64s, overlap %.1f\n", d->worst[i].user->id, d->worst[i].overlap);
}

static freshet_status open_sides(diff* d, const freshet_config* served, const freshet_logger* logger,
                                 freshet_error* error) {
  const freshet_config* configs[SIDES] = {served, d->backfill->config};
  freshet_status status = FRESHET_OK;
  for (int side = 0; status == FRESHET_OK && side < SIDES; side++) {
    freshet_error cause = {0};
    status = freshet_snapshot_open(configs[side], logger, &d->sides[side], &cause);
    if (status != FRESHET_OK)
      freshet_error_set(
          error, status, FRESHET_STOP,
          "the state of %s cannot be read: %.300s; if it has other settings, name their file with "
          "%s",
          configs[side]->app.id, cause.message, side == 0 ? "--served FILE" : "-c FILE");
  }
  return status;
}

freshet_status freshet_backfill_diff(freshet_backfill* backfill, const freshet_config* served, size_t sample,
                                     freshet_error* error) {
  const char* name = backfill->config->app.id;
  const freshet_logger logger = freshet_cluster_logger("backfill diff");
  if (!freshet_backfill_knows(backfill, name))
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "there is no generation %s of %s", name,
                             backfill->config->app.base);
  if (strcmp(name, served->app.id) == 0)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s serves: name the generation that it is to be compared with", name);
  diff d = {.backfill = backfill, .sample = sample, .one_in = 1, .capacity = 1};
  while (d.capacity < 4 * sample + 16) d.capacity *= 2;
  d.users = calloc(d.capacity, sizeof *d.users);
  FRESHET_ASSERT(d.users != NULL);
  freshet_status status = open_sides(&d, served, &logger, error);
  if (status == FRESHET_OK) status = read_events(&d, error);
  d.now_ms = freshet_clock_now_ms(freshet_clock_system());
  if (status == FRESHET_OK) status = compare_all(&d, error);
  if (status == FRESHET_OK) print_diff(&d, served->app.id, name);
  for (int side = 0; side < SIDES; side++) freshet_snapshot_close(d.sides[side]);
  for (size_t i = 0; i < d.capacity; i++) free_user(&d.users[i]);
  free(d.users);
  return status;
}
