/**
 * From bytes of JSON telemetry to readings in the batch: one message or an array of them. Each is
 * tried against the learned shapes first (`shape-matcher.ts`), then read the slow way
 * (`message.ts`). A refused message becomes a dead letter and a rejection; the others count.
 */
import { WeirError, type ErrorCode } from '../errors/errors.ts'
import type { BatchBuilder } from './batch-builder.ts'
import type { DeadLetterBox } from './dead-letter-box.ts'
import type { DeviceState, DeviceTable } from './device-state.ts'
import type { GatewayType, MetricRule } from './device-types.ts'
import type { TimeKeeper } from './event-time.ts'
import type { FrameRoom } from './frame-room.ts'
import type { Rejection } from './gateway.ts'
import { hashIdentityText } from './identity.ts'
import { readJsonMessage, type MessageWriter } from './message.ts'
import type { ShapeMatcher } from './shape-matcher.ts'
import { learnShape, type Shape } from './shape.ts'

/** Templates kept per type; a fleet of one firmware needs one or two. */
const SHAPES_MAX = 8
/** A type whose messages are all different stops learning after this many tries. */
const LEARN_TRIES_MAX = 256
const REJECTIONS_LISTED_MAX = 1000

/** Who sends, and what that allows. */
export interface Sender {
  tenant: string
  /** The device all messages are of, or undefined when each must name its own. */
  device: DeviceState | undefined
  mayWrite(device: DeviceState): boolean
  nowUs: number
  isHistorical: boolean
}

/** What became of one body; reused from call to call. */
export interface Outcome {
  accepted: number
  rejectedCount: number
  rejected: Rejection[]
}

const utf8 = new TextDecoder('utf-8', { fatal: true })
const isBlank = (byte: number | undefined): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

