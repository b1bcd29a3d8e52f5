import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import fc from 'fast-check'
import { quote } from './quote.ts'
import { lookAtStatement, type Scopes, type SqlScope } from './sql.ts'

const LIMITS = { rowsMax: 1000, bytesMax: 1 << 20, timeMs: 10_000, memoryBytes: 128 << 20 }
const scopesOf = async (sql: string): Promise<Scopes> => (await lookAtStatement(sql, LIMITS)).scopes

const at = (text: string): number => Date.parse(text) * 1000
const from = (text: string): Partial<SqlScope> => ({ startUs: at(text) })
const to = (text: string, moreUs = 0): Partial<SqlScope> => ({ endUs: at(text) + moreUs })
const scope = (...parts: Partial<SqlScope>[]): SqlScope =>
  Object.assign(
    { startUs: -Infinity, endUs: Infinity, deviceIds: undefined, metrics: undefined },
    ...parts,
  ) as SqlScope

const DAY = '2026-01-02T00:00:00Z'
const NEXT = '2026-01-03T00:00:00Z'
const TELEMETRY: [string, SqlScope][] = [
  ['', scope()],
  ["WHERE ts >= '2026-01-02' AND ts < '2026-01-03'", scope(from(DAY), to(NEXT))],
  ["WHERE TIMESTAMP '2026-01-02' <= ts", scope(from(DAY))],
  ["WHERE ts > DATE '2026-01-01' + INTERVAL 1 DAY", scope(from(DAY))],
  [
    "WHERE ts BETWEEN '2026-01-02' AND make_timestamp(1767398400000000)",
    scope(from(DAY), to(NEXT, 1)),
  ],
  ["WHERE ts = TIMESTAMPTZ '2026-01-02 02:00:00+02'", scope(from(DAY), to(DAY, 1))],
  [
    "WHERE device_id = 'a' AND metric IN ('x', 'y')",
    scope({ deviceIds: ['a'], metrics: ['x', 'y'] }),
  ],
  ["WHERE device_id = 'a' OR device_id = 'b'", scope({ deviceIds: ['a', 'b'] })],
  ["t WHERE t.device_id = 'a' AND value > 3", scope({ deviceIds: ['a'] })],
  [
    "JOIN devices USING (device_id) WHERE device_id = 'a' AND ts >= '2026-01-02'",
    scope(from(DAY), { deviceIds: ['a'] }),
  ],
  ["t, telemetry u WHERE t.metric = 'x' AND u.metric = 'y'", scope({ metrics: ['x', 'y'] })],
  ["WHERE metric = 'x' AND metric = 'y'", scope({ metrics: [] })],
  // What is not understood narrows nothing.
  ["WHERE device_id = 'a' OR value > 3", scope()],
  ["WHERE NOT device_id = 'a'", scope()],
  ["WHERE device_id = 'a' OR metric IS NULL", scope()],
  ["WHERE ts::DATE = '2026-01-02'", scope()],
  ["WHERE ts >= (SELECT TIMESTAMP '2026-01-02')", scope()],
  ["WHERE ts >= TIMESTAMP '2026-01-02' - to_seconds(value::BIGINT)", scope()],
  ["WHERE device_id = 'a' COLLATE NOCASE", scope()],
  ["WHERE device_id = ['a'][1]", scope()],
  ["t(metric, device_id) WHERE device_id = 'a'", scope()],
  ["t, telemetry u WHERE ts >= '2026-01-02'", scope()],
  ["t ASOF JOIN alerts a ON t.ts >= a.triggered_at WHERE t.metric = 'x'", scope()],
  ["t POSITIONAL JOIN devices d WHERE t.metric = 'x'", scope()],
  ["WHERE metric = 'x' USING SAMPLE 10 ROWS", scope()],
  ["TABLESAMPLE 10% WHERE metric = 'x'", scope()],
  ["WHERE metric = 'x' AND (SELECT count(*) FROM telemetry) > 1", scope()],
  ["WHERE metric = 'x' UNION ALL FROM telemetry", scope()],
]

test('conditions of WHERE say what is needed, and what is not understood nothing', async () => {
  for (const [rest, expected] of TELEMETRY) {
    const { telemetry } = await scopesOf(`SELECT * FROM telemetry ${rest}`)
    assert.deepEqual(telemetry, expected, rest)
  }
})

