import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => {
  bench = await startBench()
})
after(() => bench.close())

test('what is stored is told tier by tier, in ms and bytes', async () => {
  const { json } = await bench.call('GET /v1/storage', { key: bench.admin })
  const { tiers, disk } = json as { tiers: Record<string, unknown>[]; disk: unknown }
  assert.deepEqual(tiers[0], {
    ...{ tier: 'hot', files: 1, rows: 10, bytes: 100, oldest: 1000, newest: 2000 },
  })
  assert.equal(tiers[1]?.['oldest'], null)
  assert.deepEqual(disk, { free_bytes: 1e9, bytes_per_day: 1e8, full_in_days: 10 })
})

test('an export is confirmed up to a time, and a flush is waited for', async () => {
  const body = { before: '2026-01-01T00:00:00Z' }
  const confirmed = await bench.call('POST /v1/storage/exported', { key: bench.admin, body })
  assert.equal(confirmed.status, 204)
  assert.equal(bench.storage.exportedBeforeUs, Date.UTC(2026, 0, 1) * 1000)
  const flushed = await bench.call('POST /v1/storage/flush', { key: bench.admin })
  assert.equal(flushed.status, 204)
  assert.equal(bench.storage.flushes, 1)
})

test('the oldest backups are removed, at least one stays', async () => {
  const asked = (query: string) => bench.call(`DELETE /v1/backups?${query}`, { key: bench.admin })
  assert.equal((await asked('to=/x&keep=0')).status, 400)
  assert.equal((await asked('keep=1')).status, 400)
  bench.storage.backups.clear()
  for (const name of ['a', 'b', 'c']) {
    bench.storage.backups.set(name, {
      state: 'done',
      name,
      problem: undefined,
      progress: undefined,
    })
  }
  const { status, json } = await asked('to=/x&keep=2')
  assert.equal(status, 200)
  assert.deepEqual(json, { removed: ['a'], kept: ['b', 'c'], pieces: 3, bytes: 100 })
  bench.storage.backups.clear()
})

test('a backup is started, asked for, and says how it ended', async () => {
  const wrong = await bench.call('POST /v1/backups', { key: bench.admin, body: { to: 'x' } })
  assert.equal(wrong.status, 400)
  const started = await bench.call('POST /v1/backups', { key: bench.admin, body: { to: '/x' } })
  assert.equal(started.status, 202)
  const { id } = started.json as { id: string }
  const ask = async (): Promise<Record<string, unknown>> => {
    const { json } = await bench.call(`GET /v1/backups/${id}`, { key: bench.admin })
    return json as Record<string, unknown>
  }
  assert.deepEqual(await ask(), {
    ...{ id, state: 'running', name: null, problem: null, files_done: 0, files_total: 0 },
    ...{ bytes_done: 0, bytes_total: 0, bytes_copied: 0 },
  })
  bench.storage.backups.set(id, {
    ...{ state: 'failed', name: undefined },
    problem: { code: 'OBJECTS_UNAVAILABLE', detail: 'away' },
    progress: { filesDone: 1, filesTotal: 2, bytesDone: 3, bytesTotal: 4, bytesCopied: 3 },
  })
  const failed = await ask()
  assert.deepEqual(failed['problem'], { code: 'OBJECTS_UNAVAILABLE', detail: 'away' })
  assert.equal(failed['bytes_copied'], 3)
})

test('a verification says what is damaged', async () => {
  const started = await bench.call('POST /v1/storage/verifications', { key: bench.admin })
  const { id } = started.json as { id: string }
  const { json } = await bench.call(`GET /v1/storage/verifications/${id}`, { key: bench.admin })
  assert.deepEqual(json, {
    ...{ id, state: 'done', problem: null, files_done: 2, files_total: 2 },
    ...{ bytes_done: 20, bytes_total: 20 },
    damaged: [{ file: 'a', problem: 'its checksum differs', rows: 3 }],
  })
})
