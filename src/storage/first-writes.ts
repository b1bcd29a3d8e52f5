/**
 * First write wins (T4) where identities may repeat: segments' rows come sorted by identity and
 * offset, and memory, which is newer than all of them, is walked beside.
 */
import type { ReadingRows } from '../query/query.ts'

export class FirstWrites {
  readonly #memory: ReadingRows
  readonly #isRepeat: Uint8Array
  #at = 0
  #lastSeries = -1
  #lastTimeUs = NaN

  constructor(memory: ReadingRows) {
    this.#memory = memory
    this.#isRepeat = new Uint8Array(memory.count)
  }

  ofSegments(rows: ReadingRows): ReadingRows {
    const kept = copyShape(rows.count)
    for (let row = 0; row < rows.count; row++) {
      const series = rows.series[row]!
      const timeUs = rows.timeUs[row]!
      if (series === this.#lastSeries && timeUs === this.#lastTimeUs) continue
      this.#lastSeries = series
      this.#lastTimeUs = timeUs
      this.#markMemory(series, timeUs)
      push(kept, { series, timeUs, value: rows.value[row]! })
    }
    return kept
  }

  #markMemory(series: number, timeUs: number): void {
    const memory = this.#memory
    while (this.#at < memory.count) {
      const difference = memory.series[this.#at]! - series || memory.timeUs[this.#at]! - timeUs
      if (difference > 0) return
      if (difference === 0) this.#isRepeat[this.#at] = 1
      this.#at++
    }
  }

  ofMemory(): ReadingRows {
    const { count, series, timeUs, value } = this.#memory
    const kept = copyShape(count)
    for (let row = 0; row < count; row++) {
      if (this.#isRepeat[row] === 1) continue
      push(kept, { series: series[row]!, timeUs: timeUs[row]!, value: value[row]! })
    }
    return kept
  }
}

const copyShape = (rows: number): ReadingRows => ({
  count: 0,
  series: new Int32Array(rows),
  timeUs: new Float64Array(rows),
  value: new Float64Array(rows),
})

function push(
  rows: ReadingRows,
  { series, timeUs, value }: { series: number; timeUs: number; value: number },
): void {
  rows.series[rows.count] = series
  rows.timeUs[rows.count] = timeUs
  rows.value[rows.count++] = value
}
