import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SeriesDefinition } from '../batch/batch.ts'
import { MessageEncoder } from '../entries/entries.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import { LakeReadings } from './lake-readings.ts'
import { TakenSources } from './taken-sources.ts'

const TOPIC = 'weir.readings.v1'
const LIMITS = { seriesMax: 100, textsMax: 100 }

/** A message of its own device and with its own text for each offset: a series and a text each. */
function entriesUpTo(count: number): ReadEntry[] {
  const series: SeriesDefinition[] = Array.from({ length: count }, (_, at) => ({
    ...{ series: at, device: at, tenant: 'default', deviceId: `d${at}`, deviceType: 'generic' },
    ...{ metric: 'state', dimensions: [], kind: 'text' },
  }))
  const entries = new MessageEncoder({ partitions: 1 }).encode({
    ...{ messageCount: count, readingCount: count, baseIngestTimeUs: 0 },
    eventTimeUs: Float64Array.from({ length: count }, (_, at) => 1000 + at),
    ingestDeltaUs: new Uint32Array(count),
    device: Uint32Array.from({ length: count }, (_, at) => at),
    ...{ identityHigh: undefined, identityLow: undefined, deadLetters: undefined },
    readingsInMessage: new Uint16Array(count).fill(1),
    flags: new Uint8Array(count),
    value: Float64Array.from({ length: count }, (_, at) => at),
    series: Uint32Array.from({ length: count }, (_, at) => at),
    definitions: { series, texts: series.map((_, at) => [at, `text ${at}`]) },
  })
  return entries.map(({ value }, offset) => ({ offset, key: undefined, value, timestampMs: 0 }))
}

/** Every row as text, the offset behind each batch, and the offsets that were refused. */
function decodeAll(entries: readonly ReadEntry[], limits: { seriesMax: number; textsMax: number }) {
  const refused: string[] = []
  const readings = new LakeReadings({
    ...{ topic: TOPIC, partition: 0, taken: new TakenSources(), limits },
    malformed: (offset, { code }) => refused.push(`${offset} ${code}`),
  })
  const rows: string[] = []
  const offsets: number[] = []
  for (let rest = entries; rest.length > 0;) {
    const decoded = readings.decode(rest)
    const { names, count, series, timeUs, value, texts } = decoded.batch
    for (let row = 0; row < count; row++) {
      const { deviceId } = names[series[row]!]!
      rows.push(`${deviceId} ${timeUs[row]} ${texts[value[row]!]}`)
    }
    offsets.push(decoded.batch.offsets[0]!.nextOffset)
    assert.ok(decoded.rest.length < rest.length)
    rest = decoded.rest
  }
  return { rows, offsets, refused }
}

const rowsUpTo = (count: number): string[] =>
  Array.from({ length: count }, (_, at) => `d${at} ${1000 + at} text ${at}`)

test('when numbers of series or texts are used up they begin anew, and no reading is left out', () => {
  const all = decodeAll(entriesUpTo(10), { seriesMax: 100, textsMax: 100 })
  assert.deepEqual(all, { rows: rowsUpTo(10), offsets: [10], refused: [] })
  const few = decodeAll(entriesUpTo(10), { seriesMax: 4, textsMax: 100 })
  assert.deepEqual(few, { rows: rowsUpTo(10), offsets: [4, 8, 10], refused: [] })
  const fewTexts = decodeAll(entriesUpTo(10), { seriesMax: 100, textsMax: 6 })
  assert.deepEqual(fewTexts, { rows: rowsUpTo(10), offsets: [6, 10], refused: [] })
})

const readingsBehind = (taken: TakenSources): LakeReadings =>
  new LakeReadings({ topic: TOPIC, partition: 0, taken, limits: LIMITS, malformed: assert.fail })

/** Of entries with these sources; each has one reading. */
function decodeSources(readings: LakeReadings, sources: readonly (number | undefined)[]) {
  const entries = entriesUpTo(sources.length).map((entry, at) => ({
    ...{ ...entry, source: sources[at] },
  }))
  const { batch, repeats, uncertain } = readings.decode(entries)
  assert.equal(uncertain, 0)
  return { count: batch.count, repeats, taken: batch.offsets[0]!.taken! }
}

test('what a stream writes again, in any order, is taken once, also behind a restart', () => {
  const first = readingsBehind(new TakenSources())
  // Two writers, then both from a checkpoint at 14 on, and what the slower one had not written.
  const { count, repeats, taken } = decodeSources(first, [10, 16, 18, 12, 16, 14, 18, 20])
  assert.deepEqual([count, repeats], [6, 2])
  const second = readingsBehind(TakenSources.parse(taken()))
  const again = decodeSources(second, [10, 12, 14, 16, 18, 20, 22, 13])
  assert.deepEqual([again.count, again.repeats], [2, 6])
})

test('what has no source, or none that can be an offset, is always taken', () => {
  const readings = readingsBehind(new TakenSources(100))
  const sources = [undefined, -5, 7, 2 ** 60, undefined, -5]
  const { count, repeats } = decodeSources(readings, sources)
  assert.deepEqual([count, repeats], [5, 1])
})

test('a batch that is not the last one says nothing of its sources', () => {
  const readings = readingsBehind(new TakenSources())
  const { taken } = decodeSources(readings, [1, 2])
  taken()
  const later = readings.decode([{ ...entriesUpTo(3)[2]!, source: 3 }])
  assert.throws(taken, /not those of the offset/)
  later.batch.offsets[0]!.taken!()
})

test('an entry that nobody can read is told, and the others are there', () => {
  const entries = entriesUpTo(6)
  entries[2] = { ...entries[2]!, value: Uint8Array.of(1, 2, 3) }
  const { rows, offsets, refused } = decodeAll(entries, { seriesMax: 100, textsMax: 100 })
  assert.deepEqual(refused, ['2 ENTRY_MALFORMED'])
  assert.deepEqual(offsets, [6])
  assert.deepEqual(rows, [...rowsUpTo(2), ...rowsUpTo(6).slice(3)])
  // Alone it is beyond the limit: nothing helps.
  const hopeless = decodeAll(entriesUpTo(2), { seriesMax: 100, textsMax: 0 })
  assert.deepEqual(hopeless, {
    rows: [],
    offsets: [1, 2],
    refused: ['0 TEXT_LIMIT', '1 TEXT_LIMIT'],
  })
})
