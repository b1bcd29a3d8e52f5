/**
 * The slow, complete way: one parsed message is checked against its device's schema and written to
 * the batch. This file alone says what a valid message is. The message is the unit of rejection:
 * everything is checked before anything is written. Throws WeirError with the reason.
 */
import type { ValueKind } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { BatchBuilder } from './batch-builder.ts'
import type { DeviceState } from './device-state.ts'
import type { GatewayType, MetricRule, SchemaRules } from './device-types.ts'
import { seriesKey, type Dictionary, type Dimensions } from './dictionary.ts'
import { parseEventTimeUs, type TimeKeeper } from './event-time.ts'
import { hashIdentityText, type Identity } from './identity.ts'

export interface MessageLimits {
  metricsPerMessageMax: number
  textBytesMax: number
}

export type Scalar = number | boolean | string

/** A message of any protocol, taken apart. */
export interface Message {
  /** NaN when it has none. */
  timeUs: number
  isTimeExact: boolean
  id: string | undefined
  schema: string | undefined
  metrics: [string, Scalar][]
  tags: Map<string, string>
  /** Dimensions that the protocol adds (line protocol: the measurement). */
  extraDimensions: Dimensions
}

const NAME_MAX = 128
// oxlint-disable-next-line no-control-regex -- control characters are what it refuses
const CONTROL = /[\u0000-\u001f\u007f]/
const RESERVED = new Set(['ts', 'id', 'schema', 'tags', 'device', 'metrics'])

const shape = (detail: string): WeirError => new WeirError('TELEMETRY_SHAPE_INVALID', detail)
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Takes a parsed JSON message apart; nested (`metrics`) or flat. */
export function readJsonMessage(value: unknown): Message {
  if (!isObject(value)) throw shape('a message is an object')
  const { ts, id, schema, tags } = value
  if (id !== undefined && typeof id !== 'string' && typeof id !== 'number') {
    throw shape('"id" is not a text')
  }
  if (typeof id === 'string' && (id === '' || id.length > 256 || !id.isWellFormed())) {
    throw shape('"id" has 1 to 256 characters of Unicode')
  }
  // Rounded, two ids would be one, and the second message would pass for a repeat of the first.
  if (typeof id === 'number' && Math.abs(id) > Number.MAX_SAFE_INTEGER) {
    throw shape('"id" is a number beyond 2^53: send it as text')
  }
  if (schema !== undefined && typeof schema !== 'string') throw shape('"schema" is not a text')
  const isNested = isObject(value['metrics'])
  const source = isNested ? (value['metrics'] as Record<string, unknown>) : value
  if (isNested) {
    const stray = Object.keys(value).find((key) => !RESERVED.has(key))
    if (stray !== undefined) throw shape(`"${stray.slice(0, 60)}" stands beside "metrics"`)
  } else if ('metrics' in value) throw shape('"metrics" is not an object')
  const metrics: [string, Scalar][] = []
  for (const [name, metric] of Object.entries(source)) {
    if (!isNested && RESERVED.has(name)) continue
    if (metric === null) {
      throw new WeirError('TELEMETRY_VALUE_NOT_FINITE', `metric "${name.slice(0, 60)}" is null`)
    }
    if (typeof metric === 'object') throw shape(`metric "${name.slice(0, 60)}" is not a scalar`)
    metrics.push([name, metric as Scalar])
  }
  return {
    timeUs: ts === undefined || ts === null ? NaN : parseEventTimeUs(ts),
    isTimeExact: typeof ts === 'string',
    id: id === undefined ? undefined : String(id),
    schema,
    metrics,
    tags: readTags(tags),
    extraDimensions: [],
  }
}

