/** Scripts for the window operators, and what the oracle makes of them. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { clockStep } from '../../../src/stream/clock-steps.ts'
import { Oracle, windowsOf } from '../../../src/stream/oracle.ts'
import * as script from '../../../src/stream/script.ts'
import type { ScriptFrame, ScriptMessage } from '../../../src/stream/script.ts'
import { FATE_FRESH } from '../../../src/stream/stream.ts'
import { isNumeric, NaiveWatermark, NaiveWindows } from './naive.ts'
import { inOrder, type Vectors, type WindowStep, type WindowTime } from './vectors.ts'

const MINUTE_US = 60e6
const WINDOWS_MS = [60_000, 300_000]
const TIME: WindowTime = {
  disorderUs: 10e6,
  idleTimeoutUs: 30e6,
  allowedLatenessUs: 60 * MINUTE_US,
}
/** Random scripts of each kind that are kept, and how long they may be. */
const KEPT = 3
const STEPS_MAX = 150

/** What arrives in a step, before anybody says what comes of it. */
export type Arrival = Pick<WindowStep, 'ingestUs' | 'eventUs' | 'readings'>

export function windowCases(): Vectors['windows'][] {
  return [
    caseOf('closes at the watermark of end - 1 ms', at(30, 69.998_999, 69.999, 80)),
    caseOf('without disorder the last millisecond is on time', at(59.9999, 59.999_95, 61), {
      disorderUs: 0,
    }),
    caseOf('on time in the last window and in the next', at(59, 64, 55, 65, 131)),
    caseOf('the larger window is the merge of its smaller ones', at(10, 70, 130, 311)),
    caseOf('late for the small window, on time for the large', at(10, 80, 20, 21, 400)),
    caseOf('allowed lateness, still', at(3669.999_999, 10)),
    caseOf('allowed lateness, over for the small window', at(3670, 10, 11)),
    caseOf('allowed lateness, over for both', at(3910, 10, 11)),
    caseOf('a late partial that expired is not taken up again', at(200, 10, 3700, 11)),
    caseOf('a device that was silent for two large windows', at(10, 700, 701, 1500, 5)),
    caseOf('an idle partition, moved on by ticks', idle()),
    caseOf('a large mean with a small spread', largeMean()),
    ...random('disorder, late readings, bursts', { seed: 1, time: {}, isWanted: hasLate }),
    ...random('more disorder than a window is long', {
      ...{ seed: 2, time: { disorderUs: 150e6 }, isWanted: hasLate },
    }),
    ...random('little lateness', {
      ...{ seed: 3, time: { allowedLatenessUs: 2 * MINUTE_US } },
      isWanted: (steps) => hasLate(steps) && steps.some(({ tooLate }) => tooLate > 0),
    }),
  ]
}

/** One reading each, at these seconds, at their own time. */
const at = (...seconds: number[]): Arrival[] =>
  seconds.map((second, i) => arrival({ second, value: 20 + i }))

const arrival = (what: { second: number; value: number; ingestS?: number }): Arrival => ({
  ingestUs: script.timeAt(what.ingestS ?? 0),
  eventUs: script.timeAt(what.second),
  readings: [[script.seriesOf(0, script.METRIC_A), what.value]],
})

function idle(): Arrival[] {
  const tick = (second: number) => ({
    ingestUs: script.timeAt(second),
    eventUs: null,
    readings: [],
  })
  return [
    arrival({ second: 5, value: 1, ingestS: 5 }),
    ...[20, 99.998, 99.999].map(tick),
    arrival({ second: 6, value: 2, ingestS: 100 }),
    arrival({ second: 61, value: 3, ingestS: 101 }),
    ...[160, 220, 400].map(tick),
  ]
}

function largeMean(): Arrival[] {
  const readings = Array.from({ length: 150 }, (_, i) => ({
    second: i * 2,
    value: 1e9 + ((i * 7919) % 1000) / 1000,
  }))
  return [...readings.map(arrival), arrival({ second: 311, value: 0 })]
}

interface Kind {
  seed: number
  time: Partial<WindowTime>
  isWanted: (steps: WindowStep[]) => boolean
}

/** The first few of many random scripts that have what the kind is about. */
function random(name: string, { seed, time, isWanted }: Kind): Vectors['windows'][] {
  const scripts = fc.sample(script.anyScript, { seed, numRuns: 500 })
  const kept = scripts
    .filter(hasSteadyClock)
    .map((frames, i) => caseOf(`${name}, ${i}`, arrivalsOf(frames), time))
    .filter(({ steps }) => steps.length < STEPS_MAX && isWanted(steps))
    .slice(0, KEPT)
  assert.equal(kept.length, KEPT, `too few scripts with ${name}`)
  return kept
}

