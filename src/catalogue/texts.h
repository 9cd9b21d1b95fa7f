/*
 * texts.h: how items get their text vectors, and the periodic job for new and changed texts.
 *
 * A text is encoded once, by the worker that owns the item's partition of `items`. That worker publishes the vector,
 * with the start of the item's factors (text_starts.h), to <app>.items with its next commit. Every worker reads it
 * there and keeps it in its store, so neither a restart nor another worker encodes a text whose hash is known.
 * With an embedder, texts are encoded in the background. They wait until there are text_batch of them, or until
 * text_interval_ms has passed. Without one the encoder costs next to nothing, and is called at once. Until the vector
 * of a changed text is there, the vector of the old text serves.
 *
 * A changed encoder is a migration (text_generations.h): the job fills its generation while the old one serves. When
 * the share of listed items with a text that have the new vector reaches text_cutover_coverage, the worker that owns
 * partition 0 of `items` publishes the fact that it serves from now on. Vectors of the old generation stay, so
 * configuring the old encoder again switches back without encoding anything.
 *
 * It owns what is known about each item's text, and what the embedder has. It knows nothing of users and lists.
 *
 * Thread rule: the worker's.
 */
#ifndef FRESHET_CATALOGUE_TEXTS_H
#define FRESHET_CATALOGUE_TEXTS_H

#include "catalogue/text_generations.h"
#include "stream/stream_config.h"

typedef struct freshet_texts freshet_texts;

/* Nothing is owned; *generations is kept up to date. The model's text_dim is that of the serving generation;
 * without an encoder there are no texts, and every call does nothing. */
freshet_texts* freshet_texts_create(const freshet_stream_config* config, const freshet_ports* ports,
                                    freshet_text_generations* generations, freshet_model* model);
void freshet_texts_destroy(freshet_texts* texts);

/* An Item record has been applied to the slot; item NULL: it was withdrawn. */
freshet_status freshet_texts_announced(freshet_texts* texts, uint32_t slot, int32_t partition,
                                       const freshet_item* item, freshet_error* error);

/* Ends the loading of the catalogue: finds the stored vectors of all items that were announced since the object was
 * created, in one scan of the store in the order of its rows. Until this call freshet_texts_announced looks for none.
 * Once. Errors: those of the store. */
freshet_status freshet_texts_load(freshet_texts* texts, freshet_error* error);

/* A record of <app>.items. *is_ours false: it is none of texts, and nothing happened. */
freshet_status freshet_texts_apply(freshet_texts* texts, const freshet_record* record, bool* is_ours,
                                   freshet_error* error);

/* Submits what is due and collects what is done, for the partitions of `items` held (a bitmap, [partitions]).
 * Never waits. Stops to submit after slice_us, but not before one text, and to collect after 3 ms, since requests wait for
 * some of it: freshet_texts_are_cut then, and the next turn goes on. */
freshet_status freshet_texts_turn(freshet_texts* texts, const bool* owned, int32_t partitions,
                                  int64_t slice_us, freshet_error* error);
bool freshet_texts_are_cut(const freshet_texts* texts);

/* Notes which announced items of these partitions are without the vector of their text, sees to them at the
 * next turn, and returns how many they are. None while the encoder changes: an older one serves until the new
 * one has them all. */
size_t freshet_texts_expect(freshet_texts* texts, const bool* owned, int32_t partitions);
/* Is one of those still without it? What could not be encoded is not expected any more. */
bool freshet_texts_lack(freshet_texts* texts);

/* The owner's part in a withdrawal: tombstones for the item's text vectors. What has been learned about it
 * stays, since histories of users point at it. */
freshet_status freshet_texts_forget(freshet_texts* texts, freshet_slice item_id, freshet_error* error);

/* Collects what the embedder has done, for 3 ms at most. Texts of requests and of users' histories go to
 * `encoded`, see freshet_texts_serve_others. */
freshet_status freshet_texts_collect(freshet_texts* texts, freshet_error* error);
void freshet_texts_serve_others(freshet_texts* texts,
                                void (*encoded)(void* context, const freshet_embedded* embedded),
                                void* context);
/* Where a text lies of which our own encoder has made `own`: *vector as the model compares texts, NULL when
 * its vectors are another encoder's; *start [model.dim] in the space of factors, NULL: the projection of the
 * vector. Both point into the object, or are `own`. False: nothing can be said now. */
bool freshet_texts_place(freshet_texts* texts, const float* own, const float** vector, const float** start);

/* What a request with this text asks for: without the words that no item has had in its text, when the encoder takes
 * any word. May point into out. Empty: no word is left. */
freshet_slice freshet_texts_known_words(const freshet_texts* texts, freshet_slice text, freshet_buffer* out);

/* Slots that have got a vector since the last call; *slots points into the object until its next call. */
size_t freshet_texts_take_fresh(freshet_texts* texts, const uint32_t** slots);

#endif
