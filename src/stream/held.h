/*
 * held.h: the partitions of the input topics that this process holds, and how far it has come in each. It owns
 * the numbers of a partition: offsets, and its part in a switch of generations. It answers what follows from
 * them: which items are ours, where lists go, how far learning is behind. It must not know what a record means,
 * nor how a partition is restored.
 *
 * A pointer to a partition holds until the next freshet_held_add or freshet_held_remove. Not thread-safe.
 */
#ifndef FRESHET_STREAM_HELD_H
#define FRESHET_STREAM_HELD_H

#include "stream/serving.h"
#include "stream/source.h"

typedef struct freshet_dedup freshet_dedup;

typedef struct freshet_held_partition {
  freshet_topic topic;
  int32_t partition;
  int64_t next;       /* offset of the next record to apply; -1: from the beginning, nothing was read yet */
  int64_t committing; /* `next` as of the commit under way, else of the last one */
  int64_t committed;  /* `next` as of the last commit */
  int64_t apart;      /* `next` as of the state that was set apart last (worker/commit_state.c) */
  freshet_listed listed; /* as committed last; the offset is `committed` or beyond, of partitions of events */
  freshet_listed to_list; /* as the commit under way says */
  /* Since the commit of `listed`, no item has left the lists, as of these `delistings`. */
  bool has_kept_listing;
  uint64_t delistings;
  int64_t since_ms;     /* wall clock: held since; records written before are history to this process */
  int64_t reached_ms;   /* time of the last record applied; 0: none yet */
  bool awaits_schema;   /* the record at `next` cannot be read yet, and those after it are let pass */
  freshet_dedup* dedup; /* opaque here, and not owned; NULL for other topics than events */
  /* The hand-over between generations, of partitions of events. Each is the number of a switch. */
  int64_t releasing; /* the last for which a release is on its way: publishes no more */
  int64_t taking;    /* the last for which it has begun to take over: publishes */
  int64_t taken;     /* the last for which it has told so, or is about to */
  size_t to_take;    /* users that have no list of ours yet since it began, and 1 until all are found */
} freshet_held_partition;

typedef struct freshet_held freshet_held;

/* Neither is owned; both outlive it. */
freshet_held* freshet_held_create(freshet_source* source, const freshet_serving* serving);
void freshet_held_destroy(freshet_held* held);

/* All offsets start at partition->offset. The partition must not be held already. */
freshet_held_partition* freshet_held_add(freshet_held* held, const freshet_partition* partition);
void freshet_held_remove(freshet_held* held, freshet_held_partition* partition);

/* The partition is read from this offset again, as if nothing behind it had been done. The caller seeks. */
void freshet_held_rewind(freshet_held_partition* partition, int64_t offset);

/* NULL: it is not held. */
freshet_held_partition* freshet_held_find(const freshet_held* held, freshet_topic topic, int32_t partition);
/* Goes through the partitions of a topic, or of all topics (FRESHET_TOPICS). `after`: the last one, NULL for
 * the first. NULL: there are no more. */
freshet_held_partition* freshet_held_next(const freshet_held* held, freshet_topic topic,
                                          const freshet_held_partition* after);
/* for (each partition `p` of the topic) */
#define FRESHET_HELD_EACH(p, held, topic)                                           \
  for (freshet_held_partition* p = freshet_held_next(held, topic, NULL); p != NULL; \
       p = freshet_held_next(held, topic, p))
size_t freshet_held_count(const freshet_held* held, freshet_topic topic);

/* Everything before `next` is applied; the record before it was written at reached_ms. */
void freshet_held_advance(freshet_held_partition* held, int64_t next, int64_t reached_ms);
/* The record at `offset` waits, so reading goes on there. */
void freshet_held_stop_at(freshet_held_partition* held, int64_t offset);
/* A commit starts; everything before `done`, which is not beyond `next`, is applied or answered. */
void freshet_held_start_commit(freshet_held_partition* held, int64_t done);
/* The state is set apart as it is now; a commit of it will start later. */
void freshet_held_set_apart(freshet_held_partition* held);
/* That commit starts. All lists that go with it are committed. */
void freshet_held_start_apart(freshet_held_partition* held);
/* It says that the lists of all events before `offset` are committed, if that has not been said of more. */
void freshet_held_start_listed(freshet_held_partition* held, int64_t offset, uint64_t listing);
/* It has ended well. */
void freshet_held_end_commit(freshet_held_partition* held);
/* The lists of the next event are committed already, and it is only learned again. */
static inline bool freshet_held_is_replaying(const freshet_held_partition* held) {
  return held->next < held->listed.offset;
}
/* Is this partition of events replayed? -1: is any? */
bool freshet_held_replays(const freshet_held* held, int32_t partition);
/* Records since the last commit will come again. */
void freshet_held_roll_back(freshet_held_partition* held);
/* What has begun of a switch of generations begins again, by the facts in the log. */
void freshet_held_forget_hand_over(freshet_held_partition* held);

typedef enum freshet_held_offset {
  FRESHET_HELD_NEXT = 0,
  FRESHET_HELD_COMMITTING,
  FRESHET_HELD_COMMITTED
} freshet_held_offset;

/* The partitions of a topic, or of all topics, with one of their offsets, [*count]. The caller frees. */
freshet_partition* freshet_held_list(const freshet_held* held, freshet_topic topic, freshet_held_offset which,
                                     size_t* count);

/* Which of the first `partitions` partitions of `items` are held: a bitmap [partitions] that holds until the next call. */
const bool* freshet_held_items(freshet_held* held, int32_t partitions);

/* Are requests of this partition ours: to answer, now or as soon as we have taken over, or to hand over? */
bool freshet_held_takes_requests(const freshet_held* held, int32_t partition);

/* The topic for lists of users whose events come from this partition. */
freshet_topic freshet_held_list_topic(const freshet_held* held, int32_t partition);

/* Events that exist and are not applied yet, as far as the ends are known. */
uint64_t freshet_held_lag(const freshet_held* held);
/* How old the last applied record is of the partition that is furthest behind, in ms at the time now_ms. 0: none is
 * behind, or nothing was applied yet. */
int64_t freshet_held_lag_ms(const freshet_held* held, int64_t now_ms);

#endif
