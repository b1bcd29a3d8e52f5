/** However the entries of a partition are cut into reads and lives, the same comes out of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeFrame, type Definitions, type ReadingBatch } from '../batch/batch.ts'
import { decodeWindow, deviceKey, MessageEncoder, partitionOf } from '../entries/entries.ts'
import type { NewEntry, ReadEntry } from '../kafka/kafka.ts'
import type { StreamCheckpoint } from '../postgres/stream-state.ts'
import { anyScript, frameOf, LIMITS, PLAN, SERIES, type ScriptFrame } from '../stream/script.ts'
import { compileRule } from '../pipeline/compile.ts'
import type { Rule } from '../pipeline/pipeline.ts'
import { PARTIAL_COUNT } from '../stream/stream.ts'
import type { EventEntry } from './output-entries.ts'
import { PartitionStream, type StreamEntries } from './partition-stream.ts'

const LINES = ['a', 'b']
const ofLine = (line: string) => ({ tags: { line } })
/** What is put of three ids, again and again, by version. */
const RULES: ((id: string, version: number) => Rule)[] = [
  (id, version) => ({ ...PLAN.rules[0]!, id, version, forUs: 0 }),
  (id, version) => ({ ...PLAN.rules[1]!, ...ofLine('a'), id, version }),
  (id, version) => compileRule({ id, version, silent: { interval: '20s', count: 1 } }, PLAN),
  (id, version) =>
    compileRule({ id, version, ...ofLine('b'), window: '1m', when: 'avg(a) > 50' }, PLAN),
]

/** Rules that change, and what is known of devices, between two messages. */
const anyChange: fc.Arbitrary<Definitions> = fc.oneof(
  fc
    .record({
      id: fc.constantFrom('x', 'y', 'z'),
      version: fc.integer({ min: 1, max: 9 }),
      kind: fc.nat(RULES.length),
    })
    .map(({ id, version, kind }) => {
      const put = RULES[kind]?.(id, version)
      return {
        series: [],
        texts: [],
        rules: [put === undefined ? { remove: { id, version } } : { put }],
      }
    }),
  fc.record({ device: fc.nat(3), line: fc.constantFrom(...LINES) }).map(({ device, line }) => {
    const { tenant, deviceId, deviceType } = SERIES.find((one) => one.device === device)!
    const named = { device, tenant, deviceId, deviceType, location: undefined, parent: undefined }
    return { series: [], texts: [], devices: [{ ...named, ...ofLine(line) }] }
  }),
)
const anyChanges = fc.array(fc.tuple(fc.nat(200), anyChange), { maxLength: 10 })
type Changes = readonly (readonly [place: number, change: Definitions])[]

/**
 * A tick before the messages of each frame, as gateways write them, and changes at their places.
 * The devices may have other names.
 */
function entriesOf(
  script: readonly ScriptFrame[],
  { suffix = '', changes = [] }: { suffix?: string; changes?: Changes } = {},
): ReadEntry[] {
  const encoder = new MessageEncoder({ partitions: 1 })
  const named = (batch: ReadingBatch): ReadingBatch => {
    const { series = [], devices = [] } = batch.definitions ?? {}
    for (const one of [...series, ...devices]) one.deviceId += suffix
    return batch
  }
  const tickOf = ({ baseUs }: ScriptFrame, at: number) =>
    named(decodeFrame(frameOf({ baseUs, messages: [] }, at === 0)))
  const entries = script.flatMap((frame, at) => [
    ...encoder.encode(tickOf(frame, at)),
    ...(frame.messages.length > 0 ? encoder.encode(decodeFrame(frameOf(frame, false))) : []),
  ])
  const nobody = decodeFrame(frameOf({ baseUs: 1, messages: [] }))
  for (const [place, change] of changes) {
    const [told] = encoder.encode(named({ ...nobody, definitions: structuredClone(change) }))
    entries.splice(place % (entries.length + 1), 0, told!)
  }
  return entries.map(({ key, value }, offset) => ({ offset, key, value, timestampMs: 1 }))
}

const malformedAt: number[] = []

