/*
 * evaluate_example.c: `freshet evaluate --example`: the whole path on data small enough to look at.
 *
 * 100 items in 10 themes, each with a title and a text; 100 users, each with a favourite theme and a second
 * one, who rate 30 items from 1 to 5. From texts to vectors, from ratings to factors, settings by
 * cross-validation, lists with reasons.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/text_encoder.h"
#include "commands/evaluate/evaluate.h"
#include "core/maths.h"

enum { THEMES = 10, ITEMS = 100, USERS = 100, RATINGS = 30, HELD_OUT = 3, EPOCHS = 3, WORDS = 10 };

static const struct {
  const char* name;
  const char* words[WORDS];
} themes[THEMES] = {
    {"Sailing",
     {"harbour", "keel", "regatta", "storm", "mast", "tide", "anchor", "island", "rope", "captain"}},
    {"Baking",
     {"dough", "oven", "sourdough", "butter", "cinnamon", "crust", "yeast", "pastry", "flour", "sugar"}},
    {"Chess",
     {"opening", "endgame", "gambit", "rook", "tournament", "clock", "sacrifice", "bishop", "pawn",
      "master"}},
    {"Gardening",
     {"seed", "compost", "rose", "pruning", "greenhouse", "soil", "orchard", "herb", "bulb", "hedge"}},
    {"Astronomy",
     {"telescope", "galaxy", "comet", "orbit", "nebula", "eclipse", "planet", "lens", "star", "dust"}},
    {"Jazz",
     {"saxophone", "swing", "trumpet", "improvisation", "club", "bass", "quartet", "ballad", "drum",
      "record"}},
    {"Running",
     {"marathon", "trail", "sprint", "stride", "pace", "hill", "interval", "shoe", "race", "breath"}},
    {"Pottery", {"clay", "glaze", "kiln", "wheel", "vase", "porcelain", "handle", "slip", "bowl", "fire"}},
    {"Birds",
     {"heron", "nest", "migration", "feather", "owl", "binoculars", "song", "marsh", "swallow", "falcon"}},
    {"Trains",
     {"locomotive", "station", "signal", "tunnel", "timetable", "steam", "bridge", "carriage", "gauge",
      "whistle"}},
};

static uint64_t dice(uint64_t what, uint64_t i, uint64_t sides) {
  return freshet_below(freshet_random(what, i), sides);
}

static void make_items(freshet_history* history) {
  for (uint64_t i = 0; i < ITEMS; i++) {
    char id[16], text[256];
    const char* const* words = themes[i / 10].words;
    snprintf(id, sizeof id, "item-%02d", (int)i);
    uint32_t number = freshet_history_intern_item(history, freshet_slice_of(id));
    freshet_history_item* it = &history->items[number];
    free(it->title);
    free(it->text);
    snprintf(text, sizeof text, "%s: the %s and the %s", themes[i / 10].name, words[i % 10],
             words[(i + 3) % 10]);
    it->title = strdup(text);
    snprintf(text, sizeof text, "A guide to %s, from the first %s to the last %s, with a chapter on the %s.",
             themes[i / 10].name, words[dice(1, i, WORDS)], words[dice(2, i, WORDS)],
             words[dice(3, i, WORDS)]);
    it->text = strdup(text);
    FRESHET_ASSERT(it->title != NULL && it->text != NULL);
  }
}

/* 5 or 4 for the favourite theme, 4 or 3 for the second, 1 to 3 for the rest. */
static float rating_of(uint64_t user, uint64_t item) {
  uint64_t favourite = user % THEMES, second = (user * 7 + user / THEMES * 3 + 1) % THEMES;
  uint64_t luck = dice(4, user * ITEMS + item, 2);
  if (item / 10 == favourite) return (float)(5 - luck);
  if (item / 10 == second) return (float)(4 - luck);
  return (float)(1 + dice(5, user * ITEMS + item, 3));
}

