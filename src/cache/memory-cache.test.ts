import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedClock } from '../world/simulated-clock.ts'
import { testCache } from './cache.conformance.ts'
import { MemoryCache } from './memory-cache.ts'

const clock = new SimulatedClock()

testCache({
  name: 'memory',
  bench: {
    open: async () => new MemoryCache({ clock, bytesMax: 8 * 1024 * 1024 }),
    pass: (durationMs) => clock.run(durationMs),
  },
})

test('C6 it holds no more bytes than it may; what was used least recently makes room', async () => {
  const cache = new MemoryCache({ clock, bytesMax: 10_000 })
  for (let number = 0; number < 100; number++) {
    await cache.set(`key-${number}`, new Uint8Array(1000), 60_000)
    assert.ok(cache.bytes <= 10_000)
    // Used all the time, so it stays.
    assert.ok((await cache.get('key-0')) !== undefined)
  }
  const kept = []
  for (let number = 0; number < 100; number++)
    if ((await cache.get(`key-${number}`)) !== undefined) kept.push(number)
  assert.deepEqual(kept, [0, 93, 94, 95, 96, 97, 98, 99])
  for (const number of kept) await cache.delete(`key-${number}`)
  assert.equal(cache.bytes, 0)
})