function readTags(tags: unknown): Map<string, string> {
  if (tags === undefined || tags === null) return new Map()
  if (!isObject(tags)) throw shape('"tags" is not an object')
  const entries = Object.entries(tags)
  if (entries.length > 64) throw new WeirError('TELEMETRY_LIMIT_EXCEEDED', 'more than 64 tags')
  return new Map(
    entries.map(([name, value]) => {
      if (typeof value === 'object') throw shape(`tag "${name.slice(0, 60)}" is not a scalar`)
      const text = String(value)
      // Half a surrogate pair is no Unicode: stored as UTF-8, two such names would be one.
      if (!name.isWellFormed() || !text.isWellFormed()) throw shape('a tag is not Unicode')
      return [name, text]
    }),
  )
}

export class MessageWriter {
  readonly #builder: BatchBuilder
  readonly #dictionary: Dictionary
  readonly #time: TimeKeeper
  readonly #limits: MessageLimits
  readonly #identity: Identity = { high: 0, low: 0 }

  constructor(parts: {
    builder: BatchBuilder
    dictionary: Dictionary
    time: TimeKeeper
    limits: MessageLimits
  }) {
    this.#builder = parts.builder
    this.#dictionary = parts.dictionary
    this.#time = parts.time
    this.#limits = parts.limits
  }

  write(
    message: Message,
    device: DeviceState,
    context: { nowUs: number; isHistorical: boolean },
  ): void {
    const { metrics } = message
    const { type } = device
    if (metrics.length === 0) throw new WeirError('TELEMETRY_METRICS_EMPTY')
    if (metrics.length > this.#limits.metricsPerMessageMax) {
      throw new WeirError(
        'TELEMETRY_LIMIT_EXCEEDED',
        `${metrics.length} metrics; at most ${this.#limits.metricsPerMessageMax} a message`,
      )
    }
    const schema = schemaOf(type, message.schema)
    for (const [name, value] of metrics) this.#check(name, value, schema)
    if (schema !== undefined) checkRequired(schema, metrics)
    const isExact = message.isTimeExact
    this.#time.resolve(device, message.timeUs, { ...context, isExact })
    const dimensions = dimensionsOf(type, message)
    const series = metrics.map(([name, value]) =>
      this.#seriesOf(device, { metric: name, dimensions, kind: kindOf(value) }),
    )
    const numbers = metrics.map(([, value]) =>
      typeof value === 'string' ? this.#dictionary.text(value) : Number(value),
    )
    this.#append(message, device, { series, numbers, nowUs: context.nowUs })
  }

  #append(
    message: Message,
    device: DeviceState,
    columns: { series: number[]; numbers: number[]; nowUs: number },
  ): void {
    const builder = this.#builder
    const readings = columns.series.length
    builder.reserve(readings)
    for (let i = 0; i < readings; i++) {
      builder.value[builder.readingCount + i] = columns.numbers[i]!
      builder.series[builder.readingCount + i] = columns.series[i]!
    }
    const time = this.#time.result
    const identity = this.#identity
    identity.high = 0
    identity.low = 0
    if (message.id !== undefined) hashIdentityText(message.id, identity)
    else if (time.needsIdentity) hashIdentityText(`t${message.timeUs}`, identity)
    builder.endMessage({
      device: device.number,
      eventTimeUs: time.eventTimeUs,
      ingestTimeUs: columns.nowUs,
      flags: time.flags,
      identityHigh: identity.high,
      identityLow: identity.low,
      readings,
    })
  }

  #check(name: string, value: Scalar, schema: SchemaRules | undefined): void {
    const isNamed = name !== '' && name.length <= NAME_MAX && name.isWellFormed()
    if (!isNamed || CONTROL.test(name) || name === '__proto__') {
      throw shape(`"${name.slice(0, 60)}" is no metric name (1 to ${NAME_MAX} characters)`)
    }
    if (typeof value === 'number') checkNumber(name, value)
    if (typeof value === 'string' && Buffer.byteLength(value) > this.#limits.textBytesMax) {
      throw new WeirError(
        'TELEMETRY_TEXT_TOO_LONG',
        `metric "${name}" has more than ${this.#limits.textBytesMax} bytes`,
      )
    }
    if (typeof value === 'string' && !value.isWellFormed()) {
      throw shape(`metric "${name}" is a text that is not Unicode`)
    }
    if (schema === undefined) return
    const rule = schema.byName.get(name)
    if (rule === undefined) {
      throw new WeirError(
        'TELEMETRY_METRIC_UNKNOWN',
        `metric "${name}" is not in schema version ${schema.version}`,
      )
    }
    checkRule(rule, value)
  }

  #seriesOf(
    device: DeviceState,
    what: { metric: string; dimensions: Dimensions; kind: ValueKind },
  ): number {
    const known = device.series.get(seriesKey(what.metric, what.dimensions))
    if (known === undefined) return this.#dictionary.defineSeries(device, what)
    const kind = this.#dictionary.kindOf(known)
    if (kind !== what.kind) {
      throw new WeirError(
        'TELEMETRY_TYPE_MISMATCH',
        `metric "${what.metric}" began as ${kind}; this is ${what.kind}`,
      )
    }
    return known
  }
}

