/*
 * stream_config.h: the settings of the stream processor, as the rooms from stream up to worker read them. The
 * command line fills it in; nothing in here changes afterwards, but for `rules`, which is replaced between two
 * turns (freshet_worker_set_rules). It must not know where a setting comes from.
 */
#ifndef FRESHET_STREAM_STREAM_CONFIG_H
#define FRESHET_STREAM_STREAM_CONFIG_H

#include "core/observe.h"
#include "core/rules.h"
#include "freshet/event.h"
#include "freshet/model.h"
#include "stream/partitioner.h"

typedef enum freshet_delivery {
  FRESHET_DELIVERY_FAST = 0,  /* lists are published at once, outside of the transaction */
  FRESHET_DELIVERY_COMMITTED, /* lists are part of the transaction */
} freshet_delivery;

typedef struct freshet_stream_config {
  const char* generation;      /* own app id, see serving.h; NULL: there are no generations */
  const char* base_generation; /* app id of the first; both borrowed */
  freshet_delivery delivery;
  freshet_partitioner partitioner; /* of the producers of `events` */
  int32_t previous_partitions;     /* of `events` before it was grown; 0: it was not */
  freshet_model_config model;
  freshet_event_limits limits;
  float weights[FRESHET_EVENT_TYPES]; /* by freshet_event_type */
  float positive_rating;              /* ratings at or above are positive */
  freshet_goal goal;                  /* for which choices lists are */
  const freshet_rules* rules;         /* of the first moment, copied; NULL: none */
  uint32_t list_size;                 /* k */
  bool explain;                       /* lists carry reasons */
  float diversity;                    /* of lists: see core/select.h */
  float context_weight;               /* of a request's text, in items just chosen */
  int64_t requests_max_age_ms;        /* who has waited longer gets an empty list; 0: nobody has */
  int64_t max_delay_ms;               /* no user waits longer for a list, while lagging */
  uint64_t far_behind;                /* events: beyond this, lists of who does not serve wait */
  uint32_t ranking_threads;           /* 1: on the worker thread */
  uint32_t lagging_threads;           /* of ranking while events lag; at least ranking_threads */
  uint32_t ranking_batch;             /* lists of a turn, unless users have waited for long */
  int64_t commit_interval_ms;         /* between two commits of the state */
  /* With delivery = committed: between two transactions, most of them of lists alone. */
  int64_t lists_interval_ms;
  uint32_t overlay_users;         /* commit at once when that many rows have changed */
  uint32_t cached_users;          /* rows kept in memory */
  uint32_t dedup_events;          /* window, per partition: count ... */
  int64_t dedup_window_ms;        /* ... and time */
  int64_t items_interval_ms;      /* learned item state goes to the store this often */
  int64_t checkpoint_interval_ms; /* and to <app>.items this often */
  size_t item_rows_a_turn;        /* at least 1: learned item state is written in pieces of so many rows */
  size_t
      commit_rows_a_turn; /* at least 1: a commit is written in pieces of so many records, and more items */
  size_t survey_rows_a_turn;    /* at least 1: users of a partition that has come, looked through at once */
  int64_t text_interval_ms;     /* the job for new and changed texts turns this often ... */
  size_t text_batch;            /* ... and sooner when that many wait */
  int64_t link_slice_us;        /* a turn looks so long, at most, for neighbours by text that are missing */
  double text_cutover_coverage; /* another encoder serves from this share of listed items on */
} freshet_stream_config;

#endif
