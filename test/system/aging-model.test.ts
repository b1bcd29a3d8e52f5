import assert from 'node:assert/strict'
import { mkdtemp, mkdir, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { openFolderObjects } from '../../src/objects/folder-objects.ts'
import type { Query } from '../../src/query/query.ts'
import { FATE_FRESH, FATE_UNVERIFIED } from '../../src/stream/stream.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { askStore, embeddedSql } from './sql-fixture.ts'
import { DAY_US, HOUR_US } from '../../src/storage/aging-fixture.ts'
import type { EmbeddedStorage } from '../../src/storage/embedded-storage.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { repairCatalogue } from '../../src/storage/repair.ts'
import { SQL_FOLDER } from '../../src/storage/sql-files.ts'
import { NOBODY } from '../../src/storage/storage-options.ts'
import { ask, defineSeries, makeOutput, type Reading } from '../../src/storage/storage-fixture.ts'

/** Ages in days: each metric goes its own way, and none is beside its like. */
const AGES: Record<string, { warm: number; cold: number }> = {
  early: { warm: 2, cold: Infinity },
  stays: { warm: Infinity, cold: Infinity },
  word: { warm: 2, cold: Infinity },
  brief: { warm: 5, cold: 20 },
  month: { warm: 35, cold: Infinity },
}
const METRICS = Object.keys(AGES)
const SERIES = METRICS.map((metric, series) =>
  defineSeries(series, metric, metric === 'word' ? { kind: 'text' } : {}),
)
const START_US = Date.UTC(2026, 0, 25) * 1000

interface Step {
  /** Time goes on. */
  hours: number
  behind: 'nothing' | 'restart' | 'repair'
  /** Hours back from now, on a grid, so that many are said twice. */
  readings: { series: number; hoursBack: number }[]
}

const step = fc.record<Step>({
  hours: fc.integer({ min: 1, max: 40 }),
  behind: fc.constantFrom('nothing', 'restart', 'repair'),
  readings: fc.array(
    fc.record({
      series: fc.integer({ min: 0, max: METRICS.length - 1 }),
      hoursBack: fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 1500 })),
    }),
    { minLength: 1, maxLength: 12 },
  ),
})

interface Opened {
  folder: string
  now: { us: number }
  storage: EmbeddedStorage
}

async function open(folder: string, now: { us: number }): Promise<EmbeddedStorage> {
  const clock = { ...nodeWorld.clock, nowUs: () => now.us, monotonicMs: () => now.us / 1000 }
  const objects = await openFolderObjects({ ...nodeWorld, folder: join(folder, 'cold') })
  return openStorage({
    folder,
    world: { ...nodeWorld, clock },
    options: {
      ...{ mergeFanIn: 3, segmentRows: 20 },
      aging: {
        // So rarely that more than one thing is due at once.
        ...{ objects, intervalMs: 60 * 3_600_000, isExportedFirst: false },
        agesOf({ metric }) {
          const { warm, cold } = AGES[metric]!
          return { hotUs: DAY_US, warmUs: warm * DAY_US, coldUs: cold * DAY_US }
        },
      },
      listener: {
        ...NOBODY,
        mergeFailed: (cause) => assert.fail(String(cause)),
        agingFailed: (cause) => assert.fail(String(cause)),
      },
    },
  })
}

/** Series by series, what was said first of each time, as the answers have it. */
class Oracle {
  readonly #first = METRICS.map(() => new Map<number, number>())

  /** Whether nothing was said of it before. */
  say({ series, timeUs, value }: Reading): boolean {
    const said = this.#first[series]!
    if (said.has(timeUs)) return false
    said.set(timeUs, value)
    return true
  }

  rows(series: number, nowUs: number): [number, number | string][] {
    const metric = METRICS[series]!
    const fromUs = nowUs - AGES[metric]!.cold * DAY_US
    return [...this.#first[series]!]
      .filter(([timeUs]) => timeUs >= fromUs)
      .toSorted(([a], [b]) => a - b)
      .map(([timeUs, value]) => [timeUs / 1000, metric === 'word' ? `word ${value}` : value])
  }
}

async function check({ folder, now, storage }: Opened, oracle: Oracle): Promise<void> {
  const query: Query = storage
  for (const [series, metric] of METRICS.entries()) {
    const { points } = await query.readings(ask({ startUs: 0, endUs: 4e15, metric }))
    assert.deepEqual(points, oracle.rows(series, now.us), metric)
  }
  const objects = await openFolderObjects({ ...nodeWorld, folder: join(folder, 'cold') })
  const rows = await askStore(
    embeddedSql(storage, { folder, objects }),
    'SELECT metric, epoch_ms(ts)::DOUBLE, value, text FROM telemetry ORDER BY metric, ts',
    { nowUs: now.us },
  )
  for (const [series, metric] of METRICS.entries()) {
    const own = rows.filter(([name]) => name === metric)
    const found = own.map(([, ms, value, text]) => [ms, text ?? value])
    assert.deepEqual(found, oracle.rows(series, now.us), `${metric} by SQL`)
  }
}

/** And makes it again of what it was about. */
async function loseCatalogue(folder: string): Promise<void> {
  for (const file of await readdir(folder)) {
    if (file.startsWith('catalogue.db')) await rm(join(folder, file))
  }
  const objects = await openFolderObjects({ ...nodeWorld, folder: join(folder, 'cold') })
  const parts = { folder, world: nodeWorld, objects, logFirstOffset: 0 }
  const { lost } = await repairCatalogue(parts)
  assert.deepEqual(lost, [])
}

async function run(steps: readonly Step[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-aging-'))
  const now = { us: START_US }
  const oracle = new Oracle()
  let storage = await open(folder, now)
  try {
    await mkdir(join(folder, SQL_FOLDER), { recursive: true })
    let value = 0
    for (const [offset, { hours, behind, readings }] of steps.entries()) {
      now.us += hours * HOUR_US
      const texts: [number, string][] = []
      const said = readings.map(({ series, hoursBack }): Reading => {
        const timeUs = Math.floor(now.us / HOUR_US - hoursBack) * HOUR_US
        if (METRICS[series] === 'word') texts.push([value, `word ${value}`])
        const reading = { series, timeUs, value: value++ }
        return { ...reading, fate: oracle.say(reading) ? FATE_FRESH : FATE_UNVERIFIED }
      })
      storage.output(makeOutput({ offset, readings: said, series: SERIES, texts }))
      await storage.commit({ offset, parts: [] })
      await storage.settle()
      if (behind === 'nothing') continue
      await storage.close()
      if (behind === 'repair') await loseCatalogue(folder)
      storage = await open(folder, now)
      await storage.recover()
    }
    await check({ folder, now, storage }, oracle)
  } finally {
    await storage.close()
    await rm(folder, { recursive: true })
  }
}

test('whatever moves when, each reading is answered once and as it was said first', async () => {
  const steps = fc.array(step, { minLength: 2, maxLength: 40 })
  await fc.assert(fc.asyncProperty(steps, run), {
    numRuns: 8,
  })
})
