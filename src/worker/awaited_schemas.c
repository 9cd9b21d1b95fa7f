/* awaited_schemas.c: stops partitions, and starts them again; see awaited_schemas.h. */
#include "worker/awaited_schemas.h"

#include <stdlib.h>

void freshet_awaited_schemas_add(freshet_awaited_schemas* awaited, freshet_held_partition* held,
                                 const freshet_record* record, const freshet_error* why) {
  const freshet_ports* ports = awaited->ports;
  held->awaits_schema = true;
  freshet_held_stop_at(held, record->offset);
  freshet_count(&ports->metrics->partitions_awaiting_schema, 1);
  freshet_log_fact(ports->logger, FRESHET_WARN, "partition.awaits_schema",
                   "topic=%s partition=%d offset=%lld reason=\"%s\"",
                   freshet_outbox_topic_name(ports->outbox, held->topic), (int)held->partition,
                   (long long)held->next, why->message);
}

freshet_status freshet_awaited_schemas_turn(freshet_awaited_schemas* awaited, freshet_error* error) {
  const freshet_ports* ports = awaited->ports;
  uint64_t version = freshet_codec_version(ports->codec);
  if (version == awaited->version) return FRESHET_OK;
  awaited->version = version;
  size_t count, waiting = 0;
  freshet_partition* targets = freshet_held_list(awaited->held, FRESHET_TOPICS, FRESHET_HELD_NEXT, &count);
  for (size_t i = 0; i < count; i++) {
    freshet_held_partition* held = freshet_held_find(awaited->held, targets[i].topic, targets[i].partition);
    if (held->awaits_schema) targets[waiting++] = targets[i];
    held->awaits_schema = false;
  }
  freshet_gauge(&ports->metrics->partitions_awaiting_schema, 0);
  freshet_status status =
      waiting == 0 ? FRESHET_OK : freshet_source_seek(ports->source, targets, waiting, error);
  if (waiting > 0)
    freshet_log_fact(ports->logger, FRESHET_INFO, "partitions.read_again", "partitions=%zu", waiting);
  free(targets);
  return status;
}

void freshet_awaited_schemas_forget(freshet_awaited_schemas* awaited) {
  FRESHET_HELD_EACH(held, awaited->held, FRESHET_TOPICS) held->awaits_schema = false;
  freshet_gauge(&awaited->ports->metrics->partitions_awaiting_schema, 0);
}
