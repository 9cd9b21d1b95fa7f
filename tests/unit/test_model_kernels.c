/* Every level of the kernels gives the same bits, and the right ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/maths.h"
#include "core/model_kernels.h"
#include "core/model_tree.h"

enum { N = 256, TURNS = 200 };

static _Alignas(64) float a[N], b[N], c[N], d[N];

static void fill(float* x, uint64_t seed, float scale) {
  for (int i = 0; i < N; i++) x[i] = scale * freshet_gauss(freshet_random(seed, (uint64_t)i));
}

static void factors_move_alike(void** state) {
  (void)state;
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    printf("%s\n", (*k)->name);
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      fill(a, turn, 1);
      fill(b, turn + 1000, 2);
      assert_true((*k)->dot(a, b, N) == freshet_model_kernels_portable.dot(a, b, N));
      for (int i = 0; i < N; i++) c[i] = d[i] = a[i];
      (*k)->add_scaled(c, .3F, b, N);
      freshet_model_kernels_portable.add_scaled(d, .3F, b, N);
      assert_memory_equal(c, d, sizeof c);
      float before = freshet_model_kernels_portable.dot(c, b, N);
      assert_true((*k)->descend(c, 1.7F, b, N) == before);
      assert_true(freshet_model_kernels_portable.descend(d, 1.7F, b, N) == before);
      assert_memory_equal(c, d, sizeof c);
      for (int i = 0; i < N; i++) {
        assert_true(fabsf(c[i]) <= FRESHET_FACTOR_MAX);
        assert_true(c[i] * 0x1p20F == floorf(c[i] * 0x1p20F));
      }
    }
  }
}

static void gains_of_a_row_are_seen_alike(void** state) {
  (void)state;
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      fill(a, turn, turn % 3 == 0 ? 1 : turn % 3 == 1 ? 1e-4F : 0);
      fill(b, turn + 1000, turn % 3 == 0 ? 1 : turn % 3 == 1 ? 1e-4F : 0);
      freshet_row_look want = {0};
      for (int i = 0; i < N; i++) {
        a[i] = (a[i] + FRESHET_FACTOR_ROUND) - FRESHET_FACTOR_ROUND;
        b[i] = turn % 5 == 0 ? a[i] : (b[i] + FRESHET_FACTOR_ROUND) - FRESHET_FACTOR_ROUND;
        const int32_t units = (int32_t)lrint(((double)a[i] - (double)b[i]) / (double)FRESHET_FACTOR_STEP);
        want.low = units < want.low ? units : want.low;
        want.high = units > want.high ? units : want.high;
        want.bits |= (uint32_t)units;
      }
      const freshet_row_look got = (*k)->look(a, b, N);
      assert_int_equal(got.low, want.low);
      assert_int_equal(got.high, want.high);
      assert_int_equal(got.bits, want.bits);
    }
  }
}

static void steps_are_added_alike(void** state) {
  (void)state;
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      const size_t n = 16 * (1 + turn % (N / 16)); /* halves of all lengths */
      const int32_t step = turn % 7 == 0 ? 255 << 15 : (int32_t)(turn * 37 % 4000);
      uint8_t numbers[N / 2];
      fill(a, turn, 1);
      for (size_t i = 0; i < n / 2; i++) numbers[i] = (uint8_t)freshet_random(turn, i);
      for (size_t i = 0; i < n; i++) {
        a[i] = c[i] = (a[i] + FRESHET_FACTOR_ROUND) - FRESHET_FACTOR_ROUND;
        const int number = i < n / 2 ? numbers[i] & 15 : numbers[i - n / 2] >> 4;
        const float sum = a[i] + (float)((number - 8) * step) * FRESHET_FACTOR_STEP;
        d[i] = sum > FRESHET_FOLDED_MAX    ? FRESHET_FOLDED_MAX
               : sum < -FRESHET_FOLDED_MAX ? -FRESHET_FOLDED_MAX
                                           : sum;
      }
      (*k)->add_steps(c, numbers, step, n);
      assert_memory_equal(c, d, n * sizeof *c);
    }
  }
}

static void exp_and_log_are_close_and_alike(void** state) {
  (void)state;
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      fill(a, turn, turn % 2 == 0 ? 1 : 30);
      for (int i = 0; i < N; i++) c[i] = d[i] = a[i];
      (*k)->exp(c, N);
      freshet_model_kernels_portable.exp(d, N);
      assert_memory_equal(c, d, sizeof c);
      for (int i = 0; i < N; i++) {
        double want = exp(fmax(-87, fmin(88, (double)a[i])));
        assert_true(fabs(c[i] - want) <= 3e-7 * want);
      }
      for (int i = 0; i < N; i++) a[i] = c[i] = d[i] = 1 + a[i] * a[i];
      (*k)->log(c, N);
      freshet_model_kernels_portable.log(d, N);
      assert_memory_equal(c, d, sizeof c);
      for (int i = 0; i < N; i++)
        assert_true(fabs(c[i] - log((double)a[i])) <= 3e-7 * (1 + fabs((double)c[i])));
    }
    float extremes[16] __attribute__((aligned(64))) = {-1e30F, 1e30F, NAN, INFINITY, -INFINITY};
    (*k)->exp(extremes, 16);
    for (int i = 0; i < 16; i++) assert_true(isfinite(extremes[i]) && extremes[i] > 0);
  }
}

