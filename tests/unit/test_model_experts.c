/* The model as an ensemble: on a stream for which one simple method is right, its lists come close to those of that
 * method; and when the stream changes, the weights follow within ten thousand events. Each method is computed here. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model_query.h"

enum {
  ITEMS = 400,
  USERS = 200,
  TOP = 10,
  LEARNED = 10000,
  MEASURED = 1000,
  NEXT_ITEMS = 3,
  FAVOURITES = 5,
  SESSION = 8, /* events, where a stream has sessions */
  THEMES = 200,
  TURNS = 5,
  SESSIONS_MAX = TURNS * LEARNED / SESSION
};
static const int64_t session_ms = 3600 * 1000LL, step_ms = 20 * 1000;

#include "support_model_world.h"

static uint32_t draw(uint64_t stream, uint64_t i, uint32_t below) {
  return (uint32_t)(freshet_random(stream, i) % below);
}

/* What a stream has shown so far, which is all that the simple methods know. */
typedef struct seen {
  float after[ITEMS][ITEMS];     /* how often j came right after i */
  float popular[ITEMS];          /* halves every 300 events */
  float newest[ITEMS];           /* halves every 100 events */
  float personal[USERS][ITEMS];  /* how often the user chose it */
  uint32_t last[USERS];          /* ITEMS: none */
  bool has[SESSIONS_MAX][ITEMS]; /* items of a session */
  uint32_t session;              /* this one */
  float votes[ITEMS];            /* scratch */
} seen;

typedef struct choice {
  uint32_t user, item;
  int64_t time_ms;
} choice;
typedef choice (*stream)(const seen* so_far, uint64_t event);

/* ---- streams ---- */

/* A session goes on with one of three items that follow the last one, or with anything. */
static choice in_order(const seen* so_far, uint64_t event) {
  const uint64_t session = event / SESSION;
  const uint32_t user = draw(1, session, USERS), last = so_far->last[user];
  const bool goes_on = event % SESSION > 0 && last < ITEMS && draw(2, event, 10) < 8;
  const uint32_t chosen =
      goes_on ? draw(3, last * NEXT_ITEMS + draw(4, event, NEXT_ITEMS), ITEMS) : draw(5, event, ITEMS);
  return (choice){user, chosen,
                  (int64_t)(session * SESSION) * session_ms + (int64_t)(event % SESSION) * step_ms};
}

/* A session chooses among the items of one of many themes, in any order. Each item belongs to several themes, so only
 * the items together tell the theme. */
static choice by_theme(const seen* so_far, uint64_t event) {
  const uint64_t session = event / SESSION;
  const uint32_t theme = draw(31, session, THEMES);
  uint32_t chosen = 0;
  (void)so_far;
  for (uint64_t turn = 0; turn < 20; turn++) { /* an item that the session does not have yet */
    chosen = draw(32, theme * (SESSION + 2) + draw(33 + turn, event, SESSION + 2), ITEMS);
    if (event % SESSION == 0 || !so_far->has[so_far->session][chosen]) break;
  }
  return (choice){draw(60, session, USERS), chosen,
                  (int64_t)(session * SESSION) * session_ms + (int64_t)(event % SESSION) * step_ms};
}

/* Everybody chooses what is popular now: one of eight items, which change every `events` events. It takes five draws from
 * `first` on. */
static choice what_is_popular(uint64_t first, uint64_t events, uint64_t event) {
  const bool popular = draw(first, event, 10) < 8;
  const uint32_t chosen = popular ? draw(first + 1, event / events * 8 + draw(first + 2, event, 8), ITEMS)
                                  : draw(first + 3, event, ITEMS);
  return (choice){draw(first + 4, event, USERS), chosen, (int64_t)event * session_ms};
}

static choice of_the_moment(const seen* so_far, uint64_t event) {
  (void)so_far;
  return what_is_popular(11, 2500, event);
}

/* Too fast for the fastest popularity that the model keeps. */
static choice of_the_hour(const seen* so_far, uint64_t event) {
  (void)so_far;
  return what_is_popular(41, 300, event);
}

