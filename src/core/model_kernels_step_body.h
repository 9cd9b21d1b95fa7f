/*
 * model_kernels_step_body.h: the part of model_kernels_body.h that a step of learning needs along its
 * candidates. Included there, once for each level of the machine.
 */

INLINE void store(float* x, vec v) {
  *(vec*)x = v;
}

/* Truncation keeps the order, so the lowest of the truncated gains is the truncated lowest. */
static freshet_row_look look(const float* now, const float* before, size_t n16) {
  vec low = {0}, high = {0};
  int_vec bits = {0};
  for (size_t i = 0; i < n16; i += WIDTH) {
    const vec units = (load(now + i) - load(before + i)) * splat(1 / FRESHET_FACTOR_STEP);
    low = LOWER(units, low);
    high = HIGHER(units, high);
    bits |= __builtin_convertvector(units, int_vec);
  }
  freshet_row_look all = {.low = (int32_t)-highest(-low), .high = (int32_t)highest(high)};
  for (int l = 0; l < WIDTH; l++) all.bits |= (uint32_t)bits[l];
  return all;
}

/* The products are exact: 4 bits by 8. */
INLINE float added_steps(float x, int number, float step) {
  const float sum = x + (float)(number - 8) * step;
  return sum > FRESHET_FOLDED_MAX    ? FRESHET_FOLDED_MAX
         : sum < -FRESHET_FOLDED_MAX ? -FRESHET_FOLDED_MAX
                                     : sum;
}

INLINE void add_numbers(float* x, int_vec numbers, vec step) {
  vec sum;
  memcpy(&sum, x, sizeof sum); /* half a row need not be aligned */
  sum += __builtin_convertvector(numbers - 8, vec) * step;
  sum = HIGHER(LOWER(sum, splat(FRESHET_FOLDED_MAX)), splat(-FRESHET_FOLDED_MAX));
  memcpy(x, &sum, sizeof sum);
}

static void add_steps(float* x, const uint8_t* numbers, int32_t step, size_t n16) {
  typedef uint8_t bytes __attribute__((vector_size(WIDTH)));
  const size_t half = n16 / 2;
  const float size = (float)step * FRESHET_FACTOR_STEP;
  size_t i = 0;
  for (; i + WIDTH <= half; i += WIDTH) {
    bytes both;
    memcpy(&both, numbers + i, sizeof both);
    const int_vec wide = __builtin_convertvector(both, int_vec);
    add_numbers(x + i, wide & 15, splat(size));
    add_numbers(x + half + i, wide >> 4, splat(size));
  }
  for (; i < half; i++) {
    x[i] = added_steps(x[i], numbers[i] & 15, size);
    x[half + i] = added_steps(x[half + i], numbers[i] >> 4, size);
  }
}

/* Both rows at once: each is a chain of additions, and two chains run in parallel. */
static void softmaxes(float* logits, const float* odds, float weight, size_t n16) {
  float *first = logits, *second = logits + n16, sums[2] = {0, 0};
  vec tops[2] = {splat(first[0]), splat(second[0])};
  for (size_t i = 0; i < n16; i += WIDTH) {
    const int_vec in = load(odds + i) > splat(0);
    tops[0] = HIGHER(choose(in, load(first + i), tops[0]), tops[0]);
    tops[1] = HIGHER(choose(in, load(second + i), tops[1]), tops[1]);
  }
  tops[0] = splat(highest(tops[0]));
  tops[1] = splat(highest(tops[1]));
  for (size_t i = 0; i < n16; i += WIDTH) {
    store(first + i, load(first + i) - tops[0]);
    store(second + i, load(second + i) - tops[1]);
  }
  exp_array(logits, 2 * n16);
  for (size_t i = 0; i < n16; i += WIDTH) {
    store(first + i, load(first + i) * load(odds + i));
    store(second + i, load(second + i) * load(odds + i));
  }
  for (size_t i = 0; i < n16; i++) {
    sums[0] += first[i];
    sums[1] += second[i];
  }
  const vec scales[2] = {splat(weight / sums[0]), splat(weight / sums[1])};
  for (size_t i = 0; i < n16; i += WIDTH) {
    store(first + i, load(first + i) * scales[0]);
    store(second + i, load(second + i) * scales[1]);
  }
}

