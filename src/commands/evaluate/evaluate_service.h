/*
 * evaluate_service.h: test, then learn, as the service does it.
 *
 * Owns the protocol of the service: every event is learned, repeats and low ratings too; an item leaves the
 * lists when rules.hide says so; a list is made before each event, at its time. It counts what the lists are
 * worth in four groups of events, and by segments. It must not know where events come from or how figures are
 * printed. Thread rule: one thread.
 */
#ifndef FRESHET_COMMANDS_EVALUATE_SERVICE_H
#define FRESHET_COMMANDS_EVALUATE_SERVICE_H

#include "commands/evaluate/evaluate_bootstrap.h"
#include "commands/evaluate/evaluate_models.h"
#include "core/rules.h"

/* Groups of events by their item. */
typedef enum freshet_group {
  FRESHET_GROUP_NEW,      /* chosen, and the user has not met it */
  FRESHET_GROUP_AGAIN,    /* chosen, and the user has met it */
  FRESHET_GROUP_ALL,      /* chosen: both of these */
  FRESHET_GROUP_DISLIKED, /* not met by the user, who then rates it in the lowest quarter of the scale */
  FRESHET_GROUPS
} freshet_group;
/* Prefixes of their figures: "service_", "again_", "all_", "disliked_". */
extern const char* const freshet_group_prefixes[FRESHET_GROUPS];

typedef enum freshet_segment {
  FRESHET_SEGMENT_HISTORY, /* how many the user has chosen */
  FRESHET_SEGMENT_SESSION, /* the event's place in its session; one ends after 600 s without an event */
  FRESHET_SEGMENT_AGE,     /* time since the first event of the item */
  FRESHET_SEGMENTS
} freshet_segment;
enum { FRESHET_SEGMENT_PARTS = 4 };
extern const char* const freshet_segment_names[FRESHET_SEGMENTS];
extern const char* const freshet_segment_parts[FRESHET_SEGMENTS][FRESHET_SEGMENT_PARTS];

typedef struct freshet_service_metrics {
  freshet_boot groups[FRESHET_GROUPS];
  freshet_boot segments[FRESHET_SEGMENTS][FRESHET_SEGMENT_PARTS]; /* of FRESHET_GROUP_ALL */
  double likeness; /* sum over lists of the mean cosine of the texts of two of its items ... */
  size_t likeness_count;
  size_t
      not_on_offer; /* of FRESHET_GROUP_ALL: choices of items that were not on offer then, which are misses */
} freshet_service_metrics;

/* The mean over lists of the cosine of the texts of two of their items; NAN without texts, and for baselines. */
double freshet_service_list_similarity(const freshet_service_metrics* metrics);
/* The share of lists of which the user disliked an item at the next event; NAN without lists. */
double freshet_service_disliked_in_list(const freshet_service_metrics* metrics);

typedef struct freshet_service_pass {
  const freshet_history* history;
  freshet_contender* const* contenders; /* [contender_count] the learner's is the first */
  freshet_service_metrics* metrics;     /* [contender_count] zeroed */
  size_t contender_count;
  freshet_learner* learner; /* whose seen sets say what is hidden, from all contenders */
  const freshet_rules* rules;
  float disliked;       /* a rating up to this is a dislike */
  double skipped_share; /* of the chosen items, this share is not counted at first */
  const char* label;    /* of the progress bar; NULL: none */
} freshet_service_pass;

void freshet_service_pass_run(const freshet_service_pass* pass);

#endif