const create = (): PartitionStream =>
  new PartitionStream({
    ...{ partition: 0, eventPartition: 0, plan: PLAN, limits: { ...LIMITS, textsMax: 100 } },
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
    const told = [before?.definitions.devices ?? [], next.definitions.devices ?? []].flat()
    const devices = [...new Map(told.map((one) => [one.device, one])).values()]
    const definitions = { series, texts, devices }
    this.#last = { ...next, parts: [...parts.values()], definitions }
  }

  restore(): PartitionStream {
    const stream = create()
    stream.restore(this.#last, 0)
    return stream
  }

  /** What a partition of the next generation begins with, as `StreamState.divide` gives it. */
  divide(isOwn: (key: Uint8Array) => boolean): Saved {
    const { definitions, ...last } = this.#last!
    const series = definitions.series.filter(({ tenant, deviceId }) =>
      isOwn(deviceKey(tenant, deviceId)),
    )
    const devices = definitions.devices!.filter(({ tenant, deviceId }) =>
      isOwn(deviceKey(tenant, deviceId)),
    )
    const divided = new Saved()
    const own = { series, texts: definitions.texts, devices }
    divided.add({ ...last, nextOffset: 0, definitions: own })
    return divided
  }
}

interface Cut {
  /** Entries of this read. */
  count: number
  /** A checkpoint after it. */
  isSaved: boolean
  /** A crash after it: what came since the last checkpoint is processed again. */
  isCrash: boolean
  /** Of the readings of this read, how many came into the topic before the crash; all without. */
  landed: number
}

const WHOLE: Cut = { count: Infinity, isSaved: false, isCrash: false, landed: Infinity }

function run(
  entries: readonly ReadEntry[],
  cuts: readonly Cut[],
  saved = new Saved(),
): StreamEntries[] {
  let stream = saved.restore()
  const given: StreamEntries[] = []
  for (let at = 0; stream.nextOffset < entries.length; at++) {
    const { count, isSaved, isCrash, landed } = cuts[at] ?? WHOLE
    const step = stream.process(entries.slice(stream.nextOffset, stream.nextOffset + count))
    given.push(step)
    // A checkpoint is saved only when everything before it is in the topics.
    if (isSaved) saved.add(stream.checkpoint())
    else if (isCrash) step.readings.length = Math.min(step.readings.length, landed)
    if (!isCrash) continue
    stream = saved.restore()
    // As `lastSource` finds it in the topic.
    stream.skipThrough(given.flatMap(({ readings }) => readings).at(-1)?.source ?? -1)
  }
  return given
}

const text = new TextDecoder()
const key = (value: unknown): string => JSON.stringify(value)

/** What is there in the end: the topic of readings, the fullest of a window, each event. */
function stored(given: readonly StreamEntries[]): Record<string, string[]> {
  const all = (kind: keyof StreamEntries): NewEntry[] => given.flatMap((one) => one[kind])
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
    readings: all('readings').map(({ value }) => Buffer.from(value).toString('base64')),
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
  landed: fc.integer({ min: 0, max: 12 }),
})

test('S1 on Kafka: reads of any size, checkpoints and crashes change nothing in the outcome', () => {
  let events = 0
  let ofChanges = 0
  let windows = 0
  fc.assert(
    fc.property(
      anyScript,
      fc.array(anyCut, { maxLength: 20 }),
      fc.array(fc.integer({ min: 0, max: 19 }), { maxLength: 3 }),
      anyChanges,
      (script, cuts, crashes, changes) => {
        const entries = entriesOf(script, { changes })
        const whole = stored(run(entries, []))
        events += whole['events']!.length
        ofChanges += whole['events']!.filter((event) => /"ruleId":"[xyz]"/.test(event)).length
        windows += whole['windows']!.length
        const lives = cuts.map((cut, at) => ({ ...cut, isCrash: crashes.includes(at) }))
        const cut = stored(run(entries, lives))
        // Not deepEqual: the difference of long lists takes minutes and gigabytes to print.
        for (const kind of ['readings', 'windows', 'events'])
          assert.ok(key(cut[kind]) === key(whole[kind]), kind)
      },
    ),
    { numRuns: 100 },
  )
  assert.ok(windows > 100, `${windows} windows`)
  assert.ok(events > 0 && ofChanges > 20, `${events} events, ${ofChanges} of rules that changed`)
  assert.deepEqual(malformedAt, [])
})

/** The same with another gateway's tick before every message, behind the clock by one of these. */
function crossedEntries(script: readonly ScriptFrame[], behindUs: readonly number[]): ReadEntry[] {
  const encoder = new MessageEncoder({ partitions: 1 })
  const ticks = script.values()
  let clockUs = -Infinity
  let turn = 0
  const entries = entriesOf(script).flatMap((entry): ReadEntry[] => {
    if (entry.key === undefined) {
      const { baseUs } = ticks.next().value!
      clockUs = baseUs < clockUs - 1e6 ? baseUs : Math.max(clockUs, baseUs)
      return [entry]
    }
    const baseUs = clockUs - behindUs[turn++ % behindUs.length]!
    const [tick] = encoder.encode(decodeFrame(frameOf({ baseUs, messages: [] })))
    return [{ ...entry, key: undefined, value: tick!.value }, entry]
  })
  return entries.map((entry, offset) => ({ ...entry, offset }))
}