/* Four rows of sums as columns, each 1 + what goes into the logarithm. */
INLINE void four_columns(const float (*sums)[FRESHET_SUMS], __m128 root, float* columns, size_t stride) {
  const __m128 one = _mm_set1_ps(1);
  __m128 a = _mm_load_ps(sums[0]), b = _mm_load_ps(sums[1]);
  __m128 c = _mm_load_ps(sums[2]), d = _mm_load_ps(sums[3]);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_store_ps(columns, one + a);
  _mm_store_ps(columns + stride, one + b * root);
  _mm_store_ps(columns + 2 * stride, one + c * root);
  _mm_store_ps(columns + 3 * stride, one + d);
}

static bool is_all_one(const float* column, size_t count) {
  const int_vec one = (int_vec)splat(1);
  int_vec other = {0};
  for (size_t i = 0; i < count; i += WIDTH) other |= (int_vec)load(column + i) ^ one;
  return mask_of(other != (int_vec){0}) == 0;
}

enum { BONUS_BLOCK = 256 };

/* A block at a time. Features that the user's items do not have are left out. What one loop stores in narrow
 * pieces the next loop loads in wide ones, when the stores have ended. */
static void bonuses(const float (*restrict sums)[FRESHET_SUMS], const float* restrict roots,
                    const float* restrict thetas, const float* restrict last_thetas, float* restrict out,
                    size_t n16) {
  _Alignas(64) float columns[FRESHET_SUMS][BONUS_BLOCK];
  for (size_t at = 0; at < n16; at += BONUS_BLOCK) {
    const size_t count = n16 - at < BONUS_BLOCK ? n16 - at : BONUS_BLOCK;
    for (size_t i = 0; i < count; i += 4)
      four_columns(sums + at + i, _mm_load_ps(roots + at + i), columns[0] + i, BONUS_BLOCK);
    const bool has[] = {!is_all_one(columns[0], count), !is_all_one(columns[1], count),
                        !is_all_one(columns[2], count)};
    const vec theta[] = {splat(thetas[0]), splat(thetas[1]), splat(thetas[2])};
    for (size_t i = 0; i < count; i += WIDTH) {
      vec sum = load(last_thetas + at + i) * log_of(load(columns[3] + i));
      if (has[0]) sum += theta[0] * log_of(load(columns[0] + i));
      if (has[1]) sum += theta[1] * log_of(load(columns[1] + i));
      if (has[2]) sum += theta[2] * log_of(load(columns[2] + i));
      store(out + at + i, sum);
    }
  }
}

/* The rows sums[0 .. WIDTH-1] as columns. */
INLINE void columns_of(const float (*sums)[FRESHET_SUMS], vec columns[FRESHET_SUMS]) {
  const vec a = load_apart(sums[0], 16), b = load_apart(sums[1], 16), c = load_apart(sums[2], 16),
            d = load_apart(sums[3], 16);
  const vec ab = SHUFFLE(a, b, _MM_SHUFFLE(1, 0, 1, 0)), cd = SHUFFLE(c, d, _MM_SHUFFLE(1, 0, 1, 0));
  const vec ab_last = SHUFFLE(a, b, _MM_SHUFFLE(3, 2, 3, 2)),
            cd_last = SHUFFLE(c, d, _MM_SHUFFLE(3, 2, 3, 2));
  columns[0] = SHUFFLE(ab, cd, _MM_SHUFFLE(2, 0, 2, 0));
  columns[1] = SHUFFLE(ab, cd, _MM_SHUFFLE(3, 1, 3, 1));
  columns[2] = SHUFFLE(ab_last, cd_last, _MM_SHUFFLE(2, 0, 2, 0));
  columns[3] = SHUFFLE(ab_last, cd_last, _MM_SHUFFLE(3, 1, 3, 1));
}

