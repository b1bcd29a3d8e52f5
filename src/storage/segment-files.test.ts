/** One suite for both adapters of the port, and one that they answer alike. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { PARTIAL_STRIDE } from '../stream/stream.ts'
import { createSeededRandom } from '../world/memory-disk.ts'
import { nodeWorld } from '../world/node-world.ts'
import { openParquetFiles } from './parquet-files.ts'
import { Pace } from './turns.ts'
import { createPlainFiles } from './plain-files.ts'
import { NO_COLD_FILES, type SegmentFiles, type WrittenFile } from './segment-files.ts'
import { ANYWHERE, type Segment } from './segment-set.ts'

interface Opened {
  folder: string
  files: SegmentFiles
}

const ADAPTERS: Record<string, (folder: string) => Promise<SegmentFiles>> = {
  plain: async (folder) => createPlainFiles(folder, nodeWorld.disk),
  Parquet: (folder) =>
    openParquetFiles(
      folder,
      { ...nodeWorld, pace: new Pace() },
      {
        options: {
          ...{ threads: 1, memoryBytes: 256 << 20, concurrency: 1 },
          temporaryFolder: join(folder, 'spill'),
        },
        cold: NO_COLD_FILES,
      },
    ),
}

async function open(t: TestContext, adapter: string): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-files-'))
  await mkdir(join(folder, 'spill'))
  const files = await ADAPTERS[adapter]!(folder)
  t.after(async () => {
    files.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { folder, files }
}

const segmentOf = (file: string, hasUnverified: boolean, written: WrittenFile): Segment => ({
  ...{ kind: 'readings', file, firstOffset: 0, lastOffset: 0, ...written },
  hasUnverified,
})

/** Sorted readings of which some identities are in several files. */
async function writeReadings({ files }: Opened, count: number): Promise<Segment[]> {
  const random = createSeededRandom(7)
  const segments: Segment[] = []
  for (let at = 0; at < count; at++) {
    const file = `readings-${String(at).padStart(4, '0')}.parquet`
    const identities = new Set(Array.from({ length: 400 }, () => Math.floor(random.unit() * 1000)))
    const rows = [...identities].toSorted((a, b) => a - b)
    const sorted = {
      count: rows.length,
      series: Int32Array.from(rows, (row) => Math.floor(row / 100)),
      timeUs: Float64Array.from(rows, (row) => (row % 100) * 1000),
      value: Float64Array.from(rows, () => at + random.unit()),
    }
    const written = await files.writeReadings(file, sorted)
    assert.ok(written.bytes > 0)
    assert.equal(written.rows, rows.length)
    segments.push(segmentOf(file, true, written))
  }
  return segments
}

const WANTED = [
  { series: 2, spans: [{ startUs: 0, endUs: 50_000 }] },
  {
    series: 5,
    spans: [
      { startUs: 10_000, endUs: 20_000 },
      { startUs: 40_000, endUs: 90_000 },
    ],
  },
]

async function rowsOf({ files }: Opened, segments: Segment[]): Promise<number[][]> {
  const rows: number[][] = []
  await files.readReadings(segments, { wanted: WANTED, isSorted: true }, (read) => {
    for (let row = 0; row < read.count; row++)
      rows.push([read.series[row]!, read.timeUs[row]!, read.value[row]!])
  })
  return rows
}

/** A key stands in several files, each time with another count. */
async function writePartials({ files }: Opened): Promise<Segment[]> {
  const segments: Segment[] = []
  for (const offset of [10, 20, 30]) {
    const file = `rollup-${offset}.parquet`
    const rows = Array.from({ length: 30 }, (_, row) => {
      const partial = new Float64Array(PARTIAL_STRIDE).fill(row + offset / 100)
      partial.set([row % 3, 60_000, Math.floor(row / 3) * 60_000, 0, offset + row])
      partial.set([row, row], 11)
      partial[13] = row
      return partial
    })
    const written = await files.writePartials(file, rows.slice(offset === 20 ? 10 : 0), { offset })
    segments.push({ ...segmentOf(file, false, written), kind: 'rollup' })
  }
  return segments
}

async function partialsOf({ files }: Opened, segments: Segment[]): Promise<string[]> {
  const rows: string[] = []
  const span = { startUs: 60e6, endUs: 480e6 }
  await files.readPartials(segments, { series: [0, 2], windowMs: 60_000, span }, (row, offset) =>
    rows.push([...row, offset].join()),
  )
  return rows.toSorted()
}

