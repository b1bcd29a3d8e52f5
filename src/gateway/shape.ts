/**
 * The fast way to read a telemetry message. A device sends the same JSON again and again with other
 * numbers in it, so a message that was read the slow way once teaches its *shape*: the bytes
 * between the values, and what each value means. Later messages are compared with the literal bytes
 * and only their values are parsed, straight from the socket's buffer, into the batch: no string,
 * no object. Whatever does not match in every byte goes the slow way, which alone decides what is
 * valid; the property test holds both to the same answer.
 */
import type { MetricRule } from './device-types.ts'

/** What stands between literal i and literal i + 1. */
export const PART_TIME = 0
export const PART_NUMBER = 1
export const PART_BOOLEAN = 2
export const PART_IDENTITY = 3
export const PART_DEVICE = 4

export interface ShapePart {
  kind: number
  /** Dense metric index in the type (PART_NUMBER, PART_BOOLEAN), else -1. */
  metricIndex: number
  name: string
  min: number
  max: number
}

export interface Shape {
  /** One more than parts; the last one closes the object. */
  literals: Uint8Array[]
  parts: ShapePart[]
  metricCount: number
  typeName: string
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const isBlank = (byte: number): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/**
 * A cursor over one JSON object while its shape is learned. Every method returns false to give up.
 */
class Learner {
  readonly bytes: Uint8Array
  at: number
  readonly end: number
  readonly literals: Uint8Array[] = []
  readonly parts: ShapePart[] = []
  #literalStart: number

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes
    this.at = start
    this.end = end
    this.#literalStart = start
  }

  skipBlanks(): void {
    while (this.at < this.end && isBlank(this.bytes[this.at]!)) this.at++
  }

  take(byte: number): boolean {
    this.skipBlanks()
    if (this.bytes[this.at] !== byte) return false
    this.at++
    return true
  }

  /** A string without escapes, as text; undefined when it is anything else. */
  string(): string | undefined {
    if (!this.take(QUOTE)) return undefined
    const start = this.at
    while (this.at < this.end && this.bytes[this.at] !== QUOTE) {
      if (this.bytes[this.at] === BACKSLASH || this.bytes[this.at]! < 0x20) return undefined
      this.at++
    }
    if (this.at >= this.end) return undefined
    return Buffer.from(
      this.bytes.buffer,
      this.bytes.byteOffset + start,
      this.at++ - start,
    ).toString()
  }

  /**
   * Ends the literal at `valueStart` and skips the value; the next literal begins at `valueEnd`.
   */
  part(part: ShapePart, valueStart: number, valueEnd: number): void {
    this.literals.push(this.#copy(valueStart))
    this.parts.push(part)
    this.at = Math.max(this.at, valueEnd)
    this.#literalStart = valueEnd
  }

  /** First byte after the scalar at the cursor. */
  scalarEnd(): number {
    let at = this.at
    while (at < this.end && !isBlank(this.bytes[at]!) && !isDelimiter(this.bytes[at]!)) at++
    return at
  }

  close(): void {
    this.literals.push(this.#copy(this.at))
  }

  /** Not `slice`: that of a Buffer, which is what sockets hand out, copies nothing. */
  #copy(end: number): Uint8Array {
    return new Uint8Array(this.bytes.subarray(this.#literalStart, end))
  }
}

const isDelimiter = (byte: number): boolean => byte === 0x2c || byte === 0x7d || byte === 0x5d

const other = (kind: number): ShapePart => ({
  kind,
  metricIndex: -1,
  name: '',
  min: -Infinity,
  max: Infinity,
})

export interface ShapeRules {
  typeName: string
  /** The rule of a metric, or undefined when messages with it must go the slow way. */
  metric(name: string, isBoolean: boolean): MetricRule | undefined
  requiredNames: readonly string[]
  /** The value of `"schema"` that may stand in the literal bytes. */
  schemaName: string | undefined
}

/**
 * Learns the shape of the message at bytes[start, end) (which the slow way has accepted), or
 * returns undefined when it holds anything but plain numbers, booleans, a time in ms, an id and a
 * device.
 */
export function learnShape(
  bytes: Uint8Array,
  start: number,
  end: number,
  rules: ShapeRules,
): Shape | undefined {
  const learner = new Learner(bytes, start, end)
  const names = new Set<string>()
  if (!learnObject(learner, rules, { names, isInner: false })) return undefined
  learner.close()
  const metricCount = names.size
  if (metricCount === 0 || !rules.requiredNames.every((name) => names.has(name))) return undefined
  return { literals: learner.literals, parts: learner.parts, metricCount, typeName: rules.typeName }
}

function learnObject(
  learner: Learner,
  rules: ShapeRules,
  state: { names: Set<string>; isInner: boolean },
): boolean {
  if (!learner.take(0x7b)) return false
  const keys = new Set<string>()
  for (;;) {
    const key = learner.string()
    if (key === undefined || keys.has(key) || !learner.take(0x3a)) return false
    keys.add(key)
    learner.skipBlanks()
    if (!learnMember(learner, rules, { ...state, key })) return false
    if (learner.take(0x2c)) continue
    if (!learner.take(0x7d)) return false
    // Flat and nested metrics in one message are for the slow way to sort out.
    return state.isInner || !keys.has('metrics') || state.names.size > 0
  }
}

function learnMember(
  learner: Learner,
  rules: ShapeRules,
  state: { names: Set<string>; isInner: boolean; key: string },
): boolean {
  const { key } = state
  const first = learner.bytes[learner.at]
  if (!state.isInner) {
    if (key === 'metrics') {
      if (first !== 0x7b || state.names.size > 0) return false
      return learnObject(learner, rules, { names: state.names, isInner: true })
    }
    if (key === 'ts') {
      if (first === QUOTE) return false
      learner.part(other(PART_TIME), learner.at, learner.scalarEnd())
      return true
    }
    if (key === 'id' || key === 'device') {
      const from = learner.at + 1
      if (learner.string() === undefined) return false
      const kind = key === 'id' ? PART_IDENTITY : PART_DEVICE
      learner.part(other(kind), from, learner.at - 1)
      return true
    }
    if (key === 'schema') return learner.string() === rules.schemaName
    if (key === 'tags') return false
  }
  const rule = rules.metric(key, first === 0x74 || first === 0x66)
  if (rule === undefined || rule.index < 0 || rule.type === 'text') return false
  if (first === QUOTE || first === 0x7b || first === 0x5b) return false
  state.names.add(key)
  const kind = rule.type === 'boolean' ? PART_BOOLEAN : PART_NUMBER
  const { min, max } = rule
  learner.part(
    { kind, metricIndex: rule.index, name: key, min, max },
    learner.at,
    learner.scalarEnd(),
  )
  return true
}
