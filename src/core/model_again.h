/*
 * model_again.h: what a user chooses again, for the other files of the model: how habits are kept, what they score,
 * and how they take part in a step of learning. Private to the model. model_habits.c has the formulas.
 */
#ifndef FRESHET_CORE_MODEL_AGAIN_H
#define FRESHET_CORE_MODEL_AGAIN_H

#include "freshet/model.h"

typedef struct candidates candidates; /* model_internal.h */

enum { AGAIN_TRAITS = 7 };

/* What decides how much a habit scores: the blend weights that are summed, and the log of how much more often than
 * others the item is chosen again. */
typedef struct habit_traits {
  uint32_t weights[AGAIN_TRAITS];
  float habit;
} habit_traits;

/* A candidate that is a habit of the user. */
typedef struct met_habit {
  uint32_t candidate;
  float score;
  habit_traits traits;
} met_habit;

/* Seconds since the epoch, within what a user's state can hold. */
static inline uint32_t freshet_seconds_of(int64_t time_ms) {
  const int64_t s = time_ms / 1000;
  return s < 0 ? 0 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}
static inline uint32_t freshet_span_between(uint32_t earlier_s, uint32_t later_s) {
  return later_s > earlier_s ? later_s - earlier_s : 0;
}
/* A time span as a code, 8 a factor of two: 0 .. 255. */
uint32_t freshet_model_span_code(uint64_t span_s);
/* The user's habit of that item; NULL: none. */
freshet_habit* freshet_user_find_habit(const freshet_user* user, uint32_t slot);
/* Room for a new one; at `most` the one that says least is given out. The caller fills it. */
freshet_habit* freshet_user_add_habit(freshet_user* user, uint32_t most);
void freshet_user_drop_habit(freshet_user* user, uint32_t slot);
/* Has the user chosen the item before? *code: of the time since then. */
bool freshet_model_chooses_again(const freshet_user* user, uint32_t slot, int64_t time_ms, uint8_t* code);
/* Both count an event, any and a choice. Call them before the event is in the history. */
void freshet_user_count_visit(freshet_user* user, int64_t time_ms);
void freshet_model_count_habit(const freshet_model* model, freshet_user* user, uint32_t slot,
                               int64_t time_ms);
/* Counts a repeat for the item. code: of the time since the choice before. */
void freshet_model_repeat_add(freshet_model* model, uint32_t slot, uint32_t units, uint32_t code);
/* scores [user->habit_count]: what is added to the score of each habit's item; may be negative. */
void freshet_model_habit_scores(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                                float* scores);
/* Prefetches what the scores of habits need of their items: it is seldom in the cache. */
void freshet_model_prefetch_habits(const freshet_model* model, const freshet_user* user);
/* The same for one item; 0 when it is no habit. *every_s: the mean time between two choices, 0: not known. */
float freshet_model_habit_part(const freshet_model* model, const freshet_user* user, int64_t now_ms,
                               uint32_t slot, uint32_t* every_s);
enum { FRESHET_HABIT_DRAWS = 8 };
/* Some of the user's habits as candidates. Returns how many; 0 while nobody chooses anything again. */
uint32_t freshet_model_draw_habits(const freshet_model* model, const freshet_user* user,
                                   uint32_t slots[FRESHET_HABIT_DRAWS]);
/* Finds the candidates, while they are marked, that are habits. draws: of freshet_model_draw_habits. */
void freshet_model_meet_habits(freshet_model* model, const freshet_user* user, int64_t now_ms, uint32_t draws,
                               candidates* s);
/* Adds the habits to the logits: call it when the features are set. */
void freshet_model_apply_habits(candidates* s);
void freshet_model_habit_gradient(freshet_model* model, const candidates* s);
void freshet_model_init_habits(freshet_model* model);

#endif
