/*
 * write_rights.h: may this user write to a topic? Tried with a record that the broker refuses for another reason once the
 * right is there, so that nothing is written. It must not know what a topic is for. Thread rule: one thread.
 */
#ifndef FRESHET_KAFKA_WRITE_RIGHTS_H
#define FRESHET_KAFKA_WRITE_RIGHTS_H

#include "kafka/kafka.h"

typedef enum freshet_write_right {
  FRESHET_WRITE_UNKNOWN = 0, /* it cannot be tried without writing, or the broker gave another answer */
  FRESHET_WRITE_GRANTED,
  FRESHET_WRITE_DENIED,
} freshet_write_right;

enum { FRESHET_WRITE_WHY_SIZE = 384 };

typedef struct freshet_write_trial {
  freshet_topic topic;              /* given */
  freshet_write_right right;        /* found */
  char why[FRESHET_WRITE_WHY_SIZE]; /* it is not granted; for people */
} freshet_write_trial;

/* Tries topics, all within some seconds. info: what freshet_kafka_topics_list says of them. */
void freshet_kafka_write_rights(const freshet_kafka_config* config,
                                const freshet_kafka_topic_info info[FRESHET_TOPICS],
                                freshet_write_trial* trials, size_t count);

#endif
