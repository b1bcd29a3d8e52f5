/**
 * Whether all that a job of Flink wrote is right, once nobody sends any more: its four topics are
 * what the stream of TypeScript makes of telemetry, windows are those of what was sent, and each
 * episode of a rule is in the history of alerts once.
 */
import assert from 'node:assert/strict'
import { loadConfig } from '../../src/config/config.ts'
import { decodeWindow, encodeTick, topicName } from '../../src/entries/entries.ts'
import type { Kafka, ReadEntry } from '../../src/kafka/kafka.ts'
import {
  PARTIAL_IS_LATE,
  PARTIAL_START_MS,
  PARTIAL_WINDOW_MS,
  type RuleEvent,
} from '../../src/stream/stream.ts'
import { assertSame, outcomeOf, type Given, type Outcome } from '../conformance/engines/outcome.ts'
import { until, type WeirProcess } from '../system/weir-process.ts'
import { expectedOf, readTopics, type Installation as JobOnTopics } from './flink-fixture.ts'
import { readAll } from './kafka-fixture.ts'
import type { NumberedDevice } from './numbered-device.ts'

/** Who waits for what does not come is looked at every ten seconds; and a job takes its time. */
const DEADLINE_MS = 60_000
const AGAIN_MS = 2000
const SHOWN_MAX = 5
/** A request each. */
const DEVICES_AT_ONCE = 4

const text = new TextDecoder()

export interface OnTopics {
  kafka: Kafka
  /** Of the topics. */
  prefix: string
  partitions: number
  pipeline: string
  largestMs: number
  /** A rule that came while the job ran, in the pipeline that it has now, and since when. */
  added?: { ruleId: string; pipeline: string; sinceUs: number } | undefined
}

export interface TopicTotals {
  messages: number
  /** Entries of readings that were there again. */
  repeats: number
  partials: number
  /** Of them. */
  late: number
  events: number
  /** Ranges of windows that are computed from storage. */
  fromStorage: number
}

/**
 * Waits until the topics are what they must be. Nobody but this writes telemetry meanwhile: ticks
 * of one moment, which say nothing but let Flink go on.
 */
export async function assertTopicsRight(on: OnTopics): Promise<TopicTotals> {
  const { kafka, prefix, partitions, largestMs } = on
  const telemetry = kafka.createAppender(topicName(prefix, 'telemetry'))
  const value = encodeTick(Date.now() * 1000)
  const tick = (): Promise<unknown> =>
    telemetry.append(Array.from({ length: partitions }, (_, partition) => ({ partition, value })))
  await tick()
  const read: JobOnTopics['read'] = (kind) =>
    Promise.all(
      Array.from({ length: partitions }, (_, one) => readAll(kafka, topicName(prefix, kind), one)),
    )
  const at = { read, config: loadConfig({}) }
  const expectedBy = async (pipeline: string): Promise<Outcome> => {
    const { readings, ...rest } = await expectedOf(at, pipeline)
    return outcomeOf({ ...rest, readings: sourced(readings) }, largestMs)
  }
  const expected = await expectedBy(on.pipeline)
  const other = on.added && (await expectedBy(on.added.pipeline))
  const untilMs = performance.now() + DEADLINE_MS
  for (;;) {
    const { readings, windows, events, deadLetters } = await readTopics(at)
    const actual = outcomeOf(
      {
        ...{ readings: sourced(readings), windows: windows.flat() },
        ...{ events: events.flat(), deadLetters: deadLetters.flat() },
      },
      largestMs,
    )
    try {
      const added = takeRule(actual, on.added?.ruleId)
      assertSameOutcome(actual, expected)
      if (on.added !== undefined) assertAdded(added, takeRule(other!, on.added.ruleId), on.added)
      assertOrder(readings)
      assertCovered(windows)
      const { readings: own, windows: rows, events: told } = actual
      return {
        ...{ messages: own.size, repeats: readings.flat().length - own.size },
        partials: rows.size,
        late: [...rows.values()].filter((row) => row[PARTIAL_IS_LATE] === 1).length,
        events: told.size + added.length,
        fromStorage: actual.dirty.size,
      }
    } catch (error) {
      if (performance.now() > untilMs) throw error
      await tick()
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
    }
  }
}

/** The source of a reading is unique in its partition only. */
const sourced = (given: readonly (readonly Given[])[]): Given[] =>
  given.flatMap((entries, partition) =>
    entries.map(({ key, value, source }) => ({
      ...{ key, value, source: source! * given.length + partition },
    })),
  )

