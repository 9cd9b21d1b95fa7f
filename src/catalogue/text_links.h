/*
 * text_links.h: finds the neighbours by text of items that lack them, in slices of a few milliseconds, one a turn.
 * To compare all texts with all others takes minutes when a large catalogue is new. Until an item has had its turn,
 * its neighbours are the nearest among those that have had theirs.
 *
 * It owns the pace; the model owns the neighbours. It must not know why somebody waits for them: what is learned
 * depends on neighbours, so events wait at the start (worker/texts_first.c).
 *
 * Thread rule: the worker's. Ranking threads read neighbours only while the worker waits for them, so nothing is
 * locked.
 */
#ifndef FRESHET_CATALOGUE_TEXT_LINKS_H
#define FRESHET_CATALOGUE_TEXT_LINKS_H

#include <stdbool.h>

#include "freshet/model.h"
#include "stream/ports.h"

typedef struct freshet_text_links freshet_text_links;

/* Neither is owned. most_us: a turn looks for so long at most, while neighbours are missing. */
freshet_text_links* freshet_text_links_create(const freshet_ports* ports, freshet_model* model,
                                              int64_t most_us);
void freshet_text_links_destroy(freshet_text_links* links); /* NULL is allowed */

/* One slice of slice_us, in every turn of the list clock before events are learned; one small piece in any case. */
void freshet_text_links_turn(freshet_text_links* links, int64_t slice_us);
/* Some neighbours were still missing after the last turn. */
bool freshet_text_links_busy(const freshet_text_links* links);

/* From now on events wait for neighbours, for a second, which some ten thousand items need. */
void freshet_text_links_await(freshet_text_links* links);
/* Are some missing that are worth waiting for? is_patient: however long it takes. */
bool freshet_text_links_lack(const freshet_text_links* links, bool is_patient);

#endif
