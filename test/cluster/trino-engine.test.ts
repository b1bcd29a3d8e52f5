/** Trino as the engine of large questions: its protocol, and its answers beside our own. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openTrino } from '../../src/lake-engine/trino.ts'
import type { EngineLimits } from '../../src/lake-engine/lake-engine.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { createBucket, openBucket, skip as skipMinio } from './buckets.ts'
import { rowsOf } from './engine-pages.ts'
import { ENGINE_LIMITS, testEngineQuestions } from './engine-questions.ts'
import { skip as skipPostgres } from './postgres-fixture.ts'
import { askTrino, skipTrino, tableOver, trinoUrl } from './trino-tables.ts'

const open = () => openTrino({ url: trinoUrl, user: 'weir' }, nodeWorld)

async function ask(statement: string, limits: EngineLimits = ENGINE_LIMITS) {
  const engine = open()
  return rowsOf(engine, statement, limits).finally(() => engine.close())
}

for (const times of ['timestamp', 'bigint'] as const) {
  testEngineQuestions({
    name: `Trino, times as ${times}`,
    skip: skipPostgres ?? skipMinio ?? skipTrino,
    ...{ runs: 3, questions: 8 },
    async open() {
      const bucket = await createBucket()
      const objects = openBucket(bucket)
      const schema = `lake.weir_engine_${times}_${process.pid}`
      const table = `${schema}.readings`
      await askTrino(`CREATE SCHEMA ${schema}`)
      await askTrino(tableOver(`s3://${bucket}`, table, ['--times', times])[0]!)
      const engine = open()
      return {
        ...{ objects, engine, table, location: `s3://${bucket}` },
        async close() {
          engine.close()
          await askTrino(`DROP TABLE ${table}`)
          await askTrino(`DROP SCHEMA ${schema}`)
          objects.close()
        },
      }
    },
  })
}

test('E1 values of all types, of many pages', { skip: skipTrino }, async () => {
  const [row] = await ask(
    `SELECT 1, 2e0, 'ü''', true, CAST(NULL AS double), nan(), -infinity(),
       TIMESTAMP '2026-07-31 23:59:59.999999', typeof(TIMESTAMP '2026-07-31 23:59:59.999999'),
       DECIMAL '1.50'`,
  )
  assert.deepEqual(row, [
    ...[1, 2, "ü'", true, null, NaN, -Infinity],
    ...['2026-07-31 23:59:59.999999', 'timestamp(6)', '1.50'],
  ])
  const rows = await ask(`SELECT n FROM UNNEST(sequence(1, 10000)) AS t (n),
    UNNEST(sequence(1, 5)) AS u (m)`)
  assert.equal(rows.length, 50_000)
  assert.equal(new Set(rows.map(([n]) => n)).size, 10_000)
})

test('E2 what nobody waits for any more is cancelled', { skip: skipTrino }, async () => {
  const slow = (mark: string): string =>
    `SELECT count(*) AS ${mark} FROM UNNEST(sequence(1, 10000)) AS a (n),
     UNNEST(sequence(1, 10000)) AS b (n), UNNEST(sequence(1, 10000)) AS c (n)`
  const stateOf = async (mark: string): Promise<unknown> => {
    const [row] = await askTrino(
      `SELECT state FROM system.runtime.queries WHERE query LIKE '%AS ${mark} %'
       AND query NOT LIKE '%runtime.queries%'`,
    )
    return row?.[0]
  }
  const until = async (mark: string, state: string): Promise<void> => {
    while ((await stateOf(mark)) !== state) await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const ended = new AbortController()
  const reason = new Error('the client went')
  const engine = open()
  const aborted = rowsOf(engine, slow('first'), ENGINE_LIMITS, ended.signal)
  await until('first', 'RUNNING')
  ended.abort(reason)
  await assert.rejects(aborted, reason)
  await until('first', 'FAILED')

  await assert.rejects(rowsOf(engine, slow('second'), { ...ENGINE_LIMITS, timeoutMs: 2000 }), {
    code: 'ENGINE_LIMIT_EXCEEDED',
  })
  await until('second', 'FAILED')
  const many = 'SELECT n FROM UNNEST(sequence(1, 10000)) AS t (n)'
  await assert.rejects(ask(many, { ...ENGINE_LIMITS, rowsMax: 9999 }), {
    code: 'ENGINE_LIMIT_EXCEEDED',
  })
  engine.close()
})

test('E4 what is wrong is refused in Trino’s words', { skip: skipTrino }, async () => {
  await assert.rejects(ask('SELECT x FROM hive.default.absent'), {
    ...{ code: 'ENGINE_REFUSED', message: /not exist/ },
  })
  await assert.rejects(ask('SELEC 1'), { code: 'ENGINE_REFUSED', message: /SELEC/ })
})

test('weir lake query prints rows as NDJSON, and fails with the code', { skip: skipTrino }, () => {
  const program = fileURLToPath(new URL('../../src/cli/weir.ts', import.meta.url))
  const run = (statement: string) =>
    spawnSync(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', program, 'lake', 'query', statement],
      {
        encoding: 'utf8',
        env: {
          ...process.env,
          ...{ WEIR_ENGINE_KIND: 'trino', WEIR_ENGINE_URL: trinoUrl, WEIR_LAKE_BUCKET: 'b' },
          WEIR_ENGINE_TABLE: 'hive.iot.readings',
        },
      },
    )
  const { stdout, status } = run(`SELECT 1 AS one, 'ü' AS text UNION ALL SELECT 2, NULL ORDER BY 1`)
  assert.deepEqual([stdout, status], ['{"one":1,"text":"ü"}\n{"one":2,"text":null}\n', 0])
  const wrong = run('SELEC 1')
  assert.equal(wrong.status, 3)
  assert.match(wrong.stderr, /ENGINE_REFUSED/)
})
