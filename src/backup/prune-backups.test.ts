/** Pruning of backups: what stays can be restored byte for byte, and nothing else takes room. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { openFolderObjects } from '../objects/folder-objects.ts'
import { eachObject, type Objects } from '../objects/objects.ts'
import { nodeWorld } from '../world/node-world.ts'
import { listBackups, PIECES, readBackup, restoreBackup, writeBackup } from './backup.ts'
import { pruneBackups } from './prune-backups.ts'

/** By path: one letter stands for a file's content. */
type Files = Record<string, string>

async function openPlace(t: TestContext): Promise<Objects> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-prune-'))
  t.after(() => rm(folder, { recursive: true }))
  return openFolderObjects({ folder, ...nodeWorld })
}

let nowUs = 1.8e15

const write = (objects: Objects, files: Files): Promise<string> =>
  writeBackup({
    objects,
    nextOffset: 0,
    clock: { ...nodeWorld.clock, nowUs: () => (nowUs += 1e6) },
    progress: () => undefined,
    files: Object.entries(files).map(([path, text]) => ({
      ...{ path, bytes: text.length, version: undefined },
      read: async (from, to) => Buffer.from(text.slice(from, to)),
    })),
  })

async function contentOf(objects: Objects, name: string): Promise<Files> {
  const found: Files = {}
  await restoreBackup(objects, await readBackup(objects, name), async ({ path }, piece) => {
    found[path] = (found[path] ?? '') + Buffer.from(piece).toString()
  })
  return found
}

async function piecesOf(objects: Objects): Promise<number> {
  let count = 0
  for await (const _ of eachObject(objects, PIECES)) count++
  return count
}

test('what stays is whole, what goes is gone, and no piece stays that nothing needs', async (t) => {
  const files = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2', '3', '4'), {
    noNullPrototype: true,
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(files, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 7 }),
      async (backups, keep) => {
        const objects = await openPlace(t)
        const names: string[] = []
        for (const one of backups) names.push(await write(objects, one))
        const { removed, kept } = await pruneBackups(objects, keep)
        assert.deepEqual([...removed, ...kept], names)
        assert.deepEqual(await listBackups(objects), names.slice(-keep))
        for (const name of kept) {
          assert.deepEqual(await contentOf(objects, name), backups[names.indexOf(name)])
        }
        const needed = new Set(backups.slice(-keep).flatMap((one) => Object.values(one)))
        assert.equal(await piecesOf(objects), needed.size)
      },
    ),
    { numRuns: 30 },
  )
})

test('one that is ended at any step leaves whole backups, and the next does the rest', async (t) => {
  for (let steps = 0; ; steps++) {
    const objects = await openPlace(t)
    for (const text of ['1', '2', '3']) await write(objects, { same: 'x', own: text })
    let left = steps
    const dying: Objects = {
      ...objects,
      get: (key, range) => objects.get(key, range),
      list: (prefix, page) => objects.list(prefix, page),
      delete: async (key) => {
        if (left-- === 0) throw new Error('ended')
        await objects.delete(key)
      },
    }
    const isDone = await pruneBackups(dying, 1).then(
      () => true,
      () => false,
    )
    for (const name of await listBackups(objects)) await contentOf(objects, name)
    await pruneBackups(objects, 1)
    assert.equal((await listBackups(objects)).length, 1)
    assert.equal(await piecesOf(objects), 2)
    if (isDone) return assert.equal(steps, 4)
  }
})
