// node reader.mjs BOOTSTRAP [RECOMMENDATIONS]: keeps the newest list of each user, prints changes. SCHEMAS: folder of *.avsc.
import { randomUUID } from 'node:crypto'
import kafkajs from 'kafkajs'
import { load } from './single.mjs'

const [bootstrap, topic = 'recommendations'] = process.argv.slice(2)
const schema = load('RecommendationList.avsc')
const newest = new Map() // user -> {partition, version, items}

function show(user, value) {
  if (value === null) { // the user was erased
    if (newest.delete(user)) console.log(`${user}: erased`)
    return
  }
  if (!schema.wrote(value)) {
    console.error(`${user}: written with another schema`)
    return
  }
  const list = schema.decode(value)
  const held = newest.get(user)
  // An older list, whenever it arrives. Offsets of two partitions cannot be compared: there the later record counts.
  if (held && list.version_partition === held.partition && list.version_offset < held.version) return
  const items = list.items.map((entry) => entry.item_id).join(' ')
  newest.set(user, { partition: list.version_partition, version: list.version_offset, items })
  if (items !== held?.items) console.log(`${user}: ${items}`)
}

const kafka = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.ERROR })
// kafkajs cannot read without a group. A new one each time: the topic is the table, and is read from its beginning.
const consumer = kafka.consumer({ groupId: `reader-${randomUUID()}` })
await consumer.connect()
await consumer.subscribe({ topic, fromBeginning: true })
await consumer.run({ autoCommit: false, eachMessage: async ({ message }) => show(message.key.toString(), message.value) })
