/** Window partials and watermarks as entries. */
import type { SeriesName } from '../batch/batch.ts'
import * as words from '../stream/stream.ts'
import { AvroReader, malformed } from './avro-reader.ts'
import { AvroWriter } from './avro-writer.ts'

const BOOLEAN = 1

export type WindowEntry =
  | { watermarkMs: number }
  | {
      series: SeriesName
      /** PARTIAL_STRIDE numbers; PARTIAL_SERIES is 0. */
      row: Float64Array
    }

/** `row` has PARTIAL_STRIDE numbers; what it says of its series is not looked at. */
export function encodeWindow(series: SeriesName, row: Float64Array): Uint8Array {
  const writer = new AvroWriter(192)
  const { tenant, deviceId, deviceType, metric, kind, dimensions } = series
  for (const name of [tenant, deviceId, deviceType, metric]) writer.string(name)
  writer.long(kind === 'boolean' ? BOOLEAN : 0)
  writer.strings(dimensions)
  writer.long(row[words.PARTIAL_WINDOW_MS]!)
  writer.long(row[words.PARTIAL_START_MS]!)
  writer.boolean(row[words.PARTIAL_IS_LATE] === 1)
  writer.long(row[words.PARTIAL_COUNT]!)
  for (const place of DOUBLES) writer.double(row[place]!)
  writer.double(row[words.PARTIAL_FIRST]!)
  writer.long(row[words.PARTIAL_FIRST_TIME_US]!)
  writer.double(row[words.PARTIAL_LAST]!)
  writer.long(row[words.PARTIAL_LAST_TIME_US]!)
  return writer.take()
}

const DOUBLES = [
  words.PARTIAL_SUM,
  words.PARTIAL_MIN,
  words.PARTIAL_MAX,
  words.PARTIAL_MEAN,
  words.PARTIAL_SQUARES,
]

export function encodeWatermark(watermarkMs: number): Uint8Array {
  const nobody = { tenant: '', deviceId: '', deviceType: '', metric: '' }
  const row = new Float64Array(words.PARTIAL_STRIDE)
  row[words.PARTIAL_START_MS] = watermarkMs
  return encodeWindow({ ...nobody, kind: 'number', dimensions: [] }, row)
}

/** Errors: ENTRY_MALFORMED. */
export function decodeWindow(value: Uint8Array): WindowEntry {
  const reader = new AvroReader()
  reader.reset(value)
  const [tenant, deviceId] = [reader.string(), reader.string()]
  const [deviceType, metric] = [reader.string(), reader.string()]
  const kind = reader.long()
  if (kind !== 0 && kind !== BOOLEAN) throw malformed(`a window of kind ${kind}`)
  const dimensions = reader.strings()
  const row = new Float64Array(words.PARTIAL_STRIDE)
  row[words.PARTIAL_WINDOW_MS] = reader.long()
  row[words.PARTIAL_START_MS] = reader.long()
  row[words.PARTIAL_IS_LATE] = reader.boolean() ? 1 : 0
  row[words.PARTIAL_COUNT] = reader.long()
  for (const place of DOUBLES) row[place] = reader.double()
  row[words.PARTIAL_FIRST] = reader.double()
  row[words.PARTIAL_FIRST_TIME_US] = reader.long()
  row[words.PARTIAL_LAST] = reader.double()
  row[words.PARTIAL_LAST_TIME_US] = reader.long()
  reader.finish()
  if (deviceId === '') return { watermarkMs: row[words.PARTIAL_START_MS] ?? NaN }
  const name = { tenant, deviceId, deviceType, metric, dimensions }
  return { series: { ...name, kind: kind === BOOLEAN ? 'boolean' : 'number' }, row }
}
