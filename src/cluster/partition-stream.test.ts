/** However the entries of a partition are cut into reads and lives, the same comes out of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeFrame } from '../batch/batch.ts'
import { decodeWindow, MessageDecoder, MessageEncoder } from '../entries/entries.ts'
import type { NewEntry, ReadEntry } from '../kafka/kafka.ts'
import type { StreamCheckpoint } from '../postgres/stream-state.ts'
import { anyScript, frameOf, LIMITS, PLAN, type ScriptFrame } from '../stream/script.ts'
import { PARTIAL_COUNT } from '../stream/stream.ts'
import type { EventEntry } from './output-entries.ts'
import { PartitionStream, type StreamEntries } from './partition-stream.ts'

/** A tick before the messages of each frame, as gateways write them. */
function entriesOf(script: readonly ScriptFrame[]): ReadEntry[] {
  const encoder = new MessageEncoder({ partitions: 1 })
  const entries = script.flatMap((frame, at) => [
    ...encoder.encode(decodeFrame(frameOf({ baseUs: frame.baseUs, messages: [] }, at === 0))),
    ...(frame.messages.length > 0 ? encoder.encode(decodeFrame(frameOf(frame, false))) : []),
  ])
  return entries.map(({ key, value }, offset) => ({ offset, key, value, timestampMs: 1 }))
}

const malformedAt: number[] = []

const create = (): PartitionStream =>
  new PartitionStream({
    ...{ partition: 0, plan: PLAN, limits: { ...LIMITS, textsMax: 100 } },
    malformed: (offset) => malformedAt.push(offset),
    tap: { define: () => {}, tap: () => {} },
  })

/** What a restart reads back: parts and definitions add up over checkpoints. */
class Saved {
  #last: StreamCheckpoint | undefined

  add(next: StreamCheckpoint): void {
    const before = this.#last
    const parts = new Map(before?.parts.map((part) => [part.name, part]))
    for (const { name, bytes } of next.parts) parts.set(name, { name, bytes: bytes.slice() })
    const series = [...(before?.definitions.series ?? []), ...next.definitions.series]
    const texts = [...(before?.definitions.texts ?? []), ...next.definitions.texts]
    this.#last = { ...next, parts: [...parts.values()], definitions: { series, texts } }
  }

  restore(): PartitionStream {
    const stream = create()
    stream.restore(this.#last, 0)
    return stream
  }
}

interface Cut {
  /** Entries of this read. */
  count: number
  /** A checkpoint after it. */
  isSaved: boolean
  /** A crash after it: what came since the last checkpoint is processed again. */
  isCrash: boolean
}

function run(entries: readonly ReadEntry[], cuts: readonly Cut[]): StreamEntries[] {
  const saved = new Saved()
  let stream = saved.restore()
  const given: StreamEntries[] = []
  for (let at = 0; stream.nextOffset < entries.length; at++) {
    const cut = cuts[at] ?? { count: entries.length, isSaved: false, isCrash: false }
    given.push(stream.process(entries.slice(stream.nextOffset, stream.nextOffset + cut.count)))
    if (cut.isSaved) saved.add(stream.checkpoint())
    if (cut.isCrash) stream = saved.restore()
  }
  return given
}

const text = new TextDecoder()
const key = (value: unknown): string => JSON.stringify(value)

/** What a store holds in the end: the first of a reading, the fullest of a window, each event. */
function stored(given: readonly StreamEntries[]): Record<string, string[]> {
  const all = (kind: keyof StreamEntries): NewEntry[] => given.flatMap((one) => one[kind])
  const readings = new Map<string, string>()
  const decoder = new MessageDecoder({ seriesMax: 100, textsMax: 100 })
  for (const { value } of all('readings')) {
    decoder.begin(0)
    decoder.add(value)
    const { eventTimeUs, readingCount, series, value: values } = decoder.take()
    for (let at = 0; at < readingCount; at++) {
      const identity = key([series[at], eventTimeUs[0]])
      if (!readings.has(identity)) readings.set(identity, key([identity, values[at]]))
    }
  }
  const windows = new Map<string, { count: number; all: string }>()
  for (const { value } of all('windows')) {
    const entry = decodeWindow(value)
    if ('watermarkMs' in entry) continue
    const { row, series } = entry
    const identity = key([series.deviceId, series.metric, ...row.subarray(1, 4)])
    const count = row[PARTIAL_COUNT]!
    if (count >= (windows.get(identity)?.count ?? 0)) {
      windows.set(identity, { count, all: key([identity, ...row]) })
    }
  }
  const events = all('events').map(({ value }) => JSON.parse(text.decode(value)) as EventEntry)
  return {
    readings: [...readings.values()].toSorted(),
    windows: [...windows.values()].map((one) => one.all).toSorted(),
    events: [...new Set(events.flatMap(spread))].toSorted(),
  }
}

/** Dirty ranges next to each other may be one or several: as windows they are the same. */
function spread(event: EventEntry): string[] {
  if (event.type !== 'dirty') return [key(event)]
  const { series, fromMs, toMs } = event
  const widthMs = PLAN.windowsMs.at(-1)!
  const count = Math.round((toMs - fromMs) / widthMs)
  return Array.from({ length: count }, (_, at) => key([series, fromMs + at * widthMs]))
}

const anyCut = fc.record({
  count: fc.integer({ min: 1, max: 12 }),
  isSaved: fc.boolean(),
  isCrash: fc.constant(false),
})

test('S1 on Kafka: reads of any size, checkpoints and crashes change nothing in the outcome', () => {
  let events = 0
  let windows = 0
  fc.assert(
    fc.property(
      anyScript,
      fc.array(anyCut, { maxLength: 20 }),
      fc.array(fc.integer({ min: 0, max: 19 }), { maxLength: 3 }),
      (script, cuts, crashes) => {
        const entries = entriesOf(script)
        const whole = stored(run(entries, []))
        events += whole['events']!.length
        windows += whole['windows']!.length
        const lives = cuts.map((cut, at) => ({ ...cut, isCrash: crashes.includes(at) }))
        assert.deepEqual(stored(run(entries, lives)), whole)
      },
    ),
    { numRuns: 100 },
  )
  assert.ok(windows > 100, `${windows} windows`)
  assert.ok(events > 0)
  assert.deepEqual(malformedAt, [])
})

test('an entry that nobody can read becomes a dead letter, and its neighbours count', () => {
  const script: ScriptFrame[] = [
    {
      baseUs: 1.7e15,
      messages: [0, 1].map((device) => ({
        ...{ device, eventUs: 1.7e15, ingestDeltaUs: 1, identity: 0, isHistorical: false },
        readings: [[0, 5]] as [number, number][],
      })),
    },
  ]
  const entries = entriesOf(script)
  const [tick, first, second] = entries as [ReadEntry, ReadEntry, ReadEntry]
  const broken = { ...first, value: first.value.subarray(0, first.value.length - 2) }
  const stream = create()
  stream.restore(undefined, 0)
  const { readings, deadLetters } = stream.process([tick, broken, second])
  assert.deepEqual(malformedAt.splice(0), [1])
  assert.deepEqual(
    readings.map(({ value }) => value),
    [second.value],
  )
  const letter = JSON.parse(text.decode(deadLetters[0]!.value)) as Record<string, unknown>
  assert.equal(letter['code'], 'ENTRY_MALFORMED')
  assert.deepEqual([letter['tenant'], letter['deviceId']], ['default', 'device-0'])
  assert.equal(letter['payload'], Buffer.from(broken.value).toString('base64'))
})
