/** What the lake must do on every object store. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WeirError } from '../errors/errors.ts'
import type { Objects } from '../objects/objects.ts'
import { askLake, entryAt, feed, nextOffset, openWriter, takenAt } from './lake-fixture.ts'
import { rowsOf, rowsUpTo, watched } from './lake-fixture.ts'
import type { LakeWriter } from './lake.ts'

export function testLake(traits: {
  name: string
  skip?: string | undefined
  createObjects(): Promise<Objects>
}): void {
  const promise = (name: string, run: (objects: Objects) => Promise<void>): void => {
    test(`${name} [${traits.name}]`, { skip: traits.skip }, async () => {
      const objects = await traits.createObjects()
      await run(objects).finally(() => objects.close())
    })
  }
  testCommits(promise)
  testFences(promise)
  testLooseFiles(promise)
  testTaken(promise)
}

type Promised = (name: string, run: (objects: Objects) => Promise<void>) => void

function testCommits(promise: Promised): void {
  promise('L1 L4 DuckDB reads back what was committed, once, value by value', async (objects) => {
    const writer = await openWriter(objects)
    await feed(writer, { 0: 40, 1: 25 })
    const offsets = await writer.commit()
    assert.deepEqual(
      [0, 1].map((one) => nextOffset(offsets, one)),
      [40, 25],
    )
    assert.deepEqual(await rowsOf(objects), rowsUpTo({ 0: 40, 1: 25 }))
    const [sums] = await askLake(
      objects,
      'SELECT count(*), sum(value), count(text_value) FROM lake',
    )
    const [rows, texts] = [65 * 100, 65 * 20]
    assert.deepEqual([Number(sums?.[0]), Number(sums?.[2])], [rows, texts])
    assert.ok(Math.abs(Number(sums?.[1]) - sumOf({ 0: 40, 1: 25 })) < 1e-6)
  })

  promise(
    'L1 the next writer goes on from the last commit, without its loose ends',
    async (objects) => {
      const first = await openWriter(objects)
      await feed(first, { 0: 12 })
      await first.commit()
      await feed(first, { 0: 15, 1: 3 }, { commits: false })
      const second = await openWriter(objects)
      assert.equal(nextOffset(second.offsets, 0), 12)
      await feed(second, { 0: 30, 1: 5 })
      await second.commit()
      assert.deepEqual(await rowsOf(objects), rowsUpTo({ 0: 30, 1: 5 }))
      const third = await openWriter(objects)
      assert.deepEqual(
        [0, 1].map((one) => nextOffset(third.offsets, one)),
        [30, 5],
      )
      assert.deepEqual(await third.commit(), third.offsets, 'nothing new is nothing to do')
    },
  )

  promise('L4 times and values at the ends of what there is', async (objects) => {
    const writer = await openWriter(objects)
    const name = { ...entryAt(0, 0).names[0]!, deviceId: 'ends' }
    const timeUs = [-62_000_000_000_000_000, -1, 0, 1, 1_785_542_340_000_001, 8_000_000_000_000_000]
    const value = [-0, Number.MIN_VALUE, -Number.MAX_VALUE, 1e300, 0.1, 2 ** 53]
    const columns = { count: 6, series: [0, 0, 0, 0, 0, 0], timeUs, value, texts: [] }
    writer.append({ names: [name], ...columns, offsets: entryAt(0, 0).offsets })
    await writer.commit()
    const rows = await askLake(objects, 'SELECT epoch_us("time"), value FROM lake ORDER BY "time"')
    assert.deepEqual(
      rows.map(([time]) => Number(time)),
      timeUs,
    )
    for (const [row, [, read]] of rows.entries())
      assert.ok(Object.is(read, value[row]), String(read))
  })
}

function sumOf(ends: Record<number, number>): number {
  const values = rowsUpTo(ends).map((row) => (JSON.parse(row) as (number | null)[])[6] ?? 0)
  return values.reduce((sum, value) => sum + value, 0)
}

const fenced = { code: 'LAKE_FENCED' }

function testFences(promise: Promised): void {
  promise(
    'L2 of two writers of a set the later commits, and the other takes its files back',
    async (objects) => {
      const old = await openWriter(objects)
      await feed(old, { 0: 5 })
      await old.commit()
      await feed(old, { 0: 9 }, { commits: false })
      const young = await openWriter(objects)
      await feed(young, { 0: 7 }, { commits: false })
      await assert.rejects(old.commit(), fenced)
      assert.throws(() => old.append(entryAt(0, 9)), fenced)
      await young.commit()
      assert.deepEqual(await rowsOf(objects), rowsUpTo({ 0: 7 }))
    },
  )

  promise('L2 of many that open a set at once one commits', async (objects) => {
    const writers = await Promise.all(Array.from({ length: 5 }, () => openWriter(objects)))
    const commits = writers.map(async (writer) => {
      await feed(writer, { 0: 8 }, { commits: false })
      return writer.commit()
    })
    const done = (await Promise.allSettled(commits)).filter(({ status }) => status === 'fulfilled')
    assert.equal(done.length, 1)
    await openWriter(objects)
    assert.deepEqual(await rowsOf(objects), rowsUpTo({ 0: 8 }))
  })

  promise('L2 partitions go from set to set without a gap', async (objects) => {
    const both = await openWriter(objects)
    await feed(both, { 0: 10, 1: 6 })
    await both.commit()
    await feed(both, { 0: 12 }, { commits: false })
    const one = await openWriter(objects, { set: 'one', partitions: [1] })
    await assert.rejects(both.commit(), fenced)
    const zero = await openWriter(objects, { set: 'zero', partitions: [0] })
    const at = (writer: LakeWriter, partition: number) => nextOffset(writer.offsets, partition)
    assert.deepEqual([at(zero, 0), at(one, 1)], [10, 6])
    await feed(zero, { 0: 14 })
    await feed(one, { 1: 8 })
    await Promise.all([zero.commit(), one.commit()])
    const again = await openWriter(objects)
    assert.deepEqual([at(again, 0), at(again, 1)], [14, 8])
    await feed(again, { 0: 15, 1: 9 })
    await again.commit()
    assert.deepEqual(await rowsOf(objects), rowsUpTo({ 0: 15, 1: 9 }))
  })
}

/** Whether any request of an opening lists what counts. */
async function openingLists(objects: Objects): Promise<boolean> {
  let lists = false
  await openWriter(
    watched(objects, (call, key) => (lists ||= call === 'list' && key.startsWith('readings/'))),
  )
  return lists
}

