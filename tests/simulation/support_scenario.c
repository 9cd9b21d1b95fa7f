/*
 * support_scenario.c: makes the input of a run from a seed, and computes what must come of it.
 */
#include "support_scenario.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { STILL_EVERY = 6, /* seeds */ YOUNGER_MAX = SIM_DEDUP_EVENTS - 1 };

typedef struct plan {
  sim_scenario* scenario;
  sim_random random;
  const sim_cluster* cluster;
  freshet_codec* codec;
  int64_t time_ms;
  int next_event, next_request;
  size_t transaction_from; /* index of the SIM_BEGIN under way, SIZE_MAX: none */
} plan;

void sim_user_id(int user, char id[8]) {
  snprintf(id, 8, "u%d", user);
}

void sim_item_id(int item, char id[8]) {
  snprintf(id, 8, "i%d", item);
}

static sim_action* add(plan* p, sim_meaning meaning, freshet_topic topic, int32_t partition) {
  sim_scenario* s = p->scenario;
  if (s->count == s->capacity) {
    s->capacity = s->capacity == 0 ? 128 : s->capacity * 2;
    s->actions = realloc(s->actions, s->capacity * sizeof *s->actions);
    FRESHET_ASSERT(s->actions != NULL);
  }
  sim_action* action = &s->actions[s->count++];
  *action = (sim_action){
      .meaning = meaning, .topic = topic, .partition = partition, .timestamp_ms = p->time_ms, .offset = -1};
  p->time_ms += sim_skewed(&p->random, 0, 500);
  return action;
}

static void set_key(sim_action* action, const char* key, size_t size) {
  action->has_key = true;
  action->key.size = 0;
  freshet_buffer_append(&action->key, key, size);
}

static int announced_items(const sim_scenario* scenario) {
  return scenario->items - scenario->items / 4;
}

/* ---- events ---- What is learned from an event depends on the items that are known by then. So that runs
 * can be compared, all items that are ever announced are known before the first event; other items come with
 * a click, which is learned and so remembered. */

static int32_t partition_of_user(const plan* p, int user) {
  return user % p->cluster->partitions[FRESHET_TOPIC_EVENTS];
}

static void encode_event(plan* p, sim_action* action, const freshet_event* event) {
  freshet_error error = {0};
  action->has_value = true;
  freshet_status status = freshet_encode_event(p->codec, event, &action->value, &error);
  FRESHET_ASSERT(status == FRESHET_OK);
}

/* A part of the events, more of them of items that nobody announces. */
static void make_impression(plan* p, sim_action* action, freshet_event* event, bool is_announced) {
  const bool may_be = event->type == FRESHET_FEEDBACK || event->type == FRESHET_RATING || !is_announced;
  if (!may_be || sim_below(&p->random, 2) == 0) return;
  event->type = FRESHET_FEEDBACK;
  event->feedback = FRESHET_IMPRESSION;
  event->place = (int32_t)sim_below(&p->random, 12) - 1;
  event->rating = 0;
  action->is_impression = true;
}

static sim_action* add_event(plan* p, int user) {
  sim_action* action = add(p, SIM_EVENT, FRESHET_TOPIC_EVENTS, partition_of_user(p, user));
  char user_id[8], item[8], event_id[16];
  sim_user_id(user, user_id);
  int about = (int)sim_below(&p->random, (uint32_t)p->scenario->items);
  sim_item_id(about, item);
  snprintf(event_id, sizeof event_id, "e%d", p->next_event++);
  bool is_announced = about < announced_items(p->scenario);
  uint32_t types = is_announced ? FRESHET_EVENT_TYPES : 1;
  freshet_event event = {.type = (freshet_event_type)sim_below(&p->random, types),
                         .event_id = freshet_slice_of(event_id),
                         .user_id = freshet_slice_of(user_id),
                         .item_id = freshet_slice_of(item),
                         .occurred_at_ms = action->timestamp_ms - sim_below(&p->random, 3000),
                         .quantity = 1};
  if (event.type == FRESHET_RATING) event.rating = (float)(1 + sim_below(&p->random, 5));
  make_impression(p, action, &event, is_announced);
  action->user = user;
  action->event_key = freshet_id_key(event.event_id);
  set_key(action, user_id, strlen(user_id));
  encode_event(p, action, &event);
  return action;
}

