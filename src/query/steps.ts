/**
 * Aggregates per step, fed in any order by readings and by window partials. Mean and centred sum of
 * squares follow Welford for a reading and Chan et al. (1979) for a partial, so that they neither
 * cancel nor depend on which of the two brought a value.
 */
import { WeirError } from '../errors/errors.ts'
import {
  PARTIAL_COUNT,
  PARTIAL_FIRST,
  PARTIAL_FIRST_TIME_US,
  PARTIAL_LAST,
  PARTIAL_LAST_TIME_US,
  PARTIAL_MAX,
  PARTIAL_MEAN,
  PARTIAL_MIN,
  PARTIAL_SERIES,
  PARTIAL_SQUARES,
  PARTIAL_START_MS,
  PARTIAL_SUM,
} from '../stream/stream.ts'
import { Quantiles } from './quantiles.ts'
import type { ReadingRows } from './query.ts'
import type { StepGrid } from './step-grid.ts'

const STRIDE = 12
const COUNT = 0
const SUM = 1
const MIN = 2
const MAX = 3
const MEAN = 4
const SQUARES = 5
const FIRST = 6
const FIRST_TIME_US = 7
const FIRST_SERIES = 8
const LAST = 9
const LAST_TIME_US = 10
const LAST_SERIES = 11
const EMPTY = [0, 0, Infinity, -Infinity, 0, 0, 0, Infinity, -1, 0, -Infinity, -1]

/** One step's results. `stddev` is the sample one. */
export interface Step extends Record<
  'avg' | 'min' | 'max' | 'sum' | 'count' | 'first' | 'last' | 'delta',
  number
> {
  startUs: number
  stddev: number | null
  /** By the second; null for readings of one time. */
  rate: number | null
  /** Undefined where none were asked for. */
  quantiles: Quantiles | undefined
  firstSeries: number
  lastSeries: number
}

export class Steps {
  readonly #grid: StepGrid
  /** By the slot's number; undefined: nobody asks. */
  readonly #quantiles: Quantiles[] | undefined
  readonly #stepsMax: number
  readonly #budget: { left: number }
  readonly #slots = new Map<number, number>()
  /** Few at first: of ten thousand devices each has its own. */
  #rows = new Float64Array(32 * STRIDE)
  /** The step of the last reading: the next is mostly in it too. */
  #stepAt = NaN
  #slotAt = 0

  /**
   * The budget is of steps of several together. With quantiles it takes no partials but those that
   * have a sketch.
   */
  constructor(
    grid: StepGrid,
    { stepsMax, budget }: { stepsMax: number; budget?: { left: number } },
    hasQuantiles = false,
  ) {
    this.#grid = grid
    this.#stepsMax = stepsMax
    this.#budget = budget ?? { left: Infinity }
    this.#quantiles = hasQuantiles ? [] : undefined
  }

  addReadings({ count, series, timeUs, value }: ReadingRows): void {
    for (let row = 0; row < count; row++) {
      const time = timeUs[row]!
      const at = this.#slot(time)
      const rows = this.#rows
      const one = value[row]!
      const n = ++rows[at + COUNT]!
      rows[at + SUM]! += one
      if (one < rows[at + MIN]!) rows[at + MIN] = one
      if (one > rows[at + MAX]!) rows[at + MAX] = one
      const delta = one - rows[at + MEAN]!
      const mean = rows[at + MEAN]! + delta / n
      rows[at + MEAN] = mean
      rows[at + SQUARES]! += delta * (one - mean)
      this.#noteEnds(at, series[row]!, { first: one, firstUs: time, last: one, lastUs: time })
      this.#quantilesOf(at)?.add(one)
    }
  }

