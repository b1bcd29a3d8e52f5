import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createMemoryDisk, createSeededRandom } from '../world/memory-disk.ts'
import { openFolderObjects } from './folder-objects.ts'
import { testObjects } from './objects.conformance.ts'
import { eachObject, type Objects } from './objects.ts'

const FOLDER = '/data/objects'

testObjects({
  name: 'folder on a simulated disk',
  pagedObjects: 300,
  async createBench() {
    const disk = createMemoryDisk({ seed: 1 })
    const random = createSeededRandom(2)
    return { open: () => openFolderObjects({ folder: FOLDER, disk, random }) }
  },
})

test('O1 a power cut at any step leaves each object whole, and what was acknowledged', async () => {
  const change = fc.record({ key: fc.nat(4), size: fc.nat(3000), isDelete: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.array(fc.record({ changes: fc.array(change, { maxLength: 6 }), turns: fc.nat(60) }), {
        minLength: 1,
        maxLength: 4,
      }),
      async (seed, lives) => {
        let disk = createMemoryDisk({ seed })
        const random = createSeededRandom(seed)
        /** What each key may hold: undefined is nothing. */
        const possible = new Map<string, Set<string | undefined>>()
        for (const { changes, turns } of lives) {
          const objects = await openFolderObjects({ folder: FOLDER, disk, random })
          await assertPossible(objects, possible)
          const work = makeChanges(objects, changes, possible)
          for (let turn = 0; turn < turns; turn++) await Promise.resolve()
          disk = disk.crash()
          await work
        }
        const objects = await openFolderObjects({ folder: FOLDER, disk, random })
        await assertPossible(objects, possible)
        for (const name of await disk.list(FOLDER)) assert.doesNotMatch(name, /tmp$/)
      },
    ),
    { numRuns: 300 },
  )
})

async function makeChanges(
  objects: Objects,
  changes: readonly { key: number; size: number; isDelete: boolean }[],
  possible: Map<string, Set<string | undefined>>,
): Promise<void> {
  for (const [serial, { key, size, isDelete }] of changes.entries()) {
    const name = `folder ${key % 2}/${key}`
    const content = isDelete ? undefined : `${serial} `.repeat(size)
    const before = possible.get(name) ?? new Set([undefined])
    possible.set(name, new Set([...before, content]))
    try {
      if (content === undefined) await objects.delete(name)
      else await objects.put(name, Buffer.from(content))
    } catch (error) {
      assert.equal((error as { code: string }).code, 'OBJECTS_UNAVAILABLE')
      return
    }
    possible.set(name, new Set([content]))
  }
}

async function assertPossible(
  objects: Objects,
  possible: Map<string, Set<string | undefined>>,
): Promise<void> {
  const found = new Map<string, string>()
  for await (const { key } of eachObject(objects, ''))
    found.set(key, Buffer.from(await objects.get(key)).toString())
  for (const [key, contents] of possible) {
    assert.ok(contents.has(found.get(key)), `${key} is ${found.get(key)?.slice(0, 20)}`)
    possible.set(key, new Set([found.get(key)]))
  }
}

test('O6 a full disk and a failed flush are OBJECTS_UNAVAILABLE, and the object stays', async () => {
  const disk = createMemoryDisk({ seed: 3 })
  const random = createSeededRandom(4)
  const objects = await openFolderObjects({ folder: FOLDER, disk, random })
  await objects.put('k', Buffer.from('before'))
  disk.setFull('growth')
  await assert.rejects(objects.put('k', Buffer.from('after')), { code: 'OBJECTS_UNAVAILABLE' })
  disk.setFull('no')
  disk.failNextSync('tmp')
  await assert.rejects(objects.put('k', Buffer.from('after')), { code: 'OBJECTS_UNAVAILABLE' })
  assert.equal(Buffer.from(await objects.get('k')).toString(), 'before')
  assert.deepEqual(await disk.list(FOLDER), ['k.%'])
})