/* An event whose id is certainly inside the window: close to the newest in number and in time. NULL: there is
 * none. Events of the open transaction may still be aborted. */
static const sim_action* repeatable(plan* p, int32_t partition) {
  size_t younger = 0, candidates[YOUNGER_MAX], count = 0;
  for (size_t i = p->scenario->count; i > 0 && younger < YOUNGER_MAX; i--) {
    const sim_action* action = &p->scenario->actions[i - 1];
    if (action->meaning != SIM_EVENT || action->partition != partition || action->is_aborted) continue;
    younger++;
    bool is_undecided = p->transaction_from != SIZE_MAX && i > p->transaction_from;
    if (!is_undecided && p->time_ms - action->timestamp_ms <= SIM_DEDUP_WINDOW_MS)
      candidates[count++] = i - 1;
  }
  return count == 0 ? NULL : &p->scenario->actions[candidates[sim_below(&p->random, (uint32_t)count)]];
}

static void add_duplicate(plan* p) {
  int32_t partition = (int32_t)sim_below(&p->random, (uint32_t)p->cluster->partitions[FRESHET_TOPIC_EVENTS]);
  const sim_action* found = repeatable(p, partition);
  if (found == NULL) return;
  size_t index = (size_t)(found - p->scenario->actions);
  sim_action* action = add(p, SIM_DUPLICATE, FRESHET_TOPIC_EVENTS, partition);
  found = &p->scenario->actions[index]; /* adding may move them */
  action->user = found->user;
  action->event_key = found->event_key;
  action->is_impression = found->is_impression;
  set_key(action, (const char*)found->key.data, found->key.size);
  action->has_value = true;
  freshet_buffer_append(&action->value, found->value.data, found->value.size);
}

static void add_erasure(plan* p) {
  int user = (int)sim_below(&p->random, (uint32_t)p->scenario->users);
  sim_action* action = add(p, SIM_ERASURE, FRESHET_TOPIC_EVENTS, partition_of_user(p, user));
  char id[8];
  sim_user_id(user, id);
  action->user = user;
  set_key(action, id, strlen(id));
}

/* A good event, spoiled in one of many ways. */
static void add_bad_event(plan* p) {
  int user = (int)sim_below(&p->random, (uint32_t)p->scenario->users);
  sim_action* action = add_event(p, user);
  action->meaning = SIM_BAD;
  freshet_event event;
  FRESHET_ASSERT(freshet_decode_event(p->codec, freshet_buffer_slice(&action->value), &event, NULL) ==
                 FRESHET_OK);
  bool again = true; /* encode the changed event */
  switch (sim_below(&p->random, 9)) {
    case 0:
      event.type = FRESHET_RATING, event.rating = NAN;
      break;
    case 1:
      event.type = FRESHET_RATING, event.rating = 77;
      break;
    case 2:
      event.item_id.size = 0;
      break;
    case 3:
      event.occurred_at_ms = action->timestamp_ms + 400LL * 24 * 3600 * 1000;
      break;
    case 4:
      action->has_key = false, action->key.size = 0, again = false;
      break;
    case 5:
      set_key(action, "somebody else", 13), again = false;
      break;
    case 6:
      set_key(action, "\0d12345678", 10), again = false;
      break;
    case 7:
      action->value.size = sim_below(&p->random, (uint32_t)action->value.size), again = false;
      break;
    default:
      if (sim_chance(&p->random, 300))
        freshet_buffer_reserve(&action->value, SIM_LARGE_BYTES), action->value.size = SIM_LARGE_BYTES;
      for (size_t i = 0; i < action->value.size; i++) action->value.data[i] = (uint8_t)sim_next(&p->random);
      action->value.data[0] = 0x42, again = false; /* neither framing */
  }
  if (!again) return;
  freshet_buffer changed = {0};
  FRESHET_ASSERT(freshet_encode_event(p->codec, &event, &changed, NULL) == FRESHET_OK);
  freshet_buffer_free(&action->value);
  action->value = changed;
}

