/** Messages as plain data, to and from the columns of a batch, and as records of `avsc`. */
import avsc from 'avsc'
import fc from 'fast-check'
import type { Definitions, ReadingBatch, ValueKind } from '../batch/batch.ts'
import { MESSAGE_SCHEMA, WINDOW_SCHEMA } from './entries.ts'

export interface PlainMessage {
  tenant: string
  deviceId: string
  deviceType: string
  eventUs: number
  ingestUs: number
  flags: number
  /** High and low half; 0, 0 for none. */
  identity: [number, number]
  dimensions: [string, string][]
  readings: [string, number | boolean | string][]
}

/** The schemas as another program has them: parsed from JSON. */
const typeOf = (schema: object): avsc.Type =>
  avsc.Type.forSchema(JSON.parse(JSON.stringify(schema)) as avsc.Schema)
export const MESSAGE_TYPE = typeOf(MESSAGE_SCHEMA)
export const WINDOW_TYPE = typeOf(WINDOW_SCHEMA)

const kindOf = (value: number | boolean | string): ValueKind =>
  typeof value === 'string' ? 'text' : (typeof value as 'number' | 'boolean')
const KINDS: ValueKind[] = ['number', 'boolean', 'text']
/** Entries have numbers first, then booleans, then texts. */
export const inOrderOfEntries = (message: PlainMessage): PlainMessage => ({
  ...message,
  readings: message.readings.toSorted(
    ([, a], [, b]) => KINDS.indexOf(kindOf(a)) - KINDS.indexOf(kindOf(b)),
  ),
})

/** Numbers for names, from 0, as a gateway's dictionary gives them. */
function numbering(): (name: unknown) => { number: number; isNew: boolean } {
  const numbers = new Map<string, number>()
  return (name) => {
    const key = JSON.stringify(name)
    const isNew = !numbers.has(key)
    if (isNew) numbers.set(key, numbers.size)
    return { number: numbers.get(key)!, isNew }
  }
}

/** A frame of these messages that defines all that it names. */
export function batchOf(messages: readonly PlainMessage[]): ReadingBatch {
  const [devices, series, texts] = [numbering(), numbering(), numbering()]
  const definitions: Definitions = { series: [], texts: [] }
  const baseIngestTimeUs = Math.min(...messages.map(({ ingestUs }) => ingestUs))
  const readings = messages.flatMap((message) => {
    const { tenant, deviceId, deviceType, dimensions } = message
    const device = devices([tenant, deviceId]).number
    return message.readings.map(([metric, value]) => {
      const kind = kindOf(value)
      const one = series([device, metric, dimensions, kind])
      const name = { tenant, deviceId, deviceType, metric, dimensions, kind }
      if (one.isNew) definitions.series.push({ series: one.number, device, ...name })
      if (typeof value !== 'string') return { series: one.number, value: Number(value) }
      const text = texts(value)
      if (text.isNew) definitions.texts.push([text.number, value])
      return { series: one.number, value: text.number }
    })
  })
  return {
    messageCount: messages.length,
    readingCount: readings.length,
    baseIngestTimeUs,
    eventTimeUs: Float64Array.from(messages, ({ eventUs }) => eventUs),
    ingestDeltaUs: Uint32Array.from(messages, ({ ingestUs }) => ingestUs - baseIngestTimeUs),
    device: Uint32Array.from(messages, (one) => devices([one.tenant, one.deviceId]).number),
    identityHigh: Uint32Array.from(messages, ({ identity }) => identity[0]),
    identityLow: Uint32Array.from(messages, ({ identity }) => identity[1]),
    readingsInMessage: Uint16Array.from(messages, ({ readings }) => readings.length),
    flags: Uint8Array.from(messages, ({ flags }) => flags),
    value: Float64Array.from(readings, ({ value }) => value),
    series: Uint32Array.from(readings, ({ series }) => series),
    definitions,
    deadLetters: undefined,
  }
}