static void blend_steps_alike(void** state) {
  (void)state;
  static double x[N], x2[N], squares[N], squares2[N];
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    fill(a, 5, 1);
    for (int i = 0; i < N; i++) {
      x[i] = x2[i] = freshet_grid(a[i]);
      squares[i] = squares2[i] = freshet_grid(.01);
    }
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      fill(b, turn, .1F);
      fill(c, turn + 7, .003F);
      b[turn % N] = 0;
      memcpy(d, b, sizeof d);
      double kept = x[turn % N];
      (*k)->blend(x, squares, b, c, N);
      freshet_model_kernels_portable.blend(x2, squares2, d, c, N);
      for (int i = 0; i < N; i++) assert_true(b[i] == 0 && d[i] == 0);
      assert_memory_equal(x, x2, sizeof x);
      assert_memory_equal(squares, squares2, sizeof squares);
      assert_true(x[turn % N] == kept);
      assert_true(x[3] == freshet_grid(x[3]));
    }
  }
}

enum { LIST_MAX = 704 };

/* A list of neighbours. */
typedef struct list {
  freshet_tags tags[LIST_MAX / FRESHET_TAGS];
  freshet_neighbour entries[LIST_MAX];
} list;

static void set_entry(list* l, size_t i, uint32_t item, float follows, float together) {
  l->entries[i] = (freshet_neighbour){item, freshet_count_pack(follows), freshet_count_pack(together)};
  freshet_tags_set(l->tags, i, item);
}

/* As it is once it has been in a list. */
static float counted(float x) {
  return freshet_count_value(freshet_count_pack(fabsf(x)));
}

static const freshet_doubt doubt = {.half = .7F, .expected = .3F, .doubt = .9F, .chance = 1.3F};

/* 1 / sqrt(N + 1) of an item. */
static float root_of(uint32_t item) {
  return 1 / sqrtf((float)(item % 5) + 1);
}

/* What it adds to a sum then. */
static float evidence(float x, uint32_t item) {
  return freshet_count_evidence(freshet_count_pack(x), &doubt, root_of(item));
}

/* What is taken from the sum: what is doubtful, and what chance brings. */
static float doubtful(float x, uint32_t item) {
  return evidence(x, item) > 0 ? x * doubt.half / (x + doubt.half) : 0;
}

static float expected(float x, uint32_t item) {
  return evidence(x, item) > 0 ? doubt.expected / (root_of(item) * root_of(item)) : 0;
}

static void searches_find_what_plain_loops_find(void** state) {
  (void)state;
  static _Alignas(64) uint32_t items[N];
  static list near;
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      size_t count = 1 + freshet_random(turn, 1) % N, least = 0, at = 0;
      float next, want_next = INFINITY;
      fill(a, turn, 1);
      fill(b, turn + 50, 1);
      for (int i = 0; i < N; i++) a[i] = (float)(int)(4 * fabsf(a[i]));
      for (int i = 0; i < N; i++) b[i] = (float)(int)(4 * fabsf(b[i]));
      for (size_t i = 0; i < N; i++) items[i] = (uint32_t)(freshet_random(turn, i) % (N * 4));
      for (size_t i = 0; i < count; i++) least = a[i] + b[i] < a[least] + b[least] ? i : least;
      for (size_t i = 0; i < count; i++) {
        if (i != least && a[i] + b[i] < want_next) want_next = a[i] + b[i];
      }
      for (size_t i = 0; i < N; i++) set_entry(&near, i, items[i], a[i], b[i]);
      assert_int_equal((*k)->smallest(near.entries, count, &next), least);
      assert_true(next == want_next);
      while (at < count && items[at] != items[turn % N]) at++;
      assert_int_equal((*k)->find(items, count, items[turn % N]), at);
      assert_int_equal((*k)->find_entry(near.tags, near.entries, count, items[turn % N]), at);
      assert_int_equal((*k)->find_entry(near.tags, near.entries, count, N * 4), count);
    }
  }
}

