/** A message without some of its readings. */
import { AvroReader } from './avro-reader.ts'
import { AvroWriter } from './avro-writer.ts'

const NUMBER = 0
const BOOLEAN = 1
const KIND_COUNT = 3

/**
 * The same entry with those readings only whose index, in the order of the entry, `keep` says yes
 * to. Errors: ENTRY_MALFORMED.
 */
export function withoutReadings(value: Uint8Array, keep: (reading: number) => boolean): Uint8Array {
  const reader = new AvroReader()
  reader.reset(value)
  for (let name = 0; name < 3; name++) reader.stringStart()
  for (let number = 0; number < 3; number++) reader.long()
  reader.stringStart()
  reader.skipStrings()
  const writer = new AvroWriter(value.length + 16)
  writer.raw(value.subarray(0, reader.at))
  let reading = 0
  for (let kind = 0; kind < KIND_COUNT; kind++) {
    const kept: Uint8Array[] = []
    for (let left = reader.blockCount(); left > 0; left = reader.blockCount()) {
      for (; left > 0; left--, reading++) {
        const start = reader.at
        reader.stringStart()
        if (kind === NUMBER) reader.double()
        else if (kind === BOOLEAN) reader.boolean()
        else reader.stringStart()
        if (keep(reading)) kept.push(value.subarray(start, reader.at))
      }
    }
    if (kept.length > 0) {
      writer.long(kept.length)
      for (const bytes of kept) writer.raw(bytes)
    }
    writer.long(0)
  }
  reader.finish()
  return writer.take()
}
