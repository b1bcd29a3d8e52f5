import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startBench } from '../testing/api-bench.ts'

let bench: Awaited<ReturnType<typeof startBench>>
before(async () => {
  bench = await startBench()
  await bench.createDevice('a', { tags: { owner: 'Ada' } })
  await bench.createDevice('b', { tags: { owner: 'Ada' } })
  await bench.createDevice('c', { tags: { owner: 'Bob' } })
})
after(() => bench.close())

const ask = (target: string) => bench.call(target, { key: bench.admin })

test('of a device, of a span, and of all devices of an owner', async () => {
  assert.equal((await ask('DELETE /v1/devices/a/data')).status, 202)
  const span = 'from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z'
  assert.equal((await ask(`DELETE /v1/devices/c/data?${span}`)).status, 202)
  assert.equal((await ask('DELETE /v1/owners/Ada/data')).status, 202)
  const [jan, feb] = [Date.UTC(2026, 0, 1) * 1000, Date.UTC(2026, 1, 1) * 1000]
  assert.deepEqual(bench.erasures.begun, [
    { deviceIds: ['a'], fromUs: undefined, toUs: undefined },
    { deviceIds: ['c'], fromUs: jan, toUs: feb },
    { deviceIds: ['a', 'b'], fromUs: undefined, toUs: undefined },
  ])
  const backwards = 'from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z'
  assert.equal((await ask(`DELETE /v1/devices/a/data?${backwards}`)).status, 400)
  assert.equal((await ask('DELETE /v1/owners/Nobody/data')).status, 404)
})

test('an erasure says how far it is, and shows its receipt', async () => {
  const { id } = (await ask('DELETE /v1/devices/a/data')).json as { id: string }
  assert.deepEqual((await ask(`GET /v1/erasures/${id}`)).json, {
    ...{ id, state: 'running', problem: null, receipt: null },
  })
  const receipt = { erasure: { id }, key: 'k', signature: 's' }
  bench.erasures.statuses.set(id, { state: 'done', problem: undefined, receipt })
  assert.deepEqual((await ask(`GET /v1/erasures/${id}`)).json, {
    ...{ id, state: 'done', problem: null, receipt },
  })
})