test('each view has a scope of its own, and only if it is asked', async () => {
  assert.deepEqual(await scopesOf('SELECT * FROM devices'), {})
  const sql = `WITH a AS (SELECT * FROM wide WHERE device_id = 'a')
    SELECT * FROM a JOIN (SELECT * FROM aggregations WHERE window_start < '2026-01-02') b
    USING (device_id)`
  assert.deepEqual(await scopesOf(sql), {
    wide: scope({ deviceIds: ['a'] }),
    aggregations: scope(to(DAY)),
  })
  const shadowed = "WITH telemetry AS (FROM telemetry) FROM telemetry WHERE metric = 'x'"
  assert.deepEqual(await scopesOf(shadowed), { telemetry: scope() })
})

test('what moves with the clock is a bound below, never above', async () => {
  const { telemetry } = await scopesOf(
    "FROM telemetry WHERE ts >= now() - INTERVAL '1 hour' AND ts < now()",
  )
  const startUs = Date.now() * 1000 - 3_600_000_000
  assert.ok(Math.abs(telemetry!.startUs - startUs) < 60e6, `${telemetry!.startUs}`)
  assert.equal(telemetry!.endUs, Infinity)
  const backwards = await scopesOf(
    "FROM telemetry WHERE ts >= TIMESTAMP '2026-01-02' - (now() - TIMESTAMP '2026-01-01')",
  )
  assert.deepEqual(backwards.telemetry, scope())
})

async function open(context: TestContext): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  context.after(() => {
    connection.closeSync()
    instance.closeSync()
  })
  return connection
}

const START = '2026-01-01T00:00:00Z'
const MINUTES = 60
const time = fc.nat({ max: MINUTES }).chain((minute) => {
  const us = at(START) + minute * 60e6
  const text = new Date(us / 1000).toISOString().slice(0, -5).replace('T', ' ')
  return fc.constantFrom(
    ...[`'${text}'`, `TIMESTAMP '${text}'`, `make_timestamp(${us})`, `epoch_ms(${us / 1000})`],
    ...[`TIMESTAMPTZ '${text}+00'`, `DATE '2026-01-01' + INTERVAL ${minute} MINUTE`],
    ...['now()', "now() - INTERVAL '20 years'", `to_timestamp(${us / 1e6})`, 'NULL'],
  )
})
const value = fc.constantFrom("'a'", "'b'", "'x'", "'y'", 'NULL')

/** `names`: what may stand before a column. */
function conditionOver(names: readonly string[]): fc.Arbitrary<string> {
  const name = (column: string) => fc.constantFrom(...names).map((before) => before + column)
  const text = fc.oneof(name('device_id'), name('metric'))
  const leaf = fc.oneof(
    fc
      .tuple(name('ts'), fc.constantFrom('<', '<=', '=', '>=', '>', '<>'), time)
      .map((parts) => parts.join(' ')),
    fc.tuple(time, fc.constantFrom('<', '>='), name('ts')).map((parts) => parts.join(' ')),
    fc.tuple(name('ts'), time, time).map(([ts, a, b]) => `${ts} BETWEEN ${a} AND ${b}`),
    fc.tuple(text, value).map((parts) => parts.join(' = ')),
    fc
      .tuple(text, fc.array(value, { minLength: 1, maxLength: 3 }))
      .map(([column, list]) => `${column} IN (${list.join()})`),
    name('value').map((column) => `${column} > 0`),
    name('ts').map((column) => `${column} IS NULL`),
  )
  return fc.letrec<{ all: string }>((tie) => ({
    all: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.tuple(tie('all'), tie('all')).map(([a, b]) => `(${a} AND ${b})`),
      fc.tuple(tie('all'), tie('all')).map(([a, b]) => `(${a} AND ${b})`),
      fc.tuple(tie('all'), tie('all')).map(([a, b]) => `(${a} OR ${b})`),
      tie('all').map((one) => `NOT (${one})`),
    ),
  })).all
}

/** What a statement is over, and what may stand before its columns. */
const ONE: [string, string[]][] = [
  ['telemetry', ['', 'telemetry.']],
  ['telemetry t', ['', 't.']],
  ['telemetry t(metric, device_id, ts)', ['', 't.']],
  ['(FROM telemetry t WHERE value > 0) t', ['', 't.']],
  ['(SELECT device_id AS metric, metric AS device_id, ts, value FROM telemetry) t', ['', 't.']],
  ['telemetry t, LATERAL (SELECT count(*) AS n FROM telemetry u WHERE u.ts < t.ts)', ['', 't.']],
  ['telemetry t NATURAL JOIN devices u', ['', 't.']],
]
const TWO: [string, string[]][] = [
  ...['INNER', 'LEFT', 'RIGHT', 'FULL', 'SEMI', 'ANTI'].flatMap((join): [string, string[]][] => [
    [`telemetry t ${join} JOIN devices u USING (device_id)`, ['', 't.']],
    [`devices u ${join} JOIN telemetry t USING (device_id)`, ['', 't.']],
    [`telemetry t ${join} JOIN telemetry u USING (ts, device_id)`, ['t.', 'u.']],
    [`telemetry t ${join} JOIN telemetry u ON t.ts = u.ts AND u.value > 0`, ['t.', 'u.']],
  ]),
  ['telemetry t, telemetry u', ['t.', 'u.']],
  ['telemetry t ASOF JOIN telemetry u ON t.metric = u.metric AND t.value >= u.value', ['t.', 'u.']],
  ['telemetry t POSITIONAL JOIN telemetry u', ['t.', 'u.']],
]
const overTables = fc
  .oneof(fc.constantFrom(...ONE), fc.constantFrom(...TWO))
  .chain(([table, names]) => fc.tuple(fc.constant(table), conditionOver(names)))
