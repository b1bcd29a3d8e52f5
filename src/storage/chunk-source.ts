/**
 * Rows of ours as a table of DuckDB's: a table function that fills chunk after chunk straight from
 * typed arrays. Measured against appender and temporary table for 6 M readings: half the time, a
 * quarter less CPU, and no second copy in memory. DuckDB asks for each chunk by a call into this
 * thread, so other work of the thread goes on between any two of them.
 */
import { DuckDBTableFunction, type DuckDBDataChunk, type DuckDBType } from '@duckdb/node-api'
import type { Duck } from './duck.ts'

/** DuckDB's vector size: a chunk holds no more. */
const VECTOR_ROWS = 2048

/** Writes rows [from, to) into the chunk's columns. */
export type Fill = (chunk: DuckDBDataChunk, from: number, to: number) => void

export class ChunkSource {
  /** What stands behind FROM. */
  readonly table: string
  readonly #columns: readonly { name: string; type: DuckDBType }[]
  readonly #duck: Duck
  #rows = 0
  #at = 0
  #fill: Fill = () => {}

  constructor(duck: Duck, name: string, columns: readonly { name: string; type: DuckDBType }[]) {
    this.table = `${name}()`
    this.#columns = columns
    this.#duck = duck
    duck.register(
      DuckDBTableFunction.create({
        name,
        bindFunction: (bind) => {
          for (const column of columns) bind.addResultColumn(column.name, column.type)
          bind.setCardinality(this.#rows, true)
        },
        initFunction: () => {
          this.#at = 0
        },
        mainFunction: (info, chunk) => {
          try {
            this.#next(chunk)
          } catch (error) {
            info.setError(String(error))
          }
        },
      }),
    )
  }

  /** What the next statement reads. One statement at a time: the writing lane sees to that. */
  give(rows: number, fill: Fill): void {
    this.#rows = rows
    this.#fill = fill
  }

  /** Forgets the rows, so that they can be collected. */
  clear(): void {
    this.give(0, () => {})
  }

  #next(chunk: DuckDBDataChunk): void {
    this.#duck.throwIfAbandoned()
    const from = this.#at
    const to = Math.min(from + VECTOR_ROWS, this.#rows)
    chunk.rowCount = to - from
    if (to === from) return
    this.#fill(chunk, from, to)
    for (let column = 0; column < this.#columns.length; column++) {
      chunk.getColumnVector(column).flush()
    }
    this.#at = to
  }
}
