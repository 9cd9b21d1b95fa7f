/*
 * awaited_schemas.c: records whose schema the registry has not told yet. A record that cannot be read now is no dead
 * letter: its partition stops there, the others go on, and it is read again when schemas have come. So a registry that
 * is away delays what needs it, and nothing is lost.
 */
#include <stdlib.h>

#include "worker/worker_internal.h"

freshet_status freshet_worker_await_schema(freshet_worker* worker, freshet_held_partition* held,
                                           const freshet_record* record, const freshet_error* why) {
  held->awaits_schema = true;
  held->next = record->offset; /* where it begins, if nothing was read before */
  freshet_count(&worker->ports.metrics->partitions_awaiting_schema, 1);
  freshet_log_fact(worker->ports.logger, FRESHET_WARN, "partition.awaits_schema",
                   "topic=%s partition=%d offset=%lld reason=\"%s\"",
                   freshet_outbox_topic_name(worker->ports.outbox, held->topic), (int)held->partition,
                   (long long)held->next, why->message);
  return FRESHET_OK;
}

freshet_status freshet_worker_end_await_schemas(freshet_worker* worker, freshet_error* error) {
  size_t count = 0;
  uint64_t schemas = freshet_codec_version(worker->ports.codec);
  if (schemas == worker->schemas) return FRESHET_OK;
  worker->schemas = schemas;
  freshet_partition* targets = calloc(freshet_held_count(worker->held, FRESHET_TOPICS) + 1, sizeof *targets);
  FRESHET_ASSERT(targets != NULL);
  FRESHET_HELD_EACH(held, worker->held, FRESHET_TOPICS) {
    if (!held->awaits_schema) continue;
    held->awaits_schema = false;
    targets[count++] = (freshet_partition){held->topic, held->partition, held->next};
  }
  freshet_gauge(&worker->ports.metrics->partitions_awaiting_schema, 0);
  freshet_status status =
      count == 0 ? FRESHET_OK : freshet_source_seek(worker->ports.source, targets, count, error);
  if (count > 0)
    freshet_log_fact(worker->ports.logger, FRESHET_INFO, "partitions.read_again", "partitions=%zu", count);
  free(targets);
  return status;
}