/* Half of what a user rates comes from the favourite theme and the second. */
static uint64_t choose_item(uint64_t user, uint64_t turn) {
  uint64_t favourite = user % THEMES, second = (user * 7 + user / THEMES * 3 + 1) % THEMES;
  uint64_t any = dice(6, user * 1000 + turn, ITEMS), kind = dice(7, user * 1000 + turn, 6);
  if (kind < 2) return favourite * 10 + any % 10;
  if (kind < 3) return second * 10 + any % 10;
  return any;
}

static void make_events(freshet_history* history) {
  static bool rated[USERS][ITEMS];
  memset(rated, 0, sizeof rated);
  for (uint64_t user = 0; user < USERS; user++) {
    char id[16];
    snprintf(id, sizeof id, "user-%02d", (int)user);
    freshet_history_intern_user(history, freshet_slice_of(id));
  }
  for (uint64_t turn = 0; turn < RATINGS; turn++) {
    for (uint64_t user = 0; user < USERS; user++) {
      uint64_t item = choose_item(user, turn);
      while (rated[user][item]) item = (item + 1) % ITEMS;
      rated[user][item] = true;
      freshet_history_event event = {.user = (uint32_t)user,
                                     .item = (uint32_t)item,
                                     .type = FRESHET_RATING,
                                     .rating = rating_of(user, item),
                                     .time_ms = (int64_t)((turn * USERS + user) * 60000)};
      freshet_history_add(history, &event);
    }
  }
}

static void print_data(const freshet_history* history) {
  printf("1. Data. Three of the %d items:\n", ITEMS);
  for (size_t i = 0; i < ITEMS; i += 33) {
    printf("   %s  %s. %s\n", history->items[i].id, history->items[i].title, history->items[i].text);
  }
  printf("   A corner of the matrix of ratings, users by items (. is unknown):\n");
  for (uint32_t user = 0; user < 6; user++) {
    char row[ITEMS];
    memset(row, '.', sizeof row);
    for (size_t e = 0; e < history->event_count; e++) {
      const freshet_history_event* event = &history->events[e];
      if (event->user == user) row[event->item] = (char)('0' + (int)event->rating);
    }
    printf("   %s  %.60s\n", history->users[user], row);
  }
}

static double cosine(const freshet_history* history, size_t a, size_t b) {
  const float* x = history->vectors + a * history->text_dim;
  const float* y = history->vectors + b * history->text_dim;
  double xy = 0, xx = 0, yy = 0;
  for (uint32_t k = 0; k < history->text_dim; k++) {
    xy += (double)(x[k] * y[k]);
    xx += (double)(x[k] * x[k]);
    yy += (double)(y[k] * y[k]);
  }
  return xy / sqrt(xx * yy + 1e-30);
}

static void print_vectors(const freshet_history* history) {
  printf("\n2. Texts to vectors: %s, %u dimensions. Cosines of item-00 with others:\n  ", history->encoder,
         history->text_dim);
  static const size_t others[] = {1, 5, 10, 50, 99};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    printf(" %s %.3f", history->items[others[i]].id, cosine(history, 0, others[i]));
  }
  printf("\n");
}

/* HELD_OUT positives of each user, by lot, are kept out of training. */
static void hold_out(const freshet_history* history, bool* held) {
  uint32_t positives[USERS] = {0}, kept[USERS] = {0};
  for (size_t i = 0; i < history->event_count; i++) {
    positives[history->events[i].user] += history->events[i].ranked;
  }
  for (size_t i = 0; i < history->event_count; i++) {
    const freshet_history_event* event = &history->events[i];
    if (!event->ranked) continue;
    held[i] = dice(8, i, positives[event->user]--) < (uint64_t)(HELD_OUT - kept[event->user]);
    kept[event->user] += held[i];
  }
}

/* Asks for event i as the user's next; 1 when it is not among the ten best of what the user lacks. */
static double error_of(freshet_learner* learner, size_t i, const bool* has) {
  const freshet_history_event* event = &learner->history->events[i];
  freshet_metrics metrics = freshet_metrics_make(ITEMS);
  float scores[ITEMS];
  learner->contender.score(&learner->contender, event, scores);
  freshet_trial trial = {.item = event->item, .negative = event->item, .has = has, .counted = true};
  freshet_placing placing = freshet_placing_of(&trial, scores, ITEMS);
  freshet_metrics_add(&metrics, &trial, &placing);
  double error = 1 - metrics.all.recall;
  freshet_metrics_free(&metrics);
  return error;
}