/* In separate loops, so that independent operations are next to each other. */
static void features(const float (*sums)[FRESHET_SUMS], const float* counts, const float* ages,
                     const float* rates, const float* scales, const freshet_draw_shares* draws,
                     const float* chances, float* rows, float* log_q, size_t n16) {
  float* popular = rows + FRESHET_SUMS * n16;
  for (size_t i = 0; i < n16; i += WIDTH) {
    vec x[FRESHET_SUMS];
    const vec root = 1.0F / ROOT(load(counts + i) + 1.0F);
    columns_of(sums + i, x);
    store(rows + i, x[0] + 1.0F);
    store(rows + n16 + i, x[1] * root + 1.0F);
    store(rows + 2 * n16 + i, x[2] * root + 1.0F);
    store(rows + 3 * n16 + i, x[3] + 1.0F);
  }
  for (size_t i = 0; i < n16; i += WIDTH) {
    vec shares[FRESHET_SPEEDS];
    for (int s = 0; s < FRESHET_SPEEDS; s++) shares[s] = load(ages + i) * rates[s];
    exps_of(shares, FRESHET_SPEEDS);
    for (size_t s = 0; s < FRESHET_SPEEDS; s++) {
      shares[s] = shares[s] * load(popular + s * n16 + i) * scales[s];
      store(popular + s * n16 + i, shares[s] + .5F);
    }
    const vec frequent = draws->frequent * (load(counts + i) * draws->per_count);
    store(log_q + i, frequent + draws->recent * shares[0] + draws->uniform + load(chances + i));
  }
  log_array(rows, (FRESHET_SUMS + FRESHET_SPEEDS) * n16);
  log_array(log_q, n16);
}

static void logits(const float* restrict rows, size_t count, const float* restrict thetas,
                   const float* restrict starts, const float* restrict last_thetas,
                   const float* restrict log_q, float* restrict out, size_t n16) {
  const size_t last = FRESHET_SUMS - 1;
  for (size_t i = 0; i < n16; i += WIDTH) {
    const vec text = load(last_thetas + i) * load(rows + last * n16 + i);
    vec sum = load(starts + i) + text - load(log_q + i);
    for (size_t f = 0; f < last; f++) sum += thetas[f] * load(rows + f * n16 + i);
    for (size_t f = last + 1; f < count; f++) sum += thetas[f] * load(rows + f * n16 + i);
    store(out + i, sum);
  }
}

/* x / sqrt(squares). An accumulator may be below 0 after a fold of other workers' gains. */
INLINE vec over_root(vec x, vec squares) {
  return x / ROOT(HIGHER(squares, splat(0)) + FRESHET_SQUARES_LEAST);
}

/* A mean of squares that forgets is never below the newest square, except after a fold of other workers' gains.
 * Then the newest square takes its place, since a step over a mean near 0 would be huge. */
static void adapt(const float* restrict g, float norm, const freshet_row_rates* rates,
                  double* restrict factor_squares, double* restrict bias_squares, double* restrict bias,
                  float* restrict steps, float* restrict bias_steps, size_t n16) {
  const double sum_round = 0x1.8p20, round = 0x1.8p12; /* freshet_grid_sum, freshet_grid */
  const double memory = rates->bias_memory, limit = rates->bias_limit;
  for (size_t i = 0; i < n16; i++) {
    const float square = g[i] * g[i];
    factor_squares[i] = ((factor_squares[i] + (double)(square * norm)) + sum_round) - sum_round;
    const double grown = ((memory * bias_squares[i] + (double)square) + sum_round) - sum_round;
    bias_squares[i] = grown < (double)square - 0x1p-31 ? (double)square : grown;
    steps[i] = (float)factor_squares[i];
    bias_steps[i] = (float)bias_squares[i];
  }
  for (size_t i = 0; i < n16; i += WIDTH) {
    store(steps + i, over_root(rates->factor * load(g + i), load(steps + i) + rates->factor_first));
    store(bias_steps + i, over_root(rates->bias * load(g + i), load(bias_steps + i)));
  }
  for (size_t i = 0; i < n16; i++) {
    double moved = bias[i] - (double)bias_steps[i];
    moved = moved < -limit ? -limit : moved;
    moved = moved > limit ? limit : moved;
    bias[i] = (moved + round) - round;
  }
}
