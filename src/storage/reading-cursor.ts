/**
 * Brings sorted sources together, run by run: as long as one source has the lowest rows, they go on
 * as one stretch, so that files of different hours cost a comparison per series and file, not per
 * row. Of equal identities the first source's comes first (T4), so sources are in offset order.
 */
import { lowerBound, type ReadingFile, type SeriesRows } from './reading-file.ts'
import type { Box } from './segment-set.ts'

/** A source: `run` is its lowest stretch of rows of one series; undefined when it is at its end. */
export interface ReadingCursor {
  readonly run: SeriesRows | undefined
  /** Goes to the next stretch; rows of the former are no longer valid. */
  next(): Promise<void> | undefined
}

/**
 * `emit` is called with stretches in order; their arrays are valid until it is done. With
 * `keepsRepeats` all of equal identities come, in the order of their sources.
 */
export async function mergeCursors(
  cursors: readonly ReadingCursor[],
  { keepsRepeats }: { keepsRepeats: boolean },
  emit: (rows: SeriesRows) => Promise<void> | undefined,
): Promise<void> {
  let lastSeries = -1
  let lastTimeUs = NaN
  for (;;) {
    const { lowest, bound, isFirst } = lowestOf(cursors)
    const run = lowest?.run
    if (lowest === undefined || run === undefined) return
    const { series, timeUs } = run
    const end = bound?.series === series ? endBefore(run, bound, isFirst) : run.to
    // Within one source identities are unique, so only the first row can repeat the last.
    const isRepeat = series === lastSeries && timeUs[run.from] === lastTimeUs
    const from = isRepeat && !keepsRepeats ? run.from + 1 : run.from
    lastSeries = series
    lastTimeUs = timeUs[end - 1]!
    run.from = end
    // Waiting costs as much as copying some hundred rows: only where there is something to wait
    // for.
    const emitted = from < end ? emit({ ...run, from, to: end }) : undefined
    if (emitted !== undefined) await emitted
    const advanced = end === run.to ? lowest.next() : undefined
    if (advanced !== undefined) await advanced
  }
}

/** The source with the lowest row, the next lowest row, and whether equal rows are the former's. */
function lowestOf(cursors: readonly ReadingCursor[]): {
  lowest: ReadingCursor | undefined
  bound: SeriesRows | undefined
  isFirst: boolean
} {
  let lowest = -1
  let second = -1
  for (let at = 0; at < cursors.length; at++) {
    const run = cursors[at]!.run
    if (run === undefined) continue
    if (lowest < 0 || isBelow(run, cursors[lowest]!.run!)) {
      second = lowest
      lowest = at
    } else if (second < 0 || isBelow(run, cursors[second]!.run!)) second = at
  }
  return { lowest: cursors[lowest], bound: cursors[second]?.run, isFirst: lowest < second }
}

const isBelow = (a: SeriesRows, b: SeriesRows): boolean =>
  a.series < b.series || (a.series === b.series && a.timeUs[a.from]! < b.timeUs[b.from]!)

function endBefore(run: SeriesRows, bound: SeriesRows, isFirst: boolean): number {
  const boundUs = bound.timeUs[bound.from]!
  const end = lowerBound(run.timeUs, boundUs, run)
  return isFirst && end < run.to && run.timeUs[end] === boundUs ? end + 1 : end
}

/** The rows of a file that lie in a box. */
export class FileCursor implements ReadingCursor {
  readonly #file: ReadingFile
  readonly #box: Box
  #block = -1
  #rows = 0
  /** Behind the last row of the stretch's series in this block. */
  #end = 0
  #series: Int32Array = new Int32Array(0)
  run: SeriesRows | undefined

  private constructor(file: ReadingFile, box: Box) {
    this.#file = file
    this.#box = box
  }

  static async start(file: ReadingFile, box: Box): Promise<FileCursor> {
    const cursor = new FileCursor(file, box)
    await cursor.#nextBlock()
    return cursor
  }

  next(): Promise<void> | undefined {
    const { run } = this
    if (run === undefined) return undefined
    return this.#take(run, this.#end) ? undefined : this.#nextBlock()
  }

  async #nextBlock(): Promise<void> {
    for (;;) {
      this.#block++
      if (this.#block === this.#file.blockCount) {
        this.run = undefined
        return
      }
      if (!this.#file.mayHold(this.#block, this.#box)) continue
      const block = this.#file.block(this.#block)
      this.#rows = block.rows
      this.#series = await block.series()
      const timeUs = await block.times(block.rows)
      const value = await block.values(0, block.rows)
      if (this.#take({ timeUs, value }, 0)) return
    }
  }

  /** What of the rows comes before the hole, or behind it when nothing does. */
  #withoutHole(
    series: number,
    timeUs: Float64Array,
    { from, to }: { from: number; to: number },
  ): { from: number; to: number } {
    const { without } = this.#box
    if (without === undefined || !without.series.has(series)) return { from, to }
    const holeFrom = lowerBound(timeUs, without.span.startUs, { from, to })
    const holeTo = lowerBound(timeUs, without.span.endUs, { from: holeFrom, to })
    if (from === holeFrom) return { from: holeTo, to }
    // The next stretch goes on behind it.
    if (holeFrom < holeTo) this.#end = holeTo
    return { from, to: holeFrom === holeTo ? to : holeFrom }
  }

  /** The next stretch in the box from a row of this block on; false when there is none. */
  #take({ timeUs, value }: Pick<SeriesRows, 'timeUs' | 'value'>, row: number): boolean {
    const { startUs, endUs, minSeries, maxSeries, only } = this.#box
    for (let start = row; start < this.#rows; start = this.#end) {
      const series = this.#series[start]!
      this.#end = start + 1
      while (this.#end < this.#rows && this.#series[this.#end] === series) this.#end++
      if (series < minSeries || series > maxSeries || only?.has(series) === false) continue
      const from = lowerBound(timeUs, startUs, { from: start, to: this.#end })
      const to = lowerBound(timeUs, endUs, { from, to: this.#end })
      const kept = this.#withoutHole(series, timeUs, { from, to })
      if (kept.from >= kept.to) continue
      this.run = { series, timeUs, value, ...kept }
      return true
    }
    return false
  }
}

/** The rows that a generator hands out, in order. */
export class RowsCursor implements ReadingCursor {
  readonly #rows: AsyncGenerator<SeriesRows>
  run: SeriesRows | undefined

  private constructor(rows: AsyncGenerator<SeriesRows>) {
    this.#rows = rows
  }

  static async start(rows: AsyncGenerator<SeriesRows>): Promise<RowsCursor> {
    const cursor = new RowsCursor(rows)
    await cursor.next()
    return cursor
  }

  async next(): Promise<void> {
    const step = await this.#rows.next()
    this.run = step.done === true ? undefined : { ...step.value }
  }
}
