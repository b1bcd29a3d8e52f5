import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { openFolderObjects } from '../objects/folder-objects.ts'
import { eachObject, type Objects } from '../objects/objects.ts'
import { createMemoryDisk, createSeededRandom } from '../world/memory-disk.ts'
import { nodeWorld } from '../world/node-world.ts'
import { eraseFromCommits, type CommitErasure, type ErasedCommit } from './erase-commits.ts'
import { entryAt, feed, openWriter, rowsOf, rowsUpTo, watched } from './lake-fixture.ts'
import { listSets, newestManifest } from './manifest.ts'

const clock = {
  ...nodeWorld.clock,
  soon: (callback: () => void) => queueMicrotask(callback),
}
const openLake = (seed = 7): Promise<Objects> =>
  openFolderObjects({
    ...{ folder: '/lake', disk: createMemoryDisk({ seed }), random: createSeededRandom(seed) },
  })

const erase = async (
  objects: Objects,
  erasure: CommitErasure,
  noted = new Map<string, ErasedCommit>(),
): Promise<ErasedCommit[]> => {
  await eraseFromCommits(
    {
      ...{ objects, clock, random: nodeWorld.random, isOver: () => false },
      note: async (file) => void noted.set(file.key, file),
    },
    erasure,
  )
  return [...noted.values()]
}

const covers = ({ tenant, deviceIds, fromUs, toUs }: CommitErasure, row: string): boolean => {
  const [of, , device, , , timeUs] = JSON.parse(row) as [
    string,
    string,
    string,
    string,
    string,
    number,
  ]
  return of === tenant && deviceIds.includes(device) && fromUs <= timeUs && timeUs < toUs
}

const { timeUs: firstTimes } = entryAt(0, 0)
const FIRST_US = firstTimes[0]!
const erasures: fc.Arbitrary<CommitErasure> = fc
  .record({
    tenant: fc.constantFrom('default', 'Acme: 50 %'),
    deviceIds: fc.uniqueArray(fc.constantFrom('p0/d0', 'p0/d1', 'p1/d2', 'p0/d4', 'p1/d4', 'x'), {
      minLength: 1,
    }),
    // Devices are behind each other.
    fromS: fc.integer({ min: -400, max: 240 }),
    seconds: fc.integer({ min: -20, max: 400 }),
  })
  .map(({ fromS, seconds, ...whose }) => {
    const fromUs = FIRST_US + fromS * 1e6
    return { ...whose, fromUs, toUs: fromUs + seconds * 1e6 }
  })

test('L6 erasures between commits, cut at any request: what is left is there, once', async () => {
  let cuts = 0
  let rewritten = 0
  const life = fc.record({
    entries: fc.integer({ min: 1, max: 12 }),
    /** Of the writer, within a commit; then its files are loose. */
    cutAt: fc.option(fc.nat(20), { nil: undefined, freq: 3 }),
    erasure: fc.option(erasures, { nil: undefined, freq: 4 }),
    eraserCutAt: fc.nat(60),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.array(life, { minLength: 1, maxLength: 4 }),
      async (seed, lives) => {
        const lake = await openLake(seed)
        let left = Infinity
        const objects = watched(lake, () => {
          if (left-- <= 0) throw new Error('the power is out')
        })
        const cut = async (at: number | undefined, work: () => Promise<unknown>): Promise<void> => {
          left = at ?? Infinity
          await work().catch((error: Error) => {
            assert.equal(error.message, 'the power is out')
            cuts++
          })
          left = Infinity
        }
        const done: CommitErasure[] = []
        const erased = (tenant: string, deviceId: string) =>
          done
            .filter((one) => one.tenant === tenant && one.deviceIds.includes(deviceId))
            .map(({ fromUs, toUs }) => ({ startUs: fromUs, endUs: toUs }))
        const ends: Record<number, number> = { 0: 0, 1: 0 }
        const expected = (): string[] =>
          rowsUpTo(ends).filter((row) => !done.some((erasure) => covers(erasure, row)))
        for (const { entries, cutAt, erasure, eraserCutAt } of lives) {
          for (const partition of [0, 1]) ends[partition]! += entries
          const writer = await openWriter(objects, { erased })
          await cut(cutAt, async () => {
            await feed(writer, ends, { commits: false })
            await writer.commit()
          })
          if (erasure === undefined) continue
          if (erasure.fromUs >= erasure.toUs) {
            assert.deepEqual(await erase(objects, erasure), [])
            continue
          }
          const held = await openWriter(objects, { erased })
          // It has collected something of it when it is erased.
          await feed(held, { 0: ends[0]! + 1 }, { commits: false })
          done.push(erasure)
          const noted = new Map<string, ErasedCommit>()
          await cut(eraserCutAt, () => erase(objects, erasure, noted))
          rewritten += (await erase(objects, erasure, noted)).length
          const there = await rowsOf(lake)
          assert.ok(!there.some((row) => covers(erasure, row)), 'none in what is loose either')
          if (held.held > 0) await assert.rejects(held.commit(), { code: 'LAKE_FENCED' })
        }
        const writer = await openWriter(objects, { erased })
        await feed(writer, ends)
        await writer.commit()
        assert.deepEqual(await rowsOf(lake), expected())
      },
    ),
    { numRuns: 25 },
  )
  assert.ok(cuts > 10, `${cuts} were cut`)
  assert.ok(rewritten > 10, `${rewritten} files were written anew`)
})

test('L6 a file keeps its key, its neighbours their bytes; an empty one goes', async () => {
  const objects = await openLake()
  const writer = await openWriter(objects)
  await feed(writer, { 0: 40 }, { commits: false })
  await writer.commit()
  const bytesOf = async (): Promise<Map<string, number>> => {
    const bytes = new Map<string, number>()
    for await (const { key } of eachObject(objects, 'readings/'))
      bytes.set(key, crc32(await objects.get(key)))
    return bytes
  }
  const before = await bytesOf()
  const all = { fromUs: -9e15, toUs: 4e15 }
  // The only device of its tenant.
  const acme = await erase(objects, { tenant: 'Acme: 50 %', deviceIds: ['p0/d4'], ...all })
  const one = await erase(objects, { tenant: 'default', deviceIds: ['p0/d1'], ...all })
  const after = await bytesOf()
  for (const { key, crcBefore, crcAfter } of [...acme, ...one]) {
    assert.equal(before.get(key), crcBefore)
    assert.equal(after.get(key), crcAfter)
  }
  assert.ok(acme.length > 0 && acme.every(({ crcAfter }) => crcAfter === undefined))
  assert.ok(one.length > 0 && one.every(({ crcAfter }) => crcAfter !== undefined))
  const told = new Set([...acme, ...one].map(({ key }) => key))
  for (const [key, crc] of before) if (!told.has(key)) assert.equal(after.get(key), crc)
  assert.deepEqual(await erase(objects, { tenant: 'default', deviceIds: ['p0/d1'], ...all }), [])
  assert.deepEqual(await listSets(objects), ['first'])
  assert.equal((await newestManifest(objects, 'first')).offsets[0]!.nextOffset, 40)
})