/* Each count is the nearest one, and grows until a gain is a small share of it. */
static void counts_are_packed(void** state) {
  (void)state;
  for (uint32_t count = 1 << 11; count <= UINT16_MAX; count++) {
    const float value = freshet_count_value((uint16_t)count);
    assert_int_equal(freshet_count_pack(value), count);
    assert_int_equal(freshet_count_pack(value * (1 + 1.0F / 16384)), count);
  }
  assert_true(freshet_count_value(freshet_count_pack(1)) == 1);
  assert_int_equal(freshet_count_pack(0), 0);
  assert_int_equal(freshet_count_pack(.99F * FRESHET_COUNT_LEAST), 0);
  assert_int_equal(freshet_count_pack(-1), 0);
  assert_int_equal(freshet_count_pack(NAN), 0);
  assert_int_equal(freshet_count_pack(INFINITY), UINT16_MAX);
  assert_true(freshet_count_value(0) == 0);
  for (uint32_t i = 0; i < 100000; i++) {
    const float x = .01F + (float)(freshet_random(3, i) >> 40) * 0x1p-24F * (float)(1 << i % 23);
    assert_true(fabsf(freshet_count_value(freshet_count_pack(x)) - x) <= x / 4096);
  }
}

static void counts_are_doubted(void** state) {
  (void)state;
  const freshet_doubt small = {.half = 1, .doubt = 1}, by_chance = {1e-6F, 2, 0, 1},
                      no_number = {1, NAN, 1, 1};
  assert_true(freshet_count_evidence(0, &small, 1) == 0);
  assert_true(freshet_count_evidence(freshet_count_pack(1), &small, 1) == .5F);
  assert_float_equal(freshet_count_evidence(freshet_count_pack(1000), &small, 1), 999, .01);
  /* an item that was chosen three times: N + 1 is 4, so chance brings 8 */
  assert_true(freshet_count_evidence(freshet_count_pack(7), &by_chance, .5F) == 0);
  assert_true(freshet_count_evidence(freshet_count_pack(9), &by_chance, .5F) == 1);
  assert_true(freshet_count_evidence(freshet_count_pack(9), &no_number, 1) == 0);
}

/* Gains that are less than half a step add up, too, whatever the clock does meanwhile. */
static void counts_grow_by_small_gains(void** state) {
  (void)state;
  for (uint32_t stride = 1; stride <= 16; stride *= 2) {
    uint16_t often = 0, little = freshet_count_pack(64);
    for (uint32_t i = 0; i < 300; i++) often = freshet_count_add(often, .9F, i * stride);
    for (uint32_t i = 0; i < 20000; i++) little = freshet_count_add(little, .005F, i * stride);
    assert_float_equal(freshet_count_value(often), 270, 1);
    assert_float_equal(freshet_count_value(little), 164, 2);
  }
  assert_int_equal(freshet_count_add(UINT16_MAX, 1e6F, 1), UINT16_MAX);
  assert_int_equal(freshet_count_add(freshet_count_pack(3), 0, UINT32_MAX / 7), freshet_count_pack(3));
}

static void about_the_root(void** state) {
  (void)state;
  float last = 0;
  for (float x = 1e-6F; x < 1e9F; x *= 1.01F) {
    const float root = freshet_root_about(x);
    assert_true(fabsf(root - sqrtf(x)) < .04F * sqrtf(x) && root > last);
    last = root;
  }
  assert_true(freshet_root_about(0) < 1e-18F);
}

