/**
 * The points of one chart: history and live readings merged in time order, as the two columns that
 * uPlot draws. Booleans are 0 and 1; texts are numbered in the order in which they are first seen.
 */
import type { Value } from '../query/query.ts'

export type PointKind = 'number' | 'boolean' | 'text'

/** A silence this many usual intervals long is drawn as a gap, not as a line. */
const GAP_INTERVALS = 12
/** Intervals looked at to find the usual one. */
const INTERVALS_SAMPLED = 200

export class Points {
  kind: PointKind = 'number'
  /** Texts by their number. */
  readonly texts: string[] = []
  #timesMs: number[] = []
  #values: (number | null)[] = []

  get count(): number {
    return this.#timesMs.length
  }

  get lastMs(): number | undefined {
    return this.#timesMs.at(-1)
  }

  clear(): void {
    this.#timesMs = []
    this.#values = []
    this.texts.length = 0
    this.kind = 'number'
  }

  /**
   * Adds points in any order; a point that is there already (same time, same value) changes
   * nothing, so what came live may come again in an answer.
   */
  add(points: readonly (readonly [number, Value | null])[]): void {
    for (const [timeMs, value] of points) this.#insert(timeMs, this.#number(value))
  }

  trimBefore(timeMs: number): void {
    const count = this.#firstAtOrAfter(timeMs)
    if (count === 0) return
    this.#timesMs.splice(0, count)
    this.#values.splice(0, count)
  }

  /** `[times, values]` for uPlot, with a null wherever the line must break. */
  columns(): [number[], (number | null)[]] {
    const limitMs = this.#gapMs()
    const times: number[] = []
    const values: (number | null)[] = []
    let previousMs = Infinity
    for (const [index, timeMs] of this.#timesMs.entries()) {
      if (timeMs - previousMs > limitMs) {
        times.push((timeMs + previousMs) / 2)
        values.push(null)
      }
      times.push(timeMs)
      values.push(this.#values[index] ?? null)
      previousMs = timeMs
    }
    return [times, values]
  }

  /**
   * The extremes, when there is a value at all. No mean: what was thinned to keep its peaks has
   * another one than the readings.
   */
  extremes(): { min: number; max: number } | undefined {
    let [min, max] = [Infinity, -Infinity]
    for (const value of this.#values) {
      if (value === null) continue
      min = Math.min(min, value)
      max = Math.max(max, value)
    }
    return min <= max ? { min, max } : undefined
  }

  #number(value: Value | null): number | null {
    if (value === null || typeof value === 'number') return value
    this.kind = typeof value === 'boolean' ? 'boolean' : 'text'
    if (typeof value === 'boolean') return value ? 1 : 0
    const known = this.texts.indexOf(value)
    return known >= 0 ? known : this.texts.push(value) - 1
  }

  #insert(timeMs: number, value: number | null): void {
    const last = this.lastMs
    if (last === undefined || timeMs > last) {
      this.#timesMs.push(timeMs)
      this.#values.push(value)
      return
    }
    let place = this.#firstAtOrAfter(timeMs)
    for (; this.#timesMs[place] === timeMs; place += 1) {
      if (this.#values[place] === value) return
    }
    this.#timesMs.splice(place, 0, timeMs)
    this.#values.splice(place, 0, value)
  }

  #firstAtOrAfter(timeMs: number): number {
    let [low, high] = [0, this.#timesMs.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#timesMs[middle] ?? Infinity) < timeMs) low = middle + 1
      else high = middle
    }
    return low
  }

  /**
   * Twelve times the median interval; a state (boolean, text) holds until the next, so it has none.
   */
  #gapMs(): number {
    const last = this.count - 1
    if (this.kind !== 'number' || last < 3) return Infinity
    const step = Math.max(1, Math.floor(last / INTERVALS_SAMPLED))
    const intervals: number[] = []
    for (let index = 1; index <= last; index += step) {
      intervals.push((this.#timesMs[index] ?? 0) - (this.#timesMs[index - 1] ?? 0))
    }
    intervals.sort((a, b) => a - b)
    return Math.max(GAP_INTERVALS * (intervals[intervals.length >> 1] ?? 0), 1000)
  }
}
