import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodeWorld } from '../world/node-world.ts'
import { SqlRunner } from './sql-runner.ts'

test('a statement for which no process can be had fails, and the next one runs', async (context) => {
  const runner = new SqlRunner({
    limits: { rowsMax: 10, bytesMax: 1000, timeMs: 20_000, memoryBytes: 64 << 20 },
    ...{ clock: nodeWorld.clock, random: nodeWorld.random, atOnce: 1 },
  })
  context.after(() => runner.close())
  const { signal } = new AbortController()
  const { execPath } = process
  process.execPath = '/nowhere/node'
  try {
    await assert.rejects(runner.look('SELECT 1', signal), { code: 'QUERY_FAILED' })
  } finally {
    process.execPath = execPath
  }
  assert.deepEqual((await runner.look('SELECT 1 FROM telemetry', signal)).views, ['telemetry'])
})