/** What a batch says, by everything that was defined so far. */
export function messagesOf(batch: ReadingBatch, definitions: Definitions): PlainMessage[] {
  const series = new Map(definitions.series.map((one) => [one.series, one]))
  const texts = new Map(definitions.texts)
  const valueOf = (kind: ValueKind, value: number): number | boolean | string =>
    kind === 'number' ? value : kind === 'boolean' ? value !== 0 : texts.get(value)!
  let from = 0
  return Array.from({ length: batch.messageCount }, (_, message) => {
    const to = from + batch.readingsInMessage[message]!
    const first = series.get(batch.series[from]!)!
    const { tenant, deviceId, deviceType, dimensions } = first
    const readings = Array.from(
      batch.series.subarray(from, to),
      (one, at): [string, number | boolean | string] => {
        const { metric, kind } = series.get(one)!
        return [metric, valueOf(kind, batch.value[from + at]!)]
      },
    )
    from = to
    return {
      ...{ tenant, deviceId, deviceType, dimensions, readings },
      eventUs: batch.eventTimeUs[message]!,
      ingestUs: batch.baseIngestTimeUs + batch.ingestDeltaUs[message]!,
      flags: batch.flags[message]!,
      identity: [batch.identityHigh?.[message] ?? 0, batch.identityLow?.[message] ?? 0],
    }
  })
}

/** The record as `avsc` takes and gives it. */
export function recordOf(message: PlainMessage): Record<string, unknown> {
  const [high, low] = message.identity
  const identity = Buffer.alloc((high | low) === 0 ? 0 : 8)
  if (identity.length > 0) identity.writeUInt32BE(low, identity.writeUInt32BE(high, 0))
  const ofKind = (kind: ValueKind): object =>
    Object.fromEntries(message.readings.filter(([, value]) => kindOf(value) === kind))
  return {
    tenant: message.tenant,
    device: message.deviceId,
    device_type: message.deviceType,
    event_us: message.eventUs,
    ingest_us: message.ingestUs,
    flags: message.flags,
    identity,
    dimensions: Object.fromEntries(message.dimensions),
    numbers: ofKind('number'),
    booleans: ofKind('boolean'),
    texts: ofKind('text'),
  }
}

const text = fc.string({ unit: 'grapheme', maxLength: 12 })
/** Objects, which `avsc` makes of maps, put whole numbers first and have a prototype. */
const name = text.filter((one) => !/^\d+$/.test(one) && one !== '__proto__')
const half = fc.nat({ max: 2 ** 32 - 1 })
const value = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.string({ unit: 'grapheme', maxLength: 80 }),
)

export const anyMessage: fc.Arbitrary<PlainMessage> = fc
  .record({
    tenant: text,
    deviceId: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
    eventUs: fc.integer({ min: -(2 ** 52) + 1, max: 2 ** 52 - 1 }),
    ingestUs: fc.integer({ min: 1.7e15, max: 1.7e15 + 2 ** 31 }),
    flags: fc.nat({ max: 255 }),
    identity: fc.oneof(fc.constant<[number, number]>([0, 0]), fc.tuple(half, half)),
    dimensions: fc.uniqueArray(fc.tuple(name, text), { maxLength: 3, selector: ([one]) => one }),
    readings: fc.uniqueArray(fc.tuple(name, value), {
      ...{ minLength: 1, maxLength: 6, selector: ([one]) => one },
    }),
  })
  .map((one) => ({
    ...one,
    deviceType: `type-${one.deviceId.length}`,
    dimensions: one.dimensions.toSorted(([a], [b]) => (a < b ? -1 : 1)),
  }))

/** As a fleet sends it. */
export const EXAMPLE: PlainMessage = {
  tenant: 'default',
  deviceId: 'climate-00042',
  deviceType: 'climate-sensor',
  eventUs: 1_753_000_000_000_000,
  ingestUs: 1_753_000_000_250_000,
  flags: 4,
  identity: [0xdeadbeef, 7],
  dimensions: [['site', 'north']],
  readings: [
    ['temperature', 21.5],
    ['open', true],
    ['state', 'heating'],
  ],
}
