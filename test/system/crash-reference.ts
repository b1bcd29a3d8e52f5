/** What must come out, said a second time and naively, over plain lists. */

/** One message of one device as its sender knows it, in the order of sending. */
export interface Sent {
  /** Event time, integer µs. */
  timeUs: number
  /** By metric; booleans as they are. */
  metrics: Record<string, number | boolean>
  /** Wall clock, ms: the first time it was sent, and when its acknowledgement came. */
  sentMs: number
  ackMs: number | undefined
}

export interface Window {
  window_start: number
  count: number
  avg: number
  min: number
  max: number
  stddev: number | null
  first: number
  last: number
}

/** The windows that these readings fill, by start; each reading is [event time µs, value]. */
export function windowsOf(readings: readonly [number, number][], windowMs: number): Window[] {
  const groups = Map.groupBy(
    readings,
    ([timeUs]) => Math.floor(timeUs / 1000 / windowMs) * windowMs,
  )
  return [...groups]
    .toSorted(([a], [b]) => a - b)
    .map(([window_start, group]) => {
      const values = group.toSorted(([a], [b]) => a - b).map(([, value]) => value)
      const avg = mean(values)
      return {
        window_start,
        count: values.length,
        avg,
        min: Math.min(...values),
        max: Math.max(...values),
        stddev: values.length > 1 ? sampleDeviation(values, avg) : null,
        first: values[0]!,
        last: values.at(-1)!,
      }
    })
}

/** Relative to the first value, so that a large mean costs no digits. */
function mean(values: readonly number[]): number {
  const pivot = values[0]!
  return pivot + values.reduce((sum, value) => sum + (value - pivot), 0) / values.length
}

function sampleDeviation(values: readonly number[], avg: number): number {
  const squares = values.reduce((sum, value) => sum + (value - avg) ** 2, 0)
  return Math.sqrt(squares / (values.length - 1))
}

/** Readings that stand out from the `n` before them: [event time µs, score]. */
export function anomaliesOf(
  readings: readonly [number, number][],
  { n, threshold }: { n: number; threshold: number },
): [number, number][] {
  return readings.flatMap(([timeUs, value], at): [number, number][] => {
    if (at < n) return []
    const before = readings.slice(at - n, at).map(([, one]) => one)
    const avg = mean(before)
    const deviation = sampleDeviation(before, avg)
    const score = (value - avg) / deviation
    return deviation > 0 && Math.abs(score) >= threshold ? [[timeUs, score]] : []
  })
}

/**
 * A stretch of messages in which a condition held; `end` is the first in which it no longer did.
 */
export interface Breach {
  begin: Sent
  end: Sent | undefined
}

export function breachesOf(sent: readonly Sent[], holds: (message: Sent) => boolean): Breach[] {
  const breaches: Breach[] = []
  let open: Breach | undefined
  for (const message of sent) {
    if (holds(message)) {
      if (open === undefined) breaches.push((open = { begin: message, end: undefined }))
    } else if (open !== undefined) {
      open.end = message
      open = undefined
    }
  }
  return breaches
}

/** mulberry32: small, seeded, good enough for loads. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
