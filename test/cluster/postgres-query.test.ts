import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ThreadBacktests } from '../../src/embedded/backtests.ts'
import { serveScan } from '../../src/embedded/scan-port.ts'
import { defaultPlan } from '../../src/pipeline/compile.ts'
import type { PostgresPlace } from '../../src/postgres-client/postgres-client.ts'
import { QueryDatabase } from '../../src/postgres/query-database.ts'
import { openPostgresQuery } from '../../src/postgres/query.ts'
import { ask, BASE_MS, defineSeries } from '../../src/query/query-fixture.ts'
import { testQuery } from '../../src/query/query.conformance.ts'
import { testScan } from '../../src/query/scan.conformance.ts'
import { accessOf, killService, restartService } from './cluster.ts'
import { until } from '../system/weir-process.ts'
import { openTables } from './postgres-bench.ts'
import { testRandomQuestions } from './random-questions.ts'

const url = accessOf('postgres')?.['url'] ?? ''
const skip = url === '' ? 'PostgreSQL does not run: npm run -s cluster:up -- postgres' : undefined
const LIMITS = { rowsMax: 1_000_000, windowsMax: 10_000 }

let schemas = 0
const newPlace = () => ({ url, schema: `weir_query_${process.pid}_${++schemas}` })

testRandomQuestions({ name: 'PostgreSQL', skip, newPlace, runs: 40 })

testQuery({
  name: 'PostgreSQL',
  tier: 'postgres',
  skip,
  open: (limits) => openTables(newPlace(), limits),
})

testScan({
  ...{ name: 'PostgreSQL', skip, runs: 6 },
  async open(limits) {
    const tables = await openTables(newPlace(), limits)
    return { ...tables, scan: tables.query }
  },
})

const series = [defineSeries(0, 'temperature')]
const seconds = (count: number) =>
  Array.from({ length: count }, (_, at) => ({
    ...{ series: 0, timeUs: BASE_MS * 1000 + at * 1e6, value: at },
  }))

test('a question sees one moment, whatever is written meanwhile', { skip }, async () => {
  const place = newPlace()
  const { query, give, close } = await openTables(place, LIMITS)
  const database = new QueryDatabase(place)
  try {
    await give({ series, readings: seconds(10) })
    await database.snapshot(async (ask) => {
      const count = async (): Promise<unknown> =>
        (await ask('SELECT count(*)::integer AS count FROM reading', []))[0]?.['count']
      assert.equal(await count(), 10)
      await give({ readings: seconds(20) })
      assert.equal(await count(), 10)
      await assert.rejects(ask('DELETE FROM reading', []), { code: 'QUERY_FAILED' })
    })
    assert.equal((await query.readings(ask())).points.length, 20)
  } finally {
    await database.close()
    await close()
  }
})

test('rules are tried on the tables, in a thread', { skip }, async () => {
  const { query, give, close } = await openTables(newPlace(), LIMITS)
  try {
    await give({ series, readings: seconds(100) })
    const plan = defaultPlan()
    const backtests = new ThreadBacktests(plan, (question, port) =>
      serveScan(port, query.scan(question)),
    )
    const rules = [backtests.compile({ id: 'high', when: 'temperature > 49', for: '10s' })]
    const [startUs, endUs] = [BASE_MS * 1000, BASE_MS * 1000 + 200e6]
    const report = await backtests.start(
      { tenant: 'default', rules, facts: [], startUs, endUs },
      { onProgress: () => {}, signal: new AbortController().signal },
    )
    assert.deepEqual([report.readings, report.devices, report.completeness], [100, 1, 1])
    const [high] = report.rules
    // From the fiftieth second on, and still at the end.
    assert.equal(high!.episodes, 1)
    assert.equal(high!.longest[0]!.triggeredAtUs, startUs + 60e6)
  } finally {
    await close()
  }
})

