/** For tests: what a stream emits, made naively. */
import { FATE_DUPLICATE, FATE_FRESH, FATE_UNVERIFIED } from '../stream/stream.ts'
import type { SeriesDefinition } from '../batch/batch.ts'
import type { OutputParts } from './storage-fixture.ts'

export const LATENESS_US = 2 * 3_600e6

export interface SaidReading {
  series: number
  timeUs: number
  value: number
}

/**
 * Emits windows as the stream would: what is a little late as a late partial, and all that is later
 * as a dirty range.
 */
export class NaiveStream {
  readonly outputs: OutputParts[] = []
  /** By series and time: what was said first. */
  readonly stored = new Map<number, Map<number, number>>()
  readonly #series: SeriesDefinition[]
  readonly #windowsMs: readonly number[]
  /** By series, size and start: what came in time, and what was late. */
  readonly #windows = new Map<
    string,
    { inTime: SaidReading[]; late: SaidReading[]; isClosed: boolean }
  >()
  #latestUs = -Infinity

  constructor(series: SeriesDefinition[], windowsMs: readonly number[]) {
    this.#series = series
    this.#windowsMs = windowsMs
    for (const one of series) this.stored.set(one.series, new Map())
  }

  output(readings: readonly SaidReading[]): OutputParts {
    const output = {
      ...{ offset: this.outputs.length, series: this.outputs.length === 0 ? this.#series : [] },
      readings: [] as NonNullable<OutputParts['readings']>,
      partials: [] as number[][],
      dirty: [] as NonNullable<OutputParts['dirty']>,
    }
    for (const reading of readings) {
      const stored = this.stored.get(reading.series)!
      const isNew = !stored.has(reading.timeUs)
      const fate = !this.#isKnown(reading) ? FATE_UNVERIFIED : isNew ? FATE_FRESH : FATE_DUPLICATE
      output.readings.push({ ...reading, fate })
      if (!isNew) continue
      stored.set(reading.timeUs, reading.value)
      for (const windowMs of this.#windowsMs) this.#put(reading, windowMs, output)
    }
    for (const { timeUs } of readings) this.#latestUs = Math.max(this.#latestUs, timeUs)
    for (const [key, window] of this.#windows) {
      const [series, windowMs, startMs] = key.split(':').map(Number) as [number, number, number]
      if (window.isClosed || (startMs + windowMs) * 1000 > this.#latestUs) continue
      window.isClosed = true
      output.partials.push(partialOf([series, windowMs, startMs, 0], window.inTime))
    }
    this.outputs.push({ ...output, closed: this.#closed() })
    return this.outputs.at(-1)!
  }

  /** Nobody has spoken, and the clock went on. */
  silence(untilUs: number): OutputParts {
    this.#latestUs = Math.max(this.#latestUs, untilUs)
    return this.output([])
  }

  #closed(): NonNullable<OutputParts['closed']> {
    if (this.#latestUs === -Infinity) return []
    return this.#windowsMs.map((windowMs) => ({
      windowMs,
      beforeMs: Math.floor(this.#latestUs / 1000 / windowMs) * windowMs,
    }))
  }

  /** Whether it can tell a repeat: a stream remembers some times of each series, this one most. */
  #isKnown({ timeUs }: SaidReading): boolean {
    return timeUs > this.#latestUs || Math.floor(timeUs / 1e6) % 4 > 0
  }

  #put(
    reading: SaidReading,
    windowMs: number,
    { partials, dirty }: { partials: number[][]; dirty: NonNullable<OutputParts['dirty']> },
  ): void {
    const { series } = reading
    const startMs = Math.floor(reading.timeUs / 1000 / windowMs) * windowMs
    const endUs = (startMs + windowMs) * 1000
    const key = `${series}:${windowMs}:${startMs}`
    const known = this.#windows.get(key) ?? { inTime: [], late: [], isClosed: false }
    this.#windows.set(key, known)
    if (endUs > this.#latestUs) known.inTime.push(reading)
    else if (known.isClosed && endUs + LATENESS_US > this.#latestUs) {
      known.late.push(reading)
      partials.push(partialOf([series, windowMs, startMs, 1], known.late))
    } else {
      known.isClosed = true
      dirty.push({ series, fromMs: startMs, toMs: startMs + windowMs })
    }
  }
}

function partialOf(key: number[], readings: readonly SaidReading[]): number[] {
  const inOrder = readings.toSorted((a, b) => a.timeUs - b.timeUs)
  const { count, sum, min, max, avg, first, last } = statsOf(inOrder)
  const squares = inOrder.reduce((total, { value }) => total + (value - avg) ** 2, 0)
  const ends = [first, inOrder[0]!.timeUs, last, inOrder.at(-1)!.timeUs]
  return [...key, count, sum, min, max, avg, squares, ...ends]
}

/** Of readings in the order of their times. */
export function statsOf(inOrder: readonly { value: number }[]) {
  const values = inOrder.map(({ value }) => value)
  const sum = values.reduce((total, value) => total + value, 0)
  return {
    ...{ count: values.length, sum, avg: sum / values.length },
    ...{ min: Math.min(...values), max: Math.max(...values) },
    ...{ first: values[0]!, last: values.at(-1)! },
  }
}