const output = fc.constantFrom(
  ...[
    'SELECT *',
    'SELECT count(*), sum(t.value), min(t.ts)',
    'SELECT count(*)',
    'SELECT *, row_number() OVER (ORDER BY ALL)',
  ],
  'SELECT value AS ts, device_id AS metric',
)
const statement = fc
  .tuple(output, overTables, fc.constantFrom('', '', 'LIMIT 3'))
  .chain(([select, [table, where], limit]) => {
    const plain = `${select} FROM ${table} WHERE ${where}`
    const ordered = `SELECT * FROM (${plain}) ORDER BY ALL ${limit}`
    return fc.constantFrom(
      ordered,
      ordered,
      `WITH telemetry AS (FROM telemetry WHERE value > 0) ${ordered}`,
      `SELECT device_id, (SELECT count(*) FROM telemetry t WHERE (${where}) AND t.device_id = devices.device_id) FROM devices ORDER BY ALL`,
      `SELECT count(*) FROM (${plain} UNION ALL FROM telemetry WHERE metric = 'x')`,
    )
  })
const rows = fc.array(
  fc.tuple(
    fc.constantFrom('a', 'b', 'c'),
    fc.constantFrom('x', 'y', 'z'),
    fc.nat({ max: MINUTES }),
    fc.constantFrom('NULL', '-1', '1', '2'),
  ),
  { minLength: 5, maxLength: 25 },
)

const conditionOf = ({ startUs, endUs, deviceIds, metrics }: SqlScope): string => {
  const list = (column: string, names: readonly string[]): string =>
    names.length === 0 ? 'false' : `${column} IN (${names.map(quote).join()})`
  return [
    ...(startUs === -Infinity ? [] : [`epoch_us(ts) >= ${startUs}`]),
    ...(endUs === Infinity ? [] : [`epoch_us(ts) < ${endUs}`]),
    ...(deviceIds === undefined ? [] : [list('device_id', deviceIds)]),
    ...(metrics === undefined ? [] : [list('metric', metrics)]),
    'true',
  ].join(' AND ')
}

test('random statements answer the same over what their scope leaves', async (context) => {
  const connection = await open(context)
  await connection.run("SET TimeZone = 'UTC'")
  await connection.run(
    `CREATE TABLE devices AS FROM (VALUES ('a', '{}'), ('d', '{}')) d(device_id, tags)`,
  )
  await connection.run(
    'CREATE TABLE everything (device_id VARCHAR, metric VARCHAR, ts TIMESTAMP, value DOUBLE, tags VARCHAR)',
  )
  const see = (where: string) =>
    connection.run(`CREATE OR REPLACE VIEW telemetry AS SELECT * FROM everything WHERE ${where}`)
  let answered = 0
  let narrowed = 0
  const property = fc.asyncProperty(rows, statement, async (given, sql) => {
    await connection.run('TRUNCATE everything')
    const tuples = given.map(
      ([device, metric, minute, number]) =>
        `('${device}', '${metric}', make_timestamp(${at(START) + minute * 60e6}), ${number}, '{}')`,
    )
    await connection.run(`INSERT INTO everything VALUES ${tuples.join()}`)
    await see('true')
    const ask = async (): Promise<unknown> => (await connection.runAndReadAll(sql)).getRowsJson()
    const expected = await ask().catch(() => undefined)
    if (expected === undefined) return
    answered++
    const { telemetry } = await scopesOf(sql)
    const where = conditionOf(telemetry!)
    if (where !== 'true') narrowed++
    await see(where)
    assert.deepEqual(await ask(), expected, `${sql}: ${where}`)
  })
  await fc.assert(property, { numRuns: 600, endOnFailure: true })
  assert.ok(answered > 250 && narrowed > 35, `${answered} answered, ${narrowed} narrowed`)
})
