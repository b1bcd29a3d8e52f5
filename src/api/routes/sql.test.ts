import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => {
  bench = await startBench()
})
after(() => bench.close())

test('an answer has columns and rows; a refusal is a 403 with its code', async () => {
  const ask = (sql: string) => bench.call('POST /v1/sql', { key: bench.admin, body: { sql } })
  const { status, json } = await ask('SELECT 1')
  assert.equal(status, 200)
  assert.deepEqual(json, {
    columns: [{ name: 'x', type: 'VARCHAR' }],
    rows: [['SELECT 1'], [null], [1]],
  })
  const refused = await ask('DROP TABLE x')
  assert.equal(refused.status, 403)
  assert.equal((refused.json as { code: string }).code, 'SQL_REFUSED')
  assert.equal((await ask('')).status, 400)
})

test('Q3 who goes away ends the statement', async () => {
  const { port, admin, sql } = bench
  const body = JSON.stringify({ sql: 'wait' })
  const headers = { authorization: `Bearer ${admin}`, 'content-type': 'application/json' }
  const asking = request({ port, host: '127.0.0.1', path: '/v1/sql', method: 'POST', headers })
  asking.on('error', () => {})
  asking.end(body)
  await new Promise((resolve) => setTimeout(resolve, 100))
  asking.destroy()
  for (let tries = 0; tries < 100 && sql.aborted === 0; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  assert.equal(sql.aborted, 1)
})