function testLooseFiles(promise: Promised): void {
  promise(
    'L1 what a writer puts behind the sweep, before it dies, goes at the next opening',
    async (objects) => {
      const first = await openWriter(objects)
      await feed(first, { 0: 4 })
      await first.commit()
      const [puts, swept] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const dying = watched(objects, async (call, key) => {
        if (!key.startsWith('readings/')) return
        if (call === 'delete') throw new WeirError('OBJECTS_UNAVAILABLE', 'it is dead')
        puts.resolve()
        await swept.promise
      })
      const old = await openWriter(dying)
      await feed(old, { 0: 9 }, { commits: false })
      const committing = old.commit()
      await puts.promise
      const young = await openWriter(objects)
      swept.resolve()
      await assert.rejects(committing, fenced)
      assert.notDeepEqual(await rowsOf(objects), rowsUpTo({ 0: 4 }), 'files that do not count')
      await feed(young, { 0: 6 })
      await young.commit()
      for (let openings = 0; openings < 3; openings++) {
        await openWriter(objects)
        assert.deepEqual(await rowsOf(objects), rowsUpTo({ 0: 6 }))
      }
    },
  )

  promise('L1 files of a version that announced none are looked for once', async (objects) => {
    const writer = await openWriter(objects)
    await feed(writer, { 0: 10 })
    await writer.commit()
    assert.equal(await openingLists(objects), false)
    // As it was written before: the third version, and a file of a fourth.
    const key = `manifest/first/${'3'.padStart(12, '0')}`
    const manifest = JSON.parse(Buffer.from(await objects.get(key)).toString()) as object
    const old = { ...manifest, format: 1, isSwept: undefined }
    await objects.put(key, Buffer.from(JSON.stringify(old)))
    const [file] = await objects.list('readings/', { limit: 1 })
    const loose = file!.key.replace(/first-.*$/, 'first-2-4-0.parquet')
    await objects.put(loose, await objects.get(file!.key))
    assert.equal(await openingLists(objects), true)
    assert.equal(await objects.head(loose), undefined)
    assert.deepEqual(await rowsOf(objects), rowsUpTo({ 0: 10 }))
    assert.equal(await openingLists(objects), false)
  })
}

