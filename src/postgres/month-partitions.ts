/**
 * The partitions of `reading` and `window_partial`, one for each UTC month, made when a writer
 * needs them and dropped when they are too old.
 *
 * Both happen beside writers and queries, so nothing here takes a lock on the parent that waits for
 * them: a partition is made as a table by itself and then attached; to go, it is detached
 * CONCURRENTLY, then dropped. One advisory lock keeps makers and droppers apart. Who ends between
 * detaching and dropping leaves a table of the month's name: the next maker or dropper removes it.
 */
import type pg from 'pg'
import {
  CUT_TABLES,
  type CutTable,
  type Month,
  type NeededMonths,
  type TimeTables,
} from './time-tables.ts'

/** The two-key form: 'weir' and the hash of the schema's name. */
const MONTHS_LOCK = 0x77656972

/** Month of `timeMs`, ms since 1970. */
export function monthOf(timeMs: number): Month {
  const date = new Date(timeMs)
  return date.getUTCFullYear() * 12 + date.getUTCMonth()
}

/** Where a month begins, ms since 1970. */
export const monthStartMs = (month: Month): number =>
  Date.UTC(Math.floor(month / 12), month % 12, 1)

const nameOf = (table: CutTable, month: Month): string =>
  `${table}_${Math.floor(month / 12)}_${String((month % 12) + 1).padStart(2, '0')}`

const NAME = /^(reading|window_partial)_(\d{4})_(\d\d)$/

export class MonthPartitions implements TimeTables {
  readonly kind = 'months'
  readonly #partitions: number
  readonly #known: Record<CutTable, Set<Month>> = { reading: new Set(), window_partial: new Set() }

  /** `partitions`: into how many a month of readings is cut by the hash of the device. */
  constructor(partitions: number) {
    this.#partitions = partitions
  }