/** With so many readings, what is missing is told before all of them are compared. */
function assertSameOutcome(actual: Outcome, expected: Outcome): void {
  for (const part of ['readings', 'windows', 'events'] as const) {
    const [has, needs] = [actual[part], expected[part]] as [
      Map<unknown, unknown>,
      Map<unknown, unknown>,
    ]
    const of = (some: Map<unknown, unknown>, others: Map<unknown, unknown>): string => {
      const only = [...some.keys()].filter((one) => !others.has(one))
      return `${only.length} ${only.slice(0, SHOWN_MAX).join(' ')}`
    }
    const differences = `missing: ${of(needs, has)}; beside them: ${of(has, needs)}`
    assert.equal(differences, 'missing: 0 ; beside them: 0 ', part)
  }
  for (const [source, message] of expected.readings)
    assert.equal(actual.readings.get(source), message, `source ${source}`)
  const [readings] = [new Map<number, string>()]
  assertSame({ ...actual, readings }, { ...expected, readings })
}

/** Takes its events out. */
function takeRule({ events }: Outcome, ruleId: string | undefined): RuleEvent[] {
  const own: RuleEvent[] = []
  if (ruleId === undefined) return own
  for (const [at, event] of events) {
    if ((event as RuleEvent).ruleId !== ruleId) continue
    own.push(event as RuleEvent)
    events.delete(at)
  }
  return own
}

/** It says what it would have said always; of a device it may begin in the middle of an episode. */
function assertAdded(
  said: readonly RuleEvent[],
  always: readonly RuleEvent[],
  { sinceUs }: { sinceUs: number },
): void {
  const nameOf = ({ id, state }: RuleEvent): string => `${id} ${state}`
  const has = new Set(said.map(nameOf))
  const lacking = always.filter((one) => one.breachEventTimeUs > sinceUs && !has.has(nameOf(one)))
  assert.deepEqual(lacking.slice(0, SHOWN_MAX), [], `${lacking.length} of the new rule are missing`)
  const may = new Set(always.map(nameOf))
  const begun = new Map<string, string>()
  for (const one of said) {
    if (may.has(nameOf(one))) continue
    assert.equal(begun.get(one.deviceId) ?? one.id, one.id, `${one.deviceId} began twice`)
    begun.set(one.deviceId, one.id)
  }
}

/** What is new of a device comes in its own order. */
function assertOrder(readings: readonly (readonly ReadEntry[])[]): void {
  for (const entries of readings) {
    const seen = new Set<number>()
    const last = new Map<string, number>()
    for (const { key, source = -1 } of entries) {
      if (seen.has(source)) continue
      seen.add(source)
      const device = text.decode(key)
      assert.ok(source > (last.get(device) ?? -1), `${device}: ${source} after ${last.get(device)}`)
      last.set(device, source)
    }
  }
}

/** No window is told first behind a watermark that has passed it. */
function assertCovered(windows: readonly (readonly ReadEntry[])[]): void {
  for (const [partition, entries] of windows.entries()) {
    let coveredMs = -Infinity
    const seen = new Set<string>()
    for (const { value, offset } of entries) {
      const entry = decodeWindow(value)
      if ('watermarkMs' in entry) {
        coveredMs = Math.max(coveredMs, entry.watermarkMs + 1)
        continue
      }
      const { row, series } = entry
      const [windowMs, startMs] = [row[PARTIAL_WINDOW_MS]!, row[PARTIAL_START_MS]!]
      const name = `${series.deviceId} ${series.metric} ${windowMs} ${startMs}`
      if (row[PARTIAL_IS_LATE] === 1 || seen.has(name)) continue
      seen.add(name)
      const isInTime = startMs + windowMs > coveredMs
      assert.ok(isInTime, `${name} at ${offset} of ${partition}, behind ${coveredMs}`)
    }
  }
}

export interface Sent {
  devices: readonly NumberedDevice[]
  /** What readings of a metric were, by the number of their message; not all have one. */
  metrics: Readonly<Record<string, (value: number) => number | undefined>>
  windowsMs: readonly number[]
}

interface WindowBody {
  window_start: number
  count: number
  avg: number
  min: number
  max: number
}

