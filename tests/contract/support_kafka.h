/*
 * support_kafka.h: a cluster to test against (embedded, or the one that FRESHET_TEST_BOOTSTRAP names) and the
 * calls that every test of the Kafka module repeats. Any failure fails the test.
 */
#ifndef FRESHET_TESTS_SUPPORT_KAFKA_H
#define FRESHET_TESTS_SUPPORT_KAFKA_H

#include "kafka/embedded.h"
#include "kafka/kafka.h"

enum { PROPERTIES_MAX = 8, PARTITIONS = 3 };

/* Topics of its own, so that tests do not meet. */
typedef struct cluster {
  freshet_kafka_embedded* embedded; /* NULL: a real one */
  freshet_kafka_config config;
  freshet_kafka_property properties[PROPERTIES_MAX];
  char names[FRESHET_TOPICS][64];
  char app_id[64];
  char transactional_id[128];
} cluster;

bool cluster_has_real(void);
void cluster_start(cluster* c, bool real);
void cluster_stop(cluster* c);
void cluster_property(cluster* c, const char* name, const char* value);

/* What a handler was told, and what it does about it. */
typedef struct group_log {
  bool owned[FRESHET_TOPICS][16];
  int64_t start[FRESHET_TOPICS][16];
  int assigned, revoked, lost;
  void (*on_revoked)(void* context); /* may be NULL */
  void* context;
} group_log;

freshet_source* open_source(cluster* c, group_log* log, const char* instance_id);
freshet_sink* open_sink(cluster* c, freshet_source* source);
freshet_reader* open_log(cluster* c);

/* Polls until something is assigned. */
void join(freshet_source* source, group_log* log);
freshet_output output_of(freshet_topic topic, int32_t partition, const char* key, const char* value);
void publish(freshet_sink* sink, freshet_topic topic, int32_t partition, const char* key, const char* value);
void publish_numbers(freshet_sink* sink, freshet_topic topic, int32_t partition, int from, int to);
void settle(freshet_sink* sink);
void begin(freshet_sink* sink);
void write_one(freshet_sink* sink, freshet_topic topic, int32_t partition, const char* key,
               const char* value);
/* Commits and waits for the outcome. */
freshet_status commit(freshet_sink* sink, const freshet_partition* offsets, size_t count);
/* offset -1: without offsets. */
void commit_at(freshet_sink* sink, freshet_topic topic, int32_t partition, int64_t offset);
/* Reads `wanted` records of one partition as numbers from a source or log, which must be first, first + 1,
 * ... Others that come along are an error. */
void expect_numbers(freshet_source* source, int32_t partition, int first, int wanted);
/* Reads the log from an offset up to the given position; returns how many records came. */
int read_until(freshet_reader* log, freshet_topic topic, int32_t partition, int64_t from, int64_t position);

#define assert_status(wanted, call)                                              \
  do {                                                                           \
    freshet_status status_of_call = (call);                                      \
    if (status_of_call != (wanted))                                              \
      fail_msg("%s: %s, not %s: %s", #call, freshet_status_name(status_of_call), \
               freshet_status_name(wanted), last_error.message);                 \
  } while (0)
extern freshet_error last_error;
freshet_error* fresh_error(void); /* &last_error, cleared */

#endif
