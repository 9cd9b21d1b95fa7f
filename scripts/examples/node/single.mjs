// Avro's single-object encoding: C3 01, the schema's fingerprint (CRC-64-AVRO, little-endian), the record.
import avro from 'avsc'
import { readFileSync } from 'node:fs'

const folder = process.env.SCHEMAS ?? '/usr/share/freshet/schemas'
const EMPTY = 0xc15d213aa4d7a795n
const timestamps = { 'timestamp-millis': class extends avro.types.LogicalType {
  _fromValue(value) { return value }
  _toValue(value) { return value }
} }

// Of the Parsing Canonical Form, as the specification of Avro has it.
function fingerprint(canonical) {
  let fp = EMPTY
  for (const byte of Buffer.from(canonical)) {
    let row = (fp ^ BigInt(byte)) & 0xffn
    for (let bit = 0; bit < 8; bit++) row = (row >> 1n) ^ (row & 1n ? EMPTY : 0n)
    fp = (fp >> 8n) ^ row
  }
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(fp)
  return bytes
}

// {encode, decode, wrote} for a file of the folder.
export function load(file) {
  const json = JSON.parse(readFileSync(`${folder}/${file}`))
  const type = avro.Type.forSchema(json, { logicalTypes: timestamps, wrapUnions: false })
  const head = Buffer.concat([Buffer.from([0xc3, 1]), fingerprint(JSON.stringify(avro.Type.forSchema(json).schema()))])
  return {
    encode: (record) => Buffer.concat([head, type.toBuffer(type.clone(record, { wrapUnions: true }))]),
    decode: (value) => type.fromBuffer(value.subarray(head.length)),
    wrote: (value) => value.subarray(0, head.length).equals(head),
  }
}