  async prepare(client: pg.ClientBase, needed: NeededMonths): Promise<void> {
    const missing = [
      ...this.#missing('reading', needed.reading),
      ...this.#missing('window_partial', needed.window_partial),
    ]
    if (missing.length === 0) return
    await makeMonths(client, missing, this.#partitions)
    for (const { table, month } of missing) this.#known[table].add(month)
  }

  #missing(table: CutTable, needed: ReadonlySet<Month> = new Set()): MonthTable[] {
    const missing = [...needed].filter((month) => !this.#known[table].has(month))
    return missing.map((month) => ({ table, month }))
  }

  forget(): void {
    for (const known of Object.values(this.#known)) known.clear()
  }

  dropBefore(client: pg.ClientBase, timeMs: number, only?: CutTable): Promise<number> {
    return dropMonths(client, timeMs, only)
  }

  /** PostgreSQL alone cannot. */
  async compressBefore(): Promise<void> {}
}

interface MonthTable {
  table: CutTable
  month: Month
}

/** Makes what is not there. */
async function makeMonths(
  client: pg.ClientBase,
  months: readonly MonthTable[],
  partitions: number,
): Promise<void> {
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_advisory_xact_lock($1, hashtext(current_schema))', [MONTHS_LOCK])
    for (const { table, month } of months) {
      const state = await stateOf(client, nameOf(table, month))
      // Whoever closed it is gone: we have the lock.
      if (state === 'closed') await client.query(guardDdl(nameOf(table, month), 'open'))
      if (state === 'attached' || state === 'closed') continue
      // What retention began to drop, and did not end.
      if (state !== 'absent') await drop(client, { name: nameOf(table, month), table, state })
      await client.query(ddlOf(table, month, partitions))
    }
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

function ddlOf(table: CutTable, month: Month, partitions: number): string {
  const name = nameOf(table, month)
  const bounds = [month, month + 1].map((one) => monthStartMs(one) * CUT_TABLES[table].unitsPerMs)
  const attach = `ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM (${bounds[0]}) TO (${bounds[1]});`
  if (table === 'window_partial')
    return `CREATE TABLE ${name} (LIKE ${table} INCLUDING ALL); ${attach}`
  const parts = Array.from(
    { length: partitions },
    (_, part) => `CREATE TABLE ${name}_${part} PARTITION OF ${name}
      FOR VALUES WITH (MODULUS ${partitions}, REMAINDER ${part});`,
  )
  return `CREATE TABLE ${name} (LIKE ${table} INCLUDING ALL) PARTITION BY HASH (device_hash);
    ${parts.join('\n')} ${attach}`
}

/**
 * `closed`: it is attached and takes no rows. `leaving`: a DETACH CONCURRENTLY was cut. `detached`:
 * it is a table by itself.
 */
type State = 'absent' | 'attached' | 'closed' | 'leaving' | 'detached'

async function stateOf(client: pg.ClientBase, name: string): Promise<State> {
  const { rows } = await client.query<StateRow>(
    `SELECT inhrelid IS NOT NULL AS attached, inhdetachpending AS leaving, EXISTS (
       SELECT FROM pg_trigger
       WHERE tgrelid = pg_class.oid AND tgname = '${GUARD}' AND tgqual IS NULL
     ) AS closed
     FROM pg_class LEFT JOIN pg_inherits ON inhrelid = pg_class.oid
     WHERE relname = $1 AND relnamespace = current_schema::regnamespace`,
    [name],
  )
  const [row] = rows
  if (row === undefined) return 'absent'
  if (row.leaving === true) return 'leaving'
  if (row.attached !== true) return 'detached'
  return row.closed ? 'closed' : 'attached'
}

interface StateRow {
  attached: boolean | null
  leaving: boolean | null
  closed: boolean
}

/** Drops the months that end at or before `timeMs`. Returns how many tables went. */
async function dropMonths(
  client: pg.ClientBase,
  timeMs: number,
  only: CutTable | undefined,
): Promise<number> {
  await client.query('SELECT pg_advisory_lock($1, hashtext(current_schema))', [MONTHS_LOCK])
  try {
    let dropped = 0
    for (const { name, table, month } of await monthsOf(client)) {
      if (monthStartMs(month + 1) > timeMs || (only !== undefined && only !== table)) continue
      if (table === 'reading') await noteDropped(client, month)
      await drop(client, { name, table, state: await stateOf(client, name) })
      dropped++
    }
    return dropped
  } finally {
    await client.query('SELECT pg_advisory_unlock($1, hashtext(current_schema))', [MONTHS_LOCK])
  }
}

/** What is about to go has not gone to a lake. */
async function noteDropped(client: pg.ClientBase, month: Month): Promise<void> {
  await client.query('UPDATE complete_from SET month = greatest(month, $1)', [month + 1])
}

const GUARD = 'guard'

/**
 * A trigger that refuses rows, or none any more: to make or replace one waits for writers, and
 * needs no lock that questions hold. To drop it would.
 */
const guardDdl = (name: string, how: 'open' | 'closed'): string =>
  `CREATE OR REPLACE TRIGGER ${GUARD} BEFORE INSERT ON ${name}
   FOR EACH ROW ${how === 'open' ? 'WHEN (false)' : ''} EXECUTE FUNCTION refuse_row()`

/** Months of readings, the oldest first. */
export async function readingMonths(client: pg.ClientBase): Promise<Month[]> {
  const months = (await monthsOf(client)).filter(({ table }) => table === 'reading')
  return months.map(({ month }) => month).toSorted((a, b) => a - b)
}

/**
 * Drops a month of readings if `isMoved` says so, which it does while no row can come into it:
 * questions go on, writers under way are waited for, and what they bring then waits for a new month
 * of that name.
 */
export async function dropMonth(
  client: pg.ClientBase,
  month: Month,
  isMoved: () => Promise<boolean>,
): Promise<boolean> {
  const name = nameOf('reading', month)
  await client.query('SELECT pg_advisory_lock($1, hashtext(current_schema))', [MONTHS_LOCK])
  try {
    const state = await stateOf(client, name)
    if (state === 'absent') return true
    if (state === 'attached' || state === 'closed') {
      await client.query(guardDdl(name, 'closed'))
      if (!(await isMoved())) {
        await client.query(guardDdl(name, 'open'))
        return false
      }
    }
    await drop(client, { name, table: 'reading', state })
    return true
  } finally {
    await client.query('SELECT pg_advisory_unlock($1, hashtext(current_schema))', [MONTHS_LOCK])
  }
}

async function drop(
  client: pg.ClientBase,
  { name, table, state }: { name: string; table: CutTable; state: State },
): Promise<void> {
  const detach = `ALTER TABLE ${table} DETACH PARTITION ${name}`
  if (state === 'attached' || state === 'closed') await client.query(`${detach} CONCURRENTLY`)
  if (state === 'leaving') await client.query(`${detach} FINALIZE`)
  await client.query(`DROP TABLE ${name}`)
}

async function monthsOf(
  client: pg.ClientBase,
): Promise<{ name: string; table: CutTable; month: Month }[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class
     WHERE relnamespace = current_schema::regnamespace AND relkind IN ('r', 'p') ORDER BY 1`,
  )
  return rows.flatMap(({ name }) => {
    const month = monthOfTable(name)
    if (month === undefined) return []
    return [{ name, table: NAME.exec(name)![1] as CutTable, month }]
  })
}

/** Undefined: it is no table of a month. */
export function monthOfTable(name: string): Month | undefined {
  const [, , year, month] = NAME.exec(name) ?? []
  return year === undefined ? undefined : Number(year) * 12 + Number(month) - 1
}
