/*
 * http_rate.c: the token buckets of http_rate.h. The time comes in as a number, so that tests need not wait.
 * It owns nothing: the buckets are the caller's.
 */
#include "service/http_rate.h"

#include <xxhash.h>

void freshet_http_rate_init(freshet_http_rate* rate, double per_second, uint64_t seed) {
  rate->seed = seed;
  rate->per_second = per_second;
  for (size_t i = 0; i < FRESHET_HTTP_RATE_BUCKETS; i++) {
    rate->buckets[i].left = per_second < 1 ? 1 : per_second;
    rate->buckets[i].at_us = 0;
  }
}

static size_t place_of(const freshet_http_rate* rate, const void* client, size_t size) {
  return XXH3_64bits_withSeed(client, size, rate->seed) % FRESHET_HTTP_RATE_BUCKETS;
}

/* Requests that the bucket has room for now. */
static double left_at(const freshet_http_rate* rate, size_t place, int64_t now_us) {
  double room = rate->per_second < 1 ? 1 : rate->per_second;
  double gained = (double)(now_us - rate->buckets[place].at_us) * 1e-6 * rate->per_second;
  double left = rate->buckets[place].left + gained;
  return left > room ? room : left;
}

bool freshet_http_rate_has(const freshet_http_rate* rate, const void* client, size_t size, int64_t now_us) {
  return rate->per_second == 0 || left_at(rate, place_of(rate, client, size), now_us) >= 1;
}

bool freshet_http_rate_allow(freshet_http_rate* rate, const void* client, size_t size, int64_t now_us) {
  if (rate->per_second == 0) return true;
  size_t place = place_of(rate, client, size);
  double left = left_at(rate, place, now_us);
  rate->buckets[place].at_us = now_us;
  rate->buckets[place].left = left < 1 ? left : left - 1;
  return left >= 1;
}
