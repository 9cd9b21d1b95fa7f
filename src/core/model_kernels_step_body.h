/*
 * model_kernels_step_body.h: the part of model_kernels_body.h that a step of learning needs along its
 * candidates. Included there, once for each level of the machine.
 */

INLINE void store(float* x, vec v) {
  *(vec*)x = v;
}

static void softmax(float* logits, const float* odds, float weight, size_t n16) {
  vec tops = splat(logits[0]);
  for (size_t i = 0; i < n16; i += WIDTH) {
    tops = HIGHER(choose(load(odds + i) > splat(0), load(logits + i), tops), tops);
  }
  float top = logits[0], sum = 0;
  for (int l = 0; l < WIDTH; l++) top = tops[l] > top ? tops[l] : top;
  for (size_t i = 0; i < n16; i += WIDTH) store(logits + i, load(logits + i) - splat(top));
  exp_array(logits, n16);
  for (size_t i = 0; i < n16; i += WIDTH) store(logits + i, load(logits + i) * load(odds + i));
  for (size_t i = 0; i < n16; i++) sum += logits[i];
  const vec scale = splat(weight / sum);
  for (size_t i = 0; i < n16; i += WIDTH) store(logits + i, load(logits + i) * scale);
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

static void bonus_features(const float (*sums)[FRESHET_SUMS], const float* counts, float* rows, size_t stride,
                           size_t n16) {
  const __m128 one = _mm_set1_ps(1);
  for (size_t i = 0; i < n16; i += 4)
    four_columns(sums + i, one / _mm_sqrt_ps(_mm_load_ps(counts + i) + one), rows + i, stride);
  for (size_t f = 0; f < FRESHET_SUMS; f++) { /* a history within one session, say, leaves a column empty */
    float* row = rows + f * stride;
    if (is_all_one(row, n16)) {
      memset(row, 0, n16 * sizeof *row);
    } else {
      log_array(row, n16);
    }
  }
}

enum { BONUS_BLOCK = 256 };

/* A block at a time: features of which the user's items have nothing are left out, and what one loop stores
 * narrow the next loads wide when it has arrived. */
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

static void popular_features(const float* ages, const float* rates, const float* scales, float* rows,
                             size_t stride, const freshet_draw_shares* draws, const float* counts,
                             float* log_q, size_t n16) {
  for (size_t i = 0; i < n16; i += WIDTH) {
    vec decays[FRESHET_SPEEDS], shares[1 + FRESHET_SPEEDS];
    for (int s = 0; s < FRESHET_SPEEDS; s++) decays[s] = load(ages + i) * rates[s];
    exps_of(decays, FRESHET_SPEEDS);
    for (int s = 0; s < FRESHET_SPEEDS; s++) {
      decays[s] = decays[s] * load(rows + (size_t)s * stride + i) * scales[s];
      shares[1 + s] = decays[s] + .5F;
    }
    const vec frequent = draws->frequent * (load(counts + i) * draws->per_count);
    shares[0] = frequent + draws->recent * decays[0] + draws->uniform;
    logs_of(shares, 1 + FRESHET_SPEEDS);
    store(log_q + i, shares[0]);
    for (int s = 0; s < FRESHET_SPEEDS; s++) store(rows + (size_t)s * stride + i, shares[1 + s]);
  }
}

/* x / sqrt(squares); an accumulator that forgets may come out below 0 when other workers' gains are folded
 * in. */
INLINE vec over_root(vec x, vec squares) {
  return x / ROOT(HIGHER(squares, splat(0)) + FRESHET_SQUARES_LEAST);
}

static void adapt(const float* restrict g, float norm, const freshet_row_rates* rates,
                  double* restrict factor_squares, double* restrict bias_squares, double* restrict bias,
                  float* restrict steps, float* restrict bias_steps, size_t n16) {
  const double sum_round = 0x1.8p20, round = 0x1.8p12; /* freshet_grid_sum, freshet_grid */
  const double memory = rates->bias_memory, limit = rates->bias_limit;
  for (size_t i = 0; i < n16; i++) {
    const float square = g[i] * g[i];
    factor_squares[i] = ((factor_squares[i] + (double)(square * norm)) + sum_round) - sum_round;
    bias_squares[i] = ((memory * bias_squares[i] + (double)square) + sum_round) - sum_round;
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
