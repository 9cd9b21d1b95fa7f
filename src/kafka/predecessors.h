/*
 * predecessors.h: ends the transaction that a process has left open when it died, once another process has its
 * partitions. Without it the committed records of these partitions would end there until transaction.timeout.ms.
 *
 * Private to src/kafka. owner.h says how the process is known.
 */
#ifndef FRESHET_KAFKA_PREDECESSORS_H
#define FRESHET_KAFKA_PREDECESSORS_H

#include "kafka/client.h"

/* A thread that watches the partitions that were taken over last. */
typedef struct freshet_predecessors freshet_predecessors;

/* config: borrowed, with a transactional id. The thread begins at the first call of `watch`. */
freshet_predecessors* freshet_predecessors_create(const freshet_kafka_config* config);
/* NULL does nothing. Waits for the thread, a few seconds at most. */
void freshet_predecessors_destroy(freshet_predecessors* predecessors);
/* The partitions of `events` in the list have just come. Their changelog is watched for a minute: if its committed end
 * rests before its end, the process that last committed the partition's offset is looked up; if that process is
 * not in the group, its producers are fenced, which aborts what they have left open. member_id: ours; NULL when it is
 * not known, and nobody is fenced then. From one thread. */
void freshet_predecessors_watch(freshet_predecessors* predecessors, const char* member_id,
                                const rd_kafka_topic_partition_list_t* list);

#endif
