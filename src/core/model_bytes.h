/*
 * model_bytes.h: how learned state is written as bytes and read again. Private to the model: model_delta.c takes
 * deltas, model_fold.c folds them, model_state.c stores items and globals. All share the additive part of an item.
 *
 * All integers and floats are little-endian (as the machines are that this is built for). A row of factors is
 * a sequence of whole multiples of 2^-20, 16 bits each where all fit, else 32.
 */
#ifndef FRESHET_CORE_MODEL_BYTES_H
#define FRESHET_CORE_MODEL_BYTES_H

#include <string.h>

#include "core/model_internal.h"

#define FRESHET_SCALAR_LIMIT 0x1p19 /* sums of squares are exact below it */

#define PUT(out, type, value) freshet_put(out, &(type){value}, sizeof(type))
static inline void freshet_put(freshet_buffer* out, const void* bytes, size_t size) {
  freshet_buffer_append(out, bytes, size);
}

/* Reads never leave the bytes: once something is missing, `bad` stays set and zeros are read. */
typedef struct freshet_byte_reader {
  const char* at;
  size_t left;
  bool bad;
} freshet_byte_reader;

static inline void freshet_take(freshet_byte_reader* in, void* value, size_t size) {
  if (in->bad || in->left < size) {
    in->bad = true;
    memset(value, 0, size);
    return;
  }
  memcpy(value, in->at, size);
  in->at += size;
  in->left -= size;
}

/* The next bytes [size], where they are; NULL when there are fewer. */
static inline const char* freshet_take_bytes(freshet_byte_reader* in, size_t size) {
  if (in->bad || in->left < size) {
    in->bad = true;
    return NULL;
  }
  in->at += size;
  in->left -= size;
  return in->at - size;
}

static inline uint8_t freshet_take_u8(freshet_byte_reader* in) {
  uint8_t x;
  freshet_take(in, &x, sizeof x);
  return x;
}
static inline uint16_t freshet_take_u16(freshet_byte_reader* in) {
  uint16_t x;
  freshet_take(in, &x, sizeof x);
  return x;
}
static inline uint32_t freshet_take_u32(freshet_byte_reader* in) {
  uint32_t x;
  freshet_take(in, &x, sizeof x);
  return x;
}
static inline uint64_t freshet_take_u64(freshet_byte_reader* in) {
  uint64_t x;
  freshet_take(in, &x, sizeof x);
  return x;
}
static inline int64_t freshet_take_i64(freshet_byte_reader* in) {
  return (int64_t)freshet_take_u64(in);
}
/* A number within limits, or bad. */
static inline double freshet_take_f64(freshet_byte_reader* in) {
  double x;
  freshet_take(in, &x, sizeof x);
  if (!(x >= -FRESHET_SCALAR_LIMIT && x <= FRESHET_SCALAR_LIMIT)) in->bad = true;
  return in->bad ? 0 : x;
}
static inline float freshet_take_count_f32(freshet_byte_reader* in) {
  float x;
  freshet_take(in, &x, sizeof x);
  if (!(x >= 0 && x <= 1e30F)) in->bad = true;
  return in->bad ? 0 : x;
}

static inline freshet_byte_reader freshet_read_slice(freshet_slice bytes) {
  return (freshet_byte_reader){bytes.data, bytes.size, false};
}

/* FRESHET_INVALID; `name` says which bytes. */
freshet_status freshet_malformed(freshet_error* error, const char* name);

/* What the additive numbers of an item have gained. */
typedef struct freshet_gains {
  double bias, factor_squares, context_squares, bias_squares;
} freshet_gains;

/* Added to the context size of an event in a trace. See model_delta.c. */
enum { TRACE_THINNED = 128, TRACE_FADES = 64 };
/* ... of an event in a sampled trace */
enum { TRACE_CHOSEN_HEARS = 128, TRACE_AS_BEFORE = 64, TRACE_SIZES = 64 /* above all context sizes */ };
enum { TRACE_SAMPLED = 64 }; /* added to the index bytes of a trace */

/* Appends the gains, and what the item's rows v and m have gained since v_before and m_before [dim]. */
void freshet_put_gains(const freshet_model* model, uint32_t slot, const freshet_gains* gain,
                       const float* v_before, const float* m_before, freshet_buffer* out);
/* Appends that nothing was gained. */
void freshet_put_no_gains(freshet_buffer* out);
enum { FRESHET_GIVES_V = 1, FRESHET_GIVES_M = 2 };
/* Reads gains and rows and adds them to the item, and to what is pending of it. slot FRESHET_NO_ITEM: only looks
 * whether they are well-formed. Returns which rows there are. */
unsigned freshet_take_gains(freshet_model* model, freshet_byte_reader* in, uint32_t slot);

/* The same in the short form, which rounds: a byte of precision for a number of the item, 15 steps for a number of a row. The
 * item keeps what is written: all workers agree. A row of v or m with its numbers may be left out. */
#define FRESHET_SHORT_MARK 0x1p21        /* above FRESHET_SCALAR_LIMIT */
#define FRESHET_SHORT_MARK_BEFORE 0x1p20 /* of an earlier version: all numbers of an item, and rows */

/* How far v (with the bias) and m have moved, in units of FRESHET_FACTOR_STEP. 0: not at all. */
typedef struct freshet_row_sizes {
  float v, m;
} freshet_row_sizes;
freshet_row_sizes freshet_gain_sizes(const freshet_model* model, uint32_t slot, const freshet_gains* before,
                                     const float* v_before, const float* m_before);

/* What the rows have gained counts so many times, at least 1. 0: the row is not given, and stays as it was before. */
typedef struct freshet_row_times {
  float v, m;
} freshet_row_times;
/* model_given.c: from which size on rows are always given, and how often what a row has gained counts. random: any. */
float freshet_model_given_threshold(const freshet_model* model, const gathered* g);
freshet_row_times freshet_model_given_times(freshet_row_sizes sizes, float threshold, uint64_t random);
/* random: bits that decide what is rounded up. False: nothing is given, though the bytes that say so are written. */
bool freshet_put_short_gains(freshet_model* model, uint32_t slot, const freshet_gains* before,
                             const float* v_before, const float* m_before, freshet_row_times times,
                             uint64_t random, freshet_buffer* out);
void freshet_put_no_short_gains(freshet_buffer* out);
unsigned freshet_take_short_gains(freshet_model* model, freshet_byte_reader* in, uint32_t slot);
unsigned freshet_take_short_gains_before(freshet_model* model, freshet_byte_reader* in, uint32_t slot);
/* Whether the mark follows; then it has been read. */
bool freshet_take_mark(freshet_byte_reader* in, double mark);

/* The greatest absolute value of blend weight i: LP and LG are exponents, and the others have to leave scores finite. */
double freshet_blend_bound(int i);
/* Appends what the blend weights and their squares have gained. */
void freshet_put_blend(freshet_buffer* out, const double* now, const double* now_squares,
                       const double* before, const double* before_squares);
/* apply false: only looks. Returns how many weights there are: what an older version wrote has fewer, and
 * says nothing of the last ones. */
uint32_t freshet_take_blend(freshet_model* model, freshet_byte_reader* in, bool apply);

#endif
