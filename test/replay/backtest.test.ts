/**
 * K1: random readings of several devices through a real StreamProcessor, frame by frame with a
 * clock that ticks every second, and the same readings stored and back-tested: the same episodes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  encodeFrame,
  type Definitions,
  type DeviceFacts,
  type SeriesDefinition,
} from '../../src/batch/batch.ts'
import { compilePipeline } from '../../src/pipeline/compile.ts'
import type { Plan } from '../../src/pipeline/pipeline.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { makeFolder } from '../../src/storage/storage-fixture.ts'
import { DEFAULT_STREAM_LIMITS } from '../../src/stream/limits.ts'
import { StreamProcessor } from '../../src/stream/processor.ts'
import type { RuleEvent } from '../../src/stream/stream.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { runBacktest } from '../../src/backtest/backtest.ts'

const SECOND_US = 1e6
/** A Monday, a quarter to eight in Berlin: the schedule opens within the span. */
const START_US = Date.UTC(2026, 0, 5, 6, 45) * 1000
const SECONDS = 1500
const END_US = START_US + SECONDS * SECOND_US

const PLAN: Plan = compilePipeline({
  version: 1,
  types: {
    pump: {
      schemas: {
        1: {
          a: { unit: '°C' },
          b: { unit: 'kPa', required: false },
          on: { type: 'boolean', required: false },
          mode: { type: 'text', required: false },
        },
      },
    },
  },
  windows: ['1m', '5m'],
  rules: [
    { id: 'at-once', type: 'pump', when: 'a > 80' },
    { id: 'for', type: 'pump', when: 'a > 60', for: '30s' },
    { id: 'hysteresis', type: 'pump', when: 'a > 70', clear: 'a < 40', for: '10s', keep: '45s' },
    { id: 'repeat', type: 'pump', when: 'a > 65', repeat: { count: 3, within: '90s' } },
    { id: 'several', when: 'a > 50 && b > 50 || mode == "off" && a > 20', for: '5s' },
    { id: 'jump', when: 'abs(delta(a)) > 60' },
    { id: 'slope', when: 'rate(b) > 2.0', keep: '10s' },
    { id: 'on', type: 'pump', when: 'on && a > 30', for: '20s' },
    { id: 'silent', silent: { interval: '20s', count: 3 } },
    {
      ...{ id: 'office', when: 'a > 30', for: '10s' },
      schedule: { from: '08:00', to: '08:05', timeZone: 'Europe/Berlin' },
    },
    { id: 'north', when: 'a > 55', tags: { site: 'north' } },
    { id: 'place', when: 'a > number(device.tags.limit) && device.location == "hall"' },
    { id: 'window', when: 'avg(a) > 50', window: '1m' },
    { id: 'window-two', when: 'max(a) > 90 && count(b) > 2', window: '5m', clear: 'max(a) < 80' },
    { id: 'early', when: 'max(a) > 85', window: '1m', early: true },
  ],
})

const METRICS = [
  { metric: 'a', kind: 'number' },
  { metric: 'b', kind: 'number' },
  { metric: 'on', kind: 'boolean' },
  { metric: 'mode', kind: 'text' },
] as const
const TEXTS: [number, string][] = [
  [0, 'auto'],
  [1, 'off'],
]
const DEVICES = 3
const FACTS: DeviceFacts[] = Array.from({ length: DEVICES }, (_, device) => ({
  ...{ device, tenant: 'default', deviceId: `pump-${device}`, deviceType: 'pump' },
  ...{ location: device === 2 ? 'hall' : undefined, parent: undefined },
  tags: { site: device === 1 ? 'north' : 'south', limit: '60' },
}))
const SERIES: SeriesDefinition[] = FACTS.flatMap(({ device, deviceId, deviceType }) =>
  METRICS.map(({ metric, kind }, at) => ({
    ...{ series: device * METRICS.length + at, device, tenant: 'default', deviceId, deviceType },
    ...{ metric, kind, dimensions: [] },
  })),
)
/** Says something every second, so that the watermark is where a busy fleet has it. */
const BEACON: SeriesDefinition = {
  ...{ series: SERIES.length, device: DEVICES, tenant: 'default', deviceId: 'beacon' },
  ...{ deviceType: 'generic', metric: 'tick', kind: 'number', dimensions: [] },
}

interface Message {
  device: number
  second: number
  /** Undefined: the metric is not in the message. */
  values: (number | undefined)[]
}

const message = fc.record({
  device: fc.nat({ max: DEVICES - 1 }),
  gap: fc.oneof({ weight: 12, arbitrary: fc.nat({ max: 6 }) }, fc.nat({ max: 150 })),
  a: fc.oneof(fc.nat({ max: 100 }), fc.constantFrom(40, 60, 70, 80)),
  others: fc.tuple(
    fc.option(fc.nat({ max: 100 }), { nil: undefined }),
    fc.option(fc.nat({ max: 1 }), { nil: undefined }),
    fc.option(fc.nat({ max: 1 }), { nil: undefined }),
  ),
})

