/*
 * support_real_user.h: for tests that change a state by hand after a run: the state of a real user, and one more event.
 */
#ifndef FRESHET_TESTS_SUPPORT_REAL_USER_H
#define FRESHET_TESTS_SUPPORT_REAL_USER_H

#include "codec/codec.h"
#include "codec/state_records.h"
#include "stream/store.h"
#include "support_cluster.h"

/* The state of some user of partition 0. It owes no list, and its last list carries nothing. Its views
 * point into *row, which the caller frees. */
freshet_user_state sim_real_user(freshet_store* store, freshet_codec* codec, freshet_buffer* row);
/* A click on an item of the run, in partition 0. Returns its offset. */
int64_t sim_send_click(sim_cluster* cluster, freshet_codec* codec, const char* event_id, const char* user_id);

#endif
