/**
 * Writers on schemas of their own in one of the harness's servers, and batches as short as a test
 * wants them.
 */
import assert from 'node:assert/strict'
import pg from 'pg'
import { SeriesIds, type Lease, type WriterBatch } from '../../src/postgres/postgres.ts'
import type { PostgresWriter, PlacedSeries } from '../../src/postgres/postgres.ts'
import { openPostgresWriter } from '../../src/postgres/writer.ts'
import { PARTIAL_STRIDE } from '../../src/stream/stream.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { accessOf } from './cluster.ts'

/** 2026-07-20T12:00:00Z. */
export const NOON_US = 1_784_548_800_000_000
export const TOPIC = 'weir.readings.v1'

export interface TestServer {
  name: string
  url: string
  /** Why its tests are skipped, if they are. */
  skip: string | undefined
  /** A schema for each test. */
  newSchema: () => string
  openWriter: (schema: string) => Promise<PostgresWriter>
  ask: (text: string) => Promise<Record<string, unknown>[]>
  /** All readings as `device time value`, sorted. */
  readingsIn: (schema: string) => Promise<string[]>
  /** Closes what was opened, and drops the schemas. */
  clean: () => Promise<void>
}

export function serverOf(service: 'postgres' | 'timescaledb'): TestServer {
  const url = accessOf(service)?.['url'] ?? ''
  const skip =
    url === '' ? `${service} does not run: npm run -s cluster:up -- ${service}` : undefined
  let schemas = 0
  const open: PostgresWriter[] = []
  const nameOf = (schema: number): string => `weir_writer_test_${process.pid}_${schema}`
  const ask = (text: string) => askOf(url, text)
  return {
    ...{ name: service, url, skip, ask },
    newSchema: () => nameOf(++schemas),
    async openWriter(schema) {
      const writer = await openPostgresWriter({
        place: { url, schema },
        clock: nodeWorld.clock,
        partitionsPerMonth: 2,
      })
      open.push(writer)
      return writer
    },
    async readingsIn(schema) {
      const rows = await ask(
        `SELECT device_id, time_us, value FROM ${schema}.reading
         JOIN ${schema}.series ON id = series ORDER BY device_id, time_us`,
      )
      return rows.map((row) => Object.values(row).join(' '))
    },
    async clean() {
      if (skip !== undefined) return
      await Promise.all(open.map((writer) => writer.close()))
      for (let schema = 1; schema <= schemas; schema++) {
        await ask(`DROP SCHEMA IF EXISTS ${nameOf(schema)} CASCADE`)
      }
    },
  }
}

export async function askOf(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

export const POSTGRES = serverOf('postgres')
export const { url, skip, newSchema, openWriter, ask, readingsIn, clean } = POSTGRES

export async function claimed(writer: PostgresWriter, name = 'writer-0'): Promise<Lease> {
  const lease = await writer.claim(name)
  assert.ok(lease, 'the lease is free')
  return lease
}

export const seriesName = (deviceId: string, change: Partial<PlacedSeries> = {}): PlacedSeries => ({
  tenant: 'default',
  deviceId,
  deviceType: 'generic',
  metric: 'temperature',
  dimensions: [],
  kind: 'number',
  deviceHash: Buffer.from(deviceId).reduce((hash, byte) => (hash * 31 + byte) | 0, 7),
  ...change,
})

/** A reading: index of the series, event time in µs, value, and its text if it is one. */
export type Row = [series: number, timeUs: number, value: number, text?: string]

export function batchOf(
  series: SeriesIds,
  [fromOffset, nextOffset]: [number, number],
  { rows = [], ...rest }: { rows?: readonly Row[] } & Partial<WriterBatch> = {},
): WriterBatch {
  const readings = {
    count: rows.length,
    series: Uint32Array.from(rows, ([index]) => index),
    timeUs: Float64Array.from(rows, ([, timeUs]) => timeUs),
    value: Float64Array.from(rows, ([, , value]) => value),
    texts: rows.some(({ length }) => length > 3) ? rows.map(([, , , text]) => text) : undefined,
  }
  return { topic: TOPIC, partition: 0, fromOffset, nextOffset, series, readings, ...rest }
}

/** Of each row series, window, start, is late, count, and one number for all the others. */
export function partialsOf(rows: readonly (readonly number[])[]): Float64Array {
  const partials = new Float64Array(rows.length * PARTIAL_STRIDE)
  for (const [at, row] of rows.entries()) {
    partials.fill(row[5]!, at * PARTIAL_STRIDE, (at + 1) * PARTIAL_STRIDE)
    partials.set(row.slice(0, 5), at * PARTIAL_STRIDE)
  }
  return partials
}

/** Series of these devices, under the indices 0, 1, … */
export function seriesOf(...devices: string[]): SeriesIds {
  const series = new SeriesIds()
  for (const device of devices) series.add(seriesName(device))
  return series
}
