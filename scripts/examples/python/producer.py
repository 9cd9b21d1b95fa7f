"""producer.py BOOTSTRAP [EVENTS ITEMS]: announces three items and lets two users buy. SCHEMAS: folder of *.avsc."""
import io
import json
import os
import sys
import time
import uuid

import fastavro
from confluent_kafka import Producer
from fastavro.schema import fingerprint, to_parsing_canonical_form

SCHEMAS = os.environ.get("SCHEMAS", "/usr/share/freshet/schemas")


class Encoder:
    """Avro's single-object encoding: C3 01, the schema's fingerprint, the record."""

    def __init__(self, name):
        with open(f"{SCHEMAS}/{name}.avsc") as file:
            schema = json.load(file)
        canonical = to_parsing_canonical_form(schema)
        self.head = b"\xc3\x01" + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))
        self.schema = fastavro.parse_schema(schema)

    def __call__(self, record):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.schema, record)
        return self.head + out.getvalue()


bootstrap, events, items = sys.argv[1:] if len(sys.argv) == 4 else (sys.argv[1], "events", "items")
encode_item, encode_purchase = Encoder("Item"), Encoder("Purchase")
# The partitioner of Java clients: all producers must put a user's events into the same partition.
# One request at a time: librdkafka may report a record as written that a new leader refused, when the next one was on its way.
producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "max.in.flight": 1, "partitioner": "murmur2_random"})
for item_id, title in [("tea", "Green tea"), ("cup", "A cup"), ("pot", "A teapot")]:
    # Fields that are left out have their default.
    producer.produce(items, key=item_id, value=encode_item({"item_id": item_id, "title": title}))
for user_id, item_id in [("python-1", "tea"), ("python-1", "pot"), ("python-2", "tea")]:
    # A retry has the same event_id: it is learned once.
    event = {"event_id": str(uuid.uuid4()), "user_id": user_id, "item_id": item_id,
             "occurred_at": int(time.time() * 1000), "quantity": 1, "price": 2.5}
    producer.produce(events, key=user_id, value=encode_purchase(event))
left = producer.flush(30)
sys.exit(f"{left} records were not acknowledged" if left else 0)
