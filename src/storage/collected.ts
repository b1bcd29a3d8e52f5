import type { SeriesDefinition } from '../batch/batch.ts'
import type { ColdReadings } from './cold-files.ts'
import type { GrowingColumns } from './growing-columns.ts'

/** Readings of one cold file while they are collected, series after series. */
export class Collected {
  count = 0
  readonly #series: { series: SeriesDefinition; rows: GrowingColumns }[] = []

  add(series: SeriesDefinition, rows: GrowingColumns): void {
    if (rows.count === 0) return
    this.#series.push({ series, rows })
    this.count += rows.count
  }

  take(text: (id: number) => string): ColdReadings {
    const timeUs = new Float64Array(this.count)
    const value = new Float64Array(this.count)
    const texts: string[] = []
    const places = new Map<number, number>()
    const placeOf = (id: number): number => {
      const known = places.get(id) ?? texts.push(text(id)) - 1
      places.set(id, known)
      return known
    }
    let from = 0
    const runs = this.#series.map(({ series, rows }) => {
      const to = from + rows.count
      timeUs.set(rows.timeUs.subarray(0, rows.count), from)
      value.set(rows.value.subarray(0, rows.count), from)
      if (series.kind === 'text') {
        for (let row = from; row < to; row++) value[row] = placeOf(value[row]!)
      }
      const run = { series, number: series.series, from, to }
      from = to
      return run
    })
    return { runs, timeUs, value, texts }
  }
}