/* ---- requests ---- */

static void add_request(plan* p) {
  int user = (int)sim_below(&p->random, (uint32_t)p->scenario->users);
  sim_action* action = add(p, SIM_REQUEST, FRESHET_TOPIC_REQUESTS, partition_of_user(p, user));
  char user_id[8], item[8], request_id[16];
  sim_user_id(user, user_id);
  sim_item_id((int)sim_below(&p->random, (uint32_t)p->scenario->items), item);
  snprintf(request_id, sizeof request_id, "r%d", p->next_request++);
  freshet_slice wanted = freshet_slice_of(item);
  const bool is_large = sim_chance(&p->random, 200); /* else small; k = 0 is answered with a note */
  freshet_request request = {.request_id = freshet_slice_of(request_id),
                             .user_id = freshet_slice_of(user_id),
                             .k = (int32_t)(is_large ? SIM_ITEMS_MAX : sim_below(&p->random, 5)),
                             .context_items = &wanted,
                             .context_item_count = sim_below(&p->random, 2)};
  if (sim_chance(&p->random, 500)) request.context = freshet_slice_of("Thing of make 1");
  if (sim_chance(&p->random, 200)) request.exploration = .5F;
  action->user = user;
  set_key(action, user_id, strlen(user_id));
  action->has_value = true;
  FRESHET_ASSERT(freshet_encode_request(p->codec, &request, &action->value, NULL) == FRESHET_OK);
}

/* ---- items ---- */

static void add_item(plan* p, int item) {
  int32_t partition = item % p->cluster->partitions[FRESHET_TOPIC_ITEMS];
  bool is_withdrawn = p->scenario->count >= p->scenario->preamble && sim_chance(&p->random, 300) &&
                      !p->scenario->is_comparable;
  sim_action* action = add(p, is_withdrawn ? SIM_WITHDRAWAL : SIM_ITEM, FRESHET_TOPIC_ITEMS, partition);
  char id[8];
  sim_item_id(item, id);
  set_key(action, id, strlen(id));
  action->item = item;
  if (is_withdrawn) return;
  action->available = sim_chance(&p->random, 800) || p->scenario->is_still;
  if (sim_chance(&p->random, 150) && !p->scenario->is_still)
    action->expires_at_ms = sim_now_ms(p->cluster) + sim_below(&p->random, 60000);
  freshet_slice category = freshet_slice_of("things");
  char title[32];
  size_t make = p->scenario->is_comparable ? (size_t)item % 3 : p->scenario->count % 3;
  snprintf(title, sizeof title, "Thing %d of make %zu", item, make);
  freshet_item record = {.item_id = freshet_slice_of(id),
                         .title = freshet_slice_of(title),
                         .categories = &category,
                         .category_count = 1,
                         .available = action->available,
                         .expires_at_ms = action->expires_at_ms};
  action->has_value = true;
  FRESHET_ASSERT(freshet_encode_item(p->codec, &record, &action->value, NULL) == FRESHET_OK);
}

int sim_scenario_announced(const sim_scenario* scenario) {
  bool is_announced[SIM_ITEMS_MAX] = {false};
  int now = 0, most = 0;
  for (size_t i = 0; i < scenario->count; i++) {
    const sim_action* action = &scenario->actions[i];
    bool is_about = action->meaning == SIM_ITEM || action->meaning == SIM_WITHDRAWAL;
    if (!is_about || action->is_aborted) continue;
    now += (action->meaning == SIM_ITEM) - is_announced[action->item];
    is_announced[action->item] = action->meaning == SIM_ITEM;
    most = now > most ? now : most;
  }
  return most;
}

