import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { testObjects } from '../../src/objects/objects.conformance.ts'
import { eachObject } from '../../src/objects/objects.ts'
import { until } from '../system/weir-process.ts'
import { createBucket, openBucket, skip } from './buckets.ts'
import { killService, restartService } from './cluster.ts'

testObjects({
  name: 'MinIO',
  skip,
  pagedObjects: 2500,
  async createBench() {
    const bucket = await createBucket()
    return { open: async () => openBucket(bucket) }
  },
})

test(
  'O6 wrong credentials and buckets are refused by name, without a secret',
  { skip },
  async () => {
    const wrong = openBucket(await createBucket(), { secretKey: 'not-the-secret-of-it' })
    for (const call of [
      () => wrong.put('k', Buffer.from('v')),
      () => wrong.get('k'),
      () => wrong.list('', { limit: 1 }),
    ])
      await assert.rejects(call, (error: Error & { code?: string }) => {
        assert.equal(error.code, 'OBJECTS_REFUSED')
        assert.doesNotMatch(JSON.stringify([error.message, error.cause]), /not-the-secret-of-it/)
        return true
      })
    const absent = openBucket('weir-no-such-bucket')
    await assert.rejects(absent.put('k', Buffer.from('v')), { code: 'OBJECTS_REFUSED' })
    await assert.rejects(absent.get('k'), { code: 'OBJECTS_REFUSED' })
  },
)

test('O6 a server that is not there is OBJECTS_UNAVAILABLE', async () => {
  const absent = openBucket('weir', { endpoint: 'http://127.0.0.1:1', secretKey: 's3cr3t-value' })
  for (const call of [
    () => absent.put('k', Buffer.from('v')),
    () => absent.head('k'),
    () => absent.delete('k'),
  ])
    await assert.rejects(call, (error: Error & { code?: string }) => {
      assert.equal(error.code, 'OBJECTS_UNAVAILABLE')
      assert.doesNotMatch(error.message, /s3cr3t-value/)
      return true
    })
})

test('MinIO killed and back: nothing half there, nothing acknowledged gone', { skip }, async () => {
  const objects = openBucket(await createBucket())
  const large = new Uint8Array(20_000_000).fill(7)
  const acknowledged = new Set<string>()
  const failures = new Set<string>()
  let isOver = false
  const write = async (lane: number): Promise<void> => {
    for (let serial = 0; !isOver; serial++) {
      const key = `${lane}/${serial}`
      try {
        await objects.put(key, lane === 0 ? large : Buffer.from(key), { ifAbsent: true })
        acknowledged.add(key)
      } catch (error) {
        failures.add((error as { code: string }).code)
        await delay(50)
      }
    }
  }
  const lanes = [0, 1, 2].map(write)
  await until('something is put', () => acknowledged.has('0/0') && acknowledged.has('1/0'), 20_000)
  await delay(100)
  await killService('minio')
  await assert.rejects(objects.head('1/0'), { code: 'OBJECTS_UNAVAILABLE' })
  await restartService('minio')
  const before = acknowledged.size
  await until('it goes on by itself', () => acknowledged.size > before + 20, 30_000)
  isOver = true
  await Promise.all(lanes)
  assert.deepEqual([...failures], ['OBJECTS_UNAVAILABLE'])
  const there = new Set<string>()
  for await (const { key, bytes } of eachObject(objects, '')) {
    assert.equal(bytes, key.startsWith('0/') ? large.length : key.length, key)
    there.add(key)
  }
  for (const key of acknowledged) assert.ok(there.has(key), key)
  objects.close()
})
