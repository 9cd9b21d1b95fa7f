/*
 * list_commit.h: with delivery = committed, most transactions hold lists and replies alone, since each partition that a
 * transaction writes to costs time. Such a commit leaves the offsets of events where the state is, and says beside them up to
 * which event all lists are committed (stream/listed.h). After a crash the events in between are learned again, and get no
 * list.
 *
 * Here is when that may be said. It owns nothing. It must not know when a commit is due (commit.h).
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_WORKER_LIST_COMMIT_H
#define FRESHET_WORKER_LIST_COMMIT_H

#include "worker/derived.h"

/* Does the state as it is owe a list to nobody, as far as all of it is known? If it does when a commit of it starts, a list that pays
 * the debt has to be part of a later commit of the state: else it would be paid again after a crash. */
bool freshet_list_commit_is_clear(const freshet_derived* derived);
/* May the next commit hold lists alone, if the state owed nothing to anybody at its last commit? Every event so far has its list,
 * nothing else waits to be written, and few events would have to be learned again. */
bool freshet_list_commit_may_start(const freshet_derived* derived);
/* Has it something to write? */
bool freshet_list_commit_is_due(const freshet_derived* derived);
/* Everything before this offset is applied or answered. */
int64_t freshet_list_commit_done_offset(const freshet_derived* derived, const freshet_held_partition* held);
/* A commit starts: notes how far it goes. has_state: of events too, not of requests alone. */
void freshet_list_commit_note(const freshet_derived* derived, bool has_state);

#endif
