/** Where in the lake a question's series are, as far as it has asked. */
import { loadColdRuns, type ColdRun } from './cold-tables.ts'
import type { Ask } from './query-database.ts'

const SERIES_AT_ONCE = 5000

export class ColdRuns {
  readonly #ask: Ask
  readonly #runs = new Map<number, ColdRun[]>()

  constructor(ask: Ask) {
    this.#ask = ask
  }

  async load(series: readonly number[]): Promise<void> {
    const missing = series.filter((one) => !this.#runs.has(one))
    for (let at = 0; at < missing.length; at += SERIES_AT_ONCE) {
      const some = missing.slice(at, at + SERIES_AT_ONCE)
      const loaded = Map.groupBy(await loadColdRuns(this.#ask, some), (run) => run.series)
      for (const one of some) this.#runs.set(one, loaded.get(one) ?? [])
    }
  }

  /** Of one that is loaded, in the order in which they count. */
  of(series: number): readonly ColdRun[] {
    return this.#runs.get(series) ?? []
  }

  /** Keys of all that have something of what is loaded. */
  files(): Set<string> {
    return new Set([...this.#runs.values()].flat().map(({ file }) => file.key))
  }
}
