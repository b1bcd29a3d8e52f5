import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SeriesDefinition } from '../batch/batch.ts'
import { MessageEncoder } from '../entries/entries.ts'
import type { ReadEntry } from '../kafka/kafka.ts'
import { SinkReadings } from './sink-readings.ts'

/** Each offset is a device of its own with a number and a text of its own. */
function entriesUpTo(count: number): ReadEntry[] {
  const numbers = Array.from({ length: count }, (_, at) => at)
  const series = numbers.flatMap((at): SeriesDefinition[] => {
    const of = { device: at, tenant: 'default', deviceId: `d${at}`, deviceType: 'generic' }
    return [
      { ...of, series: 2 * at, metric: 'level', dimensions: [], kind: 'number' },
      { ...of, series: 2 * at + 1, metric: 'state', dimensions: [], kind: 'text' },
    ]
  })
  const entries = new MessageEncoder({ partitions: 1 }).encode({
    ...{ messageCount: count, readingCount: 2 * count, baseIngestTimeUs: 0 },
    eventTimeUs: Float64Array.from(numbers, (at) => 1000 + at),
    ingestDeltaUs: new Uint32Array(count),
    device: Uint32Array.from(numbers),
    ...{ identityHigh: undefined, identityLow: undefined, deadLetters: undefined },
    readingsInMessage: new Uint16Array(count).fill(2),
    flags: new Uint8Array(count),
    value: Float64Array.from(numbers.flatMap((at) => [at / 4, at])),
    series: Uint32Array.from(series.keys()),
    definitions: { series, texts: numbers.map((at) => [at, `text ${at}`]) },
  })
  return entries.map(({ value }, offset) => ({ offset, key: undefined, value, timestampMs: 0 }))
}

const rowsOf = (numbers: readonly number[]): string[] =>
  numbers.flatMap((at) => [
    `d${at} level ${1000 + at} ${at / 4}`,
    `d${at} state ${1000 + at} text ${at}`,
  ])

function open(limits: { seriesMax: number; textsMax: number }) {
  const refused: string[] = []
  const readings = new SinkReadings(limits, (offset, { code }) => refused.push(`${offset} ${code}`))
  const decode = (entries: readonly ReadEntry[]): string[][] =>
    readings.decode(entries).map(({ names, count, series, timeUs, value, texts }) =>
      Array.from({ length: count }, (_, row) => {
        const { deviceId, metric } = names[series[row]!]!
        return `${deviceId} ${metric} ${timeUs[row]} ${texts?.[row] ?? value[row]}`
      }),
    )
  return { decode, refused }
}

test('numbers and texts are there as they were sent, again and again', () => {
  const { decode, refused } = open({ seriesMax: 100, textsMax: 100 })
  const entries = entriesUpTo(3)
  for (let times = 0; times < 2; times++) assert.deepEqual(decode(entries), [rowsOf([0, 1, 2])])
  assert.deepEqual(decode([]), [])
  assert.deepEqual(refused, [])
})

test('used up numbers of series or texts begin anew, and no reading is left out', () => {
  for (const limits of [
    { seriesMax: 4, textsMax: 100 },
    { seriesMax: 100, textsMax: 2 },
  ]) {
    const { decode, refused } = open(limits)
    assert.deepEqual(decode(entriesUpTo(5)), [rowsOf([0, 1]), rowsOf([2, 3]), rowsOf([4])])
    assert.deepEqual(refused, [])
  }
})

test('an entry that cannot be read is told, and its neighbours are there', () => {
  const { decode, refused } = open({ seriesMax: 100, textsMax: 100 })
  const entries = entriesUpTo(3)
  entries[1] = { ...entries[1]!, value: entries[1]!.value.subarray(0, 20) }
  assert.deepEqual(decode(entries), [rowsOf([0, 2])])
  assert.deepEqual(refused, ['1 ENTRY_MALFORMED'])
  // Alone it is beyond the limit.
  const narrow = open({ seriesMax: 1, textsMax: 100 })
  assert.deepEqual(narrow.decode(entriesUpTo(2)), [])
  assert.deepEqual(narrow.refused, ['0 SERIES_LIMIT', '1 SERIES_LIMIT'])
})
