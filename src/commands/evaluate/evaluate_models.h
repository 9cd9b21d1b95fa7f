/*
 * evaluate_models.h: what takes part in an evaluation: the model and the baselines, behind one interface
 * (freshet_contender). A contender must not see an event before it has been asked about it.
 */
#ifndef FRESHET_COMMANDS_EVALUATE_MODELS_H
#define FRESHET_COMMANDS_EVALUATE_MODELS_H

#include "commands/evaluate/evaluate_data.h"
#include "commands/evaluate/evaluate_metrics.h"
#include "core/observe.h"
#include "core/rules.h"

typedef struct freshet_contender freshet_contender;
enum { FRESHET_SETTING_SIZE = 96 };

struct freshet_contender {
  const char* name;
  /* Scores of all items for the event's user at its time, before it is learned; seen items need no care. */
  void (*score)(freshet_contender* self, const freshet_history_event* event, float* scores);
  void (*learn)(freshet_contender* self, const freshet_history_event* event);
  void (*destroy)(freshet_contender* self);
  /* May be NULL: the same question without the scores of all items. False: this time they are needed. */
  bool (*place)(freshet_contender* self, const freshet_history_event* event, const freshet_trial* trial,
                freshet_placing* placing);
  /* May be NULL: in words, the setting that was chosen for it. */
  void (*describe)(const freshet_contender* self, char text[FRESHET_SETTING_SIZE]);
};

/* Names of baselines, ended by NULL. */
extern const char* const freshet_baseline_names[];
/* NULL for an unknown name. The history must outlive it. */
freshet_contender* freshet_baseline_create(const char* name, const freshet_history* history, uint64_t seed);

/* How the service makes its lists from what the model ranks. */
typedef struct freshet_list_making {
  const freshet_rules* rules; /* borrowed */
  float diversity;
  uint32_t k; /* of a list; its first FRESHET_LIST_SIZE items count */
} freshet_list_making;

/* The model, with what only it can tell. */
typedef struct freshet_learner {
  freshet_contender contender; /* first */
  const freshet_history* history;
  freshet_model* model;
  freshet_user** users; /* [user_count], made when first met */
  freshet_model_scratch* scratch;
  freshet_event_values values; /* may be set: ratings from 4 of 1 to 5 are choices otherwise */
  freshet_list_making making;  /* freshet_learner_make_lists sets it; rules NULL: lists are what is ranked */
  struct freshet_workplace* workplace; /* scratch of a list; NULL before freshet_learner_make_lists */
  uint32_t* hidden;                    /* [hidden_capacity] scratch of freshet_learner_hidden */
  size_t hidden_capacity;
  bool frozen; /* may be set: learning only advances the users' histories */
  uint32_t untaken;
  float* vector; /* [text_dim] scratch, of the text of a user's history, like these two: */
  freshet_buffer joined, text;
  freshet_ranker* ranker;
  freshet_rank_scratch* rank_scratch;
  uint32_t *learn_ns, *rank_ns; /* [learn_count], [rank_count] times of each step; NULL: none are taken */
  size_t learn_count, rank_count;
} freshet_learner;

/* All items of the history are announced, listed and have their texts; an item's number is its slot.
 * `measure`: note how long learning and ranking take. Errors: as freshet_model_create. */
freshet_status freshet_learner_create(const freshet_history* history, const freshet_model_config* config,
                                      bool measure, freshet_learner** learner, freshet_error* error);
/* From now on lists are made as by the service: boosts act on the scores, and diversity, pins and bounds by category on
 * the places. Items by chance (new_share) do not act. */
void freshet_learner_make_lists(freshet_learner* learner, const freshet_list_making* making);
/* Makes a list of at most FRESHET_LIST_SIZE items for the query, without the items that the user has. Returns how many
 * there are. Only after freshet_learner_make_lists. */
size_t freshet_learner_list(freshet_learner* learner, const freshet_rank_query* query, const bool* has,
                            uint32_t list[FRESHET_LIST_SIZE]);
/* What the rules hide from the user at a time: of what the user has seen, and the user's own items. Returns how many;
 * *slots holds until the next call. */
size_t freshet_learner_hidden(freshet_learner* learner, const freshet_rules* rules, uint32_t user,
                              int64_t now_ms, const uint32_t** slots);
/* The mean cosine of the texts of any two items of a list; NAN with fewer than two. */
double freshet_learner_list_likeness(const freshet_learner* learner, const uint32_t* list, size_t count);
/* The mean cosine of the texts of any two items: what a list would have that is drawn by lot. NAN with fewer than two. */
double freshet_history_likeness(const freshet_history* history);
/* All users become new ones. */
void freshet_learner_forget_users(freshet_learner* learner);
freshet_user* freshet_learner_user(freshet_learner* learner, uint32_t user);
/* The score of the event's item alone. */
float freshet_learner_affinity(freshet_learner* learner, const freshet_history_event* event);

#endif