export class TelemetryDecoder {
  readonly outcome: Outcome = { accepted: 0, rejectedCount: 0, rejected: [] }
  /** Totals since start. */
  fastCount = 0
  readonly rejectedByCode = new Map<ErrorCode, number>()
  readonly #builder: BatchBuilder
  readonly #devices: DeviceTable
  readonly #room: FrameRoom
  readonly #time: TimeKeeper
  readonly #writer: MessageWriter
  readonly #matcher: ShapeMatcher
  readonly #deadLetters: DeadLetterBox
  readonly #namedShapes: Shape[] = []
  readonly #learnTries = new Map<string, number>()
  readonly #range = { start: 0, end: 0 }
  readonly #clock = { nowUs: 0, isHistorical: false, isExact: false }
  readonly #message = {
    device: 0,
    eventTimeUs: 0,
    ingestTimeUs: 0,
    flags: 0,
    identityHigh: 0,
    identityLow: 0,
    readings: 0,
  }

  constructor(parts: {
    builder: BatchBuilder
    devices: DeviceTable
    room: FrameRoom
    time: TimeKeeper
    writer: MessageWriter
    matcher: ShapeMatcher
    deadLetters: DeadLetterBox
  }) {
    this.#builder = parts.builder
    this.#devices = parts.devices
    this.#room = parts.room
    this.#time = parts.time
    this.#writer = parts.writer
    this.#matcher = parts.matcher
    this.#deadLetters = parts.deadLetters
  }

  /** Empties `outcome` for the next body. */
  begin(): void {
    const { outcome } = this
    outcome.accepted = 0
    outcome.rejectedCount = 0
    if (outcome.rejected.length > 0) outcome.rejected = []
  }

  /** Decodes the body bytes[start, end) into the batch; the result stands in `outcome`. */
  decode(bytes: Uint8Array, start: number, end: number, sender: Sender): void {
    this.begin()
    this.#clock.nowUs = sender.nowUs
    this.#clock.isHistorical = sender.isHistorical
    let at = start
    while (at < end && isBlank(bytes[at])) at++
    if (bytes[at] === 0x5b) {
      this.#array(bytes, at, end, sender)
      return
    }
    if (this.#fast(bytes, at, end, { sender, isWhole: true }) === end) return
    this.#slow(bytes, at, end, { sender, index: 0 })
  }

  #array(bytes: Uint8Array, start: number, end: number, sender: Sender): void {
    const mark = this.#builder.mark()
    try {
      this.#elements(bytes, start + 1, end, sender)
    } catch (error) {
      // No JSON as a whole, or too large: nothing of it counts, and one dead letter holds it.
      this.#builder.rollback(mark)
      this.outcome.accepted = 0
      this.outcome.rejectedCount = 0
      this.outcome.rejected = []
      this.reject(error, { bytes: bytes.subarray(start, end), sender, index: 0 })
    }
  }

  #elements(bytes: Uint8Array, start: number, end: number, sender: Sender): void {
    let at = skipBlanks(bytes, start, end)
    if (bytes[at] === 0x5d && at < end) return this.#endArray(bytes, at, end)
    for (let index = 0; ; index++) {
      const fast = this.#fast(bytes, at, end, { sender, isWhole: false })
      if (fast >= 0) at = fast
      else {
        const last = elementEnd(bytes, at, end)
        this.#slow(bytes, at, last, { sender, index, isElement: true })
        at = last
      }
      this.#room.check()
      at = skipBlanks(bytes, at, end)
      const byte = at < end ? bytes[at] : undefined
      if (byte === 0x5d) return this.#endArray(bytes, at, end)
      if (byte !== 0x2c)
        throw new WeirError('TELEMETRY_JSON_INVALID', `expected , or ] at byte ${at}`)
      at = skipBlanks(bytes, at + 1, end)
    }
  }

  #endArray(bytes: Uint8Array, bracket: number, end: number): void {
    if (skipBlanks(bytes, bracket + 1, end) === end) return
    throw new WeirError('TELEMETRY_JSON_INVALID', `unexpected byte after the array`)
  }

  /** Position after the message when a shape matched it and it counts; -1 for the slow way. */
  #fast(
    bytes: Uint8Array,
    start: number,
    end: number,
    of: { sender: Sender; isWhole: boolean },
  ): number {
    const { sender } = of
    const { device } = sender
    const shapes = device === undefined ? this.#namedShapes : device.type.shapes
    const range = this.#range
    range.start = start
    range.end = end
    for (let i = 0; i < shapes.length; i++) {
      const shape = shapes[i]!
      this.#builder.reserve(shape.metricCount)
      const stop = this.#matcher.match(shape, bytes, range, device)
      if (stop < 0 || (of.isWhole && stop !== end)) continue
      if (!this.#finish(shape, sender)) return -1
      // The shape that matched moves one place to the front.
      if (i > 0) [shapes[i - 1], shapes[i]] = [shape, shapes[i - 1]!]
      return stop
    }
    return -1
  }

  #finish(shape: Shape, sender: Sender): boolean {
    const matcher = this.#matcher
    const device = matcher.device!
    if (device !== sender.device) {
      if (device.type.name !== shape.typeName || !sender.mayWrite(device)) return false
    }
    try {
      this.#time.resolve(device, matcher.timeUs, this.#clock)
    } catch {
      return false // The slow way says why.
    }
    const time = this.#time.result
    const message = this.#message
    message.identityHigh = 0
    message.identityLow = 0
    if (time.needsIdentity && !matcher.hasIdentity) {
      hashIdentityText(`t${matcher.timeUs}`, matcher.identity)
      matcher.hasIdentity = true
    }
    if (matcher.hasIdentity) {
      message.identityHigh = matcher.identity.high
      message.identityLow = matcher.identity.low
    }
    message.device = device.number
    message.eventTimeUs = time.eventTimeUs
    message.ingestTimeUs = sender.nowUs
    message.flags = time.flags
    message.readings = shape.metricCount
    this.#builder.endMessage(message)
    this.outcome.accepted++
    this.fastCount++
    return true
  }

  #slow(
    bytes: Uint8Array,
    start: number,
    end: number,
    of: { sender: Sender; index: number; isElement?: boolean },
  ): void {
    const { sender, index } = of
    const slice = bytes.subarray(start, end)
    let device = sender.device
    try {
      const value = parseJson(slice)
      device = this.#deviceOf(value, sender)
      this.#writer.write(readJsonMessage(value), device, sender)
    } catch (error) {
      // In an array a syntax error is one of the whole array.
      if (of.isElement && error instanceof WeirError && error.code === 'TELEMETRY_JSON_INVALID')
        throw error
      this.reject(error, { bytes: slice, sender, index, device })
      return
    }
    this.outcome.accepted++
    this.#learn(bytes, start, end, { sender, device })
  }

  #deviceOf(value: unknown, sender: Sender): DeviceState {
    const named = (value as { device?: unknown } | null)?.device
    if (named === undefined) {
      if (sender.device !== undefined) return sender.device
      throw new WeirError('GATEWAY_DEVICE_MISSING')
    }
    if (typeof named !== 'string')
      throw new WeirError('GATEWAY_DEVICE_MISSING', '"device" is not a text')
    return this.findDevice(named, sender)
  }

  /** Throws GATEWAY_DEVICE_UNKNOWN or GATEWAY_DEVICE_FORBIDDEN. */
  findDevice(id: string, sender: Sender): DeviceState {
    const shown = id.slice(0, 128)
    // First of all, so that a device's token cannot find out which other ids exist.
    if (sender.device !== undefined && sender.device.id !== id) {
      throw new WeirError('GATEWAY_DEVICE_FORBIDDEN', `this is not device "${shown}"`)
    }
    const device = this.#devices.find(id)
    if (device === undefined) {
      throw new WeirError('GATEWAY_DEVICE_UNKNOWN', `device "${shown}" is not registered`)
    }
    if (!sender.mayWrite(device)) throw new WeirError('GATEWAY_DEVICE_FORBIDDEN')
    return device
  }

  reject(
    error: unknown,
    of: { bytes: Uint8Array; sender: Sender; index: number; device?: DeviceState | undefined },
  ): void {
    // Anything else is our bug: it must surface, not become a dead letter.
    if (!(error instanceof WeirError)) throw error
    const { outcome } = this
    const { sender, index } = of
    const { code, message: detail } = error
    const device = of.device ?? sender.device
    this.rejectedByCode.set(code, (this.rejectedByCode.get(code) ?? 0) + 1)
    outcome.rejectedCount++
    if (outcome.rejected.length < REJECTIONS_LISTED_MAX)
      outcome.rejected.push({ index, code, detail })
    const { tenant, nowUs } = sender
    const letter = { tenant, deviceId: device?.id ?? '', nowUs, code, detail }
    this.#deadLetters.put(device, letter, of.bytes)
  }

  /** The next message of every shape is read the slow way again. */
  forgetShapes(): void {
    this.#namedShapes.length = 0
    for (const type of this.#learnTries.keys()) this.#devices.typeOf(type).shapes.length = 0
  }

  #learn(
    bytes: Uint8Array,
    start: number,
    end: number,
    of: { sender: Sender; device: DeviceState },
  ): void {
    const { type } = of.device
    if (type.dimensions.length > 0) return
    const isNamed = of.sender.device === undefined
    const tries = this.#learnTries.get(type.name) ?? 0
    if (tries >= LEARN_TRIES_MAX) return
    this.#learnTries.set(type.name, tries + 1)
    const shape = learnShape(bytes, start, end, this.#shapeRules(type))
    if (shape === undefined) return
    const shapes = isNamed ? this.#namedShapes : type.shapes
    if (shapes.some((known) => isSameShape(known, shape))) return
    if (shapes.length >= SHAPES_MAX) shapes.pop()
    shapes.unshift(shape)
  }

  #shapeRules(type: GatewayType) {
    const schema = type.isStrict ? type.current : undefined
    const anyMetric = (name: string, isBoolean: boolean): MetricRule => ({
      name,
      index: type.indexOf(name),
      type: isBoolean ? 'boolean' : 'number',
      unit: '',
      min: -Number.MAX_SAFE_INTEGER,
      max: Number.MAX_SAFE_INTEGER,
      isRequired: false,
      isCritical: false,
      values: undefined,
    })
    return {
      typeName: type.name,
      metric: (name: string, isBoolean: boolean) =>
        type.isStrict ? schema?.byName.get(name) : anyMetric(name, isBoolean),
      requiredNames: schema?.required.map((rule) => rule.name) ?? [],
      schemaName: schema === undefined ? undefined : `${type.name}@${schema.version}`,
    }
  }
}