/* Everybody chooses favourites of their own. */
static choice by_habit(const seen* so_far, uint64_t event) {
  (void)so_far;
  const uint32_t user = draw(21, event, USERS);
  const bool own = draw(22, event, 10) < 8;
  const uint32_t chosen =
      own ? draw(23, user * FAVOURITES + draw(24, event, FAVOURITES), ITEMS) : draw(25, event, ITEMS);
  return (choice){user, chosen, (int64_t)event * session_ms};
}

/* ---- methods ---- */

static void note(seen* so_far, const choice* c, uint64_t event) {
  so_far->session = (uint32_t)(event / SESSION);
  so_far->has[so_far->session][c->item] = true;
  if (so_far->last[c->user] < ITEMS) so_far->after[so_far->last[c->user]][c->item]++;
  for (int i = 0; i < ITEMS; i++) {
    so_far->popular[i] *= .99769F;
    so_far->newest[i] *= .99309F;
  }
  so_far->popular[c->item]++;
  so_far->newest[c->item]++;
  so_far->personal[c->user][c->item]++;
  so_far->last[c->user] = c->item;
}

static const float* sequential(seen* so_far, uint32_t user) {
  static const float nothing[ITEMS];
  return so_far->last[user] < ITEMS ? so_far->after[so_far->last[user]] : nothing;
}
static const float* popularity(seen* so_far, uint32_t user) {
  (void)user;
  return so_far->popular;
}
static const float* newest_popularity(seen* so_far, uint32_t user) {
  (void)user;
  return so_far->newest;
}
static const float* personal(seen* so_far, uint32_t user) {
  return so_far->personal[user];
}
/* Earlier sessions vote for their items, by the items that they share with this one. */
static const float* alike(seen* so_far, uint32_t user) {
  const bool* own = so_far->has[so_far->session];
  (void)user;
  memset(so_far->votes, 0, sizeof so_far->votes);
  for (uint32_t s = 0; s < so_far->session; s++) {
    float shared = 0;
    for (int i = 0; i < ITEMS; i++) shared += (float)(own[i] && so_far->has[s][i]);
    for (int i = 0; shared > 0 && i < ITEMS; i++) {
      if (so_far->has[s][i] && !own[i]) so_far->votes[i] += shared * shared;
    }
  }
  return so_far->votes;
}
typedef const float* (*method)(seen* so_far, uint32_t user);

/* The mean place of an item among equal scores. */
static double rank_of(const float* scores, uint32_t chosen) {
  double better = 0, equal = 0;
  for (int i = 0; i < ITEMS; i++) {
    better += scores[i] > scores[chosen];
    equal += scores[i] == scores[chosen];
  }
  return better + (equal - 1) / 2;
}

typedef struct places {
  double recall, mrr;
} places;
static void add_place(places* sum, double rank) {
  if (rank >= TOP) return;
  sum->recall += 1.0 / MEASURED;
  sum->mrr += 1.0 / MEASURED / (rank + 1);
}

/* ---- the comparison ---- */

typedef struct match {
  world w;
  seen* so_far;
} match;

static match begin(void) {
  match m = {.w = make_world(), .so_far = calloc(1, sizeof *m.so_far)};
  assert_non_null(m.so_far);
  for (int u = 0; u < USERS; u++) m.so_far->last[u] = ITEMS;
  return m;
}

static void end(match* m) {
  free_world(&m->w);
  free(m->so_far);
}

static void learn(match* m, const choice* c, uint64_t event) {
  const freshet_observation observed = {
      .item = c->item, .positive = true, .weight = 1, .time_ms = c->time_ms};
  assert_int_equal(freshet_model_learn(m->w.model, m->w.users[c->user], &observed, NULL), FRESHET_OK);
  note(m->so_far, c, event);
}

