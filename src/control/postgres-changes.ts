/**
 * Changes of written tables as statements of PostgreSQL. Neighbours of one kind are one statement:
 * ten thousand rows are a few round trips.
 */
import type pg from 'pg'
import { WRITTEN_KEYS } from './database.ts'
import type { Change, SqlRow, SqlValue } from './database.ts'

/** Values of one statement, as JSON: far below what the driver can hold as one text. */
const ROWS_MAX = 1000

/** False when an expectation was not met: the transaction is to be rolled back. */
export async function makeChanges(
  client: pg.ClientBase,
  changes: readonly Change[],
): Promise<boolean> {
  for (const run of runsOf(changes)) {
    const { text, mayBeFewer } = statementOf(run[0]!)
    const { rowCount } = await client.query(text, [JSON.stringify(run.map(toJson))])
    if (!mayBeFewer && rowCount !== run.length) return false
  }
  return true
}

function runsOf(changes: readonly Change[]): Change[][] {
  const runs: Change[][] = []
  let kind = ''
  for (const change of changes) {
    const next = kindOf(change)
    const last = runs.at(-1)
    if (last !== undefined && next === kind && last.length < ROWS_MAX) last.push(change)
    else runs.push([change])
    kind = next
  }
  return runs
}

function kindOf(change: Change): string {
  const names = Object.keys('put' in change ? change.put : change.remove).join()
  const { text, mayBeFewer } = statementOf(change)
  return `${text} ${names} ${mayBeFewer}`
}

/** What a run of such changes is; its only parameter is an array of toJson(). */
function statementOf(change: Change): { text: string; mayBeFewer: boolean } {
  const { table, expected } = change
  const rows = `json_array_elements($1::json) AS change,
    json_populate_record(NULL::${table}, change->'row') AS new`
  const isSame = WRITTEN_KEYS[table].map((key) => `old.${key} = new.${key}`).join(' AND ')
  const isExpected = `old.revision = (change->>'expected')::bigint`
  if ('remove' in change) {
    const where = expected === undefined ? isSame : `${isSame} AND ${isExpected}`
    const text = `DELETE FROM ${table} AS old USING ${rows} WHERE ${where}`
    return { text, mayBeFewer: expected === undefined }
  }
  const names = Object.keys(change.put)
  const values = names.map((name) => `new.${name}`).join(', ')
  if (expected === undefined || expected === 0) {
    const text = `INSERT INTO ${table} (${names.join(', ')}) SELECT ${values} FROM ${rows}
      ON CONFLICT DO NOTHING`
    return { text, mayBeFewer: change.ignore === true }
  }
  const sets = names.map((name) => `${name} = new.${name}`).join(', ')
  const text = `UPDATE ${table} AS old SET ${sets} FROM ${rows} WHERE ${isSame} AND ${isExpected}`
  return { text, mayBeFewer: false }
}

function toJson(change: Change): { row: SqlRow; expected: number | undefined } {
  const row = 'put' in change ? change.put : change.remove
  const values = Object.entries(row).map(([name, value]) => [name, plain(value)])
  return { row: Object.fromEntries(values), expected: change.expected }
}

/** Half of a surrogate pair cannot be stored, and is the replacement character before it is. */
function plain(value: SqlValue): string | number | null {
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  return typeof value === 'string' ? value.toWellFormed() : value
}