/** From 10^21 on a double prints with an exponent, so only its text tells that it is an integer. */
const HAS_LONG_DIGITS = /\d{22}/

function parseJson(slice: Uint8Array): unknown {
  try {
    const text = utf8.decode(slice)
    return HAS_LONG_DIGITS.test(text) ? JSON.parse(text, refuseRounding) : JSON.parse(text)
  } catch (cause) {
    if (cause instanceof WeirError) throw cause
    const isSyntax = cause instanceof SyntaxError
    // A reviver recurses, so what nests too deep overflows the stack.
    const other = cause instanceof RangeError ? 'it nests too deep' : 'the bytes are not UTF-8'
    const detail = isSyntax ? cause.message.slice(0, 200) : other
    throw new WeirError('TELEMETRY_JSON_INVALID', detail, { cause })
  }
}

/** A reviver. Shorter integers beyond 2^53 are found by their value: `checkNumber`. */
function refuseRounding(key: string, value: unknown, context?: { source?: string }): unknown {
  const { source = '' } = context ?? {}
  if (typeof value !== 'number' || !/^-?\d{22,}$/.test(source)) return value
  const detail = `"${key.slice(0, 60)}" is ${source.slice(0, 40)}`
  throw new WeirError('TELEMETRY_INTEGER_TOO_LARGE', detail)
}

function skipBlanks(bytes: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && isBlank(bytes[at])) at++
  return at
}

/** First byte after the array element at `start`: the , or ] on its own level, outside strings. */
function elementEnd(bytes: Uint8Array, start: number, end: number): number {
  let depth = 0
  let isText = false
  for (let at = start; at < end; at++) {
    const byte = bytes[at]
    if (isText) {
      if (byte === 0x5c) at++
      else if (byte === 0x22) isText = false
    } else if (byte === 0x22) isText = true
    else if (byte === 0x7b || byte === 0x5b) depth++
    else if (depth === 0 && (byte === 0x2c || byte === 0x5d)) return at
    else if (byte === 0x7d || byte === 0x5d) depth--
  }
  throw new WeirError('TELEMETRY_JSON_INVALID', 'the array does not end')
}

function isSameShape(a: Shape, b: Shape): boolean {
  return (
    a.typeName === b.typeName &&
    a.literals.length === b.literals.length &&
    a.literals.every((literal, i) => Buffer.compare(literal, b.literals[i]!) === 0)
  )
}
