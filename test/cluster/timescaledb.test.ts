/** What TimescaleDB's own tables do, in the extension as it is, in WASM. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { PostgresWriter } from '../../src/postgres/postgres.ts'
import { openPostgresWriter } from '../../src/postgres/writer.ts'
import { testQuery } from '../../src/query/query.conformance.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { openTables } from './postgres-bench.ts'
import {
  askOf,
  batchOf,
  claimed,
  NOON_US,
  partialsOf,
  seriesOf,
  serverOf,
  type Row,
} from './postgres-fixture.ts'
import { testWriter } from './postgres-writer.conformance.ts'
import { testRandomQuestions } from './random-questions.ts'

const server = serverOf('timescaledb')
const { url, skip, newSchema, openWriter, ask, readingsIn, clean } = server
const newPlace = () => ({ url, schema: newSchema() })

const DAY_US = 86_400_000_000
const NOON_MS = NOON_US / 1000
const LATER_MS = NOON_MS + 10 * 86_400_000

after(clean)

testWriter(server)
testQuery({
  ...{ name: 'TimescaleDB', tier: 'postgres', skip },
  open: (limits) => openTables(newPlace(), limits),
})
testRandomQuestions({ name: 'TimescaleDB', skip, newPlace, runs: 8, isCompressed: true })

interface Chunk {
  hypertable_name: string
  is_compressed: boolean
  /** Whether rows came since it was compressed. */
  is_partial: boolean
}

const chunksIn = async (schema: string): Promise<Chunk[]> =>
  (await ask(
    `SELECT hypertable_name, is_compressed, status & 8 > 0 AS is_partial
     FROM timescaledb_information.chunks
     JOIN _timescaledb_catalog.chunk ON (schema_name, table_name) = (chunk_schema, chunk_name)
     WHERE hypertable_schema = '${schema}' ORDER BY hypertable_name, range_start_integer`,
  )) as unknown as Chunk[]

/** A writer with three days of readings and partials of a pump; `write` goes on from there. */
async function openDays(schema: string): Promise<{
  writer: PostgresWriter
  write: (rows: readonly Row[], partials?: readonly (readonly number[])[]) => Promise<number>
}> {
  const writer = await openWriter(schema)
  const lease = await claimed(writer)
  const series = seriesOf('pump')
  let next = 0
  const write = async (rows: readonly Row[], partials: readonly (readonly number[])[] = []) => {
    const batch = batchOf(series, [next, ++next], { rows, partials: partialsOf(partials) })
    return (await writer.write(lease, batch)).duplicates
  }
  const days = [0, 1, 2]
  await write(
    days.map((day): Row => [0, NOON_US + day * DAY_US, day]),
    days.map((day) => [0, 60_000, NOON_MS + day * 86_400_000, 0, 5, 5]),
  )
  return { writer, write }
}

test(
  'tables are hypertables: a chunk of readings a day, of partials a week',
  { skip },
  async () => {
    const schema = newSchema()
    const { writer } = await openDays(schema)
    assert.equal(writer.tables, 'hypertables')
    const names = (await chunksIn(schema)).map((chunk) => chunk.hypertable_name)
    assert.deepEqual(names.toSorted(), ['reading', 'reading', 'reading', 'window_partial'])
  },
)

test('retention drops whole chunks, and what comes late makes one again', { skip }, async () => {
  const schema = newSchema()
  const { writer, write } = await openDays(schema)
  // The first chunk ends twelve hours after its reading, the second a day later.
  assert.equal(await writer.dropBefore(NOON_MS + 1.4 * 86_400_000), 1)
  assert.deepEqual(await readingsIn(schema), [
    `pump ${NOON_US + DAY_US} 1`,
    `pump ${NOON_US + 2 * DAY_US} 2`,
  ])
  assert.equal(await write([[0, NOON_US, 9]]), 0)
  assert.equal((await readingsIn(schema)).length, 3)
  await writer.compressBefore(LATER_MS)
  assert.equal(await writer.dropBefore(LATER_MS), 4)
  assert.deepEqual(await chunksIn(schema), [])
})