const hasLate = (steps: WindowStep[]): boolean =>
  steps.some(({ partials }) => partials.some(([, , , isLate]) => isLate === 1))

/** A clock that is set is the watermark's own matter. */
const hasSteadyClock = (frames: ScriptFrame[]): boolean =>
  frames.every(({ baseUs }, i) => i === 0 || clockStep(frames[i - 1]!.baseUs, baseUs) === 0)

/** The messages of a script one by one, with the readings that the oracle calls fresh. */
function arrivalsOf(frames: ScriptFrame[]): Arrival[] {
  const oracle = new Oracle({ ...script.PLAN, rules: [], detectors: [] })
  return frames.flatMap((frame): Arrival[] => {
    if (frame.messages.length === 0) {
      return [{ ingestUs: frame.baseUs, eventUs: null, readings: [] }]
    }
    return frame.messages.flatMap((message) => {
      const readings = freshOf(oracle, message, frame.baseUs)
      const ingestUs = frame.baseUs + message.ingestDeltaUs
      return readings.length === 0 ? [] : [{ ingestUs, eventUs: message.eventUs, readings }]
    })
  })
}

function freshOf(oracle: Oracle, message: ScriptMessage, baseUs: number): [number, number][] {
  const from = oracle.readings.length
  oracle.process({ baseUs, messages: [message] })
  return oracle.readings
    .slice(from)
    .filter(({ series, fate, isHistorical }) => {
      return fate === FATE_FRESH && !isHistorical && isNumeric(series)
    })
    .map(({ series, value }) => [series, value])
}

/** What must come of it. */
export function caseOf(
  name: string,
  arrivals: Arrival[],
  overrides: Partial<WindowTime> = {},
): Vectors['windows'] {
  const time = { ...TIME, ...overrides }
  const watermark = new NaiveWatermark(time)
  const windows = new NaiveWindows(WINDOWS_MS, time)
  const tooLate = new Set<string>()
  let clockUs = -Infinity
  const steps = arrivals.map((arrival): WindowStep => {
    const { ingestUs, eventUs, readings } = arrival
    const partials = windows.close(watermark.tick(ingestUs, Math.max(0, ingestUs - clockUs)))
    clockUs = Math.max(clockUs, ingestUs)
    if (eventUs !== null) partials.push(...windows.close(watermark.observe(eventUs, ingestUs)))
    const step: WindowStep = { ...arrival, watermarkUs: null, partials: [], tooLate: 0 }
    for (const [series, value] of readings) {
      const { rows, isTooLate } = windows.add({ series, eventUs: eventUs!, value }, watermark.us)
      partials.push(...rows)
      if (!isTooLate) continue
      tooLate.add(`${series} ${eventUs}`)
      step.tooLate++
    }
    const watermarkUs = watermark.us === -Infinity ? null : watermark.us
    return { ...step, watermarkUs, partials: inOrder(partials) }
  })
  assertAsOracle(arrivals, windows, tooLate)
  return { name, time, windowsMs: WINDOWS_MS, steps }
}

/**
 * All is fresh, and on time and late together are the oracle's windows, but for what was too late.
 */
function assertAsOracle(arrivals: Arrival[], windows: NaiveWindows, tooLate: Set<string>): void {
  const oracle = new Oracle({ ...script.PLAN, rules: [], detectors: [] })
  for (const { ingestUs, eventUs, readings } of arrivals) {
    if (eventUs !== null) oracle.process(frameOfArrival({ ingestUs, eventUs, readings }))
  }
  assert.ok(oracle.readings.every(({ fate }) => fate === FATE_FRESH))
  const counts = windows.counts()
  for (const windowMs of WINDOWS_MS) {
    for (const [key, { series, startMs, count }] of windowsOf(oracle.readings, windowMs)) {
      const isWhole = oracle.readings.every(
        (one) =>
          one.series !== series ||
          Math.floor(one.eventUs / 1000 / windowMs) * windowMs !== startMs ||
          !tooLate.has(`${series} ${one.eventUs}`),
      )
      if (isWhole) assert.equal(counts.get(key), count, key)
      else assert.ok((counts.get(key) ?? 0) <= count, key)
    }
  }
}

/** A step as the stream stage is given it: a frame of one message, or of none. */
export function frameOfArrival({ ingestUs, eventUs, readings }: Arrival): ScriptFrame {
  if (eventUs === null) return { baseUs: ingestUs, messages: [] }
  const metrics = script.METRICS.length
  const message: ScriptMessage = {
    ...{ device: Math.floor(readings[0]![0] / metrics), eventUs, ingestDeltaUs: 0 },
    ...{ identity: 0, isHistorical: false },
    readings: readings.map(([series, value]) => [series % metrics, value]),
  }
  return { baseUs: ingestUs, messages: [message] }
}