static void scans_add_what_is_marked(void** state) {
  (void)state;
  enum { ITEMS = 70000, LIST = 700, MARKS = 255 };
  static uint32_t items[LIST];
  static float x[LIST], y[LIST];
  static list near, other;
  static _Alignas(64) float sums[1 + MARKS][FRESHET_SUMS], want[1 + MARKS][FRESHET_SUMS];
  static _Alignas(64) float taken[1 + MARKS][FRESHET_SUMS], want_taken[1 + MARKS][FRESHET_SUMS];
  static float agreed[1 + MARKS], want_agreed[1 + MARKS], roots[ITEMS];
  static uint8_t numbers[ITEMS + 3];
  static const float weights[FRESHET_SUMS] = {.3F, 1.7F, .01F, .6F};
  for (uint32_t i = 0; i < ITEMS; i++) roots[i] = root_of(i);
  freshet_marks marks;
  freshet_marks_init(&marks);
  marks.of = numbers;
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      /* few items, most of them marked, or many of which few are; lists shorter and longer than a block */
      uint64_t range = turn % 3 == 0 ? 1000 : ITEMS, marked = turn % 2 == 0 ? MARKS : 50;
      size_t count = freshet_random(turn, 1) % LIST, first = count, hit = 0;
      uint32_t known[MARKS];
      memset(sums, 0, sizeof sums);
      memset(want, 0, sizeof want);
      memset(agreed, 0, sizeof agreed);
      memset(want_agreed, 0, sizeof want_agreed);
      memset(taken, 0, sizeof taken);
      memset(want_taken, 0, sizeof want_taken);
      for (uint32_t i = 0; i < marked; i++) {
        known[i] = (uint32_t)(freshet_random(turn, i) % range);
        freshet_marks_add(&marks, known[i], (uint8_t)(i + 1));
      }
      for (size_t i = 0; i < LIST; i++) {
        bool is_known = range == ITEMS && i % 9 == 0;
        items[i] = is_known ? known[i % marked] : (uint32_t)((i * 7 + turn) % range);
        x[i] = counted(freshet_gauss(freshet_random(turn + 1, i)));
        y[i] = counted(freshet_gauss(freshet_random(turn + 2, i)));
        set_entry(&near, i, items[i], x[i], y[i]);
      }
      for (size_t i = 0; i < 3; i++) set_entry(&other, i, known[i], 1, 2);
      for (size_t i = 0; i < count; i++) {
        int mark = numbers[items[i]];
        if (mark == 0) continue;
        if (mark == 1) first = i;
        hit++;
        want[mark][0] += weights[0] * x[i];
        want[mark][1] += weights[1] * evidence(y[i], items[i]);
        want[mark][2] += weights[2] * evidence(y[i], items[i]);
        want[mark][3] += weights[3] * x[i];
        for (int t = 0; t < 2; t++) {
          want_taken[mark][t] += weights[1 + t] * doubtful(y[i], items[i]);
          want_taken[mark][2 + t] += weights[1 + t] * expected(y[i], items[i]);
        }
        want_agreed[mark] += .7F * freshet_root_about(y[i]);
      }
      assert_true(hit > 0 || count < 10);
      freshet_scan_list lists[2] = {{{.3F, 1.7F, .01F, .6F}, .7F, doubt, near.tags, near.entries, count, 0},
                                    {{0, 0, 4, 0}, 0, doubt, other.tags, other.entries, 3, 0}};
      for (size_t i = 0; i < 3; i++) {
        want[numbers[known[i]]][2] += 4 * evidence(2, known[i]);
        want_taken[numbers[known[i]]][1] += 4 * doubtful(2, known[i]);
        want_taken[numbers[known[i]]][3] += 4 * expected(2, known[i]);
      }
      (*k)->scan(lists, 2, &marks, roots, sums, agreed, taken);
      assert_memory_equal(taken + 1, want_taken + 1, MARKS * sizeof *taken);
      assert_memory_equal(agreed + 1, want_agreed + 1, MARKS * sizeof *agreed);
      assert_int_equal(lists[0].place, first);
      assert_int_equal(lists[1].place, numbers[known[0]] == 1   ? 0
                                       : numbers[known[1]] == 1 ? 1
                                       : numbers[known[2]] == 1 ? 2
                                                                : 3);
      assert_memory_equal(sums[1], want[1], MARKS * sizeof sums[0]);
      size_t places[256], want_places[256];
      for (int m = 0; m < 256; m++) places[m] = want_places[m] = SIZE_MAX;
      for (size_t i = 0; i < count; i++) want_places[numbers[items[i]]] = i;
      (*k)->locate(near.tags, near.entries, count, &marks, places);
      assert_memory_equal(places + 1, want_places + 1, 255 * sizeof places[0]);
      freshet_marks_clear(&marks, known, marked);
    }
    for (size_t i = 0; i < ITEMS; i++) assert_int_equal(numbers[i], 0);
  }
}

/* Of the sums that a spread has left; some of them are taken for nothing first, and one column of a block. */
static void check_bonuses(const freshet_model_kernels* k, float (*sums)[FRESHET_SUMS], size_t count,
                          size_t padded) {
  enum { ROOM = 512 };
  static const float thetas[FRESHET_SUMS] = {1.5F, .4F, .2F, 99}, level_thetas[3] = {0, .7F, 2};
  static _Alignas(64) float out[ROOM], same[ROOM], roots[ROOM], last_thetas[ROOM];
  for (size_t i = 0; i < count; i++) {
    roots[i] = 1 / sqrtf((float)i + 1);
    last_thetas[i] = level_thetas[i % 3];
    for (int f = 0; f < FRESHET_SUMS; f++)
      sums[i][f] = i % 5 == 0 || (f == 1 && i < 80) ? 0 : fabsf(sums[i][f]);
  }
  k->bonuses((const float(*)[FRESHET_SUMS])sums, roots, thetas, last_thetas, out, padded);
  freshet_model_kernels_portable.bonuses((const float(*)[FRESHET_SUMS])sums, roots, thetas, last_thetas, same,
                                         padded);
  assert_memory_equal(out, same, padded * sizeof *out);
  for (size_t i = 0; i < padded; i++) {
    const float* s = sums[i];
    double want = (double)last_thetas[i] * log1p((double)s[3]) + 1.5 * log1p((double)s[0]);
    for (int f = 1; f < 3; f++) want += (double)thetas[f] * log1p((double)(s[f] * roots[i]));
    assert_true(fabs((double)out[i] - want) <= 1e-5 * (1 + want));
  }
}

