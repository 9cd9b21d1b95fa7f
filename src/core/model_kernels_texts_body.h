/*
 * model_kernels_texts_body.h: the kernels of neighbours by text; a part of model_kernels_body.h.
 *
 * A list has no tags beside it, since it is so short: where vectors are wide enough, the tags are made of its items.
 */

/* Bit e: entry e of the list may have a mark. */
#if defined(__AVX2__)

/* 16 bits of each of 16 items: 0 to 3 and 8 to 11, then 4 to 7 and 12 to 15. */
INLINE __m256i low_bits(__m256i first, __m256i second) {
  const __m256i mask = _mm256_set1_epi32(0xffff);
  return _mm256_packus_epi32(_mm256_and_si256(first, mask), _mm256_and_si256(second, mask));
}

/* The bytes of 32 items that lie in the order of low_bits. */
INLINE __m256i in_order(__m256i first, __m256i second) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return _mm256_permutevar8x32_epi32(_mm256_packus_epi16(first, second), order);
}

INLINE uint32_t find_in_texts(const freshet_text_list* list, filter f) {
  const __m256i* items = (const __m256i*)(const void*)list->items; /* cosines are read too, and cut off */
  const __m256i first = low_bits(_mm256_load_si256(items), _mm256_load_si256(items + 1));
  const __m256i second = low_bits(_mm256_load_si256(items + 2), _mm256_setzero_si256());
  const __m256i byte = _mm256_set1_epi16(0xff), factor = _mm256_set1_epi16((short)FRESHET_MARKS_FACTOR);
  const __m256i low = in_order(_mm256_and_si256(first, byte), _mm256_and_si256(second, byte));
  const __m256i mixed = in_order(_mm256_srli_epi16(_mm256_mullo_epi16(first, factor), 8),
                                 _mm256_srli_epi16(_mm256_mullo_epi16(second, factor), 8));
  const __m256i both = _mm256_min_epu8(in_set(low, f.low), in_set(mixed, f.mixed));
  const int missing = _mm256_movemask_epi8(_mm256_cmpeq_epi8(both, _mm256_setzero_si256()));
  return ~(uint32_t)missing & ((1U << list->count) - 1);
}

#else

INLINE uint32_t find_in_texts(const freshet_text_list* list, filter f) {
  uint32_t found = 0;
  for (uint32_t e = 0; e < list->count; e++) found |= (uint32_t)(f[list->items[e]] != 0) << e;
  return found;
}

#endif

static void scan_texts(const freshet_text_list* const* lists, const float* weights, size_t count,
                       const freshet_marks* marks, float (*sums)[FRESHET_SUMS]) {
  const filter f = load_filter(marks);
  const uint8_t* mark_of = marks->of;
  for (size_t l = 0; l < count; l++) {
    uint32_t found = find_in_texts(lists[l], f);
    for (; found != 0; found &= found - 1) {
      const size_t e = (size_t)__builtin_ctz(found);
      sums[mark_of[lists[l]->items[e]]][FRESHET_SUMS - 1] += weights[l] * freshet_text_likeness(lists[l], e);
    }
  }
}

static void spread_texts(const freshet_text_list* list, float weight, freshet_gathered* gathered) {
  freshet_gathered met = *gathered; /* in registers */
  float gains[FRESHET_TEXT_NEIGHBOURS];
  for (size_t e = 0; e < FRESHET_TEXT_NEIGHBOURS; e++) gains[e] = weight * freshet_text_likeness(list, e);
  for (size_t e = 0; e < list->count; e++) met.sums[meet(&met, list->items[e])][FRESHET_SUMS - 1] += gains[e];
  gathered->count = met.count;
}
