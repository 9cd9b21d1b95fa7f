/*
 * backfill_diff.c: `freshet backfill diff`: compares the lists of an app generation with those that are
 * served, user by user. It owns the lists while it runs, thinned out when there are many. It writes nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "commands/backfill/backfill.h"
#include "commands/scan.h"
#include "stream/clock.h"

enum { TOP = 10, HOUR_MS = 3600000, WORST = 5, SIDES = 2 };

/* The first items of a list, as of an event. */
typedef struct version {
  int64_t offset;
  uint32_t count;
  uint64_t items[TOP];
} version;

typedef struct known_user {
  uint64_t key; /* 0: free */
  char id[64];
  struct {
    version* versions; /* [count] in the order in which they were published */
    size_t count;
  } sides[SIDES]; /* served, compared */
} known_user;

typedef struct diff {
  freshet_backfill* backfill;
  known_user* users; /* [capacity], a power of two, open addressing */
  size_t capacity, count, sample;
  uint64_t one_in; /* users with key % one_in == 0 are looked at; doubled when there are too many */
  int64_t now_ms;
  uint64_t judged, hits[SIDES];
} diff;

static void free_user(known_user* user) {
  for (int side = 0; side < SIDES; side++) free(user->sides[side].versions);
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

/* The user's entry; NULL: not in the sample, or (with make false) not known. */
static known_user* find(diff* d, freshet_slice id, bool make) {
  uint64_t key = freshet_id_key(id);
  if (make && d->count > 2 * d->sample) thin_out(d);
  if (key % d->one_in != 0) return NULL;
  known_user* user = place_of(d, key);
  if (user->key != 0 || !make) return user->key == 0 ? NULL : user;
  user->key = key;
  snprintf(user->id, sizeof user->id, "%.*s", (int)id.size, id.data);
  d->count++;
  return user;
}

/* A list older than an hour counts only when it is the user's last. */
static void take_list(diff* d, int side, const freshet_record* record) {
  freshet_list list;
  known_user* user = find(d, record->key, record->has_value);
  if (user == NULL) return;
  size_t* count = &user->sides[side].count;
  if (!record->has_value) *count = 0;
  if (!record->has_value || freshet_decode_list(d->backfill->codec, record->value, &list, NULL) != FRESHET_OK)
    return;
  version** versions = &user->sides[side].versions;
  if (*count > 0 && list.version_offset < (*versions)[*count - 1].offset) return;
  if (list.generated_at_ms < d->now_ms - HOUR_MS) *count = 0;
  *versions = realloc(*versions, (*count + 1) * sizeof **versions);
  FRESHET_ASSERT(*versions != NULL);
  version* made = &(*versions)[(*count)++];
  *made = (version){.offset = list.version_offset};
  for (size_t i = 0; i < list.item_count && made->count < TOP; i++)
    made->items[made->count++] = freshet_id_key(list.items[i].item_id);
}

static bool holds(const version* v, uint64_t item) {
  for (uint32_t i = 0; i < v->count; i++) {
    if (v->items[i] == item) return true;
  }
  return false;
}

/* The list that the user had when the event came. NULL: none is known. */
static const version* before(const known_user* user, int side, int64_t offset) {
  const version* found = NULL;
  for (size_t i = 0; i < user->sides[side].count; i++) {
    if (user->sides[side].versions[i].offset < offset) found = &user->sides[side].versions[i];
  }
  return found;
}

static void take_event(diff* d, const freshet_record* record) {
  freshet_event event;
  const freshet_config* config = d->backfill->config;
  if (!record->has_value || record->timestamp_ms < d->now_ms - HOUR_MS) return;
  known_user* user = find(d, record->key, false);
  if (user == NULL || freshet_decode_event(d->backfill->codec, record->value, &event, NULL) != FRESHET_OK)
    return;
  if (event.type == FRESHET_RATING && event.rating < config->model.positive_rating) return;
  const version* lists[SIDES] = {before(user, 0, record->offset), before(user, 1, record->offset)};
  if (lists[0] == NULL || lists[1] == NULL) return;
  d->judged++;
  for (int side = 0; side < SIDES; side++) d->hits[side] += holds(lists[side], freshet_id_key(event.item_id));
}

static freshet_status take_record(void* context, const freshet_record* record, freshet_error* error) {
  (void)error;
  if (record->topic == FRESHET_TOPIC_RECOMMENDATIONS) take_list(context, 0, record);
  if (record->topic == FRESHET_TOPIC_SHADOW) take_list(context, 1, record);
  if (record->topic == FRESHET_TOPIC_EVENTS) take_event(context, record);
  return FRESHET_OK;
}

static freshet_status read_topic(diff* d, freshet_topic topic, freshet_error* error) {
  const freshet_scan scan = {.reader = d->backfill->log,
                             .topic = topic,
                             .name = d->backfill->kafka.topics[topic],
                             .take = take_record,
                             .context = d};
  return freshet_scan_topic(&scan, error);
}

typedef struct worst_user {
  const known_user* user;
  double overlap;
} worst_user;

static void note_worst(worst_user worst[WORST], const known_user* user, double overlap) {
  int i = WORST - 1;
  if (worst[i].user != NULL && worst[i].overlap <= overlap) return;
  for (; i > 0 && (worst[i - 1].user == NULL || worst[i - 1].overlap > overlap); i--) worst[i] = worst[i - 1];
  worst[i] = (worst_user){user, overlap};
}

static void print_diff(const diff* d, const char* served, const char* compared) {
  size_t have[SIDES] = {0}, both = 0;
  double overlaps = 0;
  worst_user worst[WORST] = {{0}};
  for (size_t i = 0; i < d->capacity; i++) {
    const known_user* user = &d->users[i];
    if (user->key == 0) continue;
    size_t counts[SIDES] = {user->sides[0].count, user->sides[1].count};
    for (int side = 0; side < SIDES; side++) have[side] += counts[side] > 0;
    if (counts[0] == 0 || counts[1] == 0) continue;
    const version* a = &user->sides[0].versions[counts[0] - 1];
    const version* b = &user->sides[1].versions[counts[1] - 1];
    uint32_t common = 0, most = a->count > b->count ? a->count : b->count;
    for (uint32_t k = 0; k < a->count; k++) common += holds(b, a->items[k]);
    double overlap = most == 0 ? 1 : (double)common / most;
    both++;
    overlaps += overlap;
    note_worst(worst, user, overlap);
  }
  double users = d->count == 0 ? 1 : (double)d->count;
  printf("%-28s %16.16s %16.16s\n", "", served, compared);
  printf("%-28s %14.2f %% %14.2f %%\n", "users with a list", 100 * (double)have[0] / users,
         100 * (double)have[1] / users);
  if (d->judged == 0) {
    printf("%-28s %16s %16s  no event of the newest hour came after lists of both\n",
           "recall@10, newest hour", "-", "-");
  } else {
    printf("%-28s %16.4f %16.4f  %llu events\n", "recall@10, newest hour",
           (double)d->hits[0] / (double)d->judged, (double)d->hits[1] / (double)d->judged,
           (unsigned long long)d->judged);
  }
  printf("mean overlap@10 %.4f over %zu users with both lists (1 in %llu users looked at)\n",
         both == 0 ? 0 : overlaps / (double)both, both, (unsigned long long)d->one_in);
  for (int i = 0; i < WORST && worst[i].user != NULL; i++)
    printf("  least alike: user %s, overlap %.1f\n", worst[i].user->id, worst[i].overlap);
}

freshet_status freshet_backfill_diff(freshet_backfill* backfill, size_t sample, freshet_error* error) {
  const char* name = backfill->config->app.id;
  const char* served = freshet_serving_generation(&backfill->facts);
  freshet_clock* clock = freshet_clock_system();
  if (!freshet_backfill_knows(backfill, name))
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "there is no generation %s of %s", name,
                             backfill->config->app.base);
  if (strcmp(name, served) == 0)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s serves: name the generation that its lists are to be compared with", name);
  diff d = {.backfill = backfill,
            .sample = sample,
            .one_in = 1,
            .capacity = 1,
            .now_ms = freshet_clock_now_ms(clock)};
  while (d.capacity < 4 * sample + 16) d.capacity *= 2;
  d.users = calloc(d.capacity, sizeof *d.users);
  FRESHET_ASSERT(d.users != NULL);
  freshet_status status = read_topic(&d, FRESHET_TOPIC_RECOMMENDATIONS, error);
  if (status == FRESHET_OK) status = read_topic(&d, FRESHET_TOPIC_SHADOW, error);
  if (status == FRESHET_OK) status = read_topic(&d, FRESHET_TOPIC_EVENTS, error);
  if (status == FRESHET_OK) print_diff(&d, served, name);
  for (size_t i = 0; i < d.capacity; i++) free_user(&d.users[i]);
  free(d.users);
  return status;
}
