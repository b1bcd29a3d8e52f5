/** For tests: DuckDB over a lake’s files as an engine, with what Trino calls otherwise. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { WeirError } from '../../src/errors/errors.ts'
import { lakeTable } from '../../src/lake/ddl.ts'
import { eachObject, type Objects } from '../../src/objects/objects.ts'
import {
  literal,
  type EnginePage,
  type EngineValue,
  type LakeEngine,
} from '../../src/lake-engine/lake-engine.ts'

export const LOCATION = 's3://lake'
export const TABLE = 'readings'

const MACROS = `CREATE MACRO width_bucket(x, bins) AS len(list_filter(bins, bin -> bin <= x))`

export interface DuckEngine extends LakeEngine {
  /** Objects that the table does not show. */
  hidden: Set<string>
  /** That were run. */
  statements: string[]
  remove(): Promise<void>
}

/** Each statement sees the objects of its time. */
export async function openDuckEngine(
  objects: Objects,
  { statementLengthMax = 100_000 } = {},
): Promise<DuckEngine> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-engine-'))
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  await connection.run(MACROS)
  const hidden = new Set<string>()
  const statements: string[] = []
  return {
    ...{ kind: 'duckdb', statementLengthMax, hidden, statements },
    refreshOf: () => undefined,
    async *run(statement, limits, signal): AsyncGenerator<EnginePage> {
      signal?.throwIfAborted()
      statements.push(statement)
      await show(connection, { objects, folder, hidden })
      const answer = await connection.runAndReadAll(statement).catch((cause: Error) => {
        throw new WeirError('ENGINE_REFUSED', cause.message, { cause })
      })
      const names = answer.columnNames()
      const columns = answer
        .columnTypes()
        .map((type, at) => ({ name: names[at]!, type: String(type).toLowerCase() }))
      const rows = answer.getRows().map((row) => row.map(valueOf))
      if (rows.length > limits.rowsMax) throw new WeirError('ENGINE_LIMIT_EXCEEDED', 'many rows')
      yield { columns, rows }
    },
    close() {},
    async remove() {
      connection.closeSync()
      instance.closeSync()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const valueOf = (value: unknown): EngineValue =>
  typeof value === 'bigint' ? Number(value) : (value as EngineValue)

/** Makes the table anew, of the files that are there. */
async function show(
  connection: DuckDBConnection,
  { objects, folder, hidden }: { objects: Objects; folder: string; hidden: ReadonlySet<string> },
): Promise<void> {
  const shown = new Set<string>()
  for await (const { key } of eachObject(objects, 'readings/')) {
    if (!hidden.has(key)) shown.add(key)
  }
  const known = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const file of known.filter((one) => one.isFile())) {
    const path = join(file.parentPath, file.name)
    // What counts is never written anew under its key.
    if (!shown.delete(path.slice(folder.length + 1))) await rm(path)
  }
  for (const key of shown) {
    const path = join(folder, key)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, await objects.get(key))
  }
  const definition = lakeTable('duckdb', { table: 'files', location: folder, times: 'bigint' })
  await connection.run(definition.replace('CREATE VIEW', 'CREATE OR REPLACE VIEW'))
  await connection.run(
    `CREATE OR REPLACE VIEW ${TABLE} AS SELECT * EXCLUDE filename,
       ${literal(LOCATION)} || substr(filename, ${folder.length + 1}) AS "$path" FROM files`,
  )
}