/* Whether the item is on offer to the end, by the plan. */
static bool is_on_offer(const plan* p, int item) {
  bool on_offer = false;
  for (size_t i = 0; i < p->scenario->count; i++) {
    const sim_action* action = &p->scenario->actions[i];
    bool is_about = action->meaning == SIM_ITEM || action->meaning == SIM_WITHDRAWAL;
    if (is_about && !action->is_aborted && action->item == item)
      on_offer = action->available && action->expires_at_ms == 0;
  }
  return on_offer && p->transaction_from == SIZE_MAX;
}

/* The bytes of an item under the key of another one, or bytes that are no item. The cleaner of a compacted
 * topic takes such a record for the newest of its key and removes the earlier ones, even a withdrawal. So the
 * key must have no earlier record. */
static void add_bad_item(plan* p) {
  int item = (int)sim_below(&p->random, (uint32_t)announced_items(p->scenario));
  bool may_replace = is_on_offer(p, item) && !p->scenario->is_comparable;
  add_item(p, item);
  sim_action* action = &p->scenario->actions[p->scenario->count - 1];
  if (action->meaning == SIM_WITHDRAWAL) return;
  action->meaning = SIM_BAD;
  if (may_replace && sim_chance(&p->random, 500)) {
    action->value.size = sim_below(&p->random, (uint32_t)action->value.size);
  } else {
    set_key(action, "i-other", 7);
  }
}

/* ---- the whole ---- */

static void begin_or_end(plan* p) {
  if (p->transaction_from == SIZE_MAX) {
    p->transaction_from = p->scenario->count;
    add(p, SIM_BEGIN, FRESHET_TOPIC_EVENTS, 0);
    return;
  }
  bool aborts = sim_chance(&p->random, 500);
  for (size_t i = p->transaction_from; aborts && i < p->scenario->count; i++)
    p->scenario->actions[i].is_aborted = true;
  add(p, aborts ? SIM_ABORT : SIM_COMMIT, FRESHET_TOPIC_EVENTS, 0);
  p->transaction_from = SIZE_MAX;
}

static void add_gap(plan* p) {
  freshet_topic topic = sim_chance(&p->random, 700) ? FRESHET_TOPIC_EVENTS : FRESHET_TOPIC_ITEMS;
  int32_t partition = (int32_t)sim_below(&p->random, (uint32_t)p->cluster->partitions[topic]);
  add(p, SIM_GAP, topic, partition)->skipped = 1 + sim_skewed(&p->random, 0, 4000);
}

static void add_any(plan* p) {
  int user = (int)sim_below(&p->random, (uint32_t)p->scenario->users);
  uint32_t kind = sim_below(&p->random, 100);
  if (kind < 62) {
    add_event(p, user);
  } else if (kind < 72) {
    add_duplicate(p);
  } else if (kind < 78) {
    add_bad_event(p);
  } else if (kind < 82) {
    add_erasure(p);
  } else if (kind < 94 && p->scenario->is_still) {
    add_event(p, user);
  } else if (kind < 92) {
    add_item(p, (int)sim_below(&p->random, (uint32_t)announced_items(p->scenario)));
  } else if (kind < 94) {
    add_bad_item(p);
  } else if (kind < 96) {
    begin_or_end(p);
  } else if (kind < 98) {
    add_request(p);
  } else {
    add_gap(p);
  }
}

static void add_plain(plan* p) {
  const int user = (int)sim_below(&p->random, (uint32_t)p->scenario->users);
  const uint32_t kind = sim_below(&p->random, 100);
  if (kind < 80) {
    add_event(p, user);
  } else if (kind < 90) {
    add_duplicate(p);
  } else if (kind < 96) {
    add_request(p);
  } else {
    add_gap(p);
  }
}

