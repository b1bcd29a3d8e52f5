/**
 * What becomes of old readings: those that are no longer warm go from PostgreSQL to the lake, and
 * those that are no longer to be kept go away; a month at a time, when its youngest reading is of
 * that age.
 *
 *   count the rows ─▶ files put, read back, counted ─▶ the month goes, if it has those rows still
 *
 * A1 A reading is in an answer at every moment, once: a file counts before its rows go, and rows
 *    that the lake has are left out of answers.
 * A2 Rows that came meanwhile keep the month: it goes with the next run, behind them.
 * A3 A run that died is done again from its beginning: what the lake has is not put twice.
 * A4 With `isExportedFirst` nothing is deleted for its age that was not confirmed as exported.
 */
import pg from 'pg'
import { WeirError } from '../errors/errors.ts'
import type { Objects } from '../objects/objects.ts'
import type { PostgresPlace } from '../postgres-client/postgres-client.ts'
import type { Clock } from '../world/world.ts'
import { ColdFiles } from './cold-files.ts'
import { deletePending, noteSeen, retireFiles, wasJustSeen } from './cold-tables.ts'
import { monthSpan } from './cold-view.ts'
import { CollectedFile, writeColdFile } from './cold-writer.ts'
import { connectionConfig, unavailable } from './connections.ts'
import { checkLease } from './lease.ts'
import {
  hasLeft,
  lakeFolders,
  storedOffsets,
  type LakeFolder,
  type StoredOffset,
} from './left-months.ts'
import { dropMonth, readingMonths } from './month-partitions.ts'
import { MonthReader, type AgesOf, type ColdAges, type MonthSeries } from './month-rows.ts'
import type { Lease } from './postgres.ts'
import { QueryDatabase } from './query-database.ts'
import type { Month } from './time-tables.ts'

/** Readings of one file, 40 bytes each while it is made. */
const FILE_ROWS = 1 << 21
/** Series whose files of before are looked up at once. */
const SERIES_AT_ONCE = 1000
/** All rows of a month are counted by its index. */
const STATEMENT_TIMEOUT_MS = 3_600_000
const CLOCKS_APART_US = 3_600_000_000
/** To look through a month costs as many rows as it has, and each move makes files. */
const LOOK_INTERVAL_MS = 86_400_000

export interface AgerOptions {
  place: PostgresPlace
  clock: Clock
  objects: Objects
  /** Of this store: letters, digits and `_`. */
  name: string
  agesOf: AgesOf
  isExportedFirst: boolean
  /** Between two looks through a month, also for what came late into it, ms. Default: a day. */
  lookIntervalMs?: number
}

/** Of one month; `month` is 12 × year + month of the year from 0. */
export interface AgedMonth {
  month: Month
  moved: number
  deleted: number
}

export interface Ager {
  /**
   * All that is due, by the one that has the lease. Errors: STORAGE_UNAVAILABLE, STORAGE_FENCED,
   * OBJECTS_UNAVAILABLE, OBJECTS_REFUSED, DATA_FILE_DAMAGED; done is what was done.
   */
  run(lease: Lease, isClosing?: () => boolean): Promise<AgedMonth[]>
  /** Of the writer, by topic and partition. Errors: STORAGE_UNAVAILABLE. */
  offsets(): Promise<StoredOffset[]>
  /** Folders of the lake that this store has readings for. Errors: STORAGE_UNAVAILABLE. */
  folders(): Promise<LakeFolder[]>
  /**
   * Whether all that there was of the month has gone from PostgreSQL, none of it without going to
   * the lake first, unless it was of an age to be deleted. Errors: STORAGE_UNAVAILABLE.
   */
  hasLeft(folder: LakeFolder, month: Month): Promise<boolean>
  close(): Promise<void>
}

export type { LakeFolder, StoredOffset } from './left-months.ts'

export const openAger = (options: AgerOptions): Ager => new MonthAger(options)

type Fate = 'stays' | 'moves' | 'goes'

class MonthAger implements Ager {
  readonly #options: AgerOptions
  readonly #database: QueryDatabase
  readonly #months: MonthReader

