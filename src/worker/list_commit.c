/* list_commit.c: see list_commit.h. */
#include "worker/list_commit.h"

enum { REPLAY_MOST = 16384 /* events that are learned again after a crash */ };

bool freshet_list_commit_is_clear(const freshet_derived* derived) {
  return freshet_refresh_is_clear(derived->refresh) &&
         freshet_carriers_expected_count(derived->carriers) == 0;
}

/* Lists of a hand-over are made for users without an event, and made again until the log says that all have theirs. */
static bool may_be_learned_again(const freshet_derived* derived, const freshet_held_partition* held) {
  const bool has_place = held->committed >= 0 || held->next < 0; /* beside which it can be said */
  return has_place && held->taking == held->taken &&
         freshet_withdrawals_listing(derived->withdrawals, held) != 0;
}

bool freshet_list_commit_may_start(const freshet_derived* derived) {
  int64_t events = 0;
  if (!freshet_outbox_has_lists_alone(derived->ports->outbox) || !freshet_list_commit_is_clear(derived))
    return false;
  FRESHET_HELD_EACH(held, derived->held, FRESHET_TOPIC_EVENTS) {
    if (!may_be_learned_again(derived, held)) return false;
    events += held->next - held->committed;
  }
  return events <= REPLAY_MOST;
}

int64_t freshet_list_commit_done_offset(const freshet_derived* derived, const freshet_held_partition* held) {
  return held->topic == FRESHET_TOPIC_REQUESTS && held->next >= 0
             ? freshet_answers_position(derived->answers, held->partition, held->next)
             : held->next;
}

bool freshet_list_commit_is_due(const freshet_derived* derived) {
  const freshet_outbox* outbox = derived->ports->outbox;
  if (freshet_outbox_is_open(outbox) || freshet_outbox_kept(outbox) > 0) return true;
  FRESHET_HELD_EACH(held, derived->held, FRESHET_TOPIC_REQUESTS) {
    if (freshet_list_commit_done_offset(derived, held) != held->committed) return true;
  }
  return false;
}

void freshet_list_commit_note(const freshet_derived* derived, bool has_state) {
  FRESHET_HELD_EACH(held, derived->held, FRESHET_TOPICS) {
    const bool is_of_events = held->topic == FRESHET_TOPIC_EVENTS;
    const bool waits = derived->config->delivery == FRESHET_DELIVERY_COMMITTED;
    if (has_state || held->topic == FRESHET_TOPIC_REQUESTS)
      freshet_held_start_commit(held, freshet_list_commit_done_offset(derived, held));
    if (is_of_events)
      freshet_held_start_listed(held, has_state ? held->committing : held->next,
                                waits ? freshet_withdrawals_listing(derived->withdrawals, held) : 0);
  }
}
