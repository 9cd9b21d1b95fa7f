/*
 * evaluate_models.h: what takes part in an evaluation: the model and the baselines, behind one interface
 * (freshet_contender). A contender must not see an event before it has been asked about it.
 */
#ifndef FRESHET_COMMANDS_EVALUATE_MODELS_H
#define FRESHET_COMMANDS_EVALUATE_MODELS_H

#include "commands/evaluate/evaluate_data.h"
#include "commands/evaluate/evaluate_metrics.h"
#include "core/observe.h"

typedef struct freshet_contender freshet_contender;

struct freshet_contender {
  const char* name;
  /* Scores of all items for the event's user at its time, before it is learned; seen items need no care. */
  void (*score)(freshet_contender* self, const freshet_history_event* event, float* scores);
  void (*learn)(freshet_contender* self, const freshet_history_event* event);
  void (*destroy)(freshet_contender* self);
  /* May be NULL: the same question without the scores of all items. False: this time they are needed. */
  bool (*place)(freshet_contender* self, const freshet_history_event* event, const freshet_trial* trial,
                freshet_placing* placing);
};

/* Names of baselines, ended by NULL. */
extern const char* const freshet_baseline_names[];
/* NULL for an unknown name. The history must outlive it. */
freshet_contender* freshet_baseline_create(const char* name, const freshet_history* history, uint64_t seed);

/* The model, with what only it can tell. */
typedef struct freshet_learner {
  freshet_contender contender; /* first */
  const freshet_history* history;
  freshet_model* model;
  freshet_user** users; /* [user_count], made when first met */
  freshet_model_scratch* scratch;
  freshet_event_values values; /* may be set: ratings from 4 of 1 to 5 are choices otherwise */
  bool frozen;                 /* may be set: learning only advances the users' histories */
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
/* All users become new ones. */
void freshet_learner_forget_users(freshet_learner* learner);
freshet_user* freshet_learner_user(freshet_learner* learner, uint32_t user);
/* The score of the event's item alone. */
float freshet_learner_affinity(freshet_learner* learner, const freshet_history_event* event);

#endif