  constructor(options: AgerOptions) {
    this.#options = options
    this.#database = new QueryDatabase(options.place, {
      ...{ name: 'weir-aging', statementTimeoutMs: STATEMENT_TIMEOUT_MS },
    })
    const files = new ColdFiles(options.objects)
    const { agesOf } = options
    this.#months = new MonthReader({ database: this.#database, files, agesOf, rowsMax: FILE_ROWS })
  }

  async run(lease: Lease, isClosing: () => boolean = () => false): Promise<AgedMonth[]> {
    const client = new pg.Client({
      ...connectionConfig(this.#options.place, { statement_timeout: STATEMENT_TIMEOUT_MS }),
      application_name: 'weir-aging',
    })
    client.on('error', () => undefined)
    try {
      await client.connect()
      return await this.#run({ client, lease, isClosing })
    } catch (cause) {
      throw unavailable(cause)
    } finally {
      await client.end()
    }
  }

  async #run(work: AgingRun): Promise<AgedMonth[]> {
    const { client, isClosing } = work
    const times = await this.#times(client)
    await deletePending(client, this.#options.objects)
    const aged = await this.#expire(work, times)
    for (const month of await readingMonths(client)) {
      if (isClosing()) break
      const done = await this.#age(work, { month, times })
      if (done.moved + done.deleted > 0) aged.push(done)
    }
    return aged
  }

  /** Nobody deletes for its age what only a wrong clock takes for old. */
  async #times(client: pg.ClientBase): Promise<Times> {
    const { rows } = await client.query<{ now: number; exported: number | null }>(
      `SELECT (extract(epoch FROM now()) * 1e6)::bigint AS now,
         (SELECT before_us FROM exported) AS exported`,
    )
    const nowUs = this.#options.clock.nowUs()
    if (Math.abs(rows[0]!.now - nowUs) > CLOCKS_APART_US) {
      const detail = 'the clocks of PostgreSQL and of this process are an hour apart or more'
      throw new WeirError(
        'STORAGE_UNAVAILABLE',
        `Nothing is moved or deleted for its age: ${detail}`,
      )
    }
    const deletableBeforeUs = this.#options.isExportedFirst ? (rows[0]!.exported ?? 0) : Infinity
    return { nowUs, deletableBeforeUs, ...(await this.#leastAges(client)) }
  }

  /** Files of which no series is to be kept. */
  async #expire({ client, lease }: AgingRun, times: Times): Promise<AgedMonth[]> {
    const { rows } = await client.query<ExpiringRow>(
      `SELECT DISTINCT number, month, cold_file.row_count AS rows, tenant, device_type, metric
       FROM cold_file JOIN cold_run ON file = number JOIN series ON id = series
       WHERE month <= $1`,
      [newestExpiring(times)],
    )
    const expired = [...Map.groupBy(rows, ({ number }) => number)].filter(([, series]) =>
      series.every((one) => {
        const ages = this.#options.agesOf({ ...one, deviceType: one.device_type })
        return fateOf(ages, monthSpan(one.month).endUs, times) === 'goes'
      }),
    )
    if (expired.length === 0) return []
    const numbers = expired.map(([number]) => number)
    await client.query('BEGIN')
    await checkLease(client, lease)
    await retireFiles(client, numbers)
    await client.query('COMMIT')
    return expired.map(([, [one]]) => ({ month: one!.month, moved: 0, deleted: one!.rows }))
  }

  /** The least ages of any series. */
  async #leastAges(client: pg.ClientBase): Promise<{ dueUs: number; coldUs: number }> {
    const { rows } = await client.query<{ tenant: string; device_type: string; metric: string }>(
      'SELECT DISTINCT tenant, device_type, metric FROM series',
    )
    const least = { dueUs: Infinity, coldUs: Infinity }
    for (const { device_type: deviceType, ...one } of rows) {
      const { warmUs, coldUs } = this.#options.agesOf({ ...one, deviceType })
      least.dueUs = Math.min(least.dueUs, warmUs, coldUs)
      least.coldUs = Math.min(least.coldUs, coldUs)
    }
    return least
  }

  async #age(work: AgingRun, { month, times }: { month: Month; times: Times }): Promise<AgedMonth> {
    const done: AgedMonth = { month, moved: 0, deleted: 0 }
    const { startUs, endUs } = monthSpan(month)
    if (times.nowUs - endUs < times.dueUs) return done
    const { lookIntervalMs = LOOK_INTERVAL_MS } = this.#options
    if (await wasJustSeen(work.client, month, lookIntervalMs)) return done
    const all = await this.#months.seriesOf({ startUs, endUs })
    const fates = new Map(
      all.map(({ series, ages }) => [series.series, fateOf(ages, endUs, times)]),
    )
    const withFate = (fate: Fate): MonthSeries[] =>
      all.filter(({ series }) => fates.get(series.series) === fate)
    if (withFate('stays').length === all.length) {
      await noteSeen(work.client, month)
      return done
    }
    const seen = new Map(withFate('goes').map(({ series }) => [series.series, Infinity]))
    done.moved = await this.#move(work, { month, series: withFate('moves'), seen })
    if (work.isClosing()) return done
    const isGone =
      withFate('stays').length === 0
        ? await dropMonth(work.client, month, () => this.#isSeen(work.client, month, seen))
        : await this.#deleteRows(work, month, seen)
    if (isGone) await noteSeen(work.client, month)
    const going = withFate('goes').reduce((sum, { rows }) => sum + rows, 0)
    return { ...done, deleted: isGone ? going : 0 }
  }

  /** Into files, what is not in some. `seen` hears how many rows each series had. */
  async #move(
    work: AgingRun,
    { month, series, seen }: { month: Month; series: MonthSeries[]; seen: Map<number, number> },
  ): Promise<number> {
    let moved = 0
    const byFile = Map.groupBy(series, ({ series: { tenant, deviceType }, ages: { coldUs } }) =>
      JSON.stringify([tenant, deviceType, coldUs]),
    )
    for (const own of byFile.values()) {
      let collected = new CollectedFile()
      const put = async (): Promise<void> => {
        if (collected.count === 0) return
        const parts = { ...this.#options, client: work.client, lease: work.lease }
        moved += (await writeColdFile(parts, collected, month)).rows
        collected = new CollectedFile()
      }
      for (let at = 0; at < own.length; at += SERIES_AT_ONCE) {
        const some = own.slice(at, at + SERIES_AT_ONCE)
        const runs = await this.#months.runsOf(some, month)
        for (const one of some) {
          if (work.isClosing()) return moved
          let count = 0
          for await (const page of this.#months.rowsOf(one, { month, runs })) {
            count += page.rows
            collected.add(one.series, page)
            if (collected.count >= FILE_ROWS) await put()
          }
          seen.set(one.series.series, count)
        }
      }
      await put()
    }
    return moved
  }

  /** The month has no other rows than were seen. */
  async #isSeen(
    client: pg.ClientBase,
    month: Month,
    seen: ReadonlyMap<number, number>,
  ): Promise<boolean> {
    const { startUs, endUs } = monthSpan(month)
    const { rows } = await client.query<{ series: number; rows: number }>(
      `SELECT series, count(*) AS rows FROM reading WHERE time_us >= $1 AND time_us < $2
       GROUP BY series`,
      [startUs, endUs],
    )
    return rows.every(({ series, rows }) => (seen.get(series) ?? 0) >= rows)
  }

  /** Of a month that others keep. Only what this transaction sees goes, and that was seen. */
  async #deleteRows(
    { client, lease }: AgingRun,
    month: Month,
    seen: ReadonlyMap<number, number>,
  ): Promise<boolean> {
    const { startUs, endUs } = monthSpan(month)
    const series = [...seen.keys()]
    const values = [startUs, endUs, series]
    const where = 'time_us >= $1 AND time_us < $2 AND series = ANY ($3::integer[])'
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await checkLease(client, lease)
    const { rows } = await client.query<{ series: number; rows: number }>(
      `SELECT series, count(*) AS rows FROM reading WHERE ${where} GROUP BY series`,
      values,
    )
    const isSeen = rows.every(({ series, rows }) => seen.get(series)! >= rows)
    if (isSeen) await client.query(`DELETE FROM reading WHERE ${where}`, values)
    await client.query(isSeen ? 'COMMIT' : 'ROLLBACK')
    return isSeen
  }

  offsets(): Promise<StoredOffset[]> {
    return this.#database.snapshot(storedOffsets)
  }

  folders(): Promise<LakeFolder[]> {
    return this.#database.snapshot(lakeFolders)
  }

  hasLeft(folder: LakeFolder, month: Month): Promise<boolean> {
    return this.#database.snapshot((ask) => hasLeft(ask, folder, month))
  }

  close(): Promise<void> {
    return this.#database.close()
  }
}

interface AgingRun {
  client: pg.ClientBase
  lease: Lease
  isClosing: () => boolean
}

interface Times {
  nowUs: number
  deletableBeforeUs: number
  /** The least ages at which a series may move or go, and at which it may go. */
  dueUs: number
  coldUs: number
}

interface ExpiringRow {
  number: number
  month: Month
  rows: number
  tenant: string
  device_type: string
  metric: string
}

/** The newest month of which anything may go; -1: none. */
function newestExpiring({ nowUs, coldUs }: Times): Month {
  if (!Number.isFinite(coldUs)) return -1
  const date = new Date(Math.max(0, (nowUs - coldUs) / 1000))
  return date.getUTCFullYear() * 12 + date.getUTCMonth()
}

function fateOf({ warmUs, coldUs }: ColdAges, endUs: number, times: Times): Fate {
  const ageUs = times.nowUs - endUs
  if (ageUs >= coldUs && endUs <= times.deletableBeforeUs) return 'goes'
  return ageUs >= warmUs && warmUs < coldUs ? 'moves' : 'stays'
}
