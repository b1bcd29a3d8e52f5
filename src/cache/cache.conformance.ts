/** What every cache must do. An adapter's test calls `testCache` with how to open it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VALUE_BYTES_MAX, type Cache } from './cache.ts'

export interface CacheBench {
  /** Empty, and connected. */
  open(): Promise<Cache>
  pass(durationMs: number): Promise<void>
}

export interface CacheTraits {
  name: string
  bench: CacheBench
  skip?: string | undefined
}

const LONG_MS = 60_000

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))

export function testCache({ name, bench, skip }: CacheTraits): void {
  const promise: Promised = (title, run) => {
    test(`${title} [${name}]`, { skip }, async () => {
      const cache = await bench.open()
      try {
        await run(cache, bench)
      } finally {
        await cache.close()
      }
    })
  }
  testValues(promise)
  testTime(promise)
  testLimits(promise)
}

type Promised = (title: string, run: (cache: Cache, bench: CacheBench) => Promise<void>) => void

function testValues(promise: Promised): void {
  promise(
    'C1 what was set is got, whatever its bytes; before it there is a miss',
    async (cache) => {
      assert.equal(await cache.get('tenant'), undefined)
      const bytes = fc.uint8Array({ maxLength: 2000 })
      await fc.assert(
        fc.asyncProperty(bytes, async (value) => {
          await cache.set('tenant', value, LONG_MS)
          assert.deepEqual(await cache.get('tenant'), Uint8Array.from(value))
        }),
        { numRuns: 50 },
      )
    },
  )

  promise('C3 no two keys are taken for each other', async (cache) => {
    const texts = fc.uniqueArray(fc.string({ unit: 'binary', maxLength: 20 }), { maxLength: 50 })
    await fc.assert(
      fc.asyncProperty(texts, async (keys) => {
        await Promise.all(keys.map((key) => cache.set(key, bytesOf(`of ${key}`), LONG_MS)))
        for (const key of keys) assert.deepEqual(await cache.get(key), bytesOf(`of ${key}`))
      }),
      { numRuns: 20 },
    )
  })

  promise('C3 keys that UTF-8 cannot tell apart are told apart', async (cache) => {
    await cache.set('tenant \ud800', bytesOf('first'), LONG_MS)
    assert.equal(await cache.get('tenant \ud801'), undefined)
    assert.equal(await cache.get('tenant \ufffd'), undefined)
  })

  promise('C4 the last value counts, and none after a deletion', async (cache) => {
    await cache.set('key', bytesOf('first'), LONG_MS)
    await cache.set('key', bytesOf('second'), LONG_MS)
    assert.deepEqual(await cache.get('key'), bytesOf('second'))
    await cache.delete('key')
    assert.equal(await cache.get('key'), undefined)
    await cache.delete('key')
  })

  promise('bytes that change afterwards, given or got, change nothing', async (cache) => {
    const given = bytesOf('value')
    await cache.set('key', given, LONG_MS)
    given.fill(0)
    const got = await cache.get('key')
    assert.deepEqual(got, bytesOf('value'))
    got.fill(0)
    assert.deepEqual(await cache.get('key'), bytesOf('value'))
  })
}

function testTime(promise: Promised): void {
  promise(
    'C2 a value is gone with its time to live, one of a longer one stays',
    async (cache, bench) => {
      await cache.set('short', bytesOf('1'), 500)
      await cache.set('long', bytesOf('2'), LONG_MS)
      assert.deepEqual(await cache.get('short'), bytesOf('1'))
      await bench.pass(501)
      assert.equal(await cache.get('short'), undefined)
      assert.deepEqual(await cache.get('long'), bytesOf('2'))
    },
  )

  promise(
    'C2 being asked for makes nothing live longer, being set again does',
    async (cache, bench) => {
      for (const key of ['asked', 'set']) await cache.set(key, bytesOf(key), 1000)
      await bench.pass(700)
      await cache.get('asked')
      await cache.set('set', bytesOf('anew'), 1000)
      await bench.pass(700)
      assert.equal(await cache.get('asked'), undefined)
      assert.deepEqual(await cache.get('set'), bytesOf('anew'))
    },
  )

  promise('C4 a value that is too old already takes the one of before with it', async (cache) => {
    await cache.set('key', bytesOf('first'), LONG_MS)
    await cache.set('key', bytesOf('second'), -1)
    assert.equal(await cache.get('key'), undefined)
    await cache.set('key', bytesOf('third'), 0)
    assert.equal(await cache.get('key'), undefined)
  })
}

function testLimits(promise: Promised): void {
  promise('C4 a value that is too large is not kept, nor the one of before', async (cache) => {
    await cache.set('key', new Uint8Array(VALUE_BYTES_MAX), LONG_MS)
    assert.equal((await cache.get('key'))?.length, VALUE_BYTES_MAX)
    await cache.set('key', new Uint8Array(VALUE_BYTES_MAX + 1), LONG_MS)
    assert.equal(await cache.get('key'), undefined)
    assert.equal(cache.counts().refused, 1)
  })

  promise('every get is counted as a hit or a miss', async (cache) => {
    await cache.set('key', bytesOf('value'), LONG_MS)
    for (const key of ['key', 'other', 'key']) await cache.get(key)
    assert.deepEqual(cache.counts(), { hits: 2, misses: 1, refused: 0, faults: 0 })
  })

  promise('C5 after it was closed there are misses and no errors', async (cache) => {
    await cache.set('key', bytesOf('value'), LONG_MS)
    await cache.close()
    assert.equal(await cache.get('key'), undefined)
    await cache.set('key', bytesOf('value'), LONG_MS)
    await cache.delete('key')
    assert.equal(await cache.get('key'), undefined)
    await cache.close()
  })
}
