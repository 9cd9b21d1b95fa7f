/*
 * model_take.h: what has been learned since the last take, and a take under way (model_delta.c). For model_internal.h.
 */
#ifndef FRESHET_CORE_MODEL_TAKE_H
#define FRESHET_CORE_MODEL_TAKE_H

#include "freshet/bytes.h"

/* The values of an item when it was first touched since the last take. */
typedef struct pending_item {
  uint32_t slot;
  bool is_named; /* by the trace */
  double bias, factor_squares, context_squares, bias_squares;
} pending_item;

typedef struct trace_event {
  uint32_t item;     /* its place in gathered.items; so are trace_items */
  uint16_t weight;   /* in 1/WEIGHT_UNITS, a code of back steps, TRACE_AGAIN and TRACE_DISLIKE */
  uint8_t context;   /* items of the context */
  uint8_t kept;      /* items that follow in trace_items: all of the context, unless the event is sampled */
  bool chosen_hears; /* see model_thin.h; so is hear */
  bool fades;        /* its code of the order has ORDER_FADES */
  uint8_t span_code; /* of a repeat */
  uint32_t hear;
} trace_event;

/* What has been learned since the last take, and the values before it. */
typedef struct gathered {
  pending_item* items; /* [capacity] */
  float* rows;         /* [capacity][2][dim] before: v, and m if it has a row */
  uint32_t count, capacity;
  trace_event* trace;
  size_t trace_count, trace_capacity;
  uint32_t* trace_items;
  size_t trace_item_count, trace_item_capacity;
  uint64_t trace_start; /* events before the first of the trace */
} gathered;

/* A take under way: model_delta.c. What is learned meanwhile gathers elsewhere. Arrays: [of->count] */
typedef struct delta_take {
  gathered* of;    /* NULL: there is none */
  double share;    /* of this worker, in the events of all */
  bool is_coarse;  /* its trace is sampled, and rows are rounded */
  float threshold; /* of a coarse take: see model_given.c */
  bool is_given;   /* a part has been given out, with the gains of the globals */
  uint32_t ready;  /* items before this place have their gains in `gains` */
  uint32_t* sizes; /* bytes of an item's gains; 0: they are not there yet */
  size_t* starts;  /* where they are */
  freshet_buffer gains;
  /* -- parts -- */
  uint32_t* indices; /* 1 + the item's index in the part under way; 0: it is not in it */
  uint32_t* items;   /* [item_count] places of the items of the part */
  bool* is_written;  /* its gains are in a part, or need not be */
  size_t item_count, next_item;
  size_t next_event, next_context; /* of the trace, and of its items */
  uint64_t passed; /* events of the trace in earlier parts that are events of the model's time */
  size_t capacity;
} delta_take;

/* Set in the weight of a trace event: a dislike, which has no context and is no event of the model's time; a choice
 * of what the user had chosen before. */
enum { TRACE_DISLIKE = 1 << 15, TRACE_AGAIN = 1 << 14 };
/* The code of the share of back steps, in the weight of a trace event beside these. */
enum { TRACE_BACK_SHIFT = 9, BACK_CODES = 32, TRACE_WEIGHT = (1 << TRACE_BACK_SHIFT) - 1 };
/* The code of the order of an event: that of its share of back steps, and ORDER_FADES. See model_order.c. */
enum { ORDER_FADES = BACK_CODES, ORDER_CODES = 2 * BACK_CODES };

#endif
