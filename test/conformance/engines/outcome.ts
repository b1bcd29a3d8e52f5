/** What an engine made of a script, as it can be compared with what another one made. */
import assert from 'node:assert/strict'
import type { DeadLetter } from '../../../src/batch/batch.ts'
import { decodeWindow } from '../../../src/entries/entries.ts'
import { PARTIAL_COUNT, PARTIAL_IS_LATE, PARTIAL_STRIDE } from '../../../src/stream/stream.ts'

export interface Given {
  key: Uint8Array | undefined
  value: Uint8Array
  source?: number | undefined
}

/** The topics behind the stream, in order. */
export interface Topics {
  readings: Given[]
  windows: Given[]
  events: Given[]
  deadLetters: Given[]
}

export interface Outcome {
  /** By the offset of their message. */
  readings: Map<number, string>
  /** By series, window, start and whether it is late: the fullest row. */
  windows: Map<string, Float64Array>
  /** Alerts by id and state, anomalies by id. */
  events: Map<string, unknown>
  /** Windows to be computed from storage. */
  dirty: Set<string>
  deadLetters: unknown[]
}

const text = new TextDecoder()
const key = (value: unknown): string => JSON.stringify(value)

/** `largestMs`: the largest window; ranges of it may be told one by one or together. */
export function outcomeOf(topics: Topics, largestMs: number): Outcome {
  const outcome: Outcome = {
    ...{ readings: new Map(), windows: new Map(), events: new Map(), dirty: new Set() },
    // Each says in its own words what is wrong with them.
    deadLetters: topics.deadLetters.map(({ value }) => ({
      ...(JSON.parse(text.decode(value)) as DeadLetter),
      detail: '',
    })),
  }
  for (const { value, source = -1, key: of } of topics.readings)
    put(outcome.readings, source, key([text.decode(of), Buffer.from(value).toString('base64')]))
  for (const { value } of topics.windows) addWindow(outcome, value)
  for (const { value } of topics.events) addEvent(outcome, value, largestMs)
  return outcome
}

/** Said again it must be the same. */
function put<K>(map: Map<K, string>, at: K, value: string): void {
  assert.equal(value, map.get(at) ?? value)
  map.set(at, value)
}

function addWindow({ windows }: Outcome, value: Uint8Array): void {
  const entry = decodeWindow(value)
  if ('watermarkMs' in entry) return
  const { row, series } = entry
  const { tenant, deviceId, deviceType, metric, kind, dimensions } = series
  const name = [tenant, deviceId, deviceType, metric, kind, dimensions]
  const at = key([...name, ...row.subarray(1, PARTIAL_IS_LATE + 1)])
  const before = windows.get(at)
  if (before === undefined || row[PARTIAL_COUNT]! >= before[PARTIAL_COUNT]!) windows.set(at, row)
}

interface Event {
  type: string
  event: { id: string; state?: string }
  series: unknown
  fromMs: number
  toMs: number
}

function addEvent({ events, dirty }: Outcome, value: Uint8Array, largestMs: number): void {
  const one = JSON.parse(text.decode(value)) as Event
  if (one.type !== 'dirty') events.set(key([one.event.id, one.event.state]), one.event)
  else
    for (let startMs = one.fromMs; startMs < one.toMs; startMs += largestMs)
      dirty.add(key([one.series, startMs]))
}

/** Counts, least, greatest, first, last and times exactly; what is computed of several to 1e-9. */
export function assertSame(actual: Outcome, expected: Outcome): void {
  assert.deepEqual(sorted(actual.readings), sorted(expected.readings), 'readings')
  assertKeys(actual.windows, expected.windows, 'windows')
  for (const [at, row] of expected.windows)
    for (let place = 1; place < PARTIAL_STRIDE; place++)
      assertNear(actual.windows.get(at)![place], row[place], `${at}, place ${place}`)
  assertKeys(actual.events, expected.events, 'events')
  for (const [at, event] of expected.events) assertNear(actual.events.get(at), event, at)
  assert.deepEqual([...actual.dirty].toSorted(), [...expected.dirty].toSorted(), 'dirty')
  assertNear(actual.deadLetters, expected.deadLetters, 'dead letters')
}

const sorted = <K, V>(map: Map<K, V>): [K, V][] => [...map].toSorted(([a], [b]) => (a < b ? -1 : 1))

function assertKeys(
  actual: Map<string, unknown>,
  expected: Map<string, unknown>,
  what: string,
): void {
  const of = (some: Map<string, unknown>, others: Map<string, unknown>): unknown[] =>
    [...some].filter(([at]) => !others.has(at))
  const [missing, others] = [of(expected, actual), of(actual, expected)]
  assert.deepEqual({ missing, others }, { missing: [], others: [] }, what)
}

/** Numbers to 1e-9 of the larger, at any depth; everything else exactly. */
function assertNear(actual: unknown, expected: unknown, what: string): void {
  if (typeof expected === 'number' && typeof actual === 'number') {
    const bound = 1e-9 * Math.max(1, Math.abs(expected))
    assert.ok(Math.abs(actual - expected) <= bound, `${what}: ${actual} is not ${expected}`)
  } else if (typeof expected === 'object' && expected !== null && typeof actual === 'object') {
    const names = (of: unknown): string[] => Object.keys(of as object).toSorted()
    assert.deepEqual(names(actual), names(expected), `${what}: ${key(actual)} ${key(expected)}`)
    for (const [name, one] of Object.entries(expected))
      assertNear((actual as Record<string, unknown>)[name], one, `${what}, ${name}`)
  } else assert.equal(actual, expected, what)
}
