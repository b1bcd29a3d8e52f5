import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { crc32 } from 'node:zlib'
import { nodeWorld } from '../world/node-world.ts'
import { openFolderObjects } from './folder-objects.ts'
import { ObjectCopies, type CopiedObject } from './object-copies.ts'

const BYTES = 1000

async function open(context: TestContext, bytesMax: number) {
  const root = await mkdtemp(join(tmpdir(), 'weir-copies-'))
  context.after(() => rm(root, { recursive: true, force: true }))
  const folder = join(root, 'copies')
  await nodeWorld.disk.makeFolder(folder)
  const inner = await openFolderObjects({ ...nodeWorld, folder: join(root, 'objects') })
  const got: string[] = []
  const gate = { open: Promise.resolve() }
  const objects = {
    async get(...[key, range]: Parameters<typeof inner.get>) {
      got.push(key)
      await gate.open
      return inner.get(key, range)
    },
  }
  const put = async (key: string): Promise<CopiedObject> => {
    const bytes = Buffer.alloc(BYTES, key)
    await inner.put(key, bytes)
    return { key, bytes: BYTES, crc: crc32(bytes) }
  }
  const [a, b, c] = [await put('a'), await put('b'), await put('c')]
  const gone = new Set<string>()
  const isCurrent = (key: string): boolean => !gone.has(key)
  const copies = new ObjectCopies({ objects, disk: nodeWorld.disk, folder, bytesMax, isCurrent })
  return { copies, gone, folder, inner, got, gate, a, b, c }
}

test('C1 copies are whole, in order, and are not fetched again', async (context) => {
  const { copies, got, a, b } = await open(context, 10 * BYTES)
  const lent = await copies.lend([b, a])
  const texts = await Promise.all(lent.paths.map(async (path) => String(await readFile(path))))
  assert.deepEqual(texts, ['b'.repeat(BYTES), 'a'.repeat(BYTES)])
  lent.giveBack()
  const again = await copies.lend([a, b])
  assert.deepEqual(again.paths, lent.paths.toReversed())
  assert.deepEqual(got.toSorted(), ['a', 'b'])
})

test('C1 what was left under its name is no part of a copy', async (context) => {
  const { copies, folder, a } = await open(context, 10 * BYTES)
  await writeFile(join(folder, 'object-0.parquet'), Buffer.alloc(2 * BYTES, 'x'))
  const { paths } = await copies.lend([a])
  assert.equal(String(await readFile(paths[0]!)), 'a'.repeat(BYTES))
})

test('C1 another checksum, or fewer bytes, is damage, and nothing of it stays', async (context) => {
  const { copies, folder, a, b } = await open(context, 10 * BYTES)
  const damaged = { code: 'DATA_FILE_DAMAGED' }
  await assert.rejects(copies.lend([{ ...a, crc: a.crc ^ 1 }]), damaged)
  await assert.rejects(copies.lend([{ ...b, bytes: BYTES + 1 }]), damaged)
  assert.deepEqual(await readdir(folder), [])
  const { paths } = await copies.lend([a])
  assert.equal((await readFile(paths[0]!)).length, BYTES)
})

test('C2 the least recently used goes; what is lent stays, and who needs its room waits', async (context) => {
  const { copies, folder, got, a, b, c } = await open(context, 2 * BYTES)
  const tooMuch = copies.lend([a, b, c])
  await assert.rejects(tooMuch, { code: 'QUERY_LIMIT_EXCEEDED', message: /narrow/ })
  const ofA = await copies.lend([a])
  ;(await copies.lend([b])).giveBack()
  ;(await copies.lend([c])).giveBack()
  assert.equal((await readdir(folder)).length, 2)
  ;(await copies.lend([a])).giveBack()
  assert.deepEqual(got, ['a', 'b', 'c'])
  let isLent = false
  const waiting = copies.lend([b, c]).then((lent) => {
    isLent = true
    return lent
  })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(isLent, false)
  await readFile(ofA.paths[0]!)
  ofA.giveBack()
  await waiting
  assert.equal((await readdir(folder)).length, 2)
  assert.deepEqual(got.toSorted(), ['a', 'b', 'b', 'c'])
  // Whoever waits leaves when it is told to.
  const ending = new AbortController()
  const leaving = copies.lend([a], ending.signal)
  ending.abort(new Error('gone'))
  await assert.rejects(leaving, /gone/)
})

test('C3 many who ask for one object fetch it once, and one that leaves ends it for nobody', async (context) => {
  const { copies, got, gate, a } = await open(context, 2 * BYTES)
  const opened = Promise.withResolvers<void>()
  gate.open = opened.promise
  const ending = new AbortController()
  const first = copies.lend([a], ending.signal)
  const others = [copies.lend([a]), copies.lend([a])]
  while (got.length === 0) await new Promise((resolve) => setImmediate(resolve))
  ending.abort(new Error('gone'))
  opened.resolve()
  await Promise.all(others)
  await Promise.allSettled([first])
  assert.deepEqual(got, ['a'])
})

test('C3 what failed is fetched again by the next', async (context) => {
  const { copies, inner, got, a } = await open(context, 2 * BYTES)
  await inner.delete('a')
  await assert.rejects(copies.lend([a]), { code: 'OBJECT_MISSING', details: { key: 'a' } })
  await inner.put('a', Buffer.alloc(BYTES, 'a'))
  await copies.lend([a])
  assert.deepEqual(got, ['a', 'a'])
})

test('C4 of what is no longer current no copy stays: idle ones go at once, lent ones behind', async (context) => {
  const { copies, folder, gone, got, a, b, c } = await open(context, 10 * BYTES)
  const [idle, lent] = [await copies.lend([a, c]), await copies.lend([b])]
  idle.giveBack()
  gone.add('a').add('b')
  await copies.sweep()
  const left = async () => (await readdir(folder)).map((name) => join(folder, name)).toSorted()
  assert.deepEqual(await left(), [idle.paths[1]!, lent.paths[0]!].toSorted())
  lent.giveBack()
  while ((await left()).length > 1) await new Promise(setImmediate)
  assert.deepEqual(await left(), [idle.paths[1]])
  // Whoever chose it before gets it, and leaves nothing.
  const late = await copies.lend([a])
  assert.deepEqual(got, ['a', 'c', 'b', 'a'])
  late.giveBack()
  while ((await left()).length > 1) await new Promise(setImmediate)
})
