/** Months in the lake summed up by another engine: here DuckDB, which runs the same statements. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { openDuckEngine, LOCATION, TABLE } from './duckdb-engine.ts'
import type { GroupsQuestion } from '../../src/query/query.ts'
import { BASE_MS } from '../../src/query/query-fixture.ts'
import { WeirError } from '../../src/errors/errors.ts'
import { HOUR_MS, hourly, HOURS, KEPT, LIMITS, newPlace, openLake } from './cold-fixture.ts'
import { ENGINE_LIMITS, hourlyClock, testEngineQuestions } from './engine-questions.ts'
import { SERIES_MAX } from '../../src/postgres/query-groups.ts'
import { addTombstones } from '../../src/postgres/tombstones.ts'
import { erasureOf } from './erasure-fixture.ts'
import { openTables } from './postgres-bench.ts'
import { askOf, skip, url } from './postgres-fixture.ts'

testEngineQuestions({
  ...{ name: 'DuckDB', skip, runs: 8, questions: 8 },
  async open() {
    const objects = await openLake()
    const engine = await openDuckEngine(objects)
    return { objects, engine, table: TABLE, location: LOCATION, close: () => engine.remove() }
  },
})

const question = (parts: Partial<GroupsQuestion> = {}): GroupsQuestion => ({
  ...{ tenant: 'default', metric: 'temperature', dimensions: {}, pointsMax: 10_000 },
  ...{ startUs: 0, endUs: 4e15, stepUs: 86_400e6, aggregate: 'avg', groups: 'type' },
  ...parts,
})

/** Three months of readings by the hour, all in the lake. */
async function openMoved(context: TestContext, { readingsMin = 0, statementLengthMax = 1e5 } = {}) {
  const objects = await openLake()
  const engine = await openDuckEngine(objects, { statementLengthMax })
  const failures: (string | undefined)[] = []
  const place = newPlace()
  const tables = await openTables(place, LIMITS, {
    aging: { objects, agesOf: () => KEPT },
    engine: {
      ...{ engine, table: TABLE, location: LOCATION, readingsMin, clock: hourlyClock() },
      limits: ENGINE_LIMITS,
      done: (failure: WeirError | undefined) => failures.push(failure?.code),
    },
  })
  context.after(async () => {
    await tables.close()
    await engine.remove()
  })
  await tables.give(hourly(0, HOURS))
  await tables.age()
  return { ...tables, engine, objects, failures, place }
}

test('meta says which engine answered, of how much', { skip }, async (context) => {
  const { query, engine, failures } = await openMoved(context)
  const { groups, meta } = await query.groups(question())
  assert.equal(groups[0]!.points.length, 90)
  assert.deepEqual(groups[0]!.points[1], [BASE_MS + 24 * HOUR_MS, 35.5])
  const { engine: said, tiers, segments_read, series, completeness } = meta
  assert.deepEqual([said!.kind, said!.readings, said!.statements], ['duckdb', HOURS, 1])
  assert.deepEqual([tiers, segments_read, series, completeness], [['cold'], 3, 1, 1])
  assert.deepEqual(failures, [undefined])
  // Texts are counted, booleans are averaged, and say so.
  const counted = await query.groups(
    question({ metric: 'mode', aggregate: 'count', groups: 'all' }),
  )
  assert.equal(counted.groups[0]!.points[0]![1], 24)
  const most = question({ metric: 'running', aggregate: 'max', stepUs: undefined })
  assert.equal((await query.groups(most)).groups[0]!.points[0]![1], true)
  const asked = engine.statements.length
  await assert.rejects(query.groups(question({ metric: 'mode' })), {
    code: 'API_PARAMETER_INVALID',
  })
  assert.equal((await query.groups(question({ aggregate: 'p95' }))).meta.engine, undefined)
  assert.equal((await query.groups(question({ stepUs: 86_400e6 + 500 }))).meta.engine, undefined)
  assert.equal(engine.statements.length, asked, 'what no engine can tell is not asked')
})

test('less than is worth it is read here', { skip }, async (context) => {
  const { query, engine } = await openMoved(context, { readingsMin: HOURS + 1 })
  assert.equal((await query.groups(question())).meta.engine, undefined)
  assert.deepEqual(engine.statements, [])
})

