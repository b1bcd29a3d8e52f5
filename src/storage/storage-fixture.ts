/** For tests: outputs built from plain objects, and a folder that is gone afterwards. */
import { cpSync, rmSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { DuckDBInstance } from '@duckdb/node-api'
import { encodeFrame, type DeadLetter, type SeriesDefinition } from '../batch/batch.ts'
import { PARTIAL_STRIDE, type StreamOutput } from '../stream/stream.ts'
import { nodeWorld } from '../world/node-world.ts'
import type { World } from '../world/world.ts'

/** A world in which the first day of 1970, of which the tests' readings are, is not over. */
export const earlyWorld: World = {
  ...nodeWorld,
  clock: { ...nodeWorld.clock, nowUs: () => 3_600_000_000 },
}

export { ask, defineSeries } from '../query/query-fixture.ts'

export interface Reading {
  series: number
  timeUs: number
  value: number
  fate?: number
}

export interface OutputParts extends Partial<Omit<StreamOutput, 'frame' | 'fates' | 'partials'>> {
  offset: number
  readings?: Reading[]
  series?: SeriesDefinition[]
  texts?: [number, string][]
  deadLetters?: DeadLetter[]
  partials?: number[][]
}

/** Each reading is a message of its own. */
export function makeOutput(parts: OutputParts): StreamOutput {
  const readings = parts.readings ?? []
  const count = readings.length
  const frame = encodeFrame({
    messageCount: count,
    readingCount: count,
    baseIngestTimeUs: 0,
    eventTimeUs: Float64Array.from(readings, ({ timeUs }) => timeUs),
    ingestDeltaUs: new Uint32Array(count),
    device: new Uint32Array(count),
    identityHigh: undefined,
    identityLow: undefined,
    readingsInMessage: new Uint16Array(count).fill(1),
    flags: new Uint8Array(count),
    value: Float64Array.from(readings, ({ value }) => value),
    series: Uint32Array.from(readings, ({ series }) => series),
    definitions: { series: parts.series ?? [], texts: parts.texts ?? [] },
    deadLetters: parts.deadLetters,
  })
  const hasFates = readings.some(({ fate }) => fate !== undefined)
  const rows = parts.partials?.map((row) => row.concat(Array(PARTIAL_STRIDE - row.length).fill(0)))
  return {
    offset: parts.offset,
    frame,
    fates: hasFates ? Uint8Array.from(readings, ({ fate }) => fate ?? 0) : undefined,
    partials: rows === undefined ? undefined : Float64Array.from(rows.flat()),
    ruleEvents: parts.ruleEvents ?? [],
    anomalies: parts.anomalies ?? [],
    dirty: parts.dirty ?? [],
    closed: parts.closed ?? [],
  }
}

/** A segment of readings as every version before decision 0006 wrote it. */
export async function writeOldReadings(
  path: string,
  rows: readonly Omit<Reading, 'fate'>[],
): Promise<{ bytes: number }> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  await connection.run('CREATE TABLE rows (series INTEGER, time BIGINT, value DOUBLE)')
  const appender = await connection.createAppender('rows')
  for (const { series, timeUs, value } of rows) {
    appender.appendInteger(series)
    appender.appendBigInt(BigInt(timeUs))
    appender.appendDouble(value)
    appender.endRow()
  }
  appender.closeSync()
  await connection.run(
    `COPY (SELECT series, time, value FROM rows ORDER BY series, time) TO '${path}'
     (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION V2, ROW_GROUP_SIZE 61440)`,
  )
  connection.closeSync()
  instance.closeSync()
  return { bytes: statSync(path).size }
}

export async function makeFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-storage-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/**
 * What a power cut at this moment would leave, as far as one thread can tell: synchronous, so that
 * nothing is committed meanwhile. A merged file that goes while it is copied makes it start again.
 */
export function copyFolder(from: string, to: string): void {
  for (;;) {
    try {
      return cpSync(from, to, { recursive: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      rmSync(to, { recursive: true, force: true })
    }
  }
}
