/** Entries without device and readings, which tell a number. */
import { AvroReader } from './avro-reader.ts'
import { AvroWriter } from './avro-writer.ts'

const NAMES = 3

/**
 * In telemetry a tick: the gateway's time, µs. In readings a mark: the offset of telemetry up to
 * which readings are there.
 */
export function encodeTick(number: number): Uint8Array {
  const writer = new AvroWriter(64)
  for (let name = 0; name < NAMES; name++) writer.string('')
  writer.long(number)
  writer.long(number)
  // Flags, identity, and four empty maps.
  for (let field = 0; field < 6; field++) writer.long(0)
  return writer.take()
}

/** Undefined for a message. Looks at the beginning alone. Errors: ENTRY_MALFORMED. */
export function decodeTick(value: Uint8Array): number | undefined {
  const reader = new AvroReader()
  reader.reset(value)
  for (let name = 0; name < NAMES; name++) {
    if (reader.stringStart() !== reader.at) return undefined
  }
  return reader.long()
}
