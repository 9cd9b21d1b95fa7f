// node producer.mjs BOOTSTRAP [EVENTS ITEMS]: announces three items and lets two users buy. SCHEMAS: folder of *.avsc.
import { randomUUID } from 'node:crypto'
import kafkajs from 'kafkajs'
import { load } from './single.mjs'

const [bootstrap, events = 'events', items = 'items'] = process.argv.slice(2)
const item = load('Item.avsc')
const purchase = load('Purchase.avsc')
const kafka = new kafkajs.Kafka({ brokers: [bootstrap], logLevel: kafkajs.logLevel.ERROR })
// The partitioner of Java clients: all producers must put a user's events into the same partition.
const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
await producer.connect()
await producer.send({
  topic: items,
  messages: ['tea', 'cup', 'pot'].map((id) => ({
    key: id,
    // Fields that are left out have their default.
    value: item.encode({ item_id: id, title: `A ${id}` }),
  })),
})
await producer.send({
  topic: events,
  messages: [['node-1', 'tea'], ['node-1', 'pot'], ['node-2', 'tea']].map(([user, id]) => ({
    key: user,
    // A retry has the same event_id: it is learned once.
    value: purchase.encode({
      event_id: randomUUID(), user_id: user, item_id: id, occurred_at: Date.now(), quantity: 1, price: 2.5,
    }),
  })),
})
await producer.disconnect()