test('refused questions give their connections back', { skip }, async () => {
  const { query, give, close } = await openTables(newPlace(), { ...LIMITS, rowsMax: 50 })
  try {
    await give({ series, readings: seconds(100) })
    const refused = Array.from({ length: 40 }, () =>
      assert.rejects(query.readings(ask()), { code: 'QUERY_LIMIT_EXCEEDED' }),
    )
    await Promise.all(refused)
    const few = ask({ endUs: BASE_MS * 1000 + 50e6 })
    assert.equal((await query.readings(few)).points.length, 50)
  } finally {
    await close()
  }
})

test(
  'a statement whose question ended is cancelled, and the next one is not',
  { skip },
  async () => {
    const place = newPlace()
    const { close } = await openTables(place, LIMITS)
    const database = new QueryDatabase(place)
    try {
      const reason = new Error('gone')
      const ending = new AbortController()
      const begun = Promise.withResolvers<void>()
      const startMs = performance.now()
      const slow = database.snapshot(async (ask) => {
        const asked = ask('SELECT pg_sleep(20)', [])
        begun.resolve()
        await asked
      }, ending.signal)
      await begun.promise
      ending.abort(reason)
      await assert.rejects(slow, reason)
      assert.ok(performance.now() - startMs < 10_000)
      const asked = Array.from({ length: 20 }, () =>
        database.snapshot((ask) => ask('SELECT 1', [])),
      )
      await Promise.all(asked)
      const late = database.snapshot((ask) => ask('SELECT 1', []), ending.signal)
      await assert.rejects(late, reason)
    } finally {
      await database.close()
      await close()
    }
  },
)

test(
  'a connection that ends between two statements fails its question only',
  { skip },
  async () => {
    const place = newPlace()
    const { query, give, close } = await openTables(place, LIMITS)
    const database = new QueryDatabase(place)
    try {
      await give({ series, readings: seconds(10) })
      const cut = database.snapshot(async (ask) => {
        const [row] = await ask('SELECT pg_backend_pid() AS pid', [])
        await database.snapshot((other) => other('SELECT pg_terminate_backend($1)', [row!['pid']]))
        await delay(100)
        await ask('SELECT 1', [])
      })
      await assert.rejects(cut, { code: 'STORAGE_UNAVAILABLE' })
      await database.snapshot((ask) => ask('SELECT 1', []))
      assert.equal((await query.readings(ask())).points.length, 10)
    } finally {
      await database.close()
      await close()
    }
  },
)

test(
  'no server, no tables: questions fail by name and without the password',
  { skip },
  async () => {
    const open = (place: PostgresPlace) =>
      openPostgresQuery({
        ...{
          access: place,
          limits: LIMITS,
          hashDevice: () => 0,
          windowsMs: [60_000],
        },
      })
    const absent = { url: 'postgresql://weir:s3cr3t@127.0.0.1:1/weir', schema: 'weir' }
    for (const place of [absent, newPlace()]) {
      const query = open(place)
      await assert.rejects(query.readings(ask()), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'STORAGE_UNAVAILABLE')
        assert.doesNotMatch(error.message, /s3cr3t/)
        return true
      })
      await query.close()
    }
  },
)

test('PostgreSQL killed and back: questions fail by name, then go on', { skip }, async () => {
  const { query, give, close } = await openTables(newPlace(), LIMITS)
  try {
    await give({ series, readings: seconds(10) })
    assert.equal((await query.readings(ask())).points.length, 10)
    await killService('postgres')
    await assert.rejects(query.readings(ask()), { code: 'STORAGE_UNAVAILABLE' })
    await assert.rejects(query.latest('default', 'pump-1'), { code: 'STORAGE_UNAVAILABLE' })
    await restartService('postgres')
    const answers = (): Promise<boolean> =>
      query.latest('default', 'pump-1').then(
        () => true,
        () => false,
      )
    await until('it answers again', answers, 20_000)
    // The writer does not wait for the disk: what a crash took would come again from the topic.
    assert.ok([0, 10].includes((await query.readings(ask())).points.length))
  } finally {
    await close()
  }
})
