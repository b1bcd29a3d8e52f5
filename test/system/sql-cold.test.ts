/** Statements over cold files: those of a folder where they are, those of a bucket as copies. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import type { Objects } from '../../src/objects/objects.ts'
import {
  DAY_US,
  openAging,
  openCold,
  readAll,
  writeDays,
  type Opened,
} from '../../src/storage/aging-fixture.ts'
import { withLifecycle } from '../../src/storage/bucket-fixture.ts'
import { makeFolder } from '../../src/storage/storage-fixture.ts'
import { askStore, embeddedSql, type AskHow } from './sql-fixture.ts'

/** Of 160 days and a warm tier of 90, January and February are cold. */
const DAYS = 160
const monthUs = (month: number): number => Date.UTC(2026, month, 1) * 1000

async function open(
  context: TestContext,
  how: { isBucket?: boolean; bytesMax?: number; bucket?: Parameters<typeof openAging>[1] } = {},
) {
  const folder = join(await makeFolder(context), 'data')
  const inner = await openCold(folder)
  const got: string[] = []
  const objects: Objects = {
    ...inner,
    put: (...what) => inner.put(...what),
    get(key, range) {
      got.push(key)
      return inner.get(key, range)
    },
  }
  const opened = await openAging(context, { folder, objects, ...how.bucket })
  await writeDays(opened, DAYS)
  const sql = embeddedSql(opened.store, { folder, ...how, objects: opened.objects })
  const ask = (statement: string, more: AskHow = {}) =>
    askStore(sql, statement, { nowUs: opened.now.us, ...more })
  return { opened, ask, folder, inner, got }
}

const SHOWN = { temperature: 'value', state: 'text' } as const

async function assertAll(opened: Opened, ask: (sql: string) => Promise<unknown[][]>) {
  for (const [metric, column] of Object.entries(SHOWN)) {
    const { points } = await readAll(opened.store, metric)
    assert.equal(points.length, DAYS * 4)
    const rows = await ask(
      `SELECT epoch_ms(ts), ${column} FROM telemetry WHERE metric = '${metric}' ORDER BY ts`,
    )
    assert.deepEqual(rows, points)
  }
}

test('cold files of a folder are in answers', async (context) => {
  const { opened, ask } = await open(context, { isBucket: false })
  await assertAll(opened, ask)
})

test('so are those of a bucket: of a span only its own, and each is fetched once', async (context) => {
  const { opened, ask, got, folder } = await open(context)
  got.length = 0
  const count = async (where: string): Promise<unknown> =>
    (await ask(`SELECT count(*) FROM telemetry WHERE metric = 'temperature' ${where}`))[0]![0]
  assert.equal(await count("AND ts >= '2026-03-01'"), (DAYS - 59) * 4)
  assert.deepEqual(got, [])
  assert.equal(await count("AND ts < '2026-02-01'"), 31 * 4)
  assert.ok(got.length > 0 && got.every((key) => key.includes('month=1/')), got.join())
  assert.equal(await count("AND device_id = 'nobody'"), 0)
  await assertAll(opened, ask)
  const fetched = got.length
  assert.equal(new Set(got).size, fetched)
  await assertAll(opened, ask)
  assert.equal(got.length, fetched)
  const copies = (await readdir(join(folder, 'spill'))).filter((one) => one.startsWith('object-'))
  assert.equal(copies.length, fetched)
})

test('what needs more of a bucket than there is room for is refused, and says so', async (context) => {
  const { ask } = await open(context, { bytesMax: 20_000 })
  const all = 'SELECT count(*) FROM telemetry'
  await assert.rejects(ask(all), { code: 'QUERY_LIMIT_EXCEEDED', message: /narrow ts/ })
  assert.deepEqual(await ask(`${all} WHERE metric = 'state' AND ts > '2026-03-01'`), [[403]])
})

test('an archived month, a damaged file and a lost one are refused by name', async (context) => {
  const { opened, ask, inner } = await open(context, {
    bucket: { bucket: withLifecycle },
  })
  await opened.objects.archive!.setRule('', {
    freeze: { afterDays: 1, storageClass: 'GLACIER' },
    expireAfterDays: undefined,
  })
  opened.now.us += 2 * DAY_US
  const all = 'SELECT count(*) FROM telemetry'
  const refusal = { code: 'OBJECT_FROZEN', message: /of 2026-0.-01T.* archive/ }
  await assert.rejects(ask(all), refusal)
  const later = "SELECT count(*) FROM telemetry WHERE metric = 'state' AND ts >= '2026-03-02'"
  assert.deepEqual(await ask(later), [[400]])
  await opened.objects.archive!.setRule('', { freeze: undefined, expireAfterDays: undefined })
  const [key] = (await inner.list('readings/', { limit: 100 })).filter(({ key }) =>
    key.includes('month=2/') && key.endsWith('.parquet'),
  )
  const bytes = await inner.get(key!.key)
  bytes[100]! ^= 1
  await inner.put(key!.key, bytes)
  await assert.rejects(ask(all), { code: 'DATA_FILE_DAMAGED', message: /checksum/ })
  await inner.delete(key!.key)
  await assert.rejects(ask(all), { code: 'DATA_FILE_DAMAGED', message: /object store/ })
  const january = "SELECT count(*) FROM telemetry WHERE metric = 'state' AND ts < '2026-01-31'"
  assert.deepEqual(await ask(january), [[120]])
})

const day = fc.nat({ max: DAYS }).map((days) => {
  const text = new Date((monthUs(0) + days * DAY_US) / 1000).toISOString().slice(0, 10)
  return `'${text}'`
})
const condition = fc.array(
  fc.oneof(
    fc.tuple(fc.constantFrom('ts <', 'ts >='), day).map((parts) => parts.join(' ')),
    fc.tuple(day, day).map(([from, to]) => `ts BETWEEN ${from} AND ${to}`),
    fc.constantFrom("metric = 'state'", "metric IN ('short', 'temperature')", 'value > 40'),
    fc.tuple(day, day).map(([a, b]) => `(ts < ${a} OR ts > ${b})`),
  ),
  { minLength: 1, maxLength: 3 },
)

test('random conditions leave out files, and no row', async (context) => {
  const { ask } = await open(context)
  await fc.assert(
    fc.asyncProperty(condition, async (all) => {
      const sql = `SELECT metric, epoch_us(ts), value, text FROM telemetry
        WHERE ${all.join(' AND ')} ORDER BY ALL`
      assert.deepEqual(await ask(sql), await ask(sql, { isBlind: true }), sql)
    }),
    { numRuns: 25, endOnFailure: true },
  )
})
