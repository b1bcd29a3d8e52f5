/**
 * What the oracle of `src/stream/oracle.ts` does not say, said as naively: where the watermark is
 * and what of a window is on time, late, or too late, from all that came before, each time anew.
 */
import { METRICS } from '../../../src/stream/script.ts'
import { twoPass } from '../../../src/stream/oracle.ts'
import type { WindowTime } from './vectors.ts'

const DISORDER_US_MIN = 1000
const SET_BACK_US = 60e6

export class NaiveWatermark {
  readonly #disorderUs: number
  readonly #idleTimeoutUs: number
  /** Every place where it ever was. */
  readonly #places = [-Infinity]
  readonly #ingests: number[] = []

  constructor(time: { disorderUs: number; idleTimeoutUs: number }) {
    this.#disorderUs = Math.max(time.disorderUs, DISORDER_US_MIN)
    this.#idleTimeoutUs = time.idleTimeoutUs
  }

  get us(): number {
    return Math.max(...this.#places)
  }

  /** Where it is after a message. */
  observe(eventUs: number, ingestUs: number): number {
    this.#ingests.push(ingestUs)
    this.#places.push(eventUs - this.#disorderUs)
    return this.us
  }

  /** Where it is after a tick: it follows the clock where that is believed, else time itself. */
  tick(ingestUs: number, passedUs: number): number {
    const silentUs = ingestUs - Math.max(...this.#ingests)
    if (this.#ingests.length === 0 || silentUs < this.#idleTimeoutUs) return this.us
    const byClockUs = ingestUs - this.#disorderUs - this.#idleTimeoutUs
    const isSetBack = this.us - byClockUs >= SET_BACK_US
    const byTimeUs = this.us + Math.min(passedUs, silentUs - this.#idleTimeoutUs)
    this.#places.push(isSetBack ? byTimeUs : byClockUs)
    return this.us
  }
}

interface NaiveReading {
  series: number
  eventUs: number
  value: number
}

interface NaiveWindow {
  series: number
  sizeUs: number
  startUs: number
  /** Of all that came on time, and of all that was late. */
  onTime: NaiveReading[]
  late: NaiveReading[]
  isEmitted: boolean
}

export class NaiveWindows {
  readonly #windows: NaiveWindow[] = []
  readonly #sizesUs: number[]
  readonly #allowedLatenessUs: number

  constructor(windowsMs: readonly number[], time: WindowTime) {
    this.#sizesUs = windowsMs.map((ms) => ms * 1000)
    this.#allowedLatenessUs = time.allowedLatenessUs
  }

  /** The rows of all windows that the watermark passed since the last time. */
  close(watermarkUs: number): number[][] {
    const closed = this.#windows.filter(
      (one) => !one.isEmitted && this.#isPassed(one.startUs + one.sizeUs, watermarkUs),
    )
    for (const one of closed) one.isEmitted = true
    return closed.filter(({ onTime }) => onTime.length > 0).map((one) => rowOf(one, false))
  }

  /** The late partials that a reading changes, and whether a window could take it no more. */
  add(reading: NaiveReading, watermarkUs: number): { rows: number[][]; isTooLate: boolean } {
    const rows: number[][] = []
    let isTooLate = false
    for (const sizeUs of this.#sizesUs) {
      const window = this.#windowOf(reading, sizeUs)
      const endUs = window.startUs + sizeUs
      if (!this.#isPassed(endUs, watermarkUs)) window.onTime.push(reading)
      else if (endUs <= watermarkUs - this.#allowedLatenessUs) isTooLate = true
      else {
        window.late.push(reading)
        rows.push(rowOf(window, true))
      }
    }
    return { rows, isTooLate }
  }

  /** By `series size start`, what on-time and late partials count together. */
  counts(): Map<string, number> {
    return new Map(
      this.#windows
        .filter(({ onTime, late }) => onTime.length + late.length > 0)
        .map(({ series, sizeUs, startUs, onTime, late }) => [
          `${series} ${sizeUs / 1000} ${startUs / 1000}`,
          onTime.length + late.length,
        ]),
    )
  }

  /** [start, end) is emitted when the watermark reaches end - 1 ms. */
  #isPassed(endUs: number, watermarkUs: number): boolean {
    return watermarkUs >= endUs - 1000
  }

  #windowOf({ series, eventUs }: NaiveReading, sizeUs: number): NaiveWindow {
    const startUs = Math.floor(eventUs / sizeUs) * sizeUs
    const known = this.#windows.find(
      (one) => one.series === series && one.sizeUs === sizeUs && one.startUs === startUs,
    )
    if (known !== undefined) return known
    const made = { series, sizeUs, startUs, onTime: [], late: [], isEmitted: false }
    this.#windows.push(made)
    return made
  }
}

/** A row of PARTIAL_STRIDE. */
function rowOf({ series, sizeUs, startUs, onTime, late }: NaiveWindow, isLate: boolean): number[] {
  const inTime = (isLate ? late : onTime).toSorted((a, b) => a.eventUs - b.eventUs)
  const values = inTime.map(({ value }) => value)
  const { mean, squares } = twoPass(values)
  const [first, last] = [inTime[0]!, inTime.at(-1)!]
  const sum = values.reduce((total, value) => total + value, 0)
  return [
    ...[series, sizeUs / 1000, startUs / 1000, isLate ? 1 : 0],
    ...[values.length, sum, Math.min(...values), Math.max(...values), mean, squares],
    ...[first.value, first.eventUs, last.value, last.eventUs],
  ]
}

export const isNumeric = (series: number): boolean =>
  METRICS[series % METRICS.length]!.kind !== 'text'
