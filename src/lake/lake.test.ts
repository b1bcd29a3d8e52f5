import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { openFolderObjects } from '../objects/folder-objects.ts'
import { createMemoryDisk, createSeededRandom, type MemoryDisk } from '../world/memory-disk.ts'
import { entryAt, feed, nextOffset, openWriter, rowsOf, rowsUpTo } from './lake-fixture.ts'
import { watched } from './lake-fixture.ts'
import { testLake } from './lake.conformance.ts'

const openOn = (disk: MemoryDisk, seed = 7) =>
  openFolderObjects({ folder: '/lake', disk, random: createSeededRandom(seed) })

testLake({
  name: 'folder on a simulated disk',
  createObjects: () => openOn(createMemoryDisk({ seed: 1 })),
})

test('L1 power cuts and kills at any step: every row is in the lake once', async () => {
  const life = fc.record({
    turns: fc.oneof(fc.nat(500), fc.nat(3000)),
    entries: fc.integer({ min: 1, max: 25 }),
    isKill: fc.boolean(),
  })
  let met = 0
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.array(life, { minLength: 1, maxLength: 4 }),
      async (seed, lives) => {
        let disk = createMemoryDisk({ seed })
        const ends: Record<number, number> = { 0: 0, 1: 0 }
        for (const { turns, entries, isKill } of lives) {
          for (const partition of [0, 1]) ends[partition]! += entries
          const work = (async () => {
            const writer = await openWriter(await openOn(disk, seed))
            await feed(writer, ends)
            await writer.commit()
          })().catch((error: { code?: string }) => {
            assert.equal(error.code, 'OBJECTS_UNAVAILABLE', String(error))
            met++
          })
          for (let turn = 0; turn < turns; turn++) await Promise.resolve()
          disk = isKill ? disk.kill() : disk.crash()
          await work
        }
        const objects = await openOn(disk, seed)
        const writer = await openWriter(objects)
        const committed = { 0: nextOffset(writer.offsets, 0), 1: nextOffset(writer.offsets, 1) }
        assert.deepEqual(await rowsOf(objects), rowsUpTo(committed), 'what was opened')
        await feed(writer, ends)
        await writer.commit()
        assert.deepEqual(await rowsOf(objects), rowsUpTo(ends), 'what was read to the end')
      },
    ),
    { numRuns: 25 },
  )
  assert.ok(met > 10, `${met} lives ended within their work`)
})

test('L3 while the store is full the writer keeps what it has, then says so, then catches up', async () => {
  const disk = createMemoryDisk({ seed: 5 })
  const objects = await openOn(disk)
  const writer = await openWriter(objects)
  await feed(writer, { 0: 3 })
  disk.setFull('growth')
  const unavailable = { code: 'OBJECTS_UNAVAILABLE' }
  await assert.rejects(writer.commit(), unavailable)
  assert.ok(!writer.isDue, 'not at once again')
  let offset = 3
  while (writer.hasRoom) writer.append(entryAt(0, offset++))
  assert.ok(offset >= 50, `${offset} entries of 100 readings`)
  assert.throws(() => writer.append(entryAt(0, offset)), { code: 'LAKE_BACKLOG_FULL' })
  await assert.rejects(writer.commit(), unavailable)
  disk.setFull('no')
  const offsets = await writer.commit()
  assert.equal(nextOffset(offsets, 0), offset)
  assert.ok(writer.hasRoom)
  writer.append(entryAt(0, offset))
  await writer.commit()
  assert.deepEqual(await rowsOf(objects), rowsUpTo({ 0: offset + 1 }))
})

test('an opening makes as many requests however many files count', async () => {
  const objects = await openOn(createMemoryDisk({ seed: 3 }))
  const writer = await openWriter(objects)
  await feed(writer, { 0: 3 })
  await writer.commit()
  const requestsOfOpening = async (): Promise<number> => {
    let requests = 0
    await openWriter(watched(objects, () => requests++))
    return requests
  }
  const before = await requestsOfOpening()
  for (let file = 0; file < 3000; file++)
    await objects.put(`readings/tenant=default/first-1-1-${file}.parquet`, new Uint8Array(1))
  const after = await requestsOfOpening()
  assert.ok(after <= before + 3, `${before} requests, then ${after}`)
})
