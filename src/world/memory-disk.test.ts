import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryDisk, createSeededRandom, type MemoryDisk } from './memory-disk.ts'

const SEEDS = Array.from({ length: 60 }, (_, seed) => seed)

const bytesOf = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value)

async function contentOf(disk: MemoryDisk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, 'read')
  const bytes = new Uint8Array(await file.size())
  await file.read(bytes, 0)
  return bytes
}

/** A durable file of zeroes. */
async function diskWithFile(seed: number, size: number): Promise<MemoryDisk> {
  const disk = createMemoryDisk({ seed })
  await disk.makeFolder('/data')
  await disk.syncFolder('/')
  const file = await disk.open('/data/file', 'create')
  await file.allocate(size)
  await disk.syncFolder('/data')
  return disk
}

test('What was synced is there after a power cut', async () => {
  for (const seed of SEEDS) {
    let disk = await diskWithFile(seed, 4096)
    const file = await disk.open('/data/file', 'write')
    await file.write(bytesOf(3000, 7), 1000)
    await file.sync()
    disk = disk.crash()
    const content = await contentOf(disk, '/data/file')
    assert.deepEqual(content.subarray(1000, 4000), bytesOf(3000, 7))
  }
})

test('What was not synced is kept, lost or torn at sectors, depending on the seed', async () => {
  const seen = new Set<string>()
  for (const seed of SEEDS) {
    let disk = await diskWithFile(seed, 4096)
    const file = await disk.open('/data/file', 'write')
    await file.write(bytesOf(2048, 7), 1024)
    disk = disk.crash()
    const content = await contentOf(disk, '/data/file')
    const sectors = [2, 3, 4, 5].map((sector) => {
      const values = new Set(content.subarray(sector * 512, sector * 512 + 512))
      assert.equal(values.size, 1, 'a sector is written whole or not at all')
      return values.has(7)
    })
    if (sectors.every((isKept) => isKept)) seen.add('kept')
    else if (sectors.some((isKept) => isKept)) seen.add('torn')
    else seen.add('lost')
  }
  assert.deepEqual([...seen].toSorted(), ['kept', 'lost', 'torn'])
})

test('A new file, a rename and a removal may be forgotten until the folder is synced', async () => {
  const seen = new Set<string>()
  for (const seed of SEEDS) {
    let disk = await diskWithFile(seed, 512)
    await disk.rename('/data/file', '/data/renamed')
    await (await disk.open('/data/created', 'create')).sync()
    disk = disk.crash()
    seen.add((await disk.list('/data')).join(' '))
  }
  const expected = ['created file', 'created renamed', 'file', 'renamed']
  assert.deepEqual([...seen].toSorted(), expected)
  let disk = await diskWithFile(1, 512)
  await disk.rename('/data/file', '/data/renamed')
  await (await disk.open('/data/created', 'create')).sync()
  await disk.remove('/data/renamed')
  await disk.syncFolder('/data')
  disk = disk.crash()
  assert.deepEqual(await disk.list('/data'), ['created'])
})

test('A file is lost with a folder that was never synced into its parent', async () => {
  const survivors = new Set<boolean>()
  for (const seed of SEEDS) {
    let disk = createMemoryDisk({ seed })
    await disk.makeFolder('/a/b')
    await (await disk.open('/a/b/file', 'create')).sync()
    await disk.syncFolder('/a/b')
    await disk.syncFolder('/a')
    disk = disk.crash()
    survivors.add(await disk.exists('/a/b/file'))
  }
  assert.equal(survivors.size, 2)
})

test('A failed sync loses its data, although reads still show it', async () => {
  let disk = await diskWithFile(3, 1024)
  const file = await disk.open('/data/file', 'write')
  await file.write(bytesOf(1024, 9), 0)
  disk.failNextSync()
  await assert.rejects(file.sync(), { code: 'EIO' })
  assert.deepEqual(await contentOf(disk, '/data/file'), bytesOf(1024, 9))
  await file.sync()
  disk = disk.crash()
  assert.deepEqual(await contentOf(disk, '/data/file'), bytesOf(1024, 0))
})

test('A full disk refuses growth, and allocated space too where asked', async () => {
  const disk = await diskWithFile(4, 1024)
  const file = await disk.open('/data/file', 'write')
  disk.setFull('growth')
  await file.write(bytesOf(1024, 1), 0)
  await assert.rejects(file.write(bytesOf(1, 1), 1024), { code: 'ENOSPC' })
  await assert.rejects(file.allocate(2048), { code: 'ENOSPC' })
  disk.setFull('allocated')
  await assert.rejects(file.write(bytesOf(1024, 2), 0), { code: 'ENOSPC' })
  assert.equal(await disk.freeBytes('/data'), 0)
  disk.setFull('no')
  await file.write(bytesOf(1, 1), 1024)
  const small = createMemoryDisk({ seed: 1, capacityBytes: 100 })
  const other = await small.open('/file', 'create')
  await assert.rejects(other.write(bytesOf(101, 1), 0), { code: 'ENOSPC' })
})

test('A flipped bit stays flipped; files opened before a power cut are dead', async () => {
  let disk = await diskWithFile(5, 16)
  const file = await disk.open('/data/file', 'write')
  disk.flipBit('/data/file', 3, 6)
  const writing = file.write(bytesOf(1, 1), 0)
  const dead = disk
  disk = disk.crash()
  await assert.rejects(writing)
  await assert.rejects(dead.list('/data'))
  await assert.rejects(file.read(new Uint8Array(1), 0), { code: 'EIO' })
  assert.equal((await contentOf(disk, '/data/file'))[3], 64)
})

test('The same seed gives the same chances', () => {
  const [one, other] = [createSeededRandom(42), createSeededRandom(42)]
  assert.deepEqual(one.bytes(16), other.bytes(16))
  assert.equal(one.unit(), other.unit())
  assert.notDeepEqual(one.bytes(16), createSeededRandom(43).bytes(16))
})
