/** PostgreSQL's tables as the suite of questions wants them, filled by the writer. */
import pg from 'pg'
import type { SeriesDefinition } from '../../src/batch/batch.ts'
import {
  isInRange,
  SeriesIds,
  type HashRange,
  type WriterBatch,
} from '../../src/postgres/postgres.ts'
import type { PostgresPlace } from '../../src/postgres-client/postgres-client.ts'
import { openPostgresQuery, type EngineUse, type PostgresQuery } from '../../src/postgres/query.ts'
import { openAger, type AgedMonth, type AgerOptions } from '../../src/postgres/ager.ts'
import { openRollups } from '../../src/postgres/rollups.ts'
import type { Objects } from '../../src/objects/objects.ts'
import { openPostgresWriter } from '../../src/postgres/writer.ts'
import type { Given, QueryBench } from '../../src/query/query-fixture.ts'
import type { QueryLimits } from '../../src/query/query.ts'
import { PARTIAL_SERIES, PARTIAL_STRIDE } from '../../src/stream/stream.ts'
import { nodeWorld } from '../../src/world/node-world.ts'

const PARTITIONS = 4
const ALL: HashRange = { from: 0, to: 0xffff_ffff }

/** Any hash will do: the same for those who write and those who ask. */
export const hashDevice = (tenant: string, deviceId: string): number =>
  Buffer.from(`${tenant}/${deviceId}`).reduce((hash, byte) => (Math.imul(hash, 31) + byte) | 0, 7)

export interface TablesBench extends QueryBench {
  query: PostgresQuery
  /** Of the same tables, without an engine. */
  alone: PostgresQuery
  /** Takes back every reading, and what followed from them. */
  empty: () => Promise<void>
  /** As what is old is, where tables can be. */
  compress: () => Promise<void>
  /** Also what is not in its range. */
  giveAll: (given: Given) => Promise<void>
  /** What is due goes to the lake, or away. */
  age: (isClosing?: () => boolean) => Promise<AgedMonth[]>
  /** As it was without a lake. */
  dropBefore: (timeMs: number) => Promise<number>
  /** Hours that are over become rows, and late ones again; what is too old goes before. */
  sumUp: () => Promise<void>
  statement: (text: string) => Promise<Record<string, unknown>[]>
}

/** How old readings are dealt with; without it they stay. */
export interface BenchAging {
  objects: Objects
  agesOf: AgerOptions['agesOf']
  isExportedFirst?: boolean
}

const KEPT_FOR_EVER = { warmUs: Infinity, coldUs: Infinity }

/** With a range it keeps only what is of its devices, as one of several stores. */
export async function openTables(
  place: PostgresPlace,
  limits: QueryLimits,
  {
    range = ALL,
    aging,
    engine,
    windowsMs = [60_000, 300_000],
    allowedLatenessMs = 0,
  }: {
    range?: HashRange
    aging?: BenchAging | undefined
    engine?: EngineUse
    windowsMs?: readonly number[]
    allowedLatenessMs?: number
  } = {},
): Promise<TablesBench> {
  const writer = await openPostgresWriter({ place, clock: nodeWorld.clock })
  const asked = {
    ...{ access: place, limits, hashDevice, windowsMs },
    objects: aging?.objects,
  }
  const query = openPostgresQuery({ ...asked, engine })
  const alone = engine === undefined ? query : openPostgresQuery(asked)
  const ager =
    aging &&
    openAger({
      ...{ place, clock: nodeWorld.clock, name: 'cold', isExportedFirst: false },
      lookIntervalMs: 0,
      ...aging,
    })
  const lease = (await writer.claim('bench'))!
  let series = new SeriesIds()
  let indices = new Map<number, number>()
  let offset = 0
  const write = async (given: Given, kept: HashRange): Promise<void> => {
    for (const one of given.series ?? []) {
      if (isInRange(kept, hashOf(one))) indices.set(one.series, series.add(nameOf(one)))
    }
    const rows = rowsOf(given, { indices, range: kept, offset })
    const place = { topic: 'given', partition: 0, fromOffset: offset, nextOffset: ++offset }
    await writer.write(lease, { ...place, series, ...rows })
  }
  return {
    ...{ query, alone },
    give: (given) => write(given, range),
    giveAll: (given) => write(given, ALL),
    async age(isClosing) {
      const lease = (await writer.claim('aging'))!
      try {
        return await ager!.run(lease, isClosing)
      } finally {
        await lease.release()
      }
    },
    dropBefore: (timeMs) => writer.dropBefore(timeMs),
    async sumUp() {
      const rollups = openRollups({
        ...{ place, clock: nodeWorld.clock, hashDevice, allowedLatenessMs },
        ...{ objects: aging?.objects, agesOf: aging?.agesOf ?? (() => KEPT_FOR_EVER) },
        isExportedFirst: aging?.isExportedFirst ?? false,
      })
      await rollups.run((await writer.claim('rollups'))!)
    },
    statement: (text) => statement(place, text),
    compress: () => writer.compressBefore(Date.UTC(2100)),
    async empty() {
      series = new SeriesIds()
      indices = new Map()
      const tables = [
        'series',
        'reading',
        'window_partial',
        'dirty_range',
        'coverage',
        'cold_run',
        'cold_month',
        'hour_rollup',
        'fleet',
        'fleet_rollup',
        'late_hour',
        'late_fleet_hour',
        'history_day',
      ]
      await statement(place, `TRUNCATE ${tables.join(', ')}`)
      await statement(
        place,
        `UPDATE rollup_progress SET (from_ms, summed_ms, closed_ms, has_said_stored) =
           ROW(NULL, NULL, NULL, FALSE)`,
      )
    },
    async close() {
      await query.close()
      await alone.close()
      await ager?.close()
      await writer.close()
      await statement(place, `DROP SCHEMA ${place.schema} CASCADE`)
    },
  }
}

