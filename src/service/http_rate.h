/*
 * http_rate.h: how many requests a client may send in a second: a token bucket each, filled at that rate,
 * with room for one second's worth. Private to the service.
 *
 * Memory is fixed: clients are spread over FRESHET_HTTP_RATE_BUCKETS buckets by a hash that is seeded anew in
 * each process, and clients that meet in one share it.
 */
#ifndef FRESHET_SERVICE_HTTP_RATE_H
#define FRESHET_SERVICE_HTTP_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRESHET_HTTP_RATE_BUCKETS = 4096 };

typedef struct freshet_http_rate {
  uint64_t seed;
  double per_second; /* 0: no limit */
  struct {
    double left; /* requests that may come at once */
    int64_t at_us;
  } buckets[FRESHET_HTTP_RATE_BUCKETS];
} freshet_http_rate;

/* Every client may start with one second's worth. */
void freshet_http_rate_init(freshet_http_rate* rate, double per_second, uint64_t seed);

/* Counts a request of the client that these bytes stand for; false: it is too much. now_us: of a clock that
 * never goes back. */
bool freshet_http_rate_allow(freshet_http_rate* rate, const void* client, size_t size, int64_t now_us);
/* Whether a request of this client would be allowed now; nothing is counted. */
bool freshet_http_rate_has(const freshet_http_rate* rate, const void* client, size_t size, int64_t now_us);

#endif