test('a month with a row in PostgreSQL is looked at here', { skip }, async (context) => {
  const { query, give, age, failures } = await openMoved(context)
  // Late for February: one that is there, with another value, and one that is new.
  const lateUs = Date.UTC(2024, 1, 10, 12, 30) * 1000
  const readings = [0, -1_800_000_000].map((offset) => ({
    ...{ series: 0, timeUs: lateUs + offset, value: 1e6 },
  }))
  await give({ readings })
  const asked = question({ aggregate: 'count', stepUs: undefined, calendar: month() })
  const expected = [31 * 24, 29 * 24 + 1, 30 * 24]
  const { groups, meta } = await query.groups(asked)
  assert.deepEqual(
    groups[0]!.points.map(([, count]) => count),
    expected,
  )
  assert.deepEqual([meta.engine!.readings, meta.segments_read], [61 * 24, 3])
  assert.deepEqual(meta.tiers.toSorted(), ['cold', 'postgres'])
  // Then two files have it, each identity once.
  await age()
  const again = await query.groups(asked)
  assert.deepEqual(again.groups, groups)
  assert.deepEqual([again.meta.engine!.readings, again.meta.tiers], [HOURS + 1, ['cold']])
  assert.deepEqual(failures, [undefined, undefined])
})

test('a month of which something was erased is looked at here', { skip }, async (context) => {
  const { query, failures, place } = await openMoved(context)
  const fromUs = Date.UTC(2024, 1, 10) * 1000
  const client = new pg.Client({
    connectionString: url,
    options: `-c search_path=${place.schema}`,
  })
  await client.connect()
  // Hidden at once; its rows are in the files still.
  await addTombstones(client, erasureOf(['pump-1'], fromUs, fromUs + 24 * HOUR_MS * 1000))
  await client.end()
  const asked = question({ aggregate: 'count', stepUs: undefined, calendar: month() })
  const { groups, meta } = await query.groups(asked)
  const counts = groups[0]!.points.map(([, count]) => count)
  assert.deepEqual(counts, [31 * 24, 28 * 24, 30 * 24])
  assert.deepEqual([meta.engine!.readings, failures], [61 * 24, [undefined]])
})

const month = () => ({ unit: 'month', count: 1, timeZone: 'UTC' }) as const

test(
  'an engine that does not see a file, or fails, changes no answer',
  { skip },
  async (context) => {
    const { query, alone, engine, objects, failures } = await openMoved(context)
    const expected = (await alone.groups(question())).groups
    const keys = (await objects.list('', { limit: 10 })).map(({ key }) => key)
    engine.hidden.add(keys[1]!)
    const answer = await query.groups(question())
    assert.deepEqual(answer.groups, expected)
    assert.deepEqual(
      [answer.meta.engine!.failed, failures],
      ['ENGINE_TABLE_STALE', ['ENGINE_TABLE_STALE']],
    )
    engine.hidden.clear()
    // Commits of the lake's role, and files on their way, lie beside those that count.
    const [other] = keys
    await objects.put(other!.replace('cold-', 'all-1-1-'), await objects.get(other!))
    assert.deepEqual((await query.groups(question())).groups, expected)
    engine.run = async function* () {
      yield* []
      throw new WeirError('ENGINE_UNAVAILABLE', 'away')
    }
    const away = await query.groups(question())
    assert.deepEqual([away.groups, away.meta.engine!.failed], [expected, 'ENGINE_UNAVAILABLE'])
    assert.deepEqual(failures, ['ENGINE_TABLE_STALE', undefined, 'ENGINE_UNAVAILABLE'])
  },
)

test('groups of too many devices for a statement are looked at here', { skip }, async (context) => {
  const { query, alone } = await openMoved(context, { statementLengthMax: 10_000 })
  const groups = new Map(Array.from({ length: 500 }, (_, at) => [`pump-${at}`, 'g'] as const))
  const expected = await alone.groups(question({ groups }))
  const answer = await query.groups(question({ groups }))
  assert.equal(answer.meta.engine, undefined)
  assert.equal(answer.groups[0]!.points.length, 90)
  assert.deepEqual(answer, expected)
})

test('more series than can be looked at, all of it in the lake', { skip }, async (context) => {
  const { query, alone, give, place } = await openMoved(context, { readingsMin: 1e9 })
  const asked = question({ groups: 'all', aggregate: 'count', stepUs: undefined })
  assert.equal((await query.groups(asked)).meta.engine, undefined)
  await askOf(
    url,
    `INSERT INTO ${place.schema}.series (tenant, device_id, device_type, metric, dimensions, kind)
     SELECT 'default', 'many-' || n, 'generic', 'temperature', '[]', 0
     FROM generate_series(1, ${SERIES_MAX}) AS n`,
  )
  await assert.rejects(alone.groups(asked), { code: 'QUERY_LIMIT_EXCEEDED' })
  const { groups, meta } = await query.groups(asked)
  assert.deepEqual([groups[0]!.points[0]![1], meta.series], [HOURS, SERIES_MAX + 1])
  assert.equal(meta.engine!.readings, HOURS)
  // Of what PostgreSQL has there are too many to be looked at, so none is asked for.
  await give(hourly(HOURS, HOURS + 1))
  await assert.rejects(query.groups(asked), { code: 'QUERY_LIMIT_EXCEEDED' })
})
