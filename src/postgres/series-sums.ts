/** Hours of some series, and the day that they are of. */
import type { SeriesDefinition } from '../batch/batch.ts'
import { PARTIAL_SERIES, PARTIAL_START_MS } from '../stream/stream.ts'
import { WindowSum, type KeptOf, type SummedRow } from './rollup-rows.ts'
import { DAY_MS, dayOf } from './rollup-tables.ts'

export class SeriesSums {
  readonly #series: ReadonlyMap<number, SeriesDefinition>
  readonly #hasDay: boolean
  readonly #hours: SummedRow[] = []
  readonly #days = new Map<number, WindowSum>()

  constructor(all: readonly SeriesDefinition[], hasDay: boolean) {
    this.#series = new Map(all.map((one) => [one.series, one]))
    this.#hasDay = hasDay
  }

  add(hour: SummedRow): void {
    this.#hours.push(hour)
    if (this.#hasDay) this.addToDay(hour)
  }

  addToDay(hour: SummedRow): void {
    const series = hour.row[PARTIAL_SERIES]!
    const startMs = dayOf(hour.row[PARTIAL_START_MS]!)
    const known = this.#days.get(series)
    const day = known ?? new WindowSum({ series, windowMs: DAY_MS, startMs })
    if (known === undefined) this.#days.set(series, day)
    day.add(hour)
  }

  /** Those that are kept. */
  rows(kept: KeptOf): SummedRow[] {
    const days = [...this.#days.values()].map((day) => day.sum())
    return [...this.#hours, ...days].flatMap(
      (sum) => kept(this.#series.get(sum.row[PARTIAL_SERIES]!)!, sum) ?? [],
    )
  }
}
