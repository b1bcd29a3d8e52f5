import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import fc from 'fast-check'
import { createSeededRandom } from '../world/memory-disk.ts'
import { nodeWorld } from '../world/node-world.ts'
import { openParquetFiles } from './parquet-files.ts'
import { Pace } from './turns.ts'
import { BLOCK_ROWS } from './reading-columns.ts'
import { NO_COLD_FILES, type SegmentFiles, type WrittenFile } from './segment-files.ts'
import { ANYWHERE, type Segment } from './segment-set.ts'
import { writeOldReadings } from './storage-fixture.ts'

interface Row {
  series: number
  timeUs: number
  value: number
}

async function open(context: TestContext): Promise<{ folder: string; files: SegmentFiles }> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-readings-'))
  const files = await openParquetFiles(
    folder,
    { ...nodeWorld, pace: new Pace() },
    {
      options: { threads: 1, memoryBytes: 256 << 20, concurrency: 1, temporaryFolder: folder },
      cold: NO_COLD_FILES,
    },
  )
  context.after(async () => {
    files.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { folder, files }
}

async function openDuck(context: TestContext): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  context.after(() => {
    connection.closeSync()
    instance.closeSync()
  })
  return connection
}

const segmentOf = (file: string, written: WrittenFile): Segment => ({
  ...{ kind: 'readings', file, firstOffset: 0, lastOffset: 0, ...written, hasUnverified: false },
})

const WIDE = { isCold: false, minSeries: 0, maxSeries: 1e6, minTimeUs: -1e18, maxTimeUs: 1e18 }

async function write(files: SegmentFiles, file: string, rows: readonly Row[]): Promise<Segment> {
  const written = await files.writeReadings(file, {
    count: rows.length,
    series: Int32Array.from(rows, ({ series }) => series),
    timeUs: Float64Array.from(rows, ({ timeUs }) => timeUs),
    value: Float64Array.from(rows, ({ value }) => value),
  })
  return segmentOf(file, written)
}

const EVERYTHING = [{ startUs: -1e18, endUs: 1e18 }]

/** Rows of these series; all when it is undefined. */
async function read(
  files: SegmentFiles,
  segments: readonly Segment[],
  how: {
    series: Iterable<number>
    spans?: { startUs: number; endUs: number }[]
    isSorted?: boolean
  },
): Promise<Row[]> {
  const { spans = EVERYTHING, isSorted = false } = how
  const rows: Row[] = []
  const wanted = [...new Set(how.series)].map((series) => ({ series, spans }))
  await files.readReadings(segments, { wanted, isSorted }, ({ count, ...columns }) => {
    for (let row = 0; row < count; row++) {
      const { series, timeUs, value } = columns
      rows.push({ series: series[row]!, timeUs: timeUs[row]!, value: value[row]! })
    }
  })
  return rows
}

const seriesOf = (rows: readonly Row[]): number[] => rows.map(({ series }) => series)
const inOrder = (rows: readonly Row[]): Row[] =>
  rows.toSorted((a, b) => a.series - b.series || a.timeUs - b.timeUs)
const unique = (rows: readonly Row[]): Row[] => {
  const seen = new Set<string>()
  return rows.filter(({ series, timeUs }) => {
    const key = `${series}:${timeUs}`
    return !seen.has(key) && seen.add(key) !== undefined
  })
}

const value = fc.oneof(
  fc.integer({ min: -5, max: 5 }),
  fc.integer({ min: -99_999, max: 99_999 }).map((digits) => digits / 100),
  fc.double({ noNaN: true }),
  fc.constant(-0),
)
const timeUs = fc.oneof(
  fc.integer({ min: 0, max: 50 }).map((step) => 1.7e15 + step * 1e7),
  fc.integer({ min: -1e12, max: 2e15 }),
)
const row = fc.record({ series: fc.nat(6), timeUs, value }, { noNullPrototype: true })

