/*
 * texts.h: how items get their text vectors, and the periodic job that sees to new and changed texts.
 *
 * A ready-made vector in the Item record is taken as it is. Else the text (title and text) is encoded:
 * - by parts.encoder, at once, in every worker, where encoding costs next to nothing (hashing);
 * - by parts.embedder, in the background, once: by the worker that owns the item's partition of `items`. It
 * publishes the vector to <app>.items under the key NUL "text" + item id, with its next commit; every worker
 * reads it there and keeps it in its store, so that neither a restart nor another worker encodes a text again
 * whose hash is known. Texts wait until there are text_batch of them or text_interval_ms has passed.
 */
#ifndef FRESHET_WORKER_TEXTS_H
#define FRESHET_WORKER_TEXTS_H

#include "worker/worker.h"

typedef struct freshet_texts freshet_texts;

/* Nothing is owned. The model's text_dim is that of the encoder; 0: there are no texts, and every call does
 * nothing. */
freshet_texts* freshet_texts_create(const freshet_worker_config* config, const freshet_worker_parts* parts,
                                    freshet_model* model);
void freshet_texts_destroy(freshet_texts* texts);
uint32_t freshet_texts_dim(const freshet_worker_parts* parts);

/* An Item record has been applied to the slot; item NULL: it was withdrawn. */
freshet_status freshet_texts_announced(freshet_texts* texts, uint32_t slot, int32_t partition,
                                       const freshet_item* item, freshet_error* error);

/* Is this record of <app>.items a text vector? Then it goes to freshet_texts_apply. */
bool freshet_texts_is_vector(const freshet_record* record);
freshet_status freshet_texts_apply(freshet_texts* texts, const freshet_record* record, freshet_error* error);

/* Submits what is due and collects what is done, for the partitions of `items` held (a bitmap, [partitions]).
 * Never waits. */
freshet_status freshet_texts_turn(freshet_texts* texts, const bool* owned, int32_t partitions,
                                  freshet_error* error);

/* Vectors (and, for withdrawn items, tombstones) that wait for a transaction, and putting them into the open
 * one. */
bool freshet_texts_unwritten(const freshet_texts* texts);
freshet_status freshet_texts_write(freshet_texts* texts, freshet_error* error);
/* The owner's part in a withdrawal: a tombstone for the item's text vector. What has been learned about it
 * stays, since histories of users point at it. */
void freshet_texts_forget(freshet_texts* texts, freshet_slice item_id);

/* Slots that have got a vector since the last call; *slots points into the object until its next call. */
size_t freshet_texts_take_fresh(freshet_texts* texts, const uint32_t** slots);

#endif
