/**
 * `POST /v1/sql` of a real server: the same answers as its own queries, and nothing beyond them,
 * whatever a statement tries.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { assertRefused } from './sql-attacks.ts'
import { makeFolder, until, WeirProcess } from './weir-process.ts'

const PIPELINE = `
version: 1
types:
  pump:
    dimensions: [side]
    schemas:
      1:
        temperature: { unit: "°C", required: false }
        mode: { type: text, required: false }
        on: { type: boolean, required: false }
rules: [{ id: hot, type: pump, when: "temperature > 80" }]
`
/** Small segments of short commits, and limits that a test reaches. */
const CONFIG = `
stream: { checkpointReadings: 200, checkpointInterval: 200ms }
storage: { segmentReadingsTarget: 2000 }
query: { sqlTimeout: 5s, sqlRowsMax: 5000, sqlMemoryBytes: 64 MiB }
`

interface SqlAnswer {
  columns: { name: string; type: string }[]
  rows: unknown[][]
}

async function ask(weir: WeirProcess, sql: string): Promise<SqlAnswer> {
  const { status, body, text } = await weir.api<SqlAnswer>('/v1/sql', { body: { sql } })
  assert.equal(status, 200, `${sql}: ${text}\n${weir.running.output}`)
  return body
}

async function failure(weir: WeirProcess, sql: string): Promise<{ status: number; code: string }> {
  const { status, body } = await weir.api<{ code: string }>('/v1/sql', { body: { sql } })
  return { status, code: body.code }
}

/** Disorder, repeats with other values, and readings a day and a month late. */
async function fill(weir: WeirProcess): Promise<void> {
  const nowMs = Math.floor(Date.now() / 1000) * 1000
  for (const id of ['pump-1', 'pump-2']) {
    await weir.register({ id, type: 'pump' })
    for (let batch = 0; batch < 6; batch++) {
      const messages = Array.from({ length: 100 }, (_, at) => {
        const number = (at * 37 + batch * 11) % 600
        const ts = nowMs - 900_000 + number * 1000 - (at % 50 === 0 ? 7 * 86_400_000 : 0)
        const side = at % 3 === 0 ? 'left' : 'right'
        const metrics = { temperature: number + batch, mode: `m${number % 4}`, on: at % 2 === 0 }
        return { ts, metrics, tags: { side } }
      })
      const answer = await weir.api(`/v1/devices/${id}/telemetry`, { body: messages })
      assert.equal(answer.status, 200, answer.text)
    }
  }
}