static void spreads_reach_every_item_once(void** state) {
  (void)state;
  enum { ITEMS = 300, PADDED = 304, LIST = 127 }; /* odd: two entries are spread together */
  static uint32_t items[LIST], met[PADDED + 1];
  static list near;
  static _Alignas(64) float sums[PADDED][FRESHET_SUMS], want[ITEMS][FRESHET_SUMS];
  static float agreed[PADDED], want_agreed[ITEMS], roots[ITEMS];
  static const float weights[FRESHET_SUMS] = {.3F, 1.7F, .01F, 0};
  for (uint32_t i = 0; i < ITEMS; i++) roots[i] = root_of(i);
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    uint32_t places[ITEMS] = {0};
    freshet_gathered gathered = {places, met, sums, agreed, UINT32_MAX - PADDED,
                                 0}; /* the last base that will do */
    memset(sums, 0, sizeof sums);
    memset(want, 0, sizeof want);
    memset(agreed, 0, sizeof agreed);
    memset(want_agreed, 0, sizeof want_agreed);
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      fill(a, turn, 1);
      fill(b, turn + 1, 1);
      for (size_t i = 0; i < LIST; i++) a[i] = counted(a[i]), b[i] = counted(b[i]);
      for (size_t i = 0; i < LIST; i++) items[i] = (uint32_t)((i * 7 + turn) % ITEMS);
      for (size_t i = 0; i < LIST; i++) {
        want[items[i]][0] += weights[0] * a[i];
        want[items[i]][1] += weights[1] * evidence(b[i], items[i]);
        want[items[i]][2] += weights[2] * evidence(b[i], items[i]);
        want[items[i]][3] += weights[3] * a[i];
        want_agreed[items[i]] += .7F * freshet_root_about(b[i]);
        set_entry(&near, i, items[i], a[i], b[i]);
      }
      (*k)->spread(near.entries, LIST, weights, .7F, &doubt, roots, &gathered);
      if (turn == 0) { /* in the order in which they were met */
        assert_int_equal(gathered.count, LIST);
        assert_memory_equal(met, items, sizeof items);
      }
    }
    assert_int_equal(gathered.count, ITEMS);
    for (size_t i = 0; i < ITEMS; i++) {
      assert_int_equal(places[met[i]], gathered.base + i);
      assert_memory_equal(sums[i], want[met[i]], sizeof sums[i]);
      assert_true(fabsf(agreed[i] - want_agreed[met[i]]) == 0);
    }
    check_bonuses(*k, sums, ITEMS, PADDED);
  }
}

/* A list of neighbours by text; items beyond its count must not count. */
static freshet_text_list text_list(uint64_t turn, uint32_t range) {
  freshet_text_list made = {.count = (uint8_t)(turn % (FRESHET_TEXT_NEIGHBOURS + 1))};
  for (uint32_t e = 0; e < FRESHET_TEXT_NEIGHBOURS; e++) {
    made.items[e] = (uint32_t)((turn * 31 + e * 7 + (e % 3) * 65536) % range);
    made.cosines[e] = (uint16_t)freshet_random(turn, e);
  }
  return made;
}

static void lists_of_texts_add_what_is_marked(void** state) {
  (void)state;
  enum { ITEMS = 200000, MARKS = 250 };
  static uint8_t numbers[ITEMS + 3];
  static _Alignas(64) float sums[256][FRESHET_SUMS], want[256][FRESHET_SUMS];
  freshet_marks marks;
  freshet_marks_init(&marks);
  marks.of = numbers;
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    uint32_t hits = 0;
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      const freshet_text_list one = text_list(turn, ITEMS), other = text_list(turn + 5, ITEMS);
      const freshet_text_list* lists[2] = {&one, &other};
      const float weights[2] = {.3F, 1.7F};
      uint32_t known[MARKS];
      memset(sums, 0, sizeof sums);
      memset(want, 0, sizeof want);
      for (uint32_t i = 0; i < MARKS; i++) { /* also what lies beyond the end of the list */
        known[i] = i < FRESHET_TEXT_NEIGHBOURS ? one.items[i] : (uint32_t)(freshet_random(turn, i) % ITEMS);
        freshet_marks_add(&marks, known[i], (uint8_t)(i + 1));
      }
      for (int l = 0; l < 2; l++) {
        for (size_t e = 0; e < lists[l]->count; e++) {
          const float cosine = lists[l]->cosines[e] / 65536.0F;
          want[numbers[lists[l]->items[e]]][3] += weights[l] * (cosine * cosine * cosine * cosine);
          hits += numbers[lists[l]->items[e]] != 0;
        }
      }
      (*k)->scan_texts(lists, weights, 2, &marks, sums);
      assert_memory_equal(sums[1], want[1], 255 * sizeof sums[0]);
      freshet_marks_clear(&marks, known, MARKS);
    }
    assert_true(hits > TURNS);
  }
}

