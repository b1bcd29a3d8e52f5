/**
 * Sums up the hours that are over, and again those into which something came late or of which
 * something was erased: hours and days of series, hours of fleets (`rollup-tables.ts`). One process
 * for each store, by a lease.
 *
 *   hours that are over ─▶ closed: writers say what is late ─▶ summed up, step by step
 *   late hours of series ─▶ made again, by the day ─▶ late hours of their fleets ─▶ made again
 *   days of before (`rollup-history.ts`) ─▶ closed, some at a time ─▶ summed up
 *
 * A step is one look at the tables and one transaction: who dies leaves nothing of it behind.
 */
import pg from 'pg'
import type { SeriesDefinition } from '../batch/batch.ts'
import type { WeirError } from '../errors/errors.ts'
import type { Objects } from '../objects/objects.ts'
import { clipSpans, type Span } from '../query/query.ts'
import type { PostgresPlace } from '../postgres-client/postgres-client.ts'
import { PARTIAL_START_MS } from '../stream/stream.ts'
import type { Clock } from '../world/world.ts'
import { ColdFiles } from './cold-files.ts'
import { connectionConfig, unavailable } from './connections.ts'
import { FleetSums, fleetIds, type MadeHours } from './fleet-sums.ts'
import { checkLease } from './lease.ts'
import type { AgesOf } from './month-rows.ts'
import type { Lease } from './postgres.ts'
import { askIn, BY_INDEX, type Ask } from './query-database.ts'
import type { HashDevice } from './query-source.ts'
import { expireRollups } from './rollup-expiry.ts'
import { closeHours } from './rollup-closing.ts'
import { closeHistory, nextHistory, noteHistory, sayStored } from './rollup-history.ts'
import { readHours } from './rollup-hours.ts'
import {
  deleteRows,
  insertRows,
  keptBesideRows,
  keptOfHistory,
  type KeptOf,
  type SummedRow,
} from './rollup-rows.ts'
import { fleetMembers, numberSeries, seriesByIds, viewOfSeries } from './rollup-series.ts'
import {
  addLate,
  DAY_MS,
  dayOf,
  endLate,
  firstLate,
  HOUR_MS,
  joinSpans,
  lateWithin,
  loadProgress,
  lockRollups,
  type Hours,
  type LateHours,
  type LateTable,
  type RollupProgress,
} from './rollup-tables.ts'
import { spanIn } from './rollup-telling.ts'
import { SeriesSums } from './series-sums.ts'

/** Hours of series that are made together: months wait for it. */
const HOURS_AT_ONCE = 100_000
/** Hours of fleets, some kilobytes each. */
const FLEET_HOURS_AT_ONCE = 5000
/** Late series that are made again together. */
const LATE_SERIES_AT_ONCE = 250
const LATE_AT_ONCE = 5000
/** A page of readings is quick; a look at all that is late need not be. */
const STATEMENT_TIMEOUT_MS = 600_000
const EXPIRY_INTERVAL_MS = 3_600_000

export interface RollupsOptions {
  place: PostgresPlace
  clock: Clock
  /** Where the lake is, if there is one. */
  objects: Objects | undefined
  hashDevice: HashDevice
  agesOf: AgesOf
  isExportedFirst: boolean
  /** How far behind the watermark an hour is over. */
  allowedLatenessMs: number
}

export interface Rollups {
  /**
   * All that is due, by the one that has the lease. Errors: STORAGE_UNAVAILABLE, STORAGE_FENCED,
   * OBJECTS_UNAVAILABLE, OBJECTS_REFUSED; done is what was done.
   */
  run(lease: Lease, isOver?: () => boolean): Promise<void>
}

export const openRollups = (options: RollupsOptions): Rollups => new RollupMaker(options)

interface Work {
  client: pg.ClientBase
  lease: Lease
  isOver: () => boolean
}

/** One look, in a transaction that has it to itself. */
interface Step extends Work {
  ask: Ask
  progress: RollupProgress
}

class RollupMaker implements Rollups {
  readonly #options: RollupsOptions
  readonly #coldFiles: ColdFiles
  #expireAtMs = -Infinity

