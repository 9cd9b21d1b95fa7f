"""reader.py BOOTSTRAP [RECOMMENDATIONS]: keeps the newest list of each user and prints changes. SCHEMAS: folder of *.avsc."""
import glob
import io
import json
import os
import sys

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from fastavro.schema import fingerprint, to_parsing_canonical_form

SCHEMAS = os.environ.get("SCHEMAS", "/usr/share/freshet/schemas")
bootstrap, topic = (sys.argv[1:] + ["recommendations"])[:2]

writers = {}  # fingerprint -> schema: present and former ones
for path in glob.glob(f"{SCHEMAS}/RecommendationList.avsc") + glob.glob(f"{SCHEMAS}/former/RecommendationList-*.avsc"):
    with open(path) as file:
        schema = json.load(file)
    mark = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
    writers[mark] = fastavro.parse_schema(schema)

newest = {}  # user -> (version_partition, version_offset, items)


def show(user_id, value):
    if value is None:  # the user was erased
        if newest.pop(user_id, None):
            print(f"{user_id}: erased", flush=True)
        return
    schema = writers.get(value[2:10])
    if value[:2] != b"\xc3\x01" or schema is None:
        print(f"{user_id}: written with a schema that is not in {SCHEMAS}", file=sys.stderr)
        return
    got = fastavro.schemaless_reader(io.BytesIO(value[10:]), schema, None)
    held = newest.get(user_id, (-1, -1, None))
    # An older list, whenever it arrives. Offsets of two partitions cannot be compared: there the later record counts.
    if got["version_partition"] == held[0] and got["version_offset"] < held[1]:
        return
    items = [entry["item_id"] for entry in got["items"]]
    newest[user_id] = (got["version_partition"], got["version_offset"], items)
    if items != held[2]:
        print(f"{user_id}: {' '.join(items)}", flush=True)


consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False})
partitions = consumer.list_topics(topic, 30).topics[topic].partitions
consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])  # the topic is the table
while True:
    message = consumer.poll(1)
    if message is not None and message.error():
        sys.exit(str(message.error()))
    if message is not None:
        show(message.key().decode(), message.value())
