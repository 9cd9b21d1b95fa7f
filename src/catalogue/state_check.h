/*
 * state_check.h: could a record of the item tables' logs be applied? For `freshet repair`, which looks at every record
 * and applies none. It owns nothing.
 */
#ifndef FRESHET_CATALOGUE_STATE_CHECK_H
#define FRESHET_CATALOGUE_STATE_CHECK_H

#include "codec/codec.h"
#include "freshet/model.h"
#include "stream/source.h"

/* Of <app>.items and <app>.item-deltas, as the worker applies it. The model may be empty, but has the settings of the
 * worker's; what belongs to no single item is read into it. Errors: FRESHET_INVALID. */
freshet_status freshet_state_check(freshet_codec* codec, freshet_model* model, const freshet_record* record,
                                   freshet_error* error);

/* Has a later version written a value of a topic of state that this one cannot read? Of a sealed record: garbage may look
 * like it. */
bool freshet_state_is_later(freshet_codec* codec, const freshet_record* record);

/* The key of an item (u64) whose learned state a record of <app>.items holds. False: it holds something else. */
bool freshet_state_check_is_item(freshet_slice key, uint64_t* item_key);

#endif