  #quantilesOf(at: number): Quantiles | undefined {
    if (this.#quantiles === undefined) return undefined
    return (this.#quantiles[at / STRIDE] ??= new Quantiles())
  }

  /** Of all quantiles: see Quantiles. */
  get relativeError(): number {
    const all = this.#quantiles ?? []
    return all.reduce((most, { relativeError }) => Math.max(most, relativeError), 0)
  }

  /** A row of PARTIAL_* places whose window lies within one step; `sketch` is of its values. */
  addPartial(partial: Float64Array, sketch?: Uint8Array): void {
    const added = partial[PARTIAL_COUNT]!
    const at = this.#slot(partial[PARTIAL_START_MS]! * 1000)
    const rows = this.#rows
    const had = rows[at + COUNT]!
    const total = had + added
    const delta = partial[PARTIAL_MEAN]! - rows[at + MEAN]!
    rows[at + COUNT] = total
    rows[at + SUM]! += partial[PARTIAL_SUM]!
    rows[at + MIN] = Math.min(rows[at + MIN]!, partial[PARTIAL_MIN]!)
    rows[at + MAX] = Math.max(rows[at + MAX]!, partial[PARTIAL_MAX]!)
    rows[at + MEAN]! += (delta * added) / total
    rows[at + SQUARES]! += partial[PARTIAL_SQUARES]! + (delta * delta * had * added) / total
    if (sketch !== undefined) this.#quantilesOf(at)?.addSketch(sketch)
    this.#noteEnds(at, partial[PARTIAL_SERIES]!, {
      first: partial[PARTIAL_FIRST]!,
      firstUs: partial[PARTIAL_FIRST_TIME_US]!,
      last: partial[PARTIAL_LAST]!,
      lastUs: partial[PARTIAL_LAST_TIME_US]!,
    })
  }

  /** Of equal times the lower series comes first, so that the answer depends on no order. */
  #noteEnds(
    at: number,
    series: number,
    ends: { first: number; firstUs: number; last: number; lastUs: number },
  ): void {
    const rows = this.#rows
    const firstUs = rows[at + FIRST_TIME_US]!
    if (ends.firstUs < firstUs || (ends.firstUs === firstUs && series < rows[at + FIRST_SERIES]!)) {
      rows[at + FIRST] = ends.first
      rows[at + FIRST_TIME_US] = ends.firstUs
      rows[at + FIRST_SERIES] = series
    }
    const lastUs = rows[at + LAST_TIME_US]!
    if (ends.lastUs > lastUs || (ends.lastUs === lastUs && series > rows[at + LAST_SERIES]!)) {
      rows[at + LAST] = ends.last
      rows[at + LAST_TIME_US] = ends.lastUs
      rows[at + LAST_SERIES] = series
    }
  }

  /** Where the step of this time lies in the rows. */
  #slot(timeUs: number): number {
    const step = this.#grid.indexOf(timeUs)
    if (step === this.#stepAt) return this.#slotAt
    this.#stepAt = step
    this.#slotAt = this.#slots.get(step) ?? this.#createSlot(step)
    return this.#slotAt
  }

  #createSlot(step: number): number {
    if (this.#slots.size === this.#stepsMax) {
      const detail = `The answer has more than ${this.#stepsMax} steps: narrow it or raise step`
      throw new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: this.#stepsMax } })
    }
    if (this.#budget.left-- === 0) {
      const detail =
        'The groups have too many steps together: narrow it, raise step or group by less'
      throw new WeirError('QUERY_LIMIT_EXCEEDED', detail)
    }
    const at = this.#slots.size * STRIDE
    if (at === this.#rows.length) {
      const rows = new Float64Array(at * 2)
      rows.set(this.#rows)
      this.#rows = rows
    }
    this.#rows.set(EMPTY, at)
    this.#slots.set(step, at)
    return at
  }

  /** Steps that hold anything, oldest first. */
  list(): Step[] {
    const inOrder = [...this.#slots].toSorted(([a], [b]) => a - b)
    return inOrder.map(([step, at]) => this.#read(this.#grid.startUsOf(step), at))
  }

  #read(startUs: number, at: number): Step {
    const rows = this.#rows
    const count = rows[at + COUNT]!
    const sum = rows[at + SUM]!
    const delta = rows[at + LAST]! - rows[at + FIRST]!
    const spanUs = rows[at + LAST_TIME_US]! - rows[at + FIRST_TIME_US]!
    return {
      startUs,
      count,
      sum,
      avg: rows[at + MEAN]!,
      min: rows[at + MIN]!,
      max: rows[at + MAX]!,
      stddev: count > 1 ? Math.sqrt(Math.max(0, rows[at + SQUARES]!) / (count - 1)) : null,
      first: rows[at + FIRST]!,
      firstSeries: rows[at + FIRST_SERIES]!,
      last: rows[at + LAST]!,
      lastSeries: rows[at + LAST_SERIES]!,
      delta,
      rate: spanUs > 0 ? delta / (spanUs / 1e6) : null,
      quantiles: this.#quantiles?.[at / STRIDE],
    }
  }
}