test('S1 on Kafka: ticks that cross others, or say the same time, say the watermark and nothing else', () => {
  let events = 0
  const anyBehind = fc.array(fc.constantFrom(0, 1, 400_000, 999_999, 1_000_000), { minLength: 1 })
  fc.assert(
    fc.property(anyScript, anyBehind, (full, behindUs) => {
      const script = full.map(({ baseUs, messages }) => ({ baseUs, messages }))
      const whole = stored(run(entriesOf(script), []))
      const found = stored(run(crossedEntries(script, behindUs), []))
      events += whole['events']!.length
      for (const kind of ['readings', 'windows', 'events'])
        assert.ok(key(found[kind]) === key(whole[kind]), kind)
    }),
    { numRuns: 50 },
  )
  assert.ok(events > 20, `${events} events`)
})

const DIVIDED = 3

/** What is of the devices of one partition, and of nobody. */
const only = (given: readonly StreamEntries[], isOwn: (key: Uint8Array) => boolean) =>
  given.map((one): StreamEntries => {
    const own = (entries: NewEntry[]): NewEntry[] =>
      entries.filter(({ key }) => key === undefined || isOwn(key))
    return {
      ...{ readings: own(one.readings), windows: own(one.windows) },
      ...{ events: own(one.events), deadLetters: own(one.deadLetters) },
    }
  })

test('a partition that is divided goes on with its own devices as if it had not been', () => {
  const seen = { windows: 0, events: 0 }
  fc.assert(
    fc.property(
      anyScript,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.array(anyCut, { maxLength: 10 }),
      fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 3 }),
      anyChanges,
      (script, place, cuts, crashes, changes) => {
        const before = entriesOf(script, { changes })
        // Others join in later, and may be given the numbers of those that went.
        const later = entriesOf(script, { suffix: '-later', changes })
        const divided = Math.floor(place * before.length)
        const stream = create()
        stream.process(before.slice(0, divided))
        const saved = new Saved()
        saved.add(stream.checkpoint())
        const lives = cuts.map((cut, at) => ({ ...cut, isCrash: crashes.includes(at) }))
        for (let partition = 0; partition < DIVIDED; partition++) {
          const isOwn = (key: Uint8Array): boolean => partitionOf(key, DIVIDED) === partition
          const own = before
            .map((entry, at) => (at % 2 === 0 ? entry : later[at]!))
            .slice(divided)
            .filter(({ key }) => key === undefined || isOwn(key))
            .map((entry, offset) => ({ ...entry, offset }))
          const whole = stored(
            only(
              run(
                own,
                [],
                saved.divide(() => true),
              ),
              isOwn,
            ),
          )
          const mine = stored(run(own, lives, saved.divide(isOwn)))
          for (const kind of ['readings', 'windows', 'events'] as const)
            assert.ok(key(mine[kind]) === key(whole[kind]), kind)
          seen.windows += mine['windows']!.length
          seen.events += mine['events']!.length
        }
      },
    ),
    { numRuns: 100 },
  )
  assert.ok(seen.windows > 100 && seen.events > 0, JSON.stringify(seen))
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

test('what was told of a device that has said nothing is its own after a restart', () => {
  const baseUs = 1.7e15
  const messageOf = (device: number, at: number): ScriptFrame => ({
    baseUs: baseUs + at,
    messages: [
      {
        ...{ device, eventUs: baseUs + at, ingestDeltaUs: 1, identity: 0, isHistorical: false },
        readings: [[0, 90]],
      },
    ],
  })
  const rule = { ...PLAN.rules[0]!, ...ofLine('a'), id: 'x', version: 1, forUs: 0 }
  const { tenant, deviceId, deviceType } = SERIES[0]!
  const named = { device: 0, tenant, deviceId, deviceType, location: undefined, parent: undefined }
  const nothing = { series: [], texts: [] }
  const changes: Changes = [
    [1, { ...nothing, rules: [{ put: rule }] }],
    [1, { ...nothing, devices: [{ ...named, ...ofLine('a') }] }],
  ]
  const entries = entriesOf([messageOf(1, 0), messageOf(0, 1000)], { changes })
  // A tick, and what is told.
  const cut = { ...WHOLE, count: 1 + changes.length, isSaved: true, isCrash: true }
  const { events } = stored(run(entries, [cut]))
  assert.deepEqual(
    events!.map((event) => (JSON.parse(event) as { event: { deviceId: string } }).event.deviceId),
    [deviceId],
  )
})
