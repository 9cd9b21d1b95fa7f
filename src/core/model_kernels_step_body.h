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
  for (size_t i = 0; i < n16; i += WIDTH) {
    store(logits + i, exp_of(load(logits + i) - splat(top)) * load(odds + i));
  }
  for (size_t i = 0; i < n16; i++) sum += logits[i];
  const vec scale = splat(weight / sum);
  for (size_t i = 0; i < n16; i += WIDTH) store(logits + i, load(logits + i) * scale);
}

static void bonus_features(const float (*sums)[FRESHET_SUMS], const float* counts, float* rows, size_t stride,
                           size_t n16) {
  for (size_t i = 0; i < n16; i += 4) {
    __m128 a = _mm_load_ps(sums[i]), b = _mm_load_ps(sums[i + 1]);
    __m128 c = _mm_load_ps(sums[i + 2]), d = _mm_load_ps(sums[i + 3]);
    const __m128 one = _mm_set1_ps(1);
    const __m128 root = one / _mm_sqrt_ps(_mm_load_ps(counts + i) + one);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_store_ps(rows + i, one + a);
    _mm_store_ps(rows + stride + i, one + b * root);
    _mm_store_ps(rows + 2 * stride + i, one + c * root);
    _mm_store_ps(rows + 3 * stride + i, one + d);
  }
  for (size_t f = 0; f < FRESHET_SUMS; f++) log_array(rows + f * stride, n16);
}

/* sum += theta log(x); most rows of lanes have nothing to add. */
INLINE void add_logs(float* sum, const float* theta, int theta_step, const float* x) {
  for (int p = 0; p < FRESHET_LANES; p += WIDTH) {
    const vec value = load(x + p);
    if (mask_of(value != splat(1)) == 0) continue;
    const vec factor = theta_step == 0 ? splat(*theta) : load(theta + p);
    store(sum + p, load(sum + p) + factor * log_of(value));
  }
}

static void bonuses(const uint32_t* items, size_t count, float (*sums)[FRESHET_SUMS], uint8_t* marks,
                    const float* roots, const uint8_t* levels, const float thetas[FRESHET_SUMS],
                    const float* level_thetas, float* out) {
  const __m128 one = _mm_set1_ps(1);
  for (size_t i = 0; i < count; i += FRESHET_LANES) {
    _Alignas(64) float rows[FRESHET_SUMS][FRESHET_LANES], level_theta[FRESHET_LANES] = {0};
    for (size_t l = 0; l < FRESHET_LANES; l += 4) {
      __m128 four[4] = {_mm_setzero_ps()};
      _Alignas(16) float root[4] = {0};
      for (size_t j = 0; j < 4 && i + l + j < count; j++) {
        const uint32_t item = items[i + l + j];
        four[j] = _mm_load_ps(sums[item]);
        _mm_store_ps(sums[item], _mm_setzero_ps());
        marks[item] = 0;
        root[j] = roots[item];
        level_theta[l + j] = level_thetas[levels[item]];
      }
      _MM_TRANSPOSE4_PS(four[0], four[1], four[2], four[3]);
      _mm_store_ps(rows[0] + l, one + four[0]);
      _mm_store_ps(rows[1] + l, one + four[1] * _mm_load_ps(root));
      _mm_store_ps(rows[2] + l, one + four[2] * _mm_load_ps(root));
      _mm_store_ps(rows[3] + l, one + four[3]);
    }
    memset(out + i, 0, FRESHET_LANES * sizeof *out);
    add_logs(out + i, level_theta, 1, rows[3]);
    for (int f = 0; f < 3; f++) add_logs(out + i, &thetas[f], 0, rows[f]);
  }
}

static void popular_features(const float* ages, const float* rates, const float* scales, size_t speeds,
                             float* rows, size_t stride, const freshet_draw_shares* draws,
                             const float* counts, float* log_q, size_t n16) {
  for (size_t i = 0; i < n16; i += WIDTH) {
    for (size_t s = 0; s < speeds; s++) {
      float* row = rows + s * stride + i;
      const vec share = exp_of(load(ages + i) * rates[s]) * load(row) * scales[s];
      store(row, log_of(share + .5F));
      if (s > 0) continue;
      const vec frequent = draws->frequent * (load(counts + i) * draws->per_count);
      store(log_q + i, log_of(frequent + draws->recent * share + draws->uniform));
    }
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
