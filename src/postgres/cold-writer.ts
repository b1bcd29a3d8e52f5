/**
 * Files of readings that leave PostgreSQL: announced, put, read back and compared, and then counted
 * in one transaction. Until then nothing of them is in any answer.
 */
import { crc32 } from 'node:zlib'
import type pg from 'pg'
import type { SeriesDefinition } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import {
  encodeLakeFile,
  folderAt,
  readLakeRows,
  readLakeTables,
  type Run,
  type SortedReadings,
} from '../lake/lake.ts'
import type { Objects } from '../objects/objects.ts'
import type { Clock } from '../world/world.ts'
import { addFile, announceFile, type ColdFile, type WrittenRun } from './cold-tables.ts'
import { checkLease } from './lease.ts'
import type { Lease } from './postgres.ts'
import type { PageOfReadings } from './reading-pages.ts'
import type { Month } from './time-tables.ts'

type NumberedRun = Run & { series: SeriesDefinition }

/** Readings of one file while they are collected: series after series, each in order of time. */
export class CollectedFile {
  count = 0
  readonly #pages: { timeUs: Float64Array; value: Float64Array }[] = []
  readonly #runs: NumberedRun[] = []
  readonly #texts: string[] = []
  readonly #places = new Map<string, number>()

  /** Behind all that is there of the series. */
  add(series: SeriesDefinition, { timeUs, value, texts }: Omit<PageOfReadings, 'series'>): void {
    const rows = timeUs.length
    if (rows === 0) return
    const last = this.#runs.at(-1)
    if (last?.series.series === series.series) last.to += rows
    else this.#runs.push({ series, from: this.count, to: this.count + rows })
    const places = texts && Float64Array.from(texts, (text) => this.#placeOf(text))
    this.#pages.push({ timeUs, value: places ?? value })
    this.count += rows
  }

  #placeOf(text: string): number {
    const known = this.#places.get(text) ?? this.#texts.push(text) - 1
    this.#places.set(text, known)
    return known
  }

  take(): Omit<SortedReadings, 'runs'> & { runs: NumberedRun[] } {
    const timeUs = new Float64Array(this.count)
    const value = new Float64Array(this.count)
    let at = 0
    for (const page of this.#pages) {
      timeUs.set(page.timeUs, at)
      value.set(page.value, at)
      at += page.timeUs.length
    }
    return { runs: this.#runs, timeUs, value, texts: this.#texts }
  }
}

export interface ColdWriterParts {
  client: pg.ClientBase
  lease: Lease
  objects: Objects
  clock: Clock
  /** Of the store, before the numbers in names of files. */
  name: string
  /** Within the transaction from whose end on the file counts. */
  counts?: (file: ColdFile) => Promise<void>
}

/**
 * Puts a file and makes it count. Errors: OBJECTS_UNAVAILABLE, OBJECTS_REFUSED, DATA_FILE_DAMAGED
 * when it is not read back as it was, STORAGE_FENCED.
 */
export async function writeColdFile(
  { client, lease, objects, clock, name, counts }: ColdWriterParts,
  collected: CollectedFile,
  month: Month,
): Promise<ColdFile> {
  const readings = collected.take()
  const { runs, timeUs } = readings
  const { folder } = folderAt(runs[0]!.series, timeUs[0]!)
  const { number, key } = await announceFile(
    client,
    (number) => `${folder}/${name}-${number}.parquet`,
  )
  const pause = (): Promise<void> => new Promise((resolve) => clock.soon(resolve))
  const { bytes, tail } = await encodeLakeFile(readings, runs, pause)
  await objects.put(key, bytes)
  const crc = crc32(bytes)
  const size = { rows: timeUs.length, bytes: bytes.length }
  const file: ColdFile = { number, key, month, ...size, crc, tail }
  await verify(objects, file, readings)
  await client.query('BEGIN')
  await checkLease(client, lease).catch(async (error: unknown) => {
    // Whoever has the lease now may have looked for it before it was there.
    await objects.delete(key).catch(() => undefined)
    throw error
  })
  await addFile(client, file, writtenRuns(readings))
  await counts?.(file)
  await client.query('COMMIT')
  return file
}

function writtenRuns({ runs, timeUs, value, texts }: ReturnType<CollectedFile['take']>) {
  return runs.map(({ series, from, to }): WrittenRun => {
    const isText = series.kind === 'text'
    const last = value[to - 1]!
    return {
      ...{ series: series.series, firstRow: from, rows: to - from },
      ...{ minUs: timeUs[from]!, maxUs: timeUs[to - 1]! },
      ...{ lastValue: isText ? 0 : last, lastText: isText ? texts[last]! : undefined },
    }
  })
}

/** What the store has, read as questions read it, is what was given to it. */
async function verify(
  objects: Objects,
  { key, bytes, crc, tail }: ColdFile,
  { runs, timeUs, value, texts }: SortedReadings,
): Promise<void> {
  const damaged = (problem: string): WeirError =>
    new WeirError('DATA_FILE_DAMAGED', `${key}: ${problem}, right after it was put`)
  const stored = await objects.get(key)
  if (stored.length !== bytes || crc32(stored) !== crc) throw damaged('other bytes came back')
  const fetch = async ({ from, to }: { from: number; to: number }): Promise<Uint8Array> =>
    stored.subarray(from, to)
  const tables = await readLakeTables({ key, fetch }, { bytes, tail })
  for (const { series, from, to } of runs) {
    const isText = series.kind === 'text'
    const read = await readLakeRows({ key, tables, fetch }, { from, to, isText })
    const isSame = read.timeUs.every((time, row) => {
      if (time !== timeUs[from + row]) return false
      const [one, other] = [read.value[row]!, value[from + row]!]
      return isText ? read.texts[one] === texts[other] : Object.is(one, other)
    })
    if (!isSame) throw damaged(`other readings of ${series.deviceId} ${series.metric} came back`)
  }
}