void sim_scenario_init(sim_scenario* scenario, uint64_t seed, bool is_comparable, bool is_plain,
                       const sim_cluster* cluster, freshet_codec* codec) {
  *scenario =
      (sim_scenario){.seed = seed, .is_comparable = is_comparable, .is_plain = is_plain, .transaction = -1};
  plan p = {.scenario = scenario,
            .random = {seed},
            .cluster = cluster,
            .codec = codec,
            .time_ms = sim_now_ms(cluster),
            .transaction_from = SIZE_MAX};
  scenario->is_still = seed % STILL_EVERY == 1;
  scenario->users = 1 + (int)sim_below(&p.random, SIM_USERS_MAX);
  scenario->items = 8 + (int)sim_below(&p.random, SIM_ITEMS_MAX - 7);
  scenario->preamble = (size_t)announced_items(scenario);
  if (!is_comparable && sim_chance(&p.random, 500)) scenario->preamble = 1 + scenario->preamble / 2;
  size_t actions = scenario->preamble + sim_skewed(&p.random, 10, 600);
  for (size_t item = 0; item < scenario->preamble; item++) add_item(&p, (int)item);
  if (is_plain) actions += 200;
  while (scenario->count < actions) {
    if (is_plain)
      add_plain(&p);
    else
      add_any(&p);
  }
  if (p.transaction_from != SIZE_MAX) begin_or_end(&p);
}

void sim_scenario_free(sim_scenario* scenario) {
  for (size_t i = 0; i < scenario->count; i++) {
    freshet_buffer_free(&scenario->actions[i].key);
    freshet_buffer_free(&scenario->actions[i].value);
  }
  free(scenario->actions);
}

static void write_action(sim_scenario* scenario, sim_cluster* cluster, sim_action* action) {
  const bool is_dense = scenario->is_dense && action->topic == FRESHET_TOPIC_ITEMS;
  if (is_dense && (action->meaning == SIM_GAP || action->is_aborted)) return;
  switch (action->meaning) {
    case SIM_GAP:
      sim_skip(cluster, action->topic, action->partition, action->skipped);
      return;
    case SIM_BEGIN:
      scenario->transaction = sim_begin(cluster, SIM_OUTSIDE);
      return;
    case SIM_COMMIT:
    case SIM_ABORT:
      sim_end(cluster, scenario->transaction, action->meaning == SIM_COMMIT ? SIM_COMMITTED : SIM_ABORTED);
      scenario->transaction = -1;
      return;
    default:
      break;
  }
  freshet_output output = {.topic = action->topic,
                           .partition = action->partition,
                           .key = action->has_key ? freshet_buffer_slice(&action->key) : (freshet_slice){0},
                           .has_value = action->has_value,
                           .value = freshet_buffer_slice(&action->value),
                           .timestamp_ms = action->timestamp_ms};
  action->offset = sim_append(cluster, is_dense ? -1 : scenario->transaction, &output)->offset;
}

static bool is_item(const sim_action* action) {
  return action->topic == FRESHET_TOPIC_ITEMS && action->meaning != SIM_GAP;
}

/* An event that nobody has read will be learned by its next duplicate. */
static void learn_by_duplicate(sim_scenario* scenario, uint64_t event_key) {
  for (size_t i = scenario->written; i < scenario->count; i++) {
    sim_action* action = &scenario->actions[i];
    if (action->meaning != SIM_DUPLICATE || action->event_key != event_key || action->is_aborted) continue;
    action->meaning = SIM_EVENT;
    return;
  }
}

void sim_scenario_lose_events(sim_scenario* scenario, const int64_t* read) {
  for (size_t i = 0; i < scenario->written; i++) {
    sim_action* action = &scenario->actions[i];
    if (action->topic != FRESHET_TOPIC_EVENTS || action->is_gone || action->is_aborted || action->offset < 0)
      continue;
    action->is_gone = true;
    if (action->offset < read[action->partition]) continue;
    action->is_aborted = true;
    if (action->meaning == SIM_EVENT) learn_by_duplicate(scenario, action->event_key);
  }
}

