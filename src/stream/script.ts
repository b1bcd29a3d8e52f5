/** Event scripts for the tests of this folder: what devices send, as plain data, and as frames. */
import fc from 'fast-check'
import { encodeFrame, MESSAGE_HISTORICAL } from '../batch/batch.ts'
import type { DeviceFacts, RuleChange, SeriesDefinition } from '../batch/batch.ts'
import { compilePipeline, compileRule } from '../pipeline/compile.ts'
import type { Plan, RuleDefinition } from '../pipeline/pipeline.ts'
import { DEFAULT_STREAM_LIMITS, type StreamLimits } from './limits.ts'
import { COMING_RULES, SCRIPT_RULES } from './script-rules.ts'

export interface ScriptMessage {
  device: number
  eventUs: number
  ingestDeltaUs: number
  /** 0 is none. */
  identity: number
  isHistorical: boolean
  /** `[metric, value]`; metrics by their place in METRICS. */
  readings: [number, number][]
}

export interface ScriptFrame {
  baseUs: number
  messages: ScriptMessage[]
  /** Of the frame's definitions. */
  rules?: RuleChange[]
  devices?: DeviceFacts[]
}

const DEVICES = 4
export const METRICS = [
  { name: 'a', kind: 'number' },
  { name: 'b', kind: 'number' },
  { name: 'on', kind: 'boolean' },
  { name: 'label', kind: 'text' },
] as const
export const METRIC_A = 0
export const METRIC_B = 1
export const METRIC_ON = 2
export const METRIC_LABEL = 3
const START_US = 1_700_000_000_000_000

export const seriesOf = (device: number, metric: number): number => device * METRICS.length + metric

export const SERIES: SeriesDefinition[] = Array.from({ length: DEVICES }, (_, device) =>
  METRICS.map(({ name, kind }, metric) => ({
    series: seriesOf(device, metric),
    device,
    tenant: 'default',
    deviceId: `device-${device}`,
    deviceType: 'pump',
    metric: name,
    dimensions: [] as [string, string][],
    kind,
  })),
).flat()

export const TEXTS: [number, string][] = [
  [0, 'ok'],
  [1, 'fault'],
]

const SECOND = 1e6
const MINUTE = 60 * SECOND

const BASE = compilePipeline({
  version: 1,
  types: {
    pump: {
      schemas: {
        1: {
          a: { unit: '°C' },
          b: { unit: 'kPa' },
          on: { type: 'boolean' },
          label: { type: 'text' },
        },
      },
    },
  },
})

export const PLAN: Plan = {
  ...BASE,
  time: {
    disorderUs: 10 * SECOND,
    futureUs: 5 * SECOND,
    pastUs: 8 * 24 * 60 * MINUTE,
    allowedLatenessUs: 60 * MINUTE,
    idleTimeoutUs: 30 * SECOND,
    alertStalenessUs: 5 * MINUTE,
  },
  windowsMs: [60_000, 300_000],
  detectors: [
    { id: 'z', type: 'pump', metric: 'a', kind: 'zscore', n: 5, threshold: 1.618 },
    { id: 'other', type: 'fan', metric: 'a', kind: 'zscore', n: 2, threshold: 0 },
  ],
  rules: SCRIPT_RULES.slice(0, 4).map((rule) => compileRule(rule, BASE)),
}

/** With rules of every kind. */
export const PLAN_OF_ALL: Plan = {
  ...PLAN,
  rules: SCRIPT_RULES.map((rule) => compileRule(rule, BASE)),
}

/** A plan of these rules alone. */
export const planOf = (...rules: RuleDefinition[]): Plan => ({
  ...PLAN,
  rules: rules.map((rule) => compileRule(rule, BASE)),
})

export const LIMITS: StreamLimits = {
  ...DEFAULT_STREAM_LIMITS,
  seriesMax: 4096,
  deviceMax: 4096,
  latePartialsMax: 1000,
}

const factsOf = (device: number, tags: Record<string, string>): DeviceFacts => ({
  ...{ device, tenant: 'default', deviceId: `device-${device}`, deviceType: 'pump', tags },
  ...{ location: undefined, parent: undefined },
})

/** One frame's bytes; the first frame of a script carries all definitions. */
export function frameOf(
  { baseUs, messages, rules = [], devices = [] }: ScriptFrame,
  isFirst = false,
): Uint8Array<ArrayBuffer> {
  const isDefining = isFirst || rules.length > 0 || devices.length > 0
  const names = isFirst ? { series: SERIES, texts: TEXTS } : { series: [], texts: [] }
  const readings = messages.flatMap((message) =>
    message.readings.map(([metric, value]) => [seriesOf(message.device, metric), value] as const),
  )
  const hasIdentities = messages.some(({ identity }) => identity !== 0)
  return encodeFrame({
    messageCount: messages.length,
    readingCount: readings.length,
    baseIngestTimeUs: baseUs,
    eventTimeUs: Float64Array.from(messages, ({ eventUs }) => eventUs),
    ingestDeltaUs: Uint32Array.from(messages, ({ ingestDeltaUs }) => ingestDeltaUs),
    device: Uint32Array.from(messages, ({ device }) => device),
    identityHigh: hasIdentities ? new Uint32Array(messages.length) : undefined,
    identityLow: hasIdentities ? Uint32Array.from(messages, ({ identity }) => identity) : undefined,
    readingsInMessage: Uint16Array.from(messages, (message) => message.readings.length),
    flags: Uint8Array.from(messages, ({ isHistorical }) => (isHistorical ? MESSAGE_HISTORICAL : 0)),
    value: Float64Array.from(readings, ([, value]) => value),
    series: Uint32Array.from(readings, ([series]) => series),
    definitions: isDefining ? { ...names, rules, devices } : undefined,
    deadLetters: undefined,
  })
}

