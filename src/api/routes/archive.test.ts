import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => {
  bench = await startBench()
})
after(() => bench.close())

test('the rule of the bucket is told, and set to what is configured', async () => {
  const rule = { freeze_after_days: 365, storage_class: 'GLACIER', expire_after_days: null }
  const before = await bench.call('GET /v1/storage/lifecycle', { key: bench.admin })
  assert.deepEqual(before.json, { found: null, configured: rule })
  const set = await bench.call('PUT /v1/storage/lifecycle', { key: bench.admin })
  assert.deepEqual([set.status, set.json], [200, { found: rule, configured: rule }])
})

test('what is archived is asked for by its time, and told how far it is', async () => {
  const { admin: key } = bench
  const [from, to] = ['2024-01-01T00:00:00Z', '2024-04-01T00:00:00Z']
  const path = `GET /v1/storage/restores?from=${from}&to=${to}&type=pump`
  const status = async () => (await bench.call(path, { key })).json as Record<string, unknown>
  const some = { files: 2, bytes: 20 }
  assert.deepEqual((await status())['frozen'], some)
  const body = { from, to, device_id: 'pump-1', days: 3 }
  const asked = await bench.call('POST /v1/storage/restores', { key, body })
  assert.equal(asked.status, 202)
  assert.deepEqual((asked.json as Record<string, unknown>)['thawing'], some)
  assert.deepEqual(bench.storage.restores, [
    {
      question: {
        ...{ startUs: Date.UTC(2024, 0, 1) * 1000, endUs: Date.UTC(2024, 3, 1) * 1000 },
        ...{ deviceId: 'pump-1', deviceType: undefined },
      },
      days: 3,
    },
  ])
  assert.deepEqual((await status())['thawing'], some)
})

test('a span that is none, and days that nobody keeps, are refused', async () => {
  const { admin: key } = bench
  const time = '2024-01-01T00:00:00Z'
  for (const body of [
    { from: time, to: time },
    { from: time, to: '2025-01-01T00:00:00Z', days: 0 },
    { from: time, to: '2025-01-01T00:00:00Z', days: 1000 },
  ]) {
    const { status } = await bench.call('POST /v1/storage/restores', { key, body })
    assert.equal(status, 400)
  }
})