/* Bad records are not: nobody has them in a catalogue. */
void sim_scenario_write_items_again(sim_scenario* scenario, sim_cluster* cluster) {
  scenario->is_dense = true;
  const uint32_t copies =
      1 + sim_below(&cluster->random, 4); /* so that the new log may be longer than the old one */
  for (size_t i = 0; i < scenario->written; i++) {
    sim_action* action = &scenario->actions[i];
    if (!is_item(action) || action->is_gone) continue;
    action->is_gone = true;
    bool is_newest = action->meaning == SIM_ITEM && !action->is_aborted;
    for (size_t j = i + 1; j < scenario->written && is_newest; j++) {
      const sim_action* later = &scenario->actions[j];
      const bool is_about = later->meaning == SIM_ITEM || later->meaning == SIM_WITHDRAWAL;
      if (is_about && !later->is_aborted && later->item == action->item) is_newest = false;
    }
    if (!is_newest) continue;
    int64_t first = -1;
    action->is_gone = false;
    action->timestamp_ms = sim_now_ms(cluster);
    for (uint32_t copy = copies; copy-- > 0;) {
      write_action(scenario, cluster, action);
      if (copy == copies - 1) first = action->offset; /* from there on it is listed */
    }
    action->offset = first;
  }
}

/* Records of one key in two partitions would have no order. */
void sim_scenario_grow_items(sim_scenario* scenario, int32_t partition) {
  bool is_known[SIM_ITEMS_MAX] = {false};
  for (size_t i = 0; i < scenario->count; i++) {
    sim_action* action = &scenario->actions[i];
    if (!is_item(action)) continue;
    if (i < scenario->written) is_known[action->item] = true;
    if (!is_known[action->item] && action->item % 4 != 0) action->partition = partition;
  }
}

void sim_scenario_feed(sim_scenario* scenario, sim_cluster* cluster, size_t most) {
  for (size_t i = 0; i < most && scenario->written < scenario->count; i++) {
    write_action(scenario, cluster, &scenario->actions[scenario->written++]);
  }
}

/* ---- the oracle ---- */

sim_truth sim_scenario_truth(const sim_scenario* scenario, int user) {
  return sim_scenario_truth_before(scenario, user, INT64_MAX);
}

sim_truth sim_scenario_truth_before(const sim_scenario* scenario, int user, int64_t offset) {
  sim_truth truth = {.newest_offset = -1};
  for (size_t i = 0; i < scenario->written; i++) {
    const sim_action* action = &scenario->actions[i];
    bool is_about = action->meaning == SIM_EVENT || action->meaning == SIM_ERASURE;
    if (!is_about || action->user != user || action->is_aborted || action->offset >= offset) continue;
    if (action->meaning == SIM_ERASURE) {
      truth = (sim_truth){.is_erased = true, .newest_offset = -1};
      continue;
    }
    truth.exists = true;
    truth.partition = action->partition;
    truth.is_erased = false;
    truth.events++;
    truth.checksum += action->event_key;
    const bool owes = truth.newest_offset < 0 || !action->is_impression;
    if (owes && action->offset > truth.newest_offset) truth.newest_offset = action->offset;
  }
  return truth;
}

bool sim_scenario_was_listed(const sim_scenario* scenario, freshet_slice item, const int64_t* since,
                             const int64_t* positions, int64_t now_ms) {
  bool listed = false, was_listed = false;
  for (size_t i = 0; i < scenario->written; i++) {
    const sim_action* action = &scenario->actions[i];
    bool is_about = action->meaning == SIM_ITEM || action->meaning == SIM_WITHDRAWAL;
    if (!is_about || action->is_aborted || action->is_gone || action->offset >= positions[action->partition])
      continue;
    if (!freshet_slice_equal(freshet_buffer_slice(&action->key), item)) continue;
    bool is_expired = action->expires_at_ms != 0 && action->expires_at_ms <= now_ms;
    if (action->offset >= since[action->partition]) was_listed |= listed;
    listed = action->meaning == SIM_ITEM && action->available && !is_expired;
  }
  return listed || was_listed;
}

bool sim_scenario_is_listed(const sim_scenario* scenario, freshet_slice item, const int64_t* positions,
                            int64_t now_ms) {
  return sim_scenario_was_listed(scenario, item, positions, positions, now_ms);
}