static void lists_of_texts_are_spread(void** state) {
  (void)state;
  enum { ITEMS = 300, PADDED = 304 };
  static uint32_t met[PADDED + 1];
  static _Alignas(64) float sums[PADDED][FRESHET_SUMS];
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    uint32_t places[ITEMS] = {0};
    float want[ITEMS] = {0};
    freshet_gathered gathered = {places, met, sums, NULL, 1, 0};
    memset(sums, 0, sizeof sums);
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      const freshet_text_list one = text_list(turn, ITEMS);
      for (size_t e = 0; e < one.count; e++) {
        const float cosine = one.cosines[e] / 65536.0F;
        want[one.items[e]] += .7F * (cosine * cosine * cosine * cosine);
      }
      (*k)->spread_texts(&one, .7F, &gathered);
    }
    assert_in_range(gathered.count, 100, ITEMS);
    for (size_t i = 0; i < gathered.count; i++) {
      assert_int_equal(places[met[i]], gathered.base + i);
      assert_true(sums[i][3] == want[met[i]] && sums[i][0] == 0 && sums[i][2] == 0);
    }
  }
}

static void rows_descend_alike(void** state) {
  (void)state;
  enum { ROWS = 20, DIM = 80, PICKED = 9 }; /* blocks of columns and single ones */
  static _Alignas(64) float rows[ROWS * DIM], want[ROWS * DIM], slope[DIM], want_slope[DIM];
  static const uint32_t slots[PICKED] = {3, 7, 0, 19, 4, 5, 11, 2, 18};
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      fill(a, turn, 1);
      fill(b, turn + 9, .5F);
      for (int i = 0; i < ROWS * DIM; i++)
        rows[i] = want[i] = freshet_gauss(freshet_random(turn, (uint64_t)i));
      memset(slope, 0, sizeof slope);
      memset(want_slope, 0, sizeof want_slope);
      for (int i = 0; i < PICKED; i++) {
        freshet_model_kernels_portable.add_scaled(want_slope, b[i], want + slots[i] * DIM, DIM);
        freshet_model_kernels_portable.descend(want + slots[i] * DIM, b[i + 16], a, DIM);
      }
      (*k)->descend_rows(rows, slots, PICKED, b, b + 16, a, slope, DIM);
      assert_memory_equal(rows, want, sizeof rows);
      assert_memory_equal(slope, want_slope, sizeof slope);
    }
  }
}

static void rows_add_up_alike(void** state) {
  (void)state;
  enum { ROWS = 20, DIM = 48, PICKED = 7 };
  static _Alignas(64) float rows[ROWS * DIM], sum[DIM], want[DIM], out[PICKED];
  static const uint32_t slots[PICKED] = {3, 7, 0, 19, 4, 5, 11};
  for (int i = 0; i < ROWS * DIM; i++) rows[i] = freshet_gauss(freshet_random(3, (uint64_t)i));
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      fill(a, turn, 1);
      memcpy(sum, a, sizeof sum);
      memcpy(want, a, sizeof want);
      for (int i = 0; i < PICKED; i++)
        freshet_model_kernels_portable.add_scaled(want, a[i], rows + slots[i] * DIM, DIM);
      (*k)->add_rows(rows, slots, PICKED, a, sum, DIM);
      assert_memory_equal(sum, want, sizeof sum);
      (*k)->dots(rows, slots, PICKED, a, DIM, out);
      for (int i = 0; i < PICKED; i++)
        assert_true(out[i] == freshet_model_kernels_portable.dot(a, rows + slots[i] * DIM, DIM));
    }
  }
}

static void trees_are_descended_to_the_right_place(void** state) {
  (void)state;
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (unsigned bits = 1; bits <= 10; bits++) {
      int64_t counts[1 << 10], total = 0;
      int64_t* tree = freshet_tree_create(bits);
      for (uint64_t i = 0; i < (uint64_t)1 << bits; i++) {
        counts[i] = (int64_t)(freshet_random(bits, i) % 5);
        freshet_tree_add(tree, bits, i, counts[i] + 2);
        freshet_tree_add(tree, bits, i, -2);
        total += counts[i];
      }
      for (int64_t target = 0; target < total; target++) {
        int64_t targets[3] = {target, total - 1, 0}, places[3], rest = target, at = 0;
        for (; rest >= counts[at]; at++) rest -= counts[at];
        (*k)->descend_tree(tree, bits, targets, places, 3);
        assert_int_equal(places[0], at);
        assert_int_equal(targets[0], rest);
      }
      freshet_tree_free(tree);
    }
  }
}

