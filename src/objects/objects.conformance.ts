/** What every object store must do. An adapter's test calls `testObjects` with how to open it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkKey, eachObject, type Objects } from './objects.ts'

export interface ObjectsTraits {
  name: string
  /** An empty store; opened again, what was put is there. */
  createBench(): Promise<{ open(): Promise<Objects> }>
  skip?: string | undefined
  /** How many objects the test of paging puts. */
  pagedObjects: number
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

type Promised = (
  name: string,
  run: (objects: Objects, open: () => Promise<Objects>) => Promise<void>,
) => void

export function testObjects(traits: ObjectsTraits): void {
  const promise: Promised = (name, run) => {
    test(`${name} [${traits.name}]`, { skip: traits.skip }, async () => {
      const bench = await traits.createBench()
      const objects = await bench.open()
      try {
        await run(objects, () => bench.open())
      } finally {
        objects.close()
      }
    })
  }
  testPut(promise)
  testConditions(promise)
  testKeys(promise)
  testList(promise, traits.pagedObjects)
}

function testPut(promise: Promised): void {
  promise(
    'O1 what was put is there after a restart, the later of two whole',
    async (objects, open) => {
      await objects.put('a/b.txt', bytesOf('first, and longer'))
      await objects.put('a/b.txt', bytesOf('second'))
      await objects.put('empty', new Uint8Array(0))
      objects.close()
      const again = await open()
      assert.equal(textOf(await again.get('a/b.txt')), 'second')
      assert.deepEqual(await again.head('a/b.txt'), { bytes: 6 })
      assert.equal((await again.get('empty')).length, 0)
      again.close()
    },
  )

  promise('O1 an object of 20 MB comes back byte by byte, and in ranges', async (objects) => {
    const bytes = new Uint8Array(20_000_000)
    for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 2654435761) >>> 24
    await objects.put('large', bytes)
    assert.deepEqual(await objects.head('large'), { bytes: bytes.length })
    assert.ok(Buffer.compare(await objects.get('large'), bytes) === 0)
    for (const [from, to] of [
      [0, 1],
      [8388600, 8388700],
      [19_999_990, 20_000_100],
    ] as const) {
      const part = await objects.get('large', { from, to })
      assert.ok(Buffer.compare(part, bytes.subarray(from, to)) === 0, `${from} to ${to}`)
    }
  })

  promise('O2 ranges beyond the end are empty, missing objects are named', async (objects) => {
    await objects.put('k', bytesOf('0123456789'))
    assert.equal(textOf(await objects.get('k', { from: 3, to: 5 })), '34')
    assert.equal(textOf(await objects.get('k', { from: 10, to: 20 })), '')
    assert.equal(textOf(await objects.get('k', { from: 5, to: 5 })), '')
    await assert.rejects(objects.get('none'), { code: 'OBJECT_MISSING' })
    await assert.rejects(objects.get('none', { from: 5, to: 5 }), { code: 'OBJECT_MISSING' })
    assert.equal(await objects.head('none'), undefined)
  })

  promise('O4 what was deleted is gone, and deleting it again is nothing', async (objects) => {
    await objects.put('x/1', bytesOf('1'))
    await objects.put('x/2', bytesOf('2'))
    for (let times = 0; times < 2; times++) await objects.delete('x/1')
    await objects.delete('never/was')
    await assert.rejects(objects.get('x/1'), { code: 'OBJECT_MISSING' })
    assert.deepEqual(await objects.list('x/', { limit: 10 }), [{ key: 'x/2', bytes: 1 }])
  })
}

function testConditions(promise: Promised): void {
  promise('O5 of puts that want no object there one wins, however many', async (objects) => {
    const asked = Array.from({ length: 8 }, (_, index) =>
      objects.put('one', bytesOf(`${index}`), { ifAbsent: true }),
    )
    const answers = await Promise.allSettled(asked)
    const winners = answers.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []))
    assert.equal(winners.length, 1)
    assert.equal(textOf(await objects.get('one')), `${winners[0]}`)
    for (const answer of answers) {
      if (answer.status === 'rejected')
        assert.equal((answer.reason as { code: string }).code, 'OBJECT_EXISTS')
    }
    await objects.delete('one')
    await objects.put('one', bytesOf('again'), { ifAbsent: true })
  })

  promise('O5 a large object is not put where one is', async (objects) => {
    await objects.put('large', bytesOf('small'))
    const large = new Uint8Array(9 << 20)
    await assert.rejects(objects.put('large', large, { ifAbsent: true }), { code: 'OBJECT_EXISTS' })
    assert.equal(textOf(await objects.get('large')), 'small')
    await objects.put('other', large, { ifAbsent: true })
    assert.deepEqual(await objects.head('other'), { bytes: large.length })
  })
}

