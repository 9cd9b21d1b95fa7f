/*
 * texts_internal.h: the state that texts.c (what has a vector), texts_job.c (encoding what has none) and
 * texts_cutover.c (the change of the serving encoder) share. For nobody else.
 */
#ifndef FRESHET_CATALOGUE_TEXTS_INTERNAL_H
#define FRESHET_CATALOGUE_TEXTS_INTERNAL_H

#include "catalogue/text_starts.h"
#include "catalogue/texts.h"
#include "text/vocabulary.h"

/* Every item has one, so it is packed. */
typedef struct freshet_item_text_state {
  uint64_t hash;          /* of what its vector is made of, as announced; 0: of nothing */
  int32_t partition : 24; /* of `items` */
  bool served : 1;        /* the model has the vector of this hash, by the serving encoder */
  bool filled : 1;        /* there is the vector of this hash by our own encoder */
  bool refused : 1;       /* our own encoder will never have one: it refused the text of this hash for good */
  bool wanted : 1;        /* in the list of those that lack it */
  bool expected : 1;      /* events wait for it: freshet_texts_expect */
  bool submitted : 1;     /* the embedder has the text of this hash */
} freshet_item_text_state;

/* A text that the embedder has; its id there is the hash, so that a result can only be taken for what it is,
 * even one that was asked for before the item tables were loaded again. */
typedef struct freshet_text_submission {
  uint64_t hash;
  uint32_t slot;
} freshet_text_submission;

struct freshet_texts {
  freshet_ports ports;
  freshet_model* model;
  freshet_text_generations* generations;
  freshet_text_starts* starts;
  freshet_vocabulary*
      vocabulary; /* of the items announced since the tables were loaded; NULL: any word is known */
  uint32_t dim;   /* of our own encoder; 0: there are no texts */
  int64_t interval_ms;
  size_t batch;
  double cutover_coverage;
  int64_t next_ms, next_look_ms;
  bool is_loaded;                 /* see freshet_texts_load */
  bool expects;                   /* some that are expected were still missing when last looked at */
  bool fact_sent;                 /* that our own generation serves: on its way into the log */
  freshet_item_text_state* items; /* [item_count] by slot */
  size_t item_count;
  uint32_t*
      wanted; /* [wanted_end] slots without a vector by our own encoder, from wanted_start on: a queue */
  size_t wanted_start, wanted_end, wanted_capacity;
  size_t round;    /* slots of the queue that the round under way has not looked at; 0: there is none */
  bool is_cut;     /* the last turn has left work to the next one, since it took long enough */
  uint32_t* fresh; /* [fresh_count], at most FRESH_MAX: more at once are not worth a refresh of their own */
  size_t fresh_count;
  freshet_text_submission* submissions; /* [submission_count] */
  size_t submission_count, submission_capacity;
  freshet_buffer text, row, key, value; /* scratch */
  float* vector;                        /* [dim] */
  float* start;                         /* [model.dim] */
  void (*encoded)(void* context, const freshet_embedded* embedded);
  void* encoded_context;
};

/* Another encoder serves than the configured one. */
static inline bool freshet_texts_is_migrating(const freshet_texts* texts) {
  return texts->generations->own.tag != texts->generations->serving.tag;
}

/* ---- texts.c ---- */
/* Holds until the next call. */
freshet_item_text_state* freshet_texts_item(freshet_texts* texts, uint32_t slot);
/* A text that stays without a vector stops nobody: anybody may announce one. */
void freshet_texts_give_up(freshet_texts* texts, uint32_t slot, const char* reason);
/* Publishes texts->vector, which our encoder has made of this hash. */
freshet_status freshet_texts_publish(freshet_texts* texts, uint32_t slot, uint64_t hash,
                                     freshet_error* error);
/* texts->key and texts->value leave for <app>.items with the next commit. */
void freshet_texts_send(freshet_texts* texts, bool has_value);

/* ---- texts_job.c ---- */
static inline size_t freshet_texts_wanted(const freshet_texts* texts) {
  return texts->wanted_end - texts->wanted_start;
}
/* The item lacks a vector by our own encoder. */
void freshet_texts_want(freshet_texts* texts, uint32_t slot);

/* ---- texts_cutover.c ---- */
/* Once a second: shows how many listed items have a vector by our own encoder, and lets it serve when there are
 * enough. owns_first: this worker holds partition 0 of `items`, so it speaks for the application. */
freshet_status freshet_texts_look_at_coverage(freshet_texts* texts, bool owns_first, int64_t now_ms,
                                              freshet_error* error);

#endif