static void close_to(float got, double want) {
  assert_true(fabs((double)got - want) <= 1e-5 * (1 + fabs(want)));
}

static void softmaxes_have_odds(void** state) {
  (void)state;
  static _Alignas(64) float logits[2][N], want[2][N], given[2][N];
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      fill(given[0], turn, turn % 2 == 0 ? 1 : 20);
      fill(given[1], turn + 300, 5);
      given[0][turn % 16] = given[1][turn % 16] =
          300; /* far above the others, and perhaps not in the running */
      for (int i = 0; i < N; i++) b[i] = (float)(freshet_random(turn, (uint64_t)i) % 4);
      b[turn % 16] = turn % 3 == 0 ? 0 : 1;
      b[0] = 2;
      memcpy(logits, given, sizeof logits);
      memcpy(want, given, sizeof want);
      (*k)->softmaxes(logits[0], b, 1.5F, N);
      freshet_model_kernels_portable.softmaxes(want[0], b, 1.5F, N);
      assert_memory_equal(logits, want, sizeof logits);
      for (int r = 0; r < 2; r++) {
        double sum = 0;
        for (int i = 0; i < N; i++) sum += b[i] > 0 ? (double)b[i] * exp((double)given[r][i] - 300) : 0;
        for (int i = 0; i < N; i++) {
          if (b[i] == 0) assert_true(logits[r][i] == 0);
          if (b[i] > 0 && sum > 1e-20)
            close_to(logits[r][i], 1.5 * (double)b[i] * exp((double)given[r][i] - 300) / sum);
        }
      }
    }
  }
}

static void features_are_logs_of_sums_and_shares(void** state) {
  (void)state;
  static _Alignas(64) float sums[N][FRESHET_SUMS], rows[7][N], want[7][N], log_q[N], want_q[N], was[3][N],
      chances[N];
  static const float rates[3] = {-.002F, -.0002F, -.00002F}, scales[3] = {7, 3, .4F};
  static const freshet_draw_shares draws = {.475F, .475F, .05F, .01F};
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < 20; turn++) {
      for (uint64_t i = 0; i < N; i++) {
        a[i] = (float)(freshet_random(turn, i) % 1000);  /* counts */
        b[i] = (float)(freshet_random(turn, i) % 30000); /* ages */
        chances[i] = (float)(freshet_random(i, turn) % 4);
        for (uint64_t f = 0; f < 4; f++) sums[i][f] = (float)(freshet_random(i, f) % 100);
        for (uint64_t f = 0; f < 3; f++)
          was[f][i] = want[4 + f][i] = rows[4 + f][i] = (float)(freshet_random(i, 9 + f) % 100);
      }
      (*k)->features((const float(*)[FRESHET_SUMS])sums, a, b, rates, scales, &draws, chances, rows[0], log_q,
                     N);
      freshet_model_kernels_portable.features((const float(*)[FRESHET_SUMS])sums, a, b, rates, scales, &draws,
                                              chances, want[0], want_q, N);
      assert_memory_equal(rows, want, sizeof rows);
      assert_memory_equal(log_q, want_q, sizeof log_q);
      for (int i = 0; i < N; i++) {
        double shares[3];
        for (int f = 0; f < 3; f++)
          shares[f] = exp((double)b[i] * (double)rates[f]) * (double)was[f][i] * (double)scales[f];
        for (int f = 0; f < 3; f++) close_to(rows[4 + f][i], log(shares[f] + .5));
        close_to(log_q[i], log(.475 * (double)a[i] * .01 + .475 * shares[0] + .05 + (double)chances[i]));
        for (int f = 0; f < 4; f++) {
          double root = f == 1 || f == 2 ? sqrt((double)a[i] + 1) : 1;
          close_to(rows[f][i], log(1 + (double)sums[i][f] / root));
        }
      }
    }
  }
}

static void logits_add_up_rows(void** state) {
  (void)state;
  enum { ROWS = 6 };
  static _Alignas(64) float rows[ROWS][N], starts[N], texts[N], log_q[N], out[N], want[N];
  static const float thetas[ROWS] = {.5F, 2, 1.5F, 99, .1F, 3}; /* that of row 3 is not asked for */
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      for (uint64_t f = 0; f < ROWS; f++) fill(rows[f], turn + 10 * f, 1);
      fill(starts, turn + 100, 1);
      fill(texts, turn + 200, 1);
      fill(log_q, turn + 300, 1);
      for (int i = 0; i < N; i++) {
        want[i] = starts[i] + texts[i] * rows[3][i] - log_q[i];
        for (int f = 0; f < ROWS; f++) want[i] = f == 3 ? want[i] : want[i] + thetas[f] * rows[f][i];
      }
      (*k)->logits(rows[0], ROWS, thetas, starts, texts, log_q, out, N);
      assert_memory_equal(out, want, sizeof out);
    }
  }
}