test('F2 any readings come back bit by bit, also by the SQL of the documentation', async (context) => {
  const { files, folder } = await open(context)
  const duck = await openDuck(context)
  const text = await readFile(new URL('./reading-columns.ts', import.meta.url), 'utf8')
  const [sql = ''] = /SELECT series[\s\S]*?FROM/.exec(text) ?? []
  const select = sql.replaceAll(/\n \*/g, ' ')
  let runs = 0
  const property = fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 60 }), async (any) => {
    const rows = inOrder(unique(any))
    const file = `readings-${runs++}.parquet`
    const segment = await write(files, file, rows)
    const found = await read(files, [segment], { series: seriesOf(rows) })
    assert.deepEqual(found, rows)
    const answer = await duck.runAndReadAll(`${select} '${folder}/${file}' ORDER BY 1, 2`)
    const others = answer.getRows().map(([series, timeUs, value]) => ({
      ...{ series: Number(series), timeUs: Number(timeUs), value: Number(value) },
    }))
    assert.deepEqual(others, rows)
  })
  await fc.assert(property, { numRuns: 100, endOnFailure: true })
})

/** More rows than a block holds, of long and short runs. */
function manyRows(count: number, seed: number): Row[] {
  const random = createSeededRandom(seed)
  const rows: Row[] = []
  for (let series = 0; rows.length < count; series += 1 + Math.floor(random.unit() * 3)) {
    const length = Math.floor(random.unit() ** 4 * 30_000) + 1
    const isReal = random.unit() < 0.1
    const places = 10 ** Math.floor(random.unit() * 4)
    let timeUs = 1.7e15
    for (let at = 0; at < length && rows.length < count; at++) {
      timeUs += 1e7 + Math.floor(random.unit() * 1000) * (series % 5 === 0 ? 1 : 1000)
      const noise = random.unit()
      const value = isReal ? noise : Math.round(noise * 1000) / places
      rows.push({ series, timeUs, value })
    }
  }
  return rows
}

test('F2 a series is found among blocks and pages, and within its spans', async (context) => {
  const { files } = await open(context)
  const rows = manyRows(2.5 * BLOCK_ROWS, 1)
  const segment = await write(files, 'readings-0.parquet', rows)
  assert.equal(segment.rows, rows.length)
  const last = rows.at(-1)!.series
  for (const series of [0, 1, 2, 3, last >> 1, last - 1, last]) {
    const own = rows.filter((row) => row.series === series)
    assert.deepEqual(await read(files, [segment], { series: [series] }), own)
    const [from, to] = [own[own.length >> 2]?.timeUs ?? 0, own[own.length >> 1]?.timeUs ?? 0]
    const later = { startUs: to + 5e6, endUs: to + 3e9 }
    const spans = [{ startUs: from, endUs: to }, later]
    const isWanted = ({ timeUs }: Row): boolean =>
      spans.some(({ startUs, endUs }) => startUs <= timeUs && timeUs < endUs)
    assert.deepEqual(
      await read(files, [segment], { series: [series], spans }),
      own.filter(isWanted),
    )
  }
  assert.deepEqual(await read(files, [segment], { series: seriesOf(rows) }), rows)
})

test('F3 files of many blocks merge into what one file would hold', async (context) => {
  const { files } = await open(context)
  const sources = [manyRows(100_000, 2), manyRows(70_000, 3), manyRows(1000, 4)]
  const segments = []
  for (const [at, rows] of sources.entries()) {
    segments.push(await write(files, `readings-${at}.parquet`, rows))
  }
  const written = (await files.mergeReadings('readings-merged.parquet', segments, ANYWHERE))!
  const merged = segmentOf('readings-merged.parquet', written)
  // Of equal identities the first file's stays.
  const expected = inOrder(unique(sources.flat()))
  assert.equal(written.rows, expected.length)
  const found = await read(files, [merged], { series: seriesOf(expected) })
  assert.deepEqual(found, expected)
  const sorted = await read(files, segments, { series: seriesOf(expected), isSorted: true })
  assert.deepEqual(unique(sorted), expected)
})

