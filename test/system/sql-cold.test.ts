/** Statements over cold files: those of a folder where they are, those of a bucket as copies. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
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

const isOfJanuary = (key: string): boolean => key.includes('month=1/')

/** Of 160 days and a warm tier of 90, January and February are cold. */
const DAYS = 160
const monthUs = (month: number): number => Date.UTC(2026, month, 1) * 1000

/** A store with its objects, and the keys of those that were asked for. */
async function open(context: TestContext, how: Parameters<typeof openAging>[1] = {}) {
  const folder = join(await makeFolder(context), 'data')
  const inner = await openCold(folder)
  const got: string[] = []
  const get = inner.get.bind(inner)
  inner.get = (key, range) => {
    // Questions read pages, none of which begins a file.
    if (range?.from === 0) got.push(key)
    return get(key, range)
  }
  const opened = await openAging(context, { folder, objects: inner, ...how })
  await writeDays(opened, DAYS)
  const askerOf = (of: { isBucket?: boolean; bytesMax?: number } = {}) => {
    const sql = embeddedSql(opened.store, { folder, ...of, objects: opened.objects })
    return (statement: string, more: AskHow = {}) =>
      askStore(sql, statement, { nowUs: opened.now.us, ...more })
  }
  return { opened, askerOf, folder, inner, got }
}

const SHOWN = { temperature: 'value', state: 'text' } as const

type Bench = Awaited<ReturnType<typeof open>>

async function assertAll({ store }: Opened, ask: (sql: string) => Promise<unknown[][]>) {
  for (const [metric, column] of Object.entries(SHOWN)) {
    const { points } = await readAll(store, metric)
    assert.equal(points.length, DAYS * 4)
    const rows = await ask(
      `SELECT epoch_ms(ts), ${column} FROM telemetry WHERE metric = '${metric}' ORDER BY ts`,
    )
    assert.deepEqual(rows, points)
  }
}

test('cold files are in answers', async (context) => {
  const bench = await open(context)
  await context.test('those of a folder, where they are', () =>
    assertAll(bench.opened, bench.askerOf({ isBucket: false })),
  )
  await context.test('those of a bucket: of a span only its own, and once', () => fetchOnce(bench))
  await context.test('if there is room for them', () => refuseTooMuch(bench))
  await context.test('random conditions leave out files, and no row', () => askRandomly(bench))
})

async function fetchOnce({ opened, askerOf, folder, got }: Bench): Promise<void> {
  const ask = askerOf()
  got.length = 0
  const count = async (where: string): Promise<unknown> =>
    (await ask(`SELECT count(*) FROM telemetry WHERE metric = 'temperature' ${where}`))[0]![0]
  assert.equal(await count("AND ts >= '2026-03-01'"), (DAYS - 59) * 4)
  assert.deepEqual(got, [])
  assert.equal(await count("AND ts < '2026-02-01'"), 31 * 4)
  assert.ok(got.length > 0 && got.every(isOfJanuary), got.join())
  assert.equal(await count("AND device_id = 'nobody'"), 0)
  await assertAll(opened, ask)
  const fetched = got.length
  assert.equal(new Set(got).size, fetched)
  await assertAll(opened, ask)
  assert.equal(got.length, fetched)
  const copies = (await readdir(join(folder, 'spill'))).filter((one) => one.startsWith('object-'))
  assert.equal(copies.length, fetched)
}

async function refuseTooMuch({ askerOf }: Bench): Promise<void> {
  const ask = askerOf({ bytesMax: 2000 })
  const all = 'SELECT count(*) FROM telemetry'
  await assert.rejects(ask(all), { code: 'QUERY_LIMIT_EXCEEDED', message: /narrow ts/ })
  assert.deepEqual(await ask(`${all} WHERE metric = 'state' AND ts > '2026-03-01'`), [[403]])
}

test('an archived month, a damaged file and a lost one are refused by name', async (context) => {
  const { opened, askerOf, inner } = await open(context, { bucket: withLifecycle })
  const ask = askerOf()
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
  const [key] = (await inner.list('readings/', { limit: 100 })).filter(
    ({ key }) => key.includes('month=2/') && key.endsWith('.parquet'),
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

async function askRandomly({ askerOf }: Bench): Promise<void> {
  const ask = askerOf()
  await fc.assert(
    fc.asyncProperty(condition, async (all) => {
      const sql = `SELECT metric, epoch_us(ts), value, text FROM telemetry
        WHERE ${all.join(' AND ')} ORDER BY ALL`
      assert.deepEqual(await ask(sql), await ask(sql, { isBlind: true }), sql)
    }),
    { numRuns: 12, endOnFailure: true },
  )
}
