/** For tests: a log whose entries are computed from their offsets, and DuckDB over a whole lake. */
import type { SeriesName } from '../batch/batch.ts'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { eachObject, type Objects } from '../objects/objects.ts'
import { createSeededRandom } from '../world/memory-disk.ts'
import { nodeWorld } from '../world/node-world.ts'
import { lakeTable } from './ddl.ts'
import { openLakeWriter } from './lake.ts'
import type { ErasedTimes, LakeBatch, LakeLimits, LakeWriter, TopicOffset } from './lake.ts'

const TOPIC = 'weir.readings.v1'
/** 2026-07-31T23:59:00Z, so that entries come from two months. */
const START_US = 1_785_542_340_000_000
const MESSAGES = 20

const METRICS = [
  { metric: 'temperature', kind: 'number', dimensions: [] },
  { metric: 'vibration', kind: 'number', dimensions: [['axis', 'x']] },
  { metric: 'vibration', kind: 'number', dimensions: [['axis', 'ü "']] },
  { metric: 'running', kind: 'boolean', dimensions: [] },
  { metric: 'state', kind: 'text', dimensions: [] },
] as const satisfies Partial<SeriesName>[]

const TEXTS = ['ok', 'déjà vu', 'a "quoted" one, \n with more']

/** The entry at an offset of a partition: some messages, in no order of time. */
export function entryAt(partition: number, offset: number): LakeBatch {
  const random = createSeededRandom(partition * 1_000_003 + offset)
  const names: SeriesName[] = []
  const columns = { series: [] as number[], timeUs: [] as number[], value: [] as number[] }
  for (let message = 0; message < MESSAGES; message++) {
    const device = Math.floor(random.unit() * 5)
    const timeUs = START_US + (offset * MESSAGES + message) * 1_000_007 - device * 90_000_000
    for (const name of METRICS) {
      columns.series.push(names.length)
      names.push({
        ...{
          tenant: device === 4 ? 'Acme: 50 %' : 'default',
          deviceId: `p${partition}/d${device}`,
        },
        ...{ deviceType: device % 2 === 0 ? 'pump' : 'größe', metric: name.metric },
        ...{ dimensions: name.dimensions.map(([a, b]) => [a, b]), kind: name.kind },
      })
      columns.timeUs.push(timeUs)
      const at = Math.floor(random.unit() * 1000)
      columns.value.push(name.kind === 'number' ? at / 10 : name.kind === 'text' ? at % 3 : at % 2)
    }
  }
  const nextOffset = offset + 1
  const taken = (): string => `all below ${nextOffset}`
  const offsets = [{ topic: TOPIC, partition, nextOffset, taken }]
  return { names, count: columns.series.length, ...columns, texts: TEXTS, offsets }
}

/** A row as text, to compare. */
const textOf = (row: readonly unknown[]): string => JSON.stringify(row)

/** What the lake must hold of offsets [0, end) of each partition. */
export function rowsUpTo(ends: Record<number, number>): string[] {
  const rows: string[] = []
  for (const [partition, end] of Object.entries(ends)) {
    for (let offset = 0; offset < end; offset++) {
      const { names, count, series, timeUs, value, texts } = entryAt(Number(partition), offset)
      for (let row = 0; row < count; row++) {
        const { tenant, deviceType, deviceId, metric, dimensions, kind } = names[series[row]!]!
        const isText = kind === 'text'
        const json = JSON.stringify(Object.fromEntries(dimensions))
        rows.push(
          textOf([
            ...[tenant, deviceType, deviceId, metric, json, timeUs[row]!],
            ...(isText ? [null, texts[value[row]!]] : [value[row], null]),
          ]),
        )
      }
    }
  }
  return rows.toSorted()
}