/** A message with sensible defaults, `atS` seconds after the start of scripts. */
export function messageAt(atS: number, what: Partial<ScriptMessage> = {}): ScriptMessage {
  const eventUs = timeAt(atS)
  const readings: [number, number][] = [[METRIC_A, 20]]
  return {
    device: 0,
    eventUs,
    ingestDeltaUs: 0,
    identity: 0,
    isHistorical: false,
    readings,
    ...what,
  }
}

/** µs since 1970, `atS` seconds after a full five minutes. */
export function timeAt(atS: number): number {
  return Math.ceil(START_US / (5 * MINUTE)) * 5 * MINUTE + Math.round(atS * SECOND)
}

/** Thousandths, so that no square underflows. */
const thousandths = (min: number, max: number): fc.Arbitrary<number> =>
  fc.integer({ min: min * 1000, max: max * 1000 }).map((n) => n / 1000)
const value = fc.oneof(
  { weight: 6, arbitrary: thousandths(0, 100) },
  { weight: 2, arbitrary: fc.constantFrom(20, 20, 20.5, 81, 96) },
  { weight: 1, arbitrary: thousandths(-1_000_000, 1_000_000) },
)
const readings = fc
  .subarray([0, 1, 2, 3], { minLength: 1 })
  .chain((metrics) =>
    fc.tuple(
      ...metrics.map((metric) =>
        (metric >= METRIC_ON ? fc.constantFrom(0, 1) : value).map((one): [number, number] => [
          metric,
          one,
        ]),
      ),
    ),
  )
/** How far an event lies behind its frame, ms: in order, a little or very late, or ahead. */
const lagMs = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 3_000 }) },
  { weight: 2, arbitrary: fc.integer({ min: -4_000, max: 20_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 400_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 9_000_000 }) },
)
const stepMs = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 5_000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 5_000, max: 90_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 90_000, max: 1_200_000 }) },
  // Somebody sets the gateway's clock.
  { weight: 1, arbitrary: fc.constantFrom(-86_400_000, -2_000, -500, 86_400_000) },
)

/** A rule that comes, changes and goes; versions that are known do nothing. */
const change: fc.Arbitrary<RuleChange> = fc.oneof(
  fc
    .tuple(fc.constantFrom(...COMING_RULES), fc.integer({ min: 1, max: 6 }))
    .map(([rule, version]): RuleChange => ({ put: compileRule({ ...rule, version }, BASE) })),
  fc
    .integer({ min: 1, max: 6 })
    .map((version): RuleChange => ({ remove: { id: 'coming', version } })),
  fc.constant<RuleChange>({ retain: [] }),
)
const facts: fc.Arbitrary<DeviceFacts> = fc
  .tuple(
    fc.nat(DEVICES - 1),
    fc.constantFrom<Record<string, string>>(
      ...[
        { site: 'x', limit: '50' },
        { site: 'x', limit: 'none' },
      ],
      ...[{ site: 'y', limit: '50' }, {}],
    ),
  )
  .map(([device, tags]) => factsOf(device, tags))
const seldom = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.oneof(
    { weight: 5, arbitrary: fc.constant<T[]>([]) },
    { weight: 1, arbitrary: fc.array(one, { minLength: 1, maxLength: 2 }) },
  )

interface Draft {
  device: number
  lagMs: number
  identity: number
  isHistorical: boolean
  readings: [number, number][]
  /** Repeats the message this many places back instead, when there is one. */
  repeats: number
  /** Followed by this many more of the device, 7 ms apart. */
  burst: number
}

const draft: fc.Arbitrary<Draft> = fc.record({
  device: fc.nat(DEVICES - 1),
  lagMs,
  identity: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 30 })),
  isHistorical: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
  readings,
  repeats: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 20 })),
  burst: fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, fc.constantFrom(3, 70)),
})

/** Any script: disorder, repeats, bursts, backlogs, imports, silence. It ends in hours of ticks. */
export const anyScript: fc.Arbitrary<ScriptFrame[]> = fc
  .array(
    fc.record({
      ...{ stepMs, drafts: fc.array(draft, { maxLength: 6 }) },
      ...{ rules: seldom(change), devices: seldom(facts) },
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((steps) => {
    let nowUs = START_US
    const sent: ScriptMessage[] = []
    const frames = steps.map(({ stepMs: step, drafts, rules, devices }): ScriptFrame => {
      nowUs += step * 1000
      const messages = drafts.flatMap((one) => expand(one, nowUs, sent))
      return {
        ...{ baseUs: nowUs, rules, devices },
        messages: messages.map((m, i) => ({ ...m, ingestDeltaUs: i * 1000 })),
      }
    })
    const ticks = Array.from({ length: 20 }, (_, at) => ({
      baseUs: nowUs + (at + 1) * 9 * MINUTE,
      messages: [],
    }))
    return [...frames, ...ticks]
  })

function expand(one: Draft, nowUs: number, sent: ScriptMessage[]): ScriptMessage[] {
  const repeated = one.repeats > 0 ? sent.at(-one.repeats) : undefined
  if (repeated !== undefined) return [repeated]
  const { device, identity, isHistorical, readings: values } = one
  const eventUs = nowUs - one.lagMs * 1000
  const message = { device, eventUs, ingestDeltaUs: 0, identity, isHistorical, readings: values }
  const messages: ScriptMessage[] = [message]
  for (let i = 1; i <= one.burst; i++) {
    const varied = values.map(([metric, x]): [number, number] =>
      metric < METRIC_ON ? [metric, x + ((i * i) % 7)] : [metric, x],
    )
    const later = { identity: 0, eventUs: eventUs + i * 7000, readings: varied }
    messages.push({ ...message, ...later })
  }
  sent.push(...messages)
  return messages
}