  constructor(options: RollupsOptions) {
    this.#options = options
    this.#coldFiles = new ColdFiles(options.objects)
  }

  async run(lease: Lease, isOver: () => boolean = () => false): Promise<void> {
    const parameters = { ...BY_INDEX, statement_timeout: STATEMENT_TIMEOUT_MS }
    const client = new pg.Client({
      ...connectionConfig(this.#options.place, parameters),
      application_name: 'weir-rollups',
    })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await this.#run({ client, lease, isOver })
    } catch (cause) {
      throw unavailable(cause)
    } finally {
      await client.end()
    }
  }

  async #run(work: Work): Promise<void> {
    const { clock, allowedLatenessMs } = this.#options
    if (clock.monotonicMs() >= this.#expireAtMs) {
      await expireRollups(work, this.#options)
      this.#expireAtMs = clock.monotonicMs() + EXPIRY_INTERVAL_MS
    }
    while (!work.isOver()) {
      await closeHours(work, allowedLatenessMs)
      await sayStored(work, this.#options.hashDevice)
      // A day of history that is closed comes before what is late in it.
      const isMore =
        (await this.#step(work, (step) => this.#sumUp(step))) ||
        (await this.#step(work, (step) => this.#sumUpHistory(step))) ||
        (await this.#step(work, (step) => this.#renewSeries(step))) ||
        (await this.#step(work, (step) => this.#renewFleet(step))) ||
        (await closeHistory(work, this.#options))
      if (!isMore) return
    }
  }

  /** False: there was nothing to do, or it is to end. */
  async #step(work: Work, run: (step: Step) => Promise<boolean>): Promise<boolean> {
    const { client, lease, isOver } = work
    if (isOver()) return false
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await lockRollups(client)
    // A month that leaves waits: what the look sees of its readings is all of them, or none.
    await client.query('LOCK TABLE reading IN ACCESS SHARE MODE')
    const ask = askIn(client)
    const progress = await loadProgress(ask)
    const isDone = progress !== undefined && (await run({ ...work, ask, progress }))
    // Last, as a claim by another waits for the transaction from here on.
    if (isDone) await checkLease(client, lease)
    await client.query(isDone ? 'COMMIT' : 'ROLLBACK')
    return isDone
  }

  async #sumUp(step: Step): Promise<boolean> {
    const { client, progress } = step
    const { toMs: fromMs, closedMs: toMs } = progress
    if (fromMs >= toMs) return false
    const hours = await nextHours(client, { fromMs, toMs })
    if (!(await this.#make(step, hours))) return false
    await client.query('UPDATE rollup_progress SET summed_ms = $1', [hours.toMs])
    return true
  }

  async #sumUpHistory(step: Step): Promise<boolean> {
    const { client, ask, progress } = step
    const next = await nextHistory(ask)
    if (next === undefined) return false
    const { dayMs, hours } = next
    const fromMs = Math.max(hours.fromMs, progress.fixedBeforeMs)
    // It was forgotten since it was closed.
    if (fromMs >= hours.toMs) {
      await noteHistory(client, dayMs, hours.toMs)
      return true
    }
    const own = await nextHours(client, { fromMs, toMs: hours.toMs })
    if (!(await this.#make(step, { ...own, isHistory: true }))) return false
    await noteHistory(client, dayMs, own.toMs)
    return true
  }

  /** Rows of hours that have none yet, and of the day that ends with them. */
  async #make(step: Step, made: MadeHours): Promise<boolean> {
    const { client, ask, progress } = step
    const kept = this.#keptOf(progress, made)
    const dayMs = made.toMs - DAY_MS
    const isDay = made.toMs % DAY_MS === 0 && dayMs >= remadeFromMs(progress)
    const read = { fromMs: isDay ? dayMs : made.fromMs, toMs: made.toMs }
    const fleets = new FleetSums()
    let isWhole = true
    for await (const series of numberSeries(ask)) {
      if (step.isOver()) return false
      fleets.addSeries(series)
      const sums = new SeriesSums(series, isDay)
      isWhole = await this.#readHours(step, { series, hours: read }, (hour) => {
        if (hour.row[PARTIAL_START_MS]! >= made.fromMs) {
          sums.add(hour)
          fleets.add(hour)
        } else sums.addToDay(hour)
      })
      if (!isWhole) break
      await insertRows(client, 'hour_rollup', sums.rows(kept))
    }
    if (isWhole) await fleets.insert(client, { ...made, kept })
    for (const table of ['late_hour', 'late_fleet_hour'] as const) {
      const seen = await lateWithin(ask, table, made)
      await endLate(client, table, { seen, done: made })
    }
    return true
  }

  /** What is young is kept beside rows; it is looked at again when they leave. */
  #keptOf({ beganMs }: RollupProgress, { toMs }: Hours): KeptOf {
    if (toMs > beganMs) return keptBesideRows
    const { clock, objects, agesOf } = this.#options
    return keptOfHistory(clock.nowUs() / 1000, objects && agesOf)
  }

  /**
   * False: the lake does not give all of them, as they are in an archive or damaged. Then no row is
   * made of any: the readings tell, and say so.
   */
  async #readHours(
    { ask, progress }: Step,
    { series, hours }: { series: readonly SeriesDefinition[]; hours: Hours },
    consume: (hour: SummedRow) => void,
  ): Promise<boolean> {
    const { hashDevice } = this.#options
    const parts = { series, hashDevice, progress, coldFiles: this.#coldFiles }
    const view = await viewOfSeries(ask, parts)
    try {
      await readHours(view, { series: series.map((one) => one.series), hours }, consume)
    } catch (error) {
      if ((error as WeirError).code !== 'OBJECT_FROZEN') throw error
      return false
    }
    return view.segmentsDamaged === 0
  }

  /** Some of the series that are late in one day. */
  async #renewSeries(step: Step): Promise<boolean> {
    const { ask, client, progress } = step
    const late = await findLate(step, 'late_hour')
    if (late === undefined || late.isOver) return late !== undefined
    const { day, hours } = late
    const owners = [...new Set(late.seen.map(({ owner }) => owner))].slice(0, LATE_SERIES_AT_ONCE)
    const seen = late.seen.filter(({ owner }) => owners.includes(owner))
    const series = await seriesByIds(ask, owners)
    const isDay = day.fromMs >= remadeFromMs(progress) && day.toMs <= progress.toMs
    const sums = new SeriesSums(series, isDay)
    const isWhole = await this.#readHours(step, { series, hours }, (hour) => sums.add(hour))
    const windowsMs = [HOUR_MS, DAY_MS]
    await deleteRows(client, 'hour_rollup', { ids: owners, ...hours, windowsMs })
    if (isWhole) await insertRows(client, 'hour_rollup', sums.rows(this.#keptOf(progress, hours)))
    await addLateFleets(client, { series, seen, hours })
    await endLate(client, 'late_hour', { seen, done: hours })
    return true
  }

  /** One fleet's late hours of one day. */
  async #renewFleet(step: Step): Promise<boolean> {
    const { ask, client, progress } = step
    const late = await findLate(step, 'late_fleet_hour')
    if (late === undefined || late.isOver) return late !== undefined
    const { hours, seen } = late
    const fleet = seen[0]!.owner
    // Its first rows of a day are of all of it, so that hours without readings are told, too.
    const spans = (await hasRows(client, fleet, hours))
      ? joinSpans(seen.flatMap((one) => clipSpans(spanIn(hours), [spanIn(one)])))
      : [spanIn(hours)]
    for (const { startUs, endUs } of spans) {
      const own = { fromMs: startUs / 1000, toMs: endUs / 1000 }
      const fleets = new FleetSums()
      let isWhole = true
      for await (const series of fleetMembers(ask, fleet)) {
        if (step.isOver()) return false
        fleets.addSeries(series)
        isWhole = await this.#readHours(step, { series, hours: own }, (hour) => fleets.add(hour))
        if (!isWhole) break
      }
      await deleteRows(client, 'fleet_rollup', { ids: [fleet], ...own, windowsMs: [HOUR_MS] })
      if (isWhole) await fleets.insert(client, { ...own, kept: this.#keptOf(progress, own) })
    }
    await endLate(client, 'late_fleet_hour', { seen, done: hours })
    return true
  }
}

/** The first of these hours, or all up to the end of its day where that is one of them. */
async function nextHours(client: pg.ClientBase, { fromMs, toMs }: Hours): Promise<Hours> {
  const { rows } = await client.query<{ series: number; fleets: number }>(
    `SELECT (SELECT count(*) FROM series WHERE kind = 0) AS series,
       (SELECT count(*) FROM fleet) AS fleets`,
  )
  const { series, fleets } = rows[0]!
  const dayEndMs = dayOf(fromMs) + DAY_MS
  const hours = (dayEndMs - fromMs) / HOUR_MS
  // Before the first hour nobody knows how many fleets there are.
  const isSmall =
    fleets > 0 && hours * fleets <= FLEET_HOURS_AT_ONCE && hours * series <= HOURS_AT_ONCE
  return { fromMs, toMs: dayEndMs <= toMs && isSmall ? dayEndMs : fromMs + HOUR_MS }
}

/** In these hours. */
async function hasRows(client: pg.ClientBase, fleet: number, hours: Hours): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT FROM fleet_rollup
     WHERE fleet = $1 AND window_ms = ${HOUR_MS} AND start_ms >= $2 AND start_ms < $3 LIMIT 1`,
    [fleet, hours.fromMs, hours.toMs],
  )
  return rowCount !== 0
}

/** Rows of before are not made again: their readings may be gone. */
const remadeFromMs = ({ fromMs, fixedBeforeMs }: RollupProgress): number =>
  Math.max(fromMs, fixedBeforeMs)

interface FoundLate {
  day: Hours
  /** Of it what is told, and can be made again. */
  hours: Hours
  /** Of a fleet all of it, of series some. */
  seen: LateHours[]
  /** There was nothing to be made of it. */
  isOver: boolean
}

/** What to make again next. Ends what no row tells. */
async function findLate(
  { ask, client, progress }: Step,
  table: LateTable,
): Promise<FoundLate | undefined> {
  const first = await firstLate(ask, table, progress.toMs)
  if (first === undefined) return undefined
  const fromMs = remadeFromMs(progress)
  const startMs = dayOf(first.fromMs)
  const day = { fromMs: startMs, toMs: startMs + DAY_MS }
  if (first.fromMs < fromMs) {
    const before = { fromMs: 0, toMs: fromMs }
    const seen = await lateWithin(ask, table, { ...before, limit: LATE_AT_ONCE })
    await endLate(client, table, { seen, done: before })
    return { day, hours: before, seen, isOver: true }
  }
  const hours = {
    fromMs: Math.max(day.fromMs, fromMs),
    toMs: Math.min(day.toMs, progress.toMs),
  }
  const which = table === 'late_hour' ? { limit: LATE_AT_ONCE } : { owner: first.owner }
  return { day, hours, seen: await lateWithin(ask, table, { ...hours, ...which }), isOver: false }
}

/** Of series of numbers that were late in these hours. */
async function addLateFleets(
  client: pg.ClientBase,
  {
    series,
    seen,
    hours,
  }: { series: readonly SeriesDefinition[]; seen: readonly LateHours[]; hours: Hours },
): Promise<void> {
  const ids = await fleetIds(client, series)
  const fleetOf = new Map(series.map((one, at) => [one.series, ids[at]!]))
  const spans = new Map<number, Span[]>()
  for (const { owner, ...late } of seen) {
    const fleet = fleetOf.get(owner)
    if (fleet === undefined) continue
    const own = clipSpans(spanIn(hours), [spanIn(late)])
    spans.set(fleet, [...(spans.get(fleet) ?? []), ...own])
  }
  const late = [...spans].flatMap(([owner, own]) =>
    joinSpans(own).map(({ startUs, endUs }) => ({
      ...{ owner, fromMs: startUs / 1000, toMs: endUs / 1000 },
    })),
  )
  await addLate(client, 'late_fleet_hour', late)
}