for (const adapter of Object.keys(ADAPTERS)) {
  test(`F2 what was written is read back, sorted and cut to what is wanted [${adapter}]`, async (t) => {
    const opened = await open(t, adapter)
    const segments = await writeReadings(opened, 2)
    const rows = await rowsOf(opened, segments)
    assert.ok(rows.length > 50)
    const isWanted = ([series, time]: number[]): boolean =>
      series === 2 ? time! < 50_000 : (time! >= 10_000 && time! < 20_000) || time! >= 40_000
    assert.ok(rows.every(isWanted))
    const byIdentity = rows.toSorted((a, b) => a[0]! - b[0]! || a[1]! - b[1]!)
    assert.deepEqual(rows, byIdentity)
  })

  test(`F3 a merge keeps the first write of a reading and the last of a partial [${adapter}]`, async (t) => {
    const opened = await open(t, adapter)
    const segments = await writeReadings(opened, 3)
    const before = await rowsOf(opened, segments)
    const first = before.filter(
      ([series, time], at) => series !== before[at - 1]?.[0] || time !== before[at - 1]?.[1],
    )
    const merged = 'readings-merged.parquet'
    const written = (await opened.files.mergeReadings(merged, segments, ANYWHERE))!
    assert.ok(written.rows > first.length)
    assert.deepEqual(await rowsOf(opened, [segmentOf(merged, true, written)]), first)
    const rollups = await writePartials(opened)
    const partials = (await opened.files.mergeRollups('rollup-merged.parquet', rollups, ANYWHERE))!
    assert.equal(partials.rows, 30)
    const newest = (await partialsOf(opened, rollups)).filter((row) => row.endsWith(',30'))
    const kept = await partialsOf(opened, [
      { ...segmentOf('rollup-merged.parquet', false, partials), kind: 'rollup' },
    ])
    assert.deepEqual(kept, newest)
  })

  test(`F2 F3 sketches go with their rows, also beside a file that has none [${adapter}]`, async (t) => {
    const { files } = await open(t, adapter)
    const rows = [0, 1, 2, 3].map((row) => {
      const partial = new Float64Array(PARTIAL_STRIDE)
      partial.set([row, 3_600_000, 0, 0, 1])
      return partial
    })
    const sketch = (row: number): Uint8Array =>
      Uint8Array.from({ length: row * 20 }, (_, at) => at + row)
    const [old, young] = ['summary-old.parquet', 'summary-young.parquet']
    const sketches = new Map([1, 2].map((row) => [rows[row]!, sketch(row)]))
    const segments = [
      await files.writePartials(old, rows, { offset: 1 }),
      await files.writePartials(young, rows.slice(0, 3), { offset: 2, sketches }),
    ].map((written, at): Segment => {
      return { ...segmentOf([old, young][at]!, false, written), kind: 'summary' }
    })
    const read = async (from: Segment[], hasSketches: boolean): Promise<string[]> => {
      const found: string[] = []
      const span = { startUs: 0, endUs: 1 }
      const what = { series: [0, 1, 2, 3], windowMs: 3_600_000, span, hasSketches }
      await files.readPartials(from, what, ([series], offset, bytes) =>
        found.push([series, offset, bytes?.join('.') ?? 'none'].join(' ')),
      )
      return found.toSorted()
    }
    const newest = ['0 2 none', `1 2 ${sketch(1).join('.')}`, `2 2 ${sketch(2).join('.')}`]
    const all = [...[0, 1, 2, 3].map((series) => `${series} 1 none`), ...newest]
    assert.deepEqual(await read(segments, true), all.toSorted())
    assert.deepEqual(await read([segments[0]!], true), all.slice(0, 4))
    assert.equal((await read(segments, false)).filter((row) => !row.endsWith('none')).length, 0)
    const merged = 'summary-merged.parquet'
    const written = (await files.mergeRollups(merged, segments, ANYWHERE))!
    const one: Segment = { ...segmentOf(merged, false, written), kind: 'summary' }
    assert.deepEqual(await read([one], true), [...newest, '3 1 none'])
  })

  test(`F1 a file that was written is under its name, and nothing else is [${adapter}]`, async (t) => {
    const opened = await open(t, adapter)
    await writeReadings(opened, 1)
    const found = await nodeWorld.disk.list(opened.folder)
    assert.deepEqual(found.toSorted(), ['readings-0000.parquet', 'spill'])
  })
}

test('F2 F3 both adapters answer alike', async (t) => {
  const answers: unknown[] = []
  for (const adapter of Object.keys(ADAPTERS)) {
    const opened = await open(t, adapter)
    const readings = await rowsOf(opened, await writeReadings(opened, 3))
    answers.push({ readings, partials: await partialsOf(opened, await writePartials(opened)) })
  }
  assert.deepEqual(answers[0], answers[1])
})