/* Learns all that is not held out, or, unless `learn`, only looks; prints the mean errors. */
static void run_epoch(freshet_learner* learner, const bool* held, bool learn) {
  const freshet_history* history = learner->history;
  static bool has[USERS][ITEMS];
  double errors[2] = {0};
  size_t counts[2] = {0};
  memset(has, 0, sizeof has);
  freshet_learner_forget_users(learner); /* or their histories would hold what they are asked for */
  for (size_t i = 0; i < history->event_count; i++) {
    const freshet_history_event* event = &history->events[i];
    if (!event->ranked && !event->context) continue;
    if (event->ranked) {
      errors[held[i]] += error_of(learner, i, has[event->user]);
      counts[held[i]]++;
    }
    if (held[i]) continue;
    learner->frozen = !learn;
    learner->contender.learn(&learner->contender, event);
    has[event->user][event->item] = true;
  }
  printf("    %.3f     %.3f\n", errors[0] / (double)counts[0], errors[1] / (double)counts[1]);
}

static void train(freshet_learner* learner, const bool* held) {
  printf(
      "\n3. Training. %d positive ratings of each user are held out, by lot. error = share of positives "
      "that\n"
      "   are not among the ten best of what the user has not rated then, before they are learned.\n"
      "   epoch  learned  held out\n",
      HELD_OUT);
  for (int epoch = 0; epoch <= EPOCHS; epoch++) {
    printf("   %5d", epoch);
    run_epoch(learner, held, epoch > 0);
  }
  printf(
      "   Epoch 0 learns nothing. Items keep what they have learned, users start each epoch anew. A stream\n"
      "   is one epoch: more of them learn the order of these events by heart.\n");
}

static freshet_status show_lists(const freshet_evaluation* evaluation, const freshet_config* config,
                                 freshet_history* history, freshet_error* error) {
  freshet_model_config model = freshet_evaluation_model(config);
  bool* held = calloc(history->event_count + 1, sizeof *held);
  FRESHET_ASSERT(held != NULL);
  freshet_learner* learner = NULL;
  freshet_status status = freshet_learner_create(history, &model, false, &learner, error);
  if (status == FRESHET_OK) {
    hold_out(history, held);
    train(learner, held);
    printf("\n4. Settings, by time-ordered cross-validation on three folds:\n");
    freshet_evaluation search = *evaluation;
    search.folds = 3;
    search.tuned[0] = "dim=16,32,64";
    search.tuned[1] = "negatives=20,50";
    search.tuned_count = 2;
    search.json = false;
    status = freshet_evaluation_search(&search, history, error);
  }
  if (status == FRESHET_OK) {
    const freshet_list_making making = freshet_evaluation_making(config);
    freshet_learner_make_lists(learner, &making);
    printf("\n5. Lists of two users as the service makes them, with reasons:\n");
    status = freshet_report_explain(learner, "user-03", error);
    if (status == FRESHET_OK) status = freshet_report_explain(learner, "user-42", error);
  }
  if (learner != NULL) learner->contender.destroy(&learner->contender);
  free(held);
  return status;
}

freshet_status freshet_evaluation_example(const freshet_evaluation* evaluation, const freshet_config* config,
                                          freshet_error* error) {
  freshet_evaluation own = *evaluation;
  own.all_ratings = true;
  freshet_history_rules rules = freshet_evaluation_rules(&own, config);
  freshet_history* history = freshet_history_create();
  freshet_encoder* encoder = NULL;
  make_items(history);
  make_events(history);
  freshet_history_arrange(history, &rules);
  print_data(history);
  freshet_status status = freshet_command_encoder_create(config, &encoder, error);
  if (status == FRESHET_OK && encoder != NULL) {
    status = freshet_history_encode(history, encoder, error);
    if (status == FRESHET_OK) print_vectors(history);
  }
  if (status == FRESHET_OK) status = show_lists(&own, config, history, error);
  freshet_encoder_destroy(encoder);
  freshet_history_destroy(history);
  return status;
}