/** In order of time; of one device at most one message a second. */
const messages: fc.Arbitrary<Message[]> = fc
  .array(message, { minLength: 40, maxLength: 250, size: 'max' })
  .map((drawn) => {
    let second = 0
    const last = new Map<number, number>()
    return drawn.flatMap(({ device, gap, a, others }): Message[] => {
      second += gap
      if (second >= SECONDS || last.get(device) === second) return []
      last.set(device, second)
      return [{ device, second, values: [a, ...others] }]
    })
  })

const DEFINITIONS: Definitions = { series: [...SERIES, BEACON], texts: TEXTS, devices: FACTS }

/** A frame a second: the messages of that second, and the beacon's. */
function frameOf(second: number, own: readonly Message[]): Uint8Array<ArrayBuffer> {
  const atUs = START_US + second * SECOND_US
  const rows = [
    ...own.map(({ device, values }) => ({
      device,
      readings: values.flatMap((value, at) =>
        value === undefined ? [] : [{ series: device * METRICS.length + at, value }],
      ),
    })),
    { device: BEACON.device, readings: [{ series: BEACON.series, value: second }] },
  ]
  const readings = rows.flatMap((row) => row.readings)
  return encodeFrame({
    ...{ messageCount: rows.length, readingCount: readings.length, baseIngestTimeUs: atUs },
    eventTimeUs: new Float64Array(rows.length).fill(atUs),
    ingestDeltaUs: new Uint32Array(rows.length),
    device: Uint32Array.from(rows, ({ device }) => device),
    ...{ identityHigh: undefined, identityLow: undefined, deadLetters: undefined },
    readingsInMessage: Uint16Array.from(rows, (row) => row.readings.length),
    flags: new Uint8Array(rows.length),
    value: Float64Array.from(readings, ({ value }) => value),
    series: Uint32Array.from(readings, ({ series }) => series),
    definitions: second === 0 ? DEFINITIONS : undefined,
  })
}

/** What is told of rules on windows may differ by the tick that closes them. */
const keyOf = ({ deviceId, ruleId, id, state, triggeredAtUs, resolvedAtUs, values }: RuleEvent) => {
  const isOnWindow = /window|early/.test(ruleId)
  const at = (us: number | undefined): number | undefined =>
    us === undefined ? undefined : Math.round((us - START_US) / (isOnWindow ? SECOND_US : 1))
  return JSON.stringify([
    ...[deviceId, ruleId, id, state, at(triggeredAtUs), at(resolvedAtUs) ?? null],
    values,
  ])
}

const seen = new Map<string, number>()

test('K1 the episodes are those of the stream over the same readings', async (t) => {
  const folder = await makeFolder(t)
  let runs = 0
  await fc.assert(
    fc.asyncProperty(messages, async (given) => {
      const store = await openStorage({ folder: `${folder}/${runs++}`, world: nodeWorld })
      try {
        const live = new StreamProcessor({ plan: PLAN, limits: LIMITS })
        const expected: RuleEvent[] = []
        const bySecond = Map.groupBy(given, ({ second }) => second)
        for (let second = 0; second <= SECONDS; second++) {
          const frame = frameOf(second, bySecond.get(second) ?? [])
          const output = live.process(second, frame)
          expected.push(...output.ruleEvents)
          store.output(output)
          if (second === 700) await store.commit({ offset: second, parts: [] })
        }
        const found: RuleEvent[] = []
        const onEvents = (events: readonly RuleEvent[]): void => void found.push(...events)
        const range = { startUs: START_US, endUs: END_US }
        const question = {
          tenant: 'default',
          plan: PLAN,
          rules: PLAN.rules,
          facts: FACTS,
          ...range,
        }
        await runBacktest(question, { scan: store, onEvents })
        const isOurs = ({ deviceId }: RuleEvent): boolean => deviceId !== 'beacon'
        for (const { ruleId } of found) seen.set(ruleId, (seen.get(ruleId) ?? 0) + 1)
        const [a, b] = [expected, found].map((all) => all.filter(isOurs).map(keyOf).toSorted())
        assert.deepEqual(b, a)
      } finally {
        await store.close()
      }
    }),
    { numRuns: 15, endOnFailure: true },
  )
  assert.deepEqual([...seen.keys()].toSorted(), PLAN.rules.map(({ id }) => id).toSorted())
})

const LIMITS = { ...DEFAULT_STREAM_LIMITS, seriesMax: 64, deviceMax: 16, latePartialsMax: 64 }
