/** Runs one statement in a database of its own, with no more of the machine than it needs. */
import { DuckDBInstance, type DuckDBConnection, type DuckDBDataChunk } from '@duckdb/node-api'
import { WeirError } from '../errors/errors.ts'
import { checkStatement, type View } from './check-statement.ts'
import { quote } from './quote.ts'
import type { SqlAnswer, SqlLimits, SqlSource, StatementLook } from './sql.ts'
import { toSqlValue } from './sql-values.ts'
import { scopesOf } from './statement-scope.ts'
import { viewStatements } from './views.ts'

export interface SqlRequest {
  sql: string
  source: SqlSource
  limits: SqlLimits
  /** Of names that the statement cannot know. */
  secret: string
}

const COLUMNS: Record<'devices' | 'alerts', string> = {
  devices: `{device_id: 'VARCHAR', type: 'VARCHAR', location: 'VARCHAR', tags: 'VARCHAR',
    parent: 'VARCHAR', gateway: 'BOOLEAN', created_at: 'TIMESTAMP'}`,
  alerts: `{id: 'VARCHAR', device_id: 'VARCHAR', rule_id: 'VARCHAR', severity: 'VARCHAR',
    state: 'VARCHAR', triggered_at: 'TIMESTAMP', resolved_at: 'TIMESTAMP', occurrences: 'INTEGER'}`,
}

/** Of looks: they read nothing and leave nothing behind, so one database does for all. */
let looking: Promise<DuckDBConnection> | undefined

async function openLooking(limits: SqlLimits): Promise<DuckDBConnection> {
  const { connection } = await openDatabase(limits)
  await lockDown(connection, [])
  return connection
}

/** What it will read, so that only that need be at hand. Errors: SQL_REFUSED, SQL_INVALID. */
export async function lookAtStatement(sql: string, limits: SqlLimits): Promise<StatementLook> {
  looking ??= openLooking(limits)
  const connection = await looking
  const serialized = await serialize(connection, sql)
  const { views } = checkStatement(serialized)
  const { statements } = JSON.parse(serialized) as { statements: unknown[] }
  const scopes = await scopesOf(statements[0], (time) => timeUsOf(connection, time))
  return { views: [...views], scopes }
}

/** Errors: SQL_REFUSED, SQL_INVALID, QUERY_LIMIT_EXCEEDED. */
export async function runStatement(request: SqlRequest): Promise<SqlAnswer> {
  const { sql, limits } = request
  const { connection, close } = await openDatabase(limits)
  try {
    const { views } = checkStatement(await serialize(connection, sql))
    await prepare(connection, views, request)
    return await answer(connection, sql, limits)
  } finally {
    close()
  }
}

async function openDatabase({
  memoryBytes,
}: SqlLimits): Promise<{ connection: DuckDBConnection; close: () => void }> {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: `${Math.floor(memoryBytes / 1024)}KiB`,
    temp_directory: '',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  })
  const connection = await instance.connect()
  await connection.run("SET TimeZone = 'UTC'")
  const close = (): void => {
    connection.closeSync()
    instance.closeSync()
  }
  return { connection, close }
}

/** Undefined: it is none, which the statement will say itself. */
async function timeUsOf(connection: DuckDBConnection, time: string): Promise<number | undefined> {
  try {
    const reader = await connection.runAndReadAll(`SELECT epoch_us(CAST(${time} AS TIMESTAMP))`)
    const us = reader.getRows()[0]?.[0]
    return typeof us === 'bigint' && Number.isSafeInteger(Number(us)) ? Number(us) : undefined
  } catch {
    return undefined
  }
}

async function serialize(connection: DuckDBConnection, sql: string): Promise<string> {
  const reader = await connection.runAndReadAll(`SELECT json_serialize_sql(${quote(sql)}::VARCHAR)`)
  return String(reader.getRows()[0]?.[0])
}

async function prepare(
  connection: DuckDBConnection,
  views: ReadonlySet<View>,
  { source, secret }: SqlRequest,
): Promise<void> {
  for (const statement of viewStatements(views, source, secret)) await connection.run(statement)
  for (const name of ['devices', 'alerts'] as const) {
    if (!views.has(name)) continue
    const file = quote(source[name] ?? '')
    await connection.run(
      `CREATE TABLE ${name} AS SELECT * FROM read_json(${file}, format = 'newline_delimited',
       columns = ${COLUMNS[name]})`,
    )
  }
  const { readings, cold, rows, rollups } = source
  await lockDown(connection, [...readings, ...cold, ...rows, ...rollups])
}

/** From here on these files can be read, and nothing else be reached. */
async function lockDown(connection: DuckDBConnection, files: readonly string[]): Promise<void> {
  await connection.run(`SET allowed_paths = [${files.map(quote).join()}]`)
  // In this order: behind the second nothing opens the door again.
  await connection.run('SET enable_external_access = false')
  await connection.run('SET lock_configuration = true')
}

async function answer(
  connection: DuckDBConnection,
  sql: string,
  { rowsMax, bytesMax }: SqlLimits,
): Promise<SqlAnswer> {
  const result = await connection.stream(sql).catch(told)
  const names = result.deduplicatedColumnNames()
  const columns = names.map((name, at) => ({ name, type: result.columnType(at).toString() }))
  const rows: SqlAnswer['rows'] = []
  let bytes = 0
  for (;;) {
    const chunk = await result.fetchChunk().catch(told)
    if (chunk === null || chunk.rowCount === 0) return { columns, rows }
    for (const values of rowsOf(chunk)) {
      bytes += JSON.stringify(values).length
      rows.push(values)
      if (rows.length > rowsMax) {
        throw limit(`The answer has more than ${rowsMax} rows: add LIMIT, or aggregate`, rowsMax)
      }
      if (bytes > bytesMax) {
        throw limit(`The answer has more than ${bytesMax} bytes: select fewer columns`, bytesMax)
      }
    }
  }
}

/** A value that no text can hold is as good as too many rows. */
function rowsOf(chunk: DuckDBDataChunk): SqlAnswer['rows'] {
  try {
    return chunk.getRows().map((row) => row.map(toSqlValue))
  } catch (cause) {
    throw new WeirError('QUERY_LIMIT_EXCEEDED', 'A value is too long', { cause })
  }
}

const limit = (detail: string, value: number): WeirError =>
  new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: value } })

/** What DuckDB says of a statement; it knows no file and no secret name that it could tell. */
function told(cause: unknown): never {
  const message = cause instanceof Error ? cause.message : String(cause)
  if (message.startsWith('Out of Memory')) {
    throw new WeirError('QUERY_LIMIT_EXCEEDED', 'It needs too much memory: narrow it', { cause })
  }
  if (message.startsWith('Permission Error')) throw new WeirError('SQL_REFUSED', message, { cause })
  throw new WeirError('SQL_INVALID', message, { cause })
}