static void scalars_of_rows_adapt_alike(void** state) {
  (void)state;
  static const freshet_row_rates rates = {
      .factor = .05F, .factor_first = .01F, .bias = .2F, .bias_memory = .99, .bias_limit = 64};
  static _Alignas(64) double state_of[2][3][N];
  static _Alignas(64) float steps[2][2][N];
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    memset(state_of, 0, sizeof state_of);
    state_of[0][1][5] = state_of[1][1][5] = -.5; /* a gain of another worker may take it below 0 */
    for (uint64_t turn = 0; turn < TURNS; turn++) {
      const freshet_model_kernels* both[2] = {*k, &freshet_model_kernels_portable};
      double before = state_of[0][2][9], squares = state_of[0][1][9];
      fill(a, turn, turn % 20 == 0 ? 50 : .1F);
      for (int w = 0; w < 2; w++) {
        both[w]->adapt(a, .3F, &rates, state_of[w][0], state_of[w][1], state_of[w][2], steps[w][0],
                       steps[w][1], N);
      }
      assert_memory_equal(state_of[0], state_of[1], sizeof state_of[0]);
      assert_memory_equal(steps[0], steps[1], sizeof steps[0]);
      double g = a[9];
      close_to(steps[0][0][9], .05 * g / sqrt(state_of[0][0][9] + .01));
      close_to((float)state_of[0][2][9], before - .2 * g / sqrt(.99 * squares + g * g + 1e-8));
      for (int i = 0; i < N; i++) assert_true(isfinite(steps[0][1][i]) && fabs(state_of[0][2][i]) <= 64);
    }
  }
}

static void integer_products_are_exact(void** state) {
  (void)state;
  enum { ROWS = 7, WIDTH = 384 };
  static _Alignas(64) int8_t rows[ROWS][WIDTH], x[WIDTH];
  for (const freshet_model_kernels* const* k = freshet_model_kernels_all(); *k != NULL; k++) {
    int32_t out[ROWS];
    for (int i = 0; i < WIDTH; i++) {
      x[i] = (int8_t)(freshet_random(1, (uint64_t)i) % 255 - 127);
      for (int r = 0; r < ROWS; r++)
        rows[r][i] = (int8_t)(freshet_random(2, (uint64_t)(r * WIDTH + i)) % 255 - 127);
    }
    (*k)->dots_i8(&rows[0][0], ROWS, x, WIDTH, out);
    for (int r = 0; r < ROWS; r++) {
      int32_t want = 0;
      for (int i = 0; i < WIDTH; i++) want += rows[r][i] * x[i];
      assert_int_equal(out[r], want);
      assert_int_equal((*k)->dot_i8(rows[r], x, WIDTH), want);
      assert_int_equal((*k)->dot_i8(x + 64, rows[r], 64), (*k)->dot_i8(rows[r], x + 64, 64));
    }
    int32_t both[FRESHET_DOTS_TOGETHER][ROWS];
    const int8_t* with[FRESHET_DOTS_TOGETHER] = {x, rows[2], rows[0], x};
    (*k)->dots_i8_together(&rows[0][0], ROWS, with, WIDTH, &both[0][0]);
    for (int q = 0; q < FRESHET_DOTS_TOGETHER; q++) {
      (*k)->dots_i8(&rows[0][0], ROWS, with[q], WIDTH, out);
      for (int r = 0; r < ROWS; r++) assert_int_equal(both[q][r], out[r]);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(factors_move_alike),
      cmocka_unit_test(gains_of_a_row_are_seen_alike),
      cmocka_unit_test(steps_are_added_alike),
      cmocka_unit_test(exp_and_log_are_close_and_alike),
      cmocka_unit_test(blend_steps_alike),
      cmocka_unit_test(searches_find_what_plain_loops_find),
      cmocka_unit_test(about_the_root),
      cmocka_unit_test(scans_add_what_is_marked),
      cmocka_unit_test(counts_are_packed),
      cmocka_unit_test(counts_are_doubted),
      cmocka_unit_test(counts_grow_by_small_gains),
      cmocka_unit_test(spreads_reach_every_item_once),
      cmocka_unit_test(lists_of_texts_add_what_is_marked),
      cmocka_unit_test(lists_of_texts_are_spread),
      cmocka_unit_test(rows_descend_alike),
      cmocka_unit_test(rows_add_up_alike),
      cmocka_unit_test(trees_are_descended_to_the_right_place),
      cmocka_unit_test(softmaxes_have_odds),
      cmocka_unit_test(logits_add_up_rows),
      cmocka_unit_test(features_are_logs_of_sums_and_shares),
      cmocka_unit_test(scalars_of_rows_adapt_alike),
      cmocka_unit_test(integer_products_are_exact),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