/** All windows but the last reading's, as the API tells them. Returns how many. */
export async function assertWindowsRight(control: WeirProcess, sent: Sent): Promise<number> {
  let compared = 0
  for (const { id, timesMs } of sent.devices) {
    const sentMs = timesMs.slice(0, -1).toSorted((one, other) => one - other)
    const [fromMs, toMs] = [sentMs[0]!, sentMs.at(-1)!]
    const span = { start: minuteOf(fromMs), end: minuteOf(toMs + 60_000) }
    for (const [metric, valueOf] of Object.entries(sent.metrics))
      for (const windowMs of sent.windowsMs) {
        const wanted = windowsOf(timesMs.slice(0, -1), valueOf, windowMs)
        const question = { device_id: id, metric, window: `${windowMs / 1000}s` }
        const wrong = async (): Promise<string> => {
          const { windows } = await control.get<{ windows: WindowBody[] }>('/v1/aggregations', {
            ...{ ...question, ...span },
          })
          return differenceOf(windows, wanted)
        }
        let last = ''
        await until(
          'windows are right',
          async () => (last = await wrong()) === '',
          DEADLINE_MS,
        ).catch(() => assert.fail(`${id} ${metric} ${windowMs}: ${last}`))
        compared += wanted.length
      }
  }
  return compared
}

const minuteOf = (ms: number): number => ms - (ms % 60_000)

function windowsOf(
  timesMs: readonly number[],
  valueOf: (value: number) => number | undefined,
  windowMs: number,
): WindowBody[] {
  const numbers = [...timesMs.keys()].filter((one) => valueOf(one) !== undefined)
  const values = Map.groupBy(numbers, (one) => Math.floor(timesMs[one]! / windowMs))
  const inOrder = [...values].toSorted(([one], [other]) => one - other)
  return inOrder.map(([start, some]) => {
    const all = some.map((one) => valueOf(one)!)
    const [min, max] = [Math.min(...all), Math.max(...all)]
    const avg = all.reduce((sum, one) => sum + one, 0) / all.length
    return { window_start: start * windowMs, count: all.length, avg, min, max }
  })
}

/** Empty when there is none. */
function differenceOf(has: readonly WindowBody[], wanted: readonly WindowBody[]): string {
  if (has.length !== wanted.length) return `${has.length} of ${wanted.length} windows`
  const wrong = wanted.find((one, place) => {
    const { window_start, count, avg, min, max } = has[place]!
    const isNear = Math.abs(avg - one.avg) <= 1e-9 * Math.max(1, Math.abs(one.avg))
    const isSame = count === one.count && min === one.min && max === one.max
    return window_start !== one.window_start || !isSame || !isNear
  })
  if (wrong === undefined) return ''
  const own = has.find((one) => one.window_start === wrong.window_start)
  return `${JSON.stringify(own)} instead of ${JSON.stringify(wrong)}`
}

/** Each episode that the topic has is in the history once, and ended. Returns how many. */
export async function assertAlertsRight(
  control: WeirProcess,
  on: OnTopics,
  devices: readonly string[],
): Promise<number> {
  const wanted = new Map(devices.map((id) => [id, new Map<string, boolean>()]))
  for (let partition = 0; partition < on.partitions; partition++)
    for (const { value } of await readAll(on.kafka, topicName(on.prefix, 'events'), partition)) {
      const { type, event } = JSON.parse(text.decode(value)) as { type: string; event: RuleEvent }
      if (type !== 'alert') continue
      const episodes = wanted.get(event.deviceId)!
      const { id, state } = event
      episodes.set(id, episodes.get(id) === true || state === 'resolved')
    }
  const textOf = (all: readonly (readonly [id: string, isOver: boolean])[]): string[] =>
    all.map(([id, isOver]) => `${id} ${isOver}`).toSorted()
  const compare = async (device: string): Promise<void> => {
    const needs = textOf([...wanted.get(device)!])
    let has: string[] = []
    await until(
      'alerts are right',
      async () => {
        const all = await control.episodes(device)
        has = textOf(all.map(({ id, state }) => [id, state === 'resolved']))
        return has.join() === needs.join()
      },
      DEADLINE_MS,
    ).catch(() => assert.deepEqual(has, needs, device))
  }
  for (let from = 0; from < devices.length; from += DEVICES_AT_ONCE)
    await Promise.all(devices.slice(from, from + DEVICES_AT_ONCE).map(compare))
  return [...wanted.values()].reduce((sum, { size }) => sum + size, 0)
}
