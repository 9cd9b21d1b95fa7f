/* record_headers.c: see record_headers.h. A record's `opaque` is librdkafka's message. */
#include "kafka/record_headers.h"

#include <librdkafka/rdkafka.h>

void freshet_kafka_record_headers(const freshet_record* record,
                                  void (*visit)(void* context, const char* name, freshet_slice value),
                                  void* context) {
  rd_kafka_headers_t* headers = NULL;
  const char* name;
  const void* bytes;
  size_t size;
  if (rd_kafka_message_headers(record->opaque, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &bytes, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       i++)
    visit(context, name, (freshet_slice){bytes, size});
}