function kindOf(value: Scalar): ValueKind {
  return typeof value === 'string' ? 'text' : (typeof value as 'number' | 'boolean')
}

function checkNumber(name: string, value: number): void {
  if (!Number.isFinite(value)) {
    throw new WeirError('TELEMETRY_VALUE_NOT_FINITE', `metric "${name}" is ${value}`)
  }
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER && Math.abs(value) < 1e21) {
    // Above 2^53 a double cannot tell whether the sender wrote an integer; up to the point where
    // printed integers turn into exponents we refuse rather than round.
    throw new WeirError('TELEMETRY_INTEGER_TOO_LARGE', `metric "${name}" is ${value}`)
  }
}

function checkRule(rule: MetricRule, value: Scalar): void {
  const kind = kindOf(value)
  if (kind !== rule.type) {
    throw new WeirError(
      'TELEMETRY_TYPE_MISMATCH',
      `metric "${rule.name}" is ${kind}, not ${rule.type}`,
    )
  }
  if (typeof value === 'number' && !(value >= rule.min && value <= rule.max)) {
    throw new WeirError(
      'TELEMETRY_VALUE_OUT_OF_RANGE',
      `metric "${rule.name}" is ${value}; allowed are ${rule.min} to ${rule.max}`,
    )
  }
  if (rule.values !== undefined && !rule.values.includes(value as string)) {
    throw new WeirError(
      'TELEMETRY_VALUE_OUT_OF_RANGE',
      `metric "${rule.name}" is none of ${rule.values.join(', ')}`,
    )
  }
}

function checkRequired(schema: SchemaRules, metrics: [string, Scalar][]): void {
  for (const rule of schema.required) {
    if (!metrics.some(([name]) => name === rule.name)) {
      throw new WeirError('TELEMETRY_METRIC_MISSING', `metric "${rule.name}" is required`)
    }
  }
}

/** The schema a message is held to; undefined for generic devices. */
function schemaOf(type: GatewayType, named: string | undefined): SchemaRules | undefined {
  if (named === undefined) return type.isStrict ? type.current : undefined
  const [name, version] = named.split('@')
  const schema = type.schemas.find((known) => `${known.version}` === version)
  if (name !== type.name || schema === undefined || !schema.isActive) {
    throw new WeirError(
      'TELEMETRY_SCHEMA_UNKNOWN',
      `"${named.slice(0, 60)}" is no active schema of type ${type.name}`,
    )
  }
  return schema
}

function dimensionsOf(type: GatewayType, message: Message): Dimensions {
  if (type.dimensions.length === 0) return message.extraDimensions
  const own = type.dimensions.flatMap((name): Dimensions => {
    const value = message.tags.get(name)
    return value === undefined ? [] : [[name, value]]
  })
  return [...own, ...message.extraDimensions].toSorted(([a], [b]) => (a < b ? -1 : 1))
}
