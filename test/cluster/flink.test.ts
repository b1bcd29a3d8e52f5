/** Flink as the harness starts it takes SQL, runs it as a job, and gives its rows back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessOf } from './cluster.ts'
import { openSession } from './sql-gateway.ts'

const access = accessOf('flink')
const { rest = '', gateway = '' } = access ?? {}
const skip = access === undefined ? 'Flink does not run: npm run -s cluster:up -- flink' : false

test('a job of SQL runs on the task manager and its rows come back', { skip }, async () => {
  const session = await openSession(gateway, { 'execution.runtime-mode': 'batch' })
  try {
    const { jobId, rows } = await session.run(`
      WITH readings AS (SELECT device, TO_TIMESTAMP(at_text) AS event_time, v FROM (VALUES
        ('pump-1', '2026-01-01 00:00:10', 20.5e0),
        ('pump-1', '2026-01-01 00:00:59', 21.5e0),
        ('pump-1', '2026-01-01 00:01:00', 22.5e0),
        ('pump-2', '2026-01-01 00:00:10', 7e0)) AS t (device, at_text, v))
      SELECT device, window_start, COUNT(*) AS n, MAX(v) AS highest
      FROM TUMBLE(TABLE readings, DESCRIPTOR(event_time), INTERVAL '1' MINUTE)
      GROUP BY device, window_start, window_end`)
    assert.deepEqual(rows.map((row) => row.join(' ')).toSorted(), [
      'pump-1 2026-01-01T00:00:00 2 21.5',
      'pump-1 2026-01-01T00:01:00 1 22.5',
      'pump-2 2026-01-01T00:00:00 1 7',
    ])
    const job = (await (await fetch(`${rest}/jobs/${jobId}`)).json()) as { state: string }
    assert.equal(job.state, 'FINISHED')
  } finally {
    await session.close()
  }
})

test('what a statement is refused for is said', { skip }, async () => {
  const session = await openSession(gateway)
  try {
    await assert.rejects(session.run('SELECT nothing FROM nowhere'), /'nowhere' not found/)
  } finally {
    await session.close()
  }
})