const all = (end: number): string => `all below ${end}`

function testTaken(promise: Promised): void {
  promise(
    'L5 what stands beside an offset comes back with it, also in another set',
    async (objects) => {
      const first = await openWriter(objects)
      await feed(first, { 0: 12, 1: 5 }, { commits: false })
      const offsets = await first.commit()
      assert.deepEqual([takenAt(offsets, 0), takenAt(offsets, 1)], [all(12), all(5)])
      await feed(first, { 0: 15 }, { commits: false })
      const again = await openWriter(objects)
      assert.deepEqual([takenAt(again.offsets, 0), takenAt(again.offsets, 1)], [all(12), all(5)])
      await feed(again, { 0: 20 }, { commits: false })
      await again.commit()
      const other = await openWriter(objects, { set: 'other', partitions: [0] })
      assert.equal(takenAt(other.offsets, 0), all(20))
      await feed(other, { 0: 30 }, { commits: false })
      await other.commit()
      // The set that had it before knows an older one.
      const back = await openWriter(objects)
      assert.deepEqual([takenAt(back.offsets, 0), takenAt(back.offsets, 1)], [all(30), all(5)])
    },
  )

  promise(
    'L5 it is asked once, when a commit begins, and is the same at every try',
    async (objects) => {
      let [asked, fails] = [0, true]
      const failing = watched(objects, (call, key) => {
        if (fails && call === 'put' && key.startsWith('readings/'))
          throw new WeirError('OBJECTS_UNAVAILABLE', 'it is away')
      })
      const writer = await openWriter(failing)
      const append = (offset: number, taken: () => string): void => {
        const entry = entryAt(0, offset)
        writer.append({ ...entry, offsets: entry.offsets.map((one) => ({ ...one, taken })) })
      }
      const ask = (): string => `asked ${++asked}`
      append(0, assert.fail)
      append(1, ask)
      await assert.rejects(writer.commit(), { code: 'OBJECTS_UNAVAILABLE' })
      append(2, ask)
      await assert.rejects(writer.commit(), { code: 'OBJECTS_UNAVAILABLE' })
      assert.equal(asked, 1)
      fails = false
      assert.equal(takenAt(await writer.commit(), 0), 'asked 2')
    },
  )

  promise('L5 when it throws nothing is committed, and nothing forgotten', async (objects) => {
    const writer = await openWriter(objects)
    const entry = entryAt(0, 0)
    const taken = (): string => {
      throw new RangeError('not now')
    }
    writer.append({ ...entry, offsets: entry.offsets.map((one) => ({ ...one, taken })) })
    await assert.rejects(writer.commit(), /not now/)
    assert.equal(nextOffset(writer.offsets, 0), 0)
    writer.append(entryAt(0, 1))
    await writer.commit()
    assert.deepEqual(await rowsOf(objects), rowsUpTo({ 0: 2 }))
  })
}
