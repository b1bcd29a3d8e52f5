import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import fc from 'fast-check'
import { checkStatement } from './check-statement.ts'

async function open(context: TestContext): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  context.after(() => {
    connection.closeSync()
    instance.closeSync()
  })
  return connection
}

async function check(connection: DuckDBConnection, sql: string): Promise<string[]> {
  const text = `'${sql.replaceAll("'", "''")}'`
  const reader = await connection.runAndReadAll(`SELECT json_serialize_sql(${text}::VARCHAR)`)
  return [...checkStatement(String(reader.getRows()[0]?.[0])).views].toSorted()
}

const ALLOWED: Record<string, string[]> = {
  'SELECT * FROM telemetry': ['telemetry'],
  'FROM telemetry': ['telemetry'],
  'SELECT * FROM Telemetry t JOIN devices d USING (device_id)': ['devices', 'telemetry'],
  'WITH a AS (SELECT 1 AS x) SELECT * FROM a, range(10) r': [],
  'WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT * FROM t': [],
  'WITH a AS (SELECT 1 AS x), b AS (SELECT * FROM a) SELECT (SELECT max(x) FROM b) FROM a': [],
  'WITH telemetry AS (FROM telemetry WHERE value > 1) FROM telemetry': ['telemetry'],
  'SELECT (SELECT max(value) FROM telemetry), * FROM alerts': ['alerts', 'telemetry'],
  'SELECT * FROM (VALUES (1), (2)) v(x) WHERE x IN (SELECT count FROM aggregations)': [
    'aggregations',
  ],
  'SELECT list_transform([1, 2], x -> x + 1), quantile_cont(value, 0.95) FROM telemetry': [
    'telemetry',
  ],
  'SELECT unnest([1, 2]), row_number() OVER (ORDER BY ts) FROM telemetry': ['telemetry'],
  'SELECT 1 UNION ALL SELECT 2 ORDER BY 1 LIMIT 1;': [],
}

const REFUSED = [
  ...[
    'SELECT 1; SELECT 2',
    'CREATE TABLE x (a INT)',
    'DROP VIEW telemetry',
    'INSERT INTO x VALUES (1)',
  ],
  ...["COPY telemetry TO '/tmp/x'", "ATTACH '/tmp/x'", 'INSTALL httpfs', 'LOAD httpfs'],
  ...["SET memory_limit = '1TB'", 'RESET ALL', 'PRAGMA version', 'CALL pragma_version()', 'VACUUM'],
  ...[
    'EXPLAIN SELECT 1',
    'SHOW TABLES',
    'DESCRIBE telemetry',
    'SUMMARIZE telemetry',
    "EXPORT DATABASE 'x'",
  ],
  ...[
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'x.parquet'",
    'SELECT * FROM information_schema.tables',
  ],
  ...["SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')"],
  ...["SELECT * FROM read_parquet('x')", "SELECT * FROM parquet_metadata('x')", "FROM glob('/*')"],
  ...[
    'SELECT * FROM duckdb_settings()',
    'SELECT * FROM pragma_database_size()',
    'FROM duckdb_views()',
  ],
  ...["SELECT * FROM query('SELECT 1')", "SELECT * FROM query_table('telemetry')"],
  ...[
    'SELECT * FROM sqlite_master',
    'SELECT * FROM pg_catalog.pg_tables',
    'SELECT * FROM main.telemetry',
  ],
  ...["SELECT current_setting('allowed_paths')", "SELECT getvariable('x')", 'SELECT pg_sleep(10)'],
  ...[
    "SELECT write_log('x')",
    'SELECT sleep_ms(1000)',
    'SELECT current_query()',
    "SELECT nextval('x')",
  ],
  ...[
    "SELECT pg_get_viewdef('telemetry')",
    'SELECT * FROM w00_series',
    'SELECT * FROM temp.telemetry',
  ],
  ...["SELECT * FROM telemetry WHERE value IN (FROM read_json('/etc/passwd'))"],
  ...["WITH a AS (SELECT * FROM read_blob('/etc/shadow')) SELECT * FROM a"],
  // A name is a common table expression's only where that is in sight.
  ...[
    'WITH duckdb_views AS (SELECT * FROM duckdb_views) SELECT * FROM duckdb_views',
    'SELECT * FROM sqlite_master, (WITH sqlite_master AS (SELECT 1) SELECT 1) x',
    'WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a',
    `SELECT * FROM '/etc/passwd' WHERE 1 IN (WITH "/etc/passwd" AS (SELECT 1) SELECT 1)`,
    'WITH RECURSIVE duckdb_tables AS (FROM duckdb_tables UNION ALL FROM duckdb_tables) SELECT 1',
    'WITH RECURSIVE duckdb_tables AS (FROM duckdb_tables) FROM duckdb_tables',
    'WITH a AS MATERIALIZED (FROM a) FROM a',
    'SELECT 1 UNION ALL (WITH a AS (SELECT 1) FROM a) UNION ALL FROM a',
  ],
  ...["SELECT json_serialize_plan('SELECT current_setting(''threads'')', optimize := true)"],
  ...["SELECT [x FOR x IN (SELECT current_setting('threads'))]"],
  ...[
    'PIVOT telemetry ON metric USING avg(value)',
    "SELECT * FROM json_execute_serialized_sql('{}')",
  ],
]

test('what is one SELECT over the views may run, and says which views', async (context) => {
  const connection = await open(context)
  for (const [sql, views] of Object.entries(ALLOWED)) {
    assert.deepEqual(await check(connection, sql), views, sql)
  }
})

test('Q2 whatever asks for more is refused', async (context) => {
  const connection = await open(context)
  for (const sql of REFUSED) {
    await assert.rejects(check(connection, sql), { code: 'SQL_REFUSED' }, sql)
  }
})

test('Q2 what is wrong is told in the database’s words', async (context) => {
  const connection = await open(context)
  await assert.rejects(check(connection, 'SELEC 1'), {
    code: 'SQL_INVALID',
    message: /near "SELEC"/,
  })
})

test('Q2 any text is allowed, refused or wrong, and nothing else', async (context) => {
  const connection = await open(context)
  const pieces = fc.constantFrom(
    ...['SELECT', '*', 'FROM', 'telemetry', 'WITH', 'a', 'AS', '(', ')', ',', "'x.csv'", '1', ';'],
    ...['read_csv', 'UNION', 'JOIN', 'WHERE', 'x', '.', '"', '--', '/*', '$$', '[', ']', '{', '}'],
  )
  const text = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.array(pieces, { maxLength: 20 }).map((words) => words.join(' ')),
  )
  await fc.assert(
    fc.asyncProperty(text, async (sql) => {
      const code = await check(connection, sql).then(
        () => 'allowed',
        (error: { code?: string }) => error.code,
      )
      assert.ok(['allowed', 'SQL_REFUSED', 'SQL_INVALID'].includes(code ?? ''), `${sql}: ${code}`)
    }),
    { numRuns: 300 },
  )
})
