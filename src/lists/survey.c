/* survey.c: see survey.h. The store has each user as of the last commit; a row in memory is newer, and counts. */
#include "lists/survey.h"

enum { LOOK_EVERY = 16 /* rows, at the clock */ };

typedef struct slice {
  const freshet_survey* survey;
  int32_t partition;
  size_t rows;
  int64_t until_us;
  bool is_cut; /* there are more */
  freshet_status status;
  freshet_error* error;
} slice;

/* One row has been looked at. Returns whether the next one is. */
static bool count_row(slice* s) {
  s->rows++;
  const bool looks = s->rows % LOOK_EVERY == 0;
  s->is_cut = s->rows >= s->survey->config->survey_rows_a_turn ||
              (looks && freshet_clock_monotonic_us(s->survey->ports->clock) >= s->until_us) ||
              freshet_withdrawals_is_full(s->survey->withdrawals);
  return !s->is_cut;
}

static bool look_at_row(void* context, freshet_slice key, freshet_slice value) {
  slice* s = context;
  const freshet_survey* survey = s->survey;
  freshet_user_state state;
  s->status = freshet_decode_user_state(survey->ports->codec, value, &state, s->error);
  if (s->status != FRESHET_OK) return false;
  const bool has_gone = freshet_carriers_count(survey->carriers, s->partition, key, &state);
  const bool is_owed = state.listed_offset < state.newest_offset || state.refresh_since_ms != 0;
  if (!has_gone && !is_owed) return count_row(s);
  freshet_user_row* row;
  s->status = freshet_users_get(survey->users, s->partition, key, &row, s->error);
  if (s->status != FRESHET_OK) return false;
  if (row->exists && freshet_user_row_is_owed(row)) freshet_refresh_owe(survey->refresh, row);
  freshet_withdrawals_look_at(survey->withdrawals, row);
  return count_row(s);
}

bool freshet_survey_is_due(const freshet_survey* survey) {
  return freshet_carriers_expected_count(survey->carriers) > 0 &&
         !freshet_withdrawals_is_full(survey->withdrawals);
}

freshet_status freshet_survey_turn(const freshet_survey* survey, int64_t slice_us, freshet_error* error) {
  slice s = {.survey = survey, .error = error};
  freshet_slice after;
  freshet_gauge(&survey->ports->metrics->surveying, freshet_carriers_expected_count(survey->carriers));
  if (!freshet_survey_is_due(survey)) return FRESHET_OK;
  s.until_us = freshet_clock_monotonic_us(survey->ports->clock) + slice_us;
  freshet_carriers_next(survey->carriers, &s.partition, &after);
  freshet_status status = freshet_store_scan_after(survey->ports->store, FRESHET_FAMILY_USERS, s.partition,
                                                   after, look_at_row, &s, error);
  if (status == FRESHET_OK) status = s.status;
  if (status != FRESHET_OK) return status;
  if (!s.is_cut) freshet_carriers_complete(survey->carriers, s.partition);
  freshet_users_trim(survey->users);
  return FRESHET_OK;
}