test('F3 merges of boxes hold all rows together, each its own, and know their bounds', async (context) => {
  const { files } = await open(context)
  const sources = [manyRows(90_000, 12), manyRows(40_000, 13)]
  const segments = []
  for (const [at, rows] of sources.entries()) {
    segments.push(await write(files, `readings-${at}.parquet`, rows))
  }
  const expected = inOrder(unique(sources.flat()))
  const times = expected.map(({ timeUs }) => timeUs).toSorted((a, b) => a - b)
  const middleUs = times[times.length >> 1]!
  const middle = expected[expected.length >> 1]!.series
  const parts: Row[] = []
  for (const [at, box] of [
    { ...ANYWHERE, endUs: middleUs, maxSeries: middle },
    { ...ANYWHERE, startUs: middleUs, maxSeries: middle },
    { ...ANYWHERE, minSeries: middle + 1 },
  ].entries()) {
    const file = `readings-part-${at}.parquet`
    const written: WrittenFile = (await files.mergeReadings(file, segments, box))!
    const rows = await read(files, [segmentOf(file, written)], { series: seriesOf(expected) })
    const own = rows.map(({ timeUs }) => timeUs)
    assert.equal(written.rows, rows.length)
    assert.equal(written.minSeries, rows[0]!.series)
    assert.equal(written.maxSeries, rows.at(-1)!.series)
    assert.equal(
      written.minTimeUs,
      own.reduce((least, time) => Math.min(least, time)),
    )
    assert.equal(
      written.maxTimeUs,
      own.reduce((most, time) => Math.max(most, time)),
    )
    parts.push(...rows)
  }
  assert.deepEqual(inOrder(parts), expected)
  const nothing = { ...ANYWHERE, minSeries: 1e6 }
  assert.equal(await files.mergeReadings('readings-none.parquet', segments, nothing), undefined)
})

test('F2 F3 readings that DuckDB wrote are read, sorted among ours, and merged', async (context) => {
  const { files, folder } = await open(context)
  const sources = [manyRows(5000, 5), manyRows(5000, 6), manyRows(5000, 7)]
  const segments: Segment[] = []
  for (const [at, rows] of sources.entries()) {
    const file = `readings-${at}.parquet`
    if (at === 1) segments.push(await write(files, file, rows))
    else {
      const { bytes } = await writeOldReadings(`${folder}/${file}`, rows)
      segments.push(
        segmentOf(file, { ...WIDE, bytes, rows: rows.length, tail: undefined, crc: undefined }),
      )
    }
  }
  const all = sources.flat()
  const expected = inOrder(unique(all))
  const series = seriesOf(all)
  assert.deepEqual(inOrder(await read(files, segments, { series })), inOrder(all))
  assert.deepEqual(unique(await read(files, segments, { series, isSorted: true })), expected)
  const written = (await files.mergeReadings('readings-merged.parquet', segments, ANYWHERE))!
  assert.ok(written.tail !== undefined)
  const merged = segmentOf('readings-merged.parquet', written)
  assert.deepEqual(await read(files, [merged], { series }), expected)
  const left = await nodeWorld.disk.list(folder)
  assert.deepEqual(
    left.filter((file) => file.includes('tmp')),
    [],
  )
})

test('a flipped bit is named, never read', async (context) => {
  const { files, folder } = await open(context)
  const rows = manyRows(2000, 8)
  const segment = await write(files, 'readings-0.parquet', rows)
  const path = `${folder}/${segment.file}`
  const whole = await readFile(path)
  const random = createSeededRandom(9)
  const places = Array.from({ length: 60 }, () => Math.floor(random.unit() * whole.length))
  const tail = whole.length - segment.tail!.bytes
  for (const [at, place] of [...places, tail + 3, whole.length - 1].entries()) {
    const damaged = Buffer.from(whole)
    damaged[place]! ^= 1 << (place & 7)
    // Under a name of its own, since what is known of a file is kept.
    const file = `readings-damaged-${at}.parquet`
    await writeFile(`${folder}/${file}`, damaged)
    try {
      const found = await read(files, [{ ...segment, file }], { series: seriesOf(rows) })
      assert.deepEqual(found, rows, `byte ${place} of ${tail} and ${whole.length}`)
      assert.ok(place < tail, `the tail at ${tail} was read with a flipped bit at ${place}`)
    } catch (error) {
      if ((error as Error).name === 'AssertionError') throw error
      assert.equal((error as { code?: string }).code, 'DATA_FILE_DAMAGED')
      assert.match((error as Error).message, /readings-damaged-\d+\.parquet at byte \d+/)
    }
  }
})