/** The same of every file there is, as a tool sees it that knows no manifest. */
export async function rowsOf(objects: Objects): Promise<string[]> {
  const rows = await askLake(
    objects,
    `SELECT tenant, type, device_id, metric, dimensions, epoch_us("time"), value, text_value,
       tenant_of_path, year, month FROM lake`,
  )
  for (const [, , , , , timeUs, , , , year, month] of rows) {
    const date = new Date(Math.floor(Number(timeUs) / 1000))
    const isRight =
      date.getUTCFullYear() === Number(year) && date.getUTCMonth() + 1 === Number(month)
    if (!isRight) throw new Error(`${date.toISOString()} is under ${String(year)}/${String(month)}`)
  }
  for (const [tenant, , , , , , , , path] of rows)
    if (tenant !== path) throw new Error(`${String(tenant)} is under ${String(path)}`)
  return rows
    .map(([tenant, type, device, metric, dimensions, timeUs, value, text]) =>
      textOf([tenant, type, device, metric, dimensions, Number(timeUs), value, text]),
    )
    .toSorted()
}

/** Answers a question to the table `lake`, whose files are downloaded into a folder. */
export async function askLake(objects: Objects, question: string): Promise<unknown[][]> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-lake-'))
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    let count = 0
    for await (const { key } of eachObject(objects, 'readings/')) {
      const path = join(folder, key)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, await objects.get(key))
      count++
    }
    if (count === 0) return []
    // What the files say, and what the table shows that `weir lake ddl` defines.
    const files = `read_parquet('${folder}/**/*.parquet', hive_partitioning = false, filename = true)`
    await connection.run(lakeTable('duckdb', { table: 'readings', location: folder }))
    const named = `SELECT DISTINCT filename, tenant AS tenant_of_path, type, year, month FROM readings`
    const answer = await connection.runAndReadAll(
      `WITH lake AS (SELECT * FROM ${files} JOIN (${named}) USING (filename)) ${question}`,
    )
    return answer.getRows()
  } finally {
    connection.closeSync()
    instance.closeSync()
    await rm(folder, { recursive: true, force: true })
  }
}

type ObjectsCall = Exclude<keyof Objects, 'archive'>

/** The same store; `onCall` hears of each request before it is made, and may hold or fail it. */
export const watched = (
  objects: Objects,
  onCall: (call: ObjectsCall, key: string) => unknown,
): Objects =>
  new Proxy(objects, {
    get: (target, name: ObjectsCall) => {
      const method = target[name].bind(target) as (...parameters: unknown[]) => unknown
      return async (key: string, ...more: unknown[]) => {
        await onCall(name, key)
        return method(key, ...more)
      }
    },
  })

export const LIMITS: LakeLimits = {
  ...{ commitReadings: 1000, commitIntervalMs: 3_600_000, readingsHeldMax: 5000 },
}

export function openWriter(
  objects: Objects,
  how: { set?: string; partitions?: number[]; limits?: LakeLimits; erased?: ErasedTimes } = {},
): Promise<LakeWriter> {
  const { set = 'first', partitions = [0, 1], limits = LIMITS, erased = () => [] } = how
  return openLakeWriter({
    ...{ objects, set, limits, random: nodeWorld.random, erased: async () => erased },
    // At once, so that power cuts meet it at any step.
    clock: { ...nodeWorld.clock, soon: (callback) => queueMicrotask(callback) },
    partitions: partitions.map((partition) => ({ topic: TOPIC, partition })),
  })
}

/** What stands beside the offset. */
export const takenAt = (offsets: readonly TopicOffset[], partition: number): string | undefined =>
  offsets.find((one) => one.partition === partition)?.taken

export const nextOffset = (offsets: readonly TopicOffset[], partition: number): number =>
  offsets.find((one) => one.partition === partition)?.nextOffset ?? 0

/** Reads on from where the writer stands, up to `end` of each partition, committing when due. */
export async function feed(
  writer: LakeWriter,
  ends: Record<number, number>,
  options: { commits?: boolean } = {},
): Promise<void> {
  for (const [partition, end] of Object.entries(ends)) {
    const from = nextOffset(writer.offsets, Number(partition))
    for (let offset = from; offset < end; offset++) {
      writer.append(entryAt(Number(partition), offset))
      if (options.commits !== false && writer.isDue) await writer.commit()
    }
  }
}