test('P2 a late reading of a compressed chunk is there, and once', { skip }, async () => {
  const schema = newSchema()
  const { writer, write } = await openDays(schema)
  // The day of the third reading has not ended.
  await writer.compressBefore(NOON_MS + 2.4 * 86_400_000)
  const compressed = async () => (await chunksIn(schema)).map((chunk) => chunk.is_compressed)
  assert.deepEqual(await compressed(), [true, true, false, false])
  const late: Row[] = [
    [0, NOON_US, 77],
    [0, NOON_US + 1, 8],
    [0, NOON_US + DAY_US, 77],
  ]
  // Straight, then over the staging table, each with what is compressed and what is not.
  assert.equal(await write([[0, NOON_US - 1, 6]]), 0)
  assert.equal(await write(late), 2)
  assert.equal(await write(late), 3)
  const expected = [
    ...[`pump ${NOON_US - 1} 6`, `pump ${NOON_US} 0`, `pump ${NOON_US + 1} 8`],
    ...[`pump ${NOON_US + DAY_US} 1`, `pump ${NOON_US + 2 * DAY_US} 2`],
  ]
  assert.deepEqual(await readingsIn(schema), expected)
  const partial = async () => (await chunksIn(schema)).map((chunk) => chunk.is_partial)
  assert.equal((await partial())[0], true)
  await writer.compressBefore(NOON_MS + 2.4 * 86_400_000)
  assert.deepEqual(await partial(), [false, false, false, false])
  assert.deepEqual(await readingsIn(schema), expected)
  assert.equal(await write(late), 3)
})

test('P5 a partial that comes again replaces one that is compressed', { skip }, async () => {
  const schema = newSchema()
  const { writer, write } = await openDays(schema)
  await writer.compressBefore(LATER_MS)
  assert.ok((await chunksIn(schema)).every((chunk) => chunk.is_compressed))
  const next = NOON_MS + 86_400_000
  await write(
    [],
    [
      [0, 60_000, NOON_MS, 0, 6, 6],
      [0, 60_000, next, 0, 4, 4],
      [0, 60_000, NOON_MS, 1, 1, 1],
    ],
  )
  const rows = await ask(
    `SELECT start_ms, is_late, count, sum FROM ${schema}.window_partial
     WHERE start_ms <= ${next} ORDER BY start_ms, is_late`,
  )
  assert.deepEqual(
    rows.map((row) => Object.values(row).join()),
    [`${NOON_MS},false,6,6`, `${NOON_MS},true,1,1`, `${next},false,5,5`],
  )
})

test('more late partials than TimescaleDB decompresses by itself', { skip }, async () => {
  const schema = newSchema()
  const { writer, write } = await openDays(schema)
  // 100,000 rows are the most of a transaction, unless it is told otherwise.
  await ask(
    `INSERT INTO ${schema}.window_partial
     SELECT id, 1000, ${NOON_MS} + second * 1000, false, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
     FROM ${schema}.series, generate_series(0, 109999) AS second`,
  )
  await writer.compressBefore(LATER_MS)
  // A thousand are compressed together, and none of them can be replaced without the others.
  await write(
    [],
    Array.from({ length: 220 }, (_, at) => [0, 1000, NOON_MS + at * 500_000, 0, 500, 1]),
  )
  const rows = await ask(
    `SELECT count(*)::integer FROM ${schema}.window_partial WHERE window_ms = 1000 AND count = 500`,
  )
  assert.deepEqual(rows, [{ count: 220 }])
})

test('tables stay as they were begun when the extension comes, or goes', { skip }, async () => {
  const other = new URL(url)
  other.pathname = `/later_${process.pid}`
  const open = (schema: string): Promise<PostgresWriter> =>
    openPostgresWriter({ place: { url: other.href, schema }, clock: nodeWorld.clock })
  const series = seriesOf('pump')
  const first = await open('weir')
  assert.equal(first.tables, 'months')
  const lease = await claimed(first)
  await first.write(lease, batchOf(series, [0, 1], { rows: [[0, NOON_US, 1]] }))
  await first.close()
  await askOf(other.href, 'CREATE EXTENSION timescaledb')
  const second = await open('weir')
  assert.equal(second.tables, 'months')
  const heir = await claimed(second)
  await second.write(heir, batchOf(series, [1, 2], { rows: [[0, NOON_US + 40 * DAY_US, 2]] }))
  await second.compressBefore(LATER_MS)
  assert.equal(await second.dropBefore(Date.UTC(2026, 7, 1)), 1)
  await second.close()
  const third = await open('another')
  assert.equal(third.tables, 'hypertables')
  await third.close()
  await askOf(other.href, 'DROP EXTENSION timescaledb CASCADE')
  await assert.rejects(open('another'), { code: 'STORAGE_UNAVAILABLE', message: /TimescaleDB/ })
  const last = await open('weir')
  assert.equal(last.tables, 'months')
  await last.close()
})