static double rank_by_model(match* m, const choice* c) {
  float scores[ITEMS];
  freshet_rank_query query = {0};
  assert_int_equal(freshet_model_sync_ranker(m->w.model, NULL, NULL), FRESHET_OK);
  freshet_model_query(m->w.model, m->w.users[c->user], c->time_ms, m->w.scratch, &query);
  freshet_model_score_all(m->w.model, &query, scores);
  return rank_of(scores, c->item);
}

/* Learns the events from `first` on, and compares the last ones. */
static void compare(match* m, stream next, method known, uint64_t first, places* ours, places* peer) {
  *ours = *peer = (places){0};
  for (uint64_t event = first; event < first + LEARNED; event++) {
    const choice c = next(m->so_far, event);
    if (event >= first + LEARNED - MEASURED) {
      add_place(ours, rank_by_model(m, &c));
      add_place(peer, rank_of(known(m->so_far, c.user), c.item));
    }
    learn(m, &c, event);
  }
}

static void comes_near(const places* ours, const places* peer, double least) {
  assert_true(peer->recall > .5);
  assert_true(ours->recall > least * peer->recall);
  assert_true(ours->mrr > (least - .02) * peer->mrr);
}

static const struct {
  stream next;
  method known;
  double least; /* what the model reaches, as a share of what the method reaches */
} experts[] = {{in_order, sequential, .97},
               {of_the_moment, popularity, .97},
               {by_habit, personal, .97},
               {by_theme, alike, .97},
               {of_the_hour, newest_popularity, 1.01}};

static void each_stream_is_won_by_its_own_method(void** state) {
  (void)state;
  for (size_t e = 0; e < sizeof experts / sizeof *experts; e++) {
    match m = begin();
    places ours, peer;
    compare(&m, experts[e].next, experts[e].known, 0, &ours, &peer);
    comes_near(&ours, &peer, experts[e].least);
    end(&m);
  }
}

/* The weight of a feature, in the middle of a session. */
static float weight_of(const match* m, int feature) {
  context c = {.count = 4, .same_session = {true, true, true, true}};
  freshet_model_set_thetas(m->w.model, 100, &c);
  return c.theta[feature];
}

/* In what was chosen together before this session, an old choice tells as much as a newer one. */
static void older_items_weigh_alike(void** state) {
  (void)state;
  const int64_t day_ms = 24 * session_ms;
  match m = begin();
  context c;
  learn(&m, &(choice){0, 1, 0}, 0);
  learn(&m, &(choice){0, 2, 60 * day_ms}, 1);
  freshet_model_context(m.w.model, m.w.users[0], 61 * day_ms, &c);
  assert_int_equal(c.count, 2);
  assert_true(c.feature_weight[0][TOGETHER_BEFORE] > 0);
  assert_true(c.feature_weight[0][TOGETHER_BEFORE] == c.feature_weight[1][TOGETHER_BEFORE]);
  assert_true(c.feature_weight[0][FOLLOWS] > c.feature_weight[1][FOLLOWS]);
  end(&m);
}

/* The blend weights learn by p^.2 of a choice, p being its probability among all items. */
static void weights_learn_most_from_choices_within_reach(void** state) {
  (void)state;
  const float weight = 2,
              share_of_draws = 4; /* q of the chosen item: it is drawn four times as often as most */
  match m = begin();
  candidates* s = m.w.model->step;
  float* gradient = m.w.model->blend_gradient;
  float least = 0;
  s->negatives = 50;
  s->log_q[0] = logf(share_of_draws);
  for (int percent = 0; percent <= 100; percent += 10) {
    const float within = (float)percent / 100;
    const double odds = within / (1 - within) * share_of_draws * 50 / ITEMS;
    s->gradients[0] = weight * (within - 1);
    gradient[TH] = -1;
    gradient[AGAIN] = 3;
    freshet_model_focus(m.w.model, s, weight);
    if (percent > 0 && percent < 100) assert_float_equal(-gradient[TH], pow(odds / (1 + odds), .2), .001);
    assert_float_equal(gradient[AGAIN], -3 * gradient[TH], 1e-6);
    assert_true(-gradient[TH] > least && -gradient[TH] < 1.001F);
    least = -gradient[TH];
  }
  gradient[TH] = gradient[AGAIN] = 0;
  end(&m);
}