/** Of all kinds, and such that a file system or a URL would take for something else. */
const KEYS = [
  ...['a', 'a.', 'a.%', '.a', '...', '~', '~a.tmp', 'a~/b', 'CON', 'a b', ' a ', '%41', 'a%2Fb'],
  ...[
    'x/y/z.parquet',
    'tenant=ä/type=Pump 7',
    '泵/温度',
    '😀',
    '\ue000',
    'a+b&c=d?e#f',
    '"<>\'\\|*:',
  ],
  ...['A', 'é', 'e\u0301', 'x'.repeat(255), `${'ü/'.repeat(300)}z`, `${'泵'.repeat(85)}/😀.txt`],
]

function testKeys(promise: Promised): void {
  promise('any key that is allowed is a place of its own', async (objects) => {
    for (const key of KEYS) await objects.put(key, bytesOf(key))
    for (const key of KEYS) assert.equal(textOf(await objects.get(key)), key)
    const listed = []
    for await (const { key } of eachObject(objects, '', 7)) listed.push(key)
    assert.deepEqual(listed, sorted(KEYS))
    for (const key of KEYS) await objects.delete(key)
    assert.deepEqual(await objects.list('', { limit: 10 }), [])
  })

  promise('other keys are refused by name', async (objects) => {
    const odd = ['', '/', '/a', 'a/', 'a//b', '..', 'a/../b', './a', 'a\nb', '\u0000', '\ud800']
    for (const key of [...odd, 'x'.repeat(256), 'x/'.repeat(512) + 'x'])
      for (const call of [
        () => objects.put(key, bytesOf('')),
        () => objects.get(key),
        () => objects.head(key),
        () => objects.delete(key),
      ])
        await assert.rejects(call, { code: 'OBJECT_KEY_INVALID' }, JSON.stringify(key))
  })

  promise('any text is refused or comes back', async (objects) => {
    const part = fc.string({ unit: 'binary', minLength: 1, maxLength: 30 })
    const keys = fc.array(part, { minLength: 1, maxLength: 3 })
    let serial = 0
    await fc.assert(
      fc.asyncProperty(keys, async (parts) => {
        // Below a folder of its own: no key may be another's folder.
        const key = `${++serial}/${parts.join('/')}`
        try {
          checkKey(key)
        } catch {
          return
        }
        await objects.put(key, bytesOf(key))
        assert.equal(textOf(await objects.get(key)), key)
        const listed = await objects.list(`${serial}/`, { limit: 10 })
        assert.deepEqual(listed, [{ key, bytes: bytesOf(key).length }])
      }),
      { numRuns: 100 },
    )
  })
}

const sorted = (keys: readonly string[]): string[] =>
  keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

function testList(promise: Promised, count: number): void {
  promise(`O3 ${count} keys are listed in byte order, in pages and by prefix`, async (objects) => {
    const keys = Array.from({ length: count }, (_, index) => `p${index % 7}/${index}.bin`)
    let next = 0
    const putNext = async (): Promise<void> => {
      while (next < keys.length) {
        const key = keys[next++]!
        await objects.put(key, bytesOf(key))
      }
    }
    await Promise.all(Array.from({ length: 16 }, putNext))
    for (const [prefix, limit] of [
      ['', 1000],
      ['p3/', 100],
      ['p3/1', 33],
    ] as const) {
      const listed = []
      for await (const { key, bytes } of eachObject(objects, prefix, limit)) {
        assert.equal(bytes, key.length)
        listed.push(key)
      }
      assert.deepEqual(listed, sorted(keys.filter((key) => key.startsWith(prefix))))
    }
    assert.deepEqual(await objects.list('none/', { limit: 5 }), [])
    const last = await objects.list('', { after: sorted(keys).at(-2)!, limit: 5 })
    assert.deepEqual(
      last.map(({ key }) => key),
      sorted(keys).slice(-1),
    )
  })
}
