/*
 * evaluate_offer.h: which items are on offer at a time of a history, as their records say.
 *
 * An item is on offer from its created_at until its expires_at, or until it is too old by rules.max_age_s; one that is
 * not available never is. Somebody who chose it before its created_at knew it: from then on it is on offer. It owns the
 * order of these changes, and tells the model. It must not know users or lists.
 */
#ifndef FRESHET_COMMANDS_EVALUATE_OFFER_H
#define FRESHET_COMMANDS_EVALUATE_OFFER_H

#include "commands/evaluate/evaluate_data.h"
#include "core/rules.h"

typedef struct freshet_offer freshet_offer;

/* Both are borrowed, and so is the model, whose slots are the numbers of the items. */
freshet_offer* freshet_offer_create(const freshet_history* history, const freshet_rules* rules,
                                    freshet_model* model);
void freshet_offer_destroy(freshet_offer* offer);

/* Goes on to a time; never back. */
void freshet_offer_advance(freshet_offer* offer, int64_t now_ms);
/* [item_count] true: not on offer now. It holds until the offer is destroyed. */
const bool* freshet_offer_lacks(const freshet_offer* offer);

#endif
