import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { removeMovedCommits } from '../../src/cluster/moved-commits.ts'
import { openLakeWriter, type LakeWriter } from '../../src/lake/lake.ts'
import { askLake } from '../../src/lake/lake-fixture.ts'
import { openFolderObjects } from '../../src/objects/folder-objects.ts'
import type { Objects } from '../../src/objects/objects.ts'
import { openAger } from '../../src/postgres/ager.ts'
import { BASE_MS, defineSeries, type Given } from '../../src/query/query-fixture.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { makeFolder } from '../system/weir-process.ts'
import { openTables, type TablesBench } from './postgres-bench.ts'
import { askOf, skip, url } from './postgres-fixture.ts'

const LIMITS = { rowsMax: 1_000_000, windowsMax: 10_000 }
const DAY_US = 86_400e6
/** Where the bench says that its batches are from. */
const TOPIC = 'given'

const folder = await makeFolder({ after })
let benches = 0

interface Rig {
  tables: TablesBench
  objects: Objects
  schema: string
  /** Into the lake, as its role would: all up to the offset. */
  commit: (given: Given, nextOffset: number) => Promise<void>
  remove: () => Promise<number>
  /** Rows, and how many of them there are once. */
  count: () => Promise<unknown>
  close: () => Promise<void>
}

async function open(): Promise<Rig> {
  const place = { url, schema: `weir_moved_${process.pid}_${++benches}` }
  const objects = await openFolderObjects({ ...nodeWorld, folder: `${folder}/${benches}` })
  const agesOf = () => ({ warmUs: DAY_US, coldUs: 36_500 * DAY_US })
  const tables = await openTables(place, LIMITS, { aging: { objects, agesOf } })
  const { clock } = nodeWorld
  const ager = openAger({ place, objects, clock, agesOf, name: 'cold', isExportedFirst: false })
  const writer = await openLakeWriter({
    ...{ objects, ...nodeWorld, set: 'all', partitions: [{ topic: TOPIC, partition: 0 }] },
    limits: { commitReadings: 1, commitIntervalMs: 1, readingsHeldMax: 1e6 },
  })
  return {
    ...{ tables, objects, schema: place.schema },
    commit: (given, nextOffset) => commitTo(writer, given, nextOffset),
    remove: () =>
      removeMovedCommits({
        ...{ objects, agers: [ager], isReadingsTopic: (topic) => topic === TOPIC },
        isClosing: () => false,
      }),
    async count() {
      const [row] = await askLake(
        objects,
        'SELECT count(*)::integer, count(DISTINCT "time")::integer FROM lake',
      )
      return row ?? [0, 0]
    },
    async close() {
      await ager.close()
      await tables.close()
    },
  }
}

async function commitTo(writer: LakeWriter, { readings = [] }: Given, nextOffset: number) {
  writer.append({
    ...{ names: [SERIES], count: readings.length, texts: [] },
    series: readings.map(() => 0),
    timeUs: readings.map(({ timeUs }) => timeUs),
    value: readings.map(({ value }) => Number(value)),
    offsets: [{ topic: TOPIC, partition: 0, nextOffset }],
  })
  await writer.commit()
}

const SERIES = defineSeries(0, 'temperature')
const days = (from: number, to: number): Given => ({
  series: from === 0 ? [SERIES] : [],
  readings: Array.from({ length: to - from }, (_, at) => ({
    ...{ series: 0, timeUs: (BASE_MS + (from + at) * 86_400_000) * 1000, value: at },
  })),
})

test('when a month has moved, the files of its commits go, and no reading', { skip }, async () => {
  const { tables, commit, remove, count, close } = await open()
  try {
    await tables.give(days(0, 31))
    await commit(days(0, 31), 1)
    assert.equal(await remove(), 0, 'it is in PostgreSQL')
    await tables.age()
    assert.deepEqual(await count(), [62, 31])
    assert.equal(await remove(), 1)
    assert.deepEqual(await count(), [31, 31])
    assert.equal(await remove(), 0)
    const { points } = await tables.query.readings({
      ...{ tenant: 'default', deviceId: 'pump-1', metric: 'temperature', dimensions: {} },
      ...{ startUs: 0, endUs: 4e15, aggregate: undefined, stepUs: undefined, pointsMax: 100 },
    })
    assert.equal(points.length, 31)
  } finally {
    await close()
  }
})

test('commits that PostgreSQL is not as far as stay', { skip }, async () => {
  const { tables, commit, remove, count, close } = await open()
  try {
    await tables.give(days(0, 10))
    await commit(days(0, 10), 1)
    await commit(days(10, 20), 2)
    await tables.age()
    assert.equal(await remove(), 0)
    // Now it has them, but not in the lake yet.
    await tables.give(days(10, 20))
    assert.equal(await remove(), 0)
    await tables.age()
    assert.equal(await remove(), 2)
    assert.deepEqual(await count(), [20, 20])
  } finally {
    await close()
  }
})

test('months that went without a lake keep the files of their commits', { skip }, async () => {
  const { tables, commit, remove, count, schema, close } = await open()
  try {
    await tables.give(days(0, 31))
    await commit(days(0, 31), 1)
    await tables.dropBefore(Date.UTC(2024, 1, 1))
    // A late one of the same month moves.
    await tables.give({ series: [SERIES], readings: days(0, 1).readings! })
    await tables.age()
    assert.equal(await remove(), 0)
    assert.deepEqual(await count(), [32, 31])
    const [row] = await askOf(url, `SELECT month FROM ${schema}.complete_from`)
    assert.equal(row!['month'], 2024 * 12 + 1)
  } finally {
    await close()
  }
})