test('Q1 the views say what the queries say', async (t) => {
  const folder = await makeFolder(t)
  const weir = await WeirProcess.start({ folder, pipeline: PIPELINE, config: CONFIG })
  await fill(weir)
  for (const id of ['pump-1', 'pump-2']) {
    for (const [metric, column] of [
      ['temperature', 'value'],
      ['on', 'value != 0'],
      ['mode', 'text'],
    ] as const) {
      const { rows } = await ask(
        weir,
        `SELECT epoch_ms(ts), ${column}, tags FROM telemetry
         WHERE device_id = '${id}' AND metric = '${metric}' ORDER BY ts, tags`,
      )
      const points = await weir.points(id, metric)
      assert.ok(points.length > 200, `${points.length} points`)
      assert.deepEqual(
        rows.map(([ms, value]) => [ms, value]),
        points,
      )
      assert.ok(
        rows.every(([, , tags]) => ['{"side":"left"}', '{"side":"right"}'].includes(String(tags))),
      )
    }
  }
  const wide = await ask(
    weir,
    `SELECT epoch_ms(ts), metrics['temperature'], metrics['on'], metrics['mode'], tags FROM wide
     WHERE device_id = 'pump-2' ORDER BY ts, tags`,
  )
  const narrow = await ask(
    weir,
    `SELECT epoch_ms(t.ts), t.value, o.value, NULL, tags
     FROM telemetry t JOIN telemetry o USING (device_id, ts, tags)
     WHERE device_id = 'pump-2' AND t.metric = 'temperature' AND o.metric = 'on' ORDER BY ts, tags`,
  )
  assert.ok(wide.rows.length > 200)
  assert.deepEqual(wide.rows, narrow.rows)
  await until(
    'windows are closed',
    async () => {
      const { rows } = await ask(weir, 'SELECT count(*) FROM aggregations WHERE window_ms = 60000')
      return Number(rows[0]?.[0]) > 20
    },
    30_000,
  )
  const span = { start: 0, end: Date.now() - 300_000 }
  const { rows } = await ask(
    weir,
    `SELECT epoch_ms(window_start), sum(count), sum(sum) / sum(count), min(min), max(max)
     FROM aggregations WHERE device_id = 'pump-1' AND metric = 'temperature'
       AND window_ms = 60000 AND window_start < make_timestamp(${span.end * 1000}::BIGINT)
     GROUP BY 1 ORDER BY 1`,
  )
  const { windows } = await weir.get<{ windows: Record<string, number>[] }>('/v1/aggregations', {
    ...{ device_id: 'pump-1', metric: 'temperature', window: '1m', ...span },
  })
  assert.ok(windows.length > 5, `${windows.length} windows`)
  assert.deepEqual(
    rows.map(([start, count, , min, max]) => [start, count, min, max]),
    windows.map((one) => [one['window_start'], one['count'], one['min'], one['max']]),
  )
  for (const [at, [, , avg]] of rows.entries()) {
    assert.ok(Math.abs(Number(avg) - windows[at]!['avg']!) < 1e-6)
  }
  await weir.api('/v1/devices/pump-1/telemetry', { body: { metrics: { temperature: 95 } } })
  const devices = await ask(weir, 'SELECT device_id, type, gateway FROM devices ORDER BY 1')
  assert.deepEqual(devices.rows, [
    ['pump-1', 'pump', false],
    ['pump-2', 'pump', false],
  ])
  await until('the alert is there', async () => {
    const { rows: alerts } = await ask(
      weir,
      "SELECT rule_id FROM alerts WHERE device_id = 'pump-1'",
    )
    return alerts[0]?.[0] === 'hot'
  })
  await weir.stop()
})

test('Q2 Q3 what breaks out is refused, what is too much is ended, and the server goes on', async (t) => {
  const folder = await makeFolder(t)
  const weir = await WeirProcess.start({ folder, pipeline: PIPELINE, config: CONFIG })
  await weir.register({ id: 'pump-1', type: 'pump' })
  await weir.api('/v1/devices/pump-1/telemetry', { body: { metrics: { temperature: 20 } } })
  await assertRefused(weir)
  const limit = { status: 422, code: 'QUERY_LIMIT_EXCEEDED' }
  for (const sql of [
    'SELECT * FROM range(6000)',
    'SELECT count(*) FROM range(100000000000) a, range(1000000) b',
    "SELECT repeat('x', 1000000000)",
    'SELECT list(a) FROM range(100000000) r(a)',
  ]) {
    assert.deepEqual(await failure(weir, sql), limit, sql)
  }
  const { status, code } = await failure(weir, 'SELECT no_such_column FROM telemetry')
  assert.deepEqual([status, code], [400, 'SQL_INVALID'])
  assert.deepEqual((await ask(weir, 'SELECT value FROM telemetry')).rows, [[20]])
  // A process that is killed while it works is replaced.
  const { pid } = weir.running.child
  const children = (): number[] =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter((text) => text.trim() !== '')
      .map(Number)
  const asking = failure(weir, 'SELECT count(*) FROM range(100000000000) a, range(1000000) b')
  const [child] = await until('it works', () => children().length > 0 && children())
  process.kill(child!, 'SIGKILL')
  assert.equal((await asking).status, 422)
  assert.deepEqual((await ask(weir, 'SELECT value FROM telemetry')).rows, [[20]])
  assert.ok(existsSync(join(folder, 'data', 'segments')))
  await weir.stop()
  assert.equal(weir.running.child.exitCode, 0, weir.running.output)
})