static void a_slower_popularity_never_outweighs_faster_ones(void** state) {
  (void)state;
  static const struct {
    double learned[FRESHET_SPEEDS], bounded[FRESHET_SPEEDS];
  } cases[] = {{{1, -.5, -.25}, {1, -.5, -.25}}, {{1, -2, -1}, {1, -1, 0}}, {{1, -.5, -2}, {1, -.5, -.5}},
               {{-1, 2, -1}, {0, 2, -1}},        {{-1, -1, -1}, {0, 0, 0}}, {{.5, 1, 2}, {.5, 1, 2}}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double thetas[FEATURES] = {-1, 1, -1, 1};
    memcpy(thetas + POPULAR, cases[i].learned, sizeof cases[i].learned);
    thetas[TASTE] = -1;
    freshet_model_bound_thetas(thetas);
    assert_true(thetas[0] == 0 && thetas[1] == 1 && thetas[2] == 0 && thetas[3] == 1 && thetas[TASTE] == 0);
    for (int h = 0; h < FRESHET_SPEEDS; h++) {
      assert_true(thetas[POPULAR + h] == cases[i].bounded[h]);
      assert_false(thetas[POPULAR + h] == 0 && signbit(thetas[POPULAR + h])); /* a delta cannot carry -0 */
    }
  }
}

/* Ten thousand events each. In the last turn an item is chosen 25 times, and counts of pairs fade by half in 128 choices of
 * it. So themes are found less well after other streams. */
static void lists_follow_when_another_method_wins(void** state) {
  (void)state;
  static const struct {
    int expert, feature; /* whose weight rises; -1: not looked at */
    double least;
  } turns[TURNS] = {{0, -1, .97}, {1, -1, .97}, {2, -1, .97}, {0, FOLLOWS, .97}, {3, AGREED, .5}};
  match m = begin();
  places ours, peer;
  for (uint64_t turn = 0; turn < TURNS; turn++) {
    const int e = turns[turn].expert, feature = turns[turn].feature;
    const float weight = feature < 0 ? 0 : weight_of(&m, feature);
    compare(&m, experts[e].next, experts[e].known, turn * LEARNED, &ours, &peer);
    comes_near(&ours, &peer, turns[turn].least);
    if (feature >= 0) assert_true(weight_of(&m, feature) > weight);
  }
  end(&m);
}

/* Items have their turns, so what was popular a moment ago is never chosen now. */
static choice in_turn(const seen* so_far, uint64_t event) {
  (void)so_far;
  return (choice){draw(71, event, USERS), (uint32_t)(event * 7 % ITEMS), (int64_t)event * session_ms};
}

/* However long a method was of no use, its weight rises soon after it is the right one. */
static void a_method_comes_back(void** state) {
  (void)state;
  enum { BACK = 1000 };
  match m = begin();
  context c;
  places ours = {0}, peer = {0};
  for (uint64_t event = 0; event < LEARNED + 2 * BACK; event++) {
    const choice next = (event < LEARNED ? in_turn : of_the_moment)(m.so_far, event);
    if (event >= LEARNED + BACK) {
      add_place(&ours, rank_by_model(&m, &next));
      add_place(&peer, rank_of(popularity(m.so_far, next.user), next.item));
    }
    learn(&m, &next, event);
  }
  comes_near(&ours, &peer, .97);
  freshet_model_context(m.w.model, m.w.users[0], (LEARNED + 2 * BACK) * session_ms, &c);
  assert_true(c.theta[POPULAR] > .5F);
  end(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_stream_is_won_by_its_own_method),
      cmocka_unit_test(older_items_weigh_alike),
      cmocka_unit_test(weights_learn_most_from_choices_within_reach),
      cmocka_unit_test(a_slower_popularity_never_outweighs_faster_ones),
      cmocka_unit_test(lists_follow_when_another_method_wins),
      cmocka_unit_test(a_method_comes_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
