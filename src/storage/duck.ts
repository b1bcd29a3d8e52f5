/**
 * The one DuckDB of the process, in memory: it writes and reads Parquet and keeps nothing. Its
 * calls run on libuv's pool, which the log's flushes share, so few may be under way: one that
 * writes and `concurrency` that read. Who comes later waits here, not in the pool.
 */
import {
  DuckDBInstance,
  type DuckDBConnection,
  type DuckDBDataChunk,
  type DuckDBTableFunction,
} from '@duckdb/node-api'
import { WeirError } from '../errors/errors.ts'
import { Lane } from './lane.ts'

export interface DuckOptions {
  threads: number
  memoryBytes: number
  /** Queries under way at once. */
  concurrency: number
  /** Where sorts that exceed the memory spill. */
  temporaryFolder: string
}

export class Duck {
  readonly #instance: DuckDBInstance
  readonly #connections: DuckDBConnection[]
  readonly #readers: Lane<DuckDBConnection>
  readonly #writer: Lane<DuckDBConnection>
  #isAbandoned = false

  private constructor(instance: DuckDBInstance, connections: DuckDBConnection[]) {
    this.#instance = instance
    this.#connections = connections
    this.#writer = new Lane(connections.slice(0, 1))
    this.#readers = new Lane(connections.slice(1))
  }

  static async open(options: DuckOptions): Promise<Duck> {
    const instance = await DuckDBInstance.create(':memory:', {
      threads: String(options.threads),
      memory_limit: `${Math.floor(options.memoryBytes / 1024)}KiB`,
      temp_directory: options.temporaryFolder,
      preserve_insertion_order: 'true',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    })
    const connections: DuckDBConnection[] = []
    for (let count = 0; count < options.concurrency + 1; count++) {
      connections.push(await instance.connect())
    }
    // Segments never change, so their footers may be kept.
    await connections[0]!.run('SET parquet_metadata_cache = true')
    return new Duck(instance, connections)
  }

  /** One at a time. */
  write<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    return this.#writer.use((connection) => {
      this.throwIfAbandoned()
      return work(connection)
    })
  }

  /** For all connections. */
  register(source: DuckDBTableFunction): void {
    this.#connections[0]!.registerTableFunction(source)
  }

  /** Ends what is under way, and refuses what comes: the process stops, and the log has it all. */
  abandon(): void {
    this.#isAbandoned = true
    for (const connection of this.#connections) connection.interrupt()
  }

  /** For long work between two statements. */
  throwIfAbandoned(): void {
    if (this.#isAbandoned) throw new WeirError('GATEWAY_SHUTTING_DOWN')
  }

  /** Streams the rows of one statement; `consume` may throw to end it. Errors: QUERY_FAILED. */
  read(sql: string, consume: (chunk: DuckDBDataChunk) => Promise<void> | void): Promise<void> {
    return this.#readers.use(async (connection) => {
      try {
        const result = await connection.stream(sql)
        for (;;) {
          const chunk = await result.fetchChunk()
          if (chunk === null || chunk.rowCount === 0) return
          await consume(chunk)
        }
      } catch (cause) {
        if (cause instanceof WeirError) throw cause
        throw new WeirError('QUERY_FAILED', undefined, { cause })
      }
    })
  }

  close(): void {
    for (const connection of this.#connections) connection.closeSync()
    this.#instance.closeSync()
  }
}

/** A DOUBLE or INTEGER column's numbers without a copy; the binding keeps them private. */
export function columnItems<T extends Float64Array | Int32Array>(
  chunk: DuckDBDataChunk,
  column: number,
): T {
  return (chunk.getColumnVector(column) as unknown as { items: T }).items
}

export const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`
