/*
 * item_text.h: what the text vector of an item is made of. It is the encoding of the item's title and text, and the
 * vector that the item brings itself, if it does (of an image, or of any other model). Functions without state.
 *
 * With both, the vector is the sum of the two directions; with one of them it is that one. A vector with another
 * dimension than the encoder's is projected at random, which keeps inner products on average (Achlioptas, 2003). So
 * items are alike if their texts or their own vectors are. The norm of an own vector does not matter.
 */
#ifndef FRESHET_CATALOGUE_ITEM_TEXT_H
#define FRESHET_CATALOGUE_ITEM_TEXT_H

#include "freshet/bytes.h"
#include "freshet/event.h"

/* Title and text of the item. The result points into the scratch. */
freshet_slice freshet_item_text(const freshet_item* item, freshet_buffer* scratch);

/* A hash of all that the vector is made of. 0: the item has no vector, because its text is empty or holds no word. */
uint64_t freshet_item_text_hash(const freshet_item* item, freshet_buffer* scratch);

/* vector [dim]: the encoding of the item's text, zeros when it has none; becomes the item's vector, of norm 1 or
 * zeros. item->vector must be finite (freshet_item_validate). */
void freshet_item_complete_vector(const freshet_item* item, float* vector, uint32_t dim);

/* The text of a user's history: the beginnings of the texts of the last items, the newest first, each on
 * lines of its own, since an encoder reads only the beginning of a text. */
enum { FRESHET_HISTORY_TEXT_ITEMS = 5, FRESHET_HISTORY_TEXT_BYTES = 256 /* of each */ };
/* Appends the text of the next item. */
void freshet_history_text_add(freshet_slice text, freshet_buffer* joined);

#endif