async function statement(
  { url, schema }: PostgresPlace,
  text: string,
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, options: `-c search_path=${schema}` })
  await client.connect()
  const { rows } = await client.query(text).finally(() => client.end())
  return rows as Record<string, unknown>[]
}

const hashOf = ({ tenant, deviceId }: { tenant: string; deviceId: string }): number =>
  hashDevice(tenant, deviceId)

const nameOf = (one: SeriesDefinition) => ({
  ...{ tenant: one.tenant, deviceId: one.deviceId, deviceType: one.deviceType },
  ...{ metric: one.metric, dimensions: one.dimensions, kind: one.kind },
  deviceHash: hashOf(one),
})

function rowsOf(
  given: Given,
  {
    indices,
    range,
    offset,
  }: { indices: ReadonlyMap<number, number>; range: HashRange; offset: number },
): Partial<WriterBatch> {
  const { readings: all = [], partials = [], dirty = [], coverage, deadLetters = [] } = given
  const isOurs = (one: { tenant: string; deviceId: string }) => isInRange(range, hashOf(one))
  const readings = all.filter(({ series }) => indices.has(series))
  const partialRows = Float64Array.from(
    partials
      .filter((row) => indices.has(row[PARTIAL_SERIES]!))
      .flatMap((row) => row.concat(Array(PARTIAL_STRIDE - row.length).fill(0))),
  )
  for (let at = PARTIAL_SERIES; at < partialRows.length; at += PARTIAL_STRIDE) {
    partialRows[at] = indices.get(partialRows[at]!)!
  }
  return {
    readings: {
      count: readings.length,
      series: Uint32Array.from(readings, ({ series }) => indices.get(series)!),
      timeUs: Float64Array.from(readings, ({ timeUs }) => timeUs),
      value: Float64Array.from(readings, ({ value }) =>
        typeof value === 'string' ? 0 : Number(value),
      ),
      texts: readings.map(({ value }) => (typeof value === 'string' ? value : undefined)),
    },
    partials: partialRows,
    dirty: dirty
      .filter(({ series }) => indices.has(series))
      .map((one) => ({ ...one, series: indices.get(one.series)! })),
    coverage:
      coverage === undefined
        ? []
        : Array.from({ length: PARTITIONS }, (_, partition) => ({
            ...{ generation: 1, partition, partitions: PARTITIONS, ...coverage },
          })),
    anomalies: (given.anomalies ?? []).filter(isOurs),
    deadLetters: deadLetters
      .map((letter, at) => ({
        ...letter,
        ...{ partition: offset % PARTITIONS, offset: offset * 1000 + at },
      }))
      .filter(isOurs),
  }
}
