/**
 * Random operations, faults and power cuts against a plain array. fast-check prints seed and path
 * of a failure; both replay it, since disk and chance are simulated.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { WeirError } from '../errors/errors.ts'
import { createMemoryDisk, type MemoryDisk } from '../world/memory-disk.ts'
import { openFileLog } from './file-log.ts'
import { payloadOf, readAll } from './log-fixture.ts'
import type { Log } from './log.ts'

const FOLDER = '/data/log'
const OPTIONS = { segmentBytes: 12 << 10, sparesMax: 2, groupBytesMax: 4 << 10 }

type Step =
  | { kind: 'append'; sizes: number[]; isAwaited: boolean }
  | { kind: 'trim'; share: number }
  | { kind: 'cut power'; turns: number }
  | { kind: 'restart' }
  | { kind: 'fill'; how: 'no' | 'growth' | 'allocated' }
  | { kind: 'fail sync' }
  | { kind: 'read' }

// Few sizes, so that what an earlier run left often lies exactly where the next entry is expected.
const sizes = fc.array(fc.constantFrom(0, 8, 500, 500, 500, 1000, 3000, 8000), {
  minLength: 1,
  maxLength: 8,
})
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      sizes,
      isAwaited: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('cut power' as const), turns: fc.nat(120) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('trim' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'read' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('fill' as const),
      how: fc.constantFrom('no' as const, 'growth' as const, 'allocated' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'fail sync' as const }) },
)

/** The log beside what it must hold. */
class Model {
  disk: MemoryDisk
  log!: Log
  /** What is durable for certain, from offset 0. */
  readonly durable: Uint8Array[] = []
  /** Appended since the last open and not acknowledged, in order: may appear after a power cut. */
  doubtful: Uint8Array[] = []
  trimmedTo = 0
  #serial = 0
  #flying: Promise<unknown>[] = []

  constructor(seed: number) {
    this.disk = createMemoryDisk({ seed })
  }

  async open(): Promise<void> {
    const settings = { disk: this.disk, folder: FOLDER, options: OPTIONS }
    this.log = await openFileLog(settings).catch((error: WeirError) => {
      assert.equal(error.code, 'LOG_FLUSH_FAILED')
      return openFileLog(settings)
    })
    const { log, durable } = this
    assert.ok(log.firstOffset <= this.trimmedTo, 'G5 nothing above what was trimmed is gone')
    assert.ok(log.nextOffset >= durable.length, 'G1 nothing acknowledged is gone')
    const found = await readAll(log, log.firstOffset)
    const known = durable.length - log.firstOffset
    assert.deepEqual(found.slice(0, known), durable.slice(log.firstOffset), 'G3 byte for byte')
    // G4: the rest is whole entries of this run, in the order they were appended.
    let from = 0
    for (const extra of found.slice(known)) {
      const at = this.doubtful.findIndex((b, i) => i >= from && Buffer.compare(b, extra) === 0)
      assert.ok(at >= 0, 'G4 what was not acknowledged is whole, in order, and of the last run')
      from = at + 1
      durable.push(extra)
    }
    this.doubtful = []
  }

  append(length: number): Promise<void> {
    // A serial in front, so that no two are equal (but for empty ones).
    const bytes = payloadOf(++this.#serial, length)
    if (length >= 8) new DataView(bytes.buffer).setFloat64(0, this.#serial)
    this.doubtful.push(bytes)
    const appending = this.log.append(bytes).then(
      (offset) => {
        assert.equal(offset, this.durable.length, 'G2 in the order of the calls')
        this.durable.push(bytes)
        this.doubtful.splice(this.doubtful.indexOf(bytes), 1)
      },
      (error: WeirError) => assert.match(error.code, /^LOG_(DISK_FULL|FLUSH_FAILED)$/),
    )
    this.#flying.push(appending)
    return appending
  }

  async settle(): Promise<void> {
    await Promise.all(this.#flying.splice(0))
  }

  async check(): Promise<void> {
    const { log, durable } = this
    // Taken before reading: appends go on meanwhile.
    const known = durable.slice(log.firstOffset, log.nextOffset)
    const found = await readAll(log, log.firstOffset)
    assert.deepEqual(found.slice(0, known.length), known, 'G3 while running')
  }
}

async function take(model: Model, next: Step): Promise<void> {
  if (next.kind === 'append') {
    const appending = next.sizes.map((size) => model.append(size))
    if (next.isAwaited) await Promise.all(appending)
  } else if (next.kind === 'cut power') {
    for (let turn = 0; turn < next.turns; turn++) await Promise.resolve()
    model.disk = model.disk.crash()
    await model.settle()
    await model.open()
  } else if (next.kind === 'restart') {
    await model.settle()
    await model.log.close()
    model.disk.setFull('no')
    await model.open()
  } else if (next.kind === 'trim') {
    const before = Math.floor(next.share * model.durable.length)
    model.trimmedTo = Math.max(model.trimmedTo, before)
    await model.log.trim(before)
  } else if (next.kind === 'fill') {
    model.disk.setFull(next.how)
  } else if (next.kind === 'fail sync') {
    model.disk.failNextSync('.segment')
  } else {
    await model.check()
  }
}

test('G1-G7 random appends, faults and power cuts leave what an array would hold', async () => {
  const property = fc.asyncProperty(
    fc.nat(),
    fc.array(step, { minLength: 5, maxLength: 40 }),
    async (seed, steps) => {
      const model = new Model(seed)
      await model.open()
      for (const next of steps) await take(model, next)
      await take(model, { kind: 'cut power', turns: 3 })
      await model.append(10)
      await model.check()
      await model.log.close()
    },
  )
  await fc.assert(property, { numRuns: 100 })
})

const open = (disk: MemoryDisk): Promise<Log> =>
  openFileLog({ disk, folder: FOLDER, options: OPTIONS })

test('G4 what a torn group left behind the cut does not come back behind a new entry', async () => {
  const disk = createMemoryDisk({ seed: 1 })
  let log = await open(disk)
  await Promise.all([0, 1, 2, 3].map((at) => log.append(payloadOf(at, 400))))
  await log.close()
  // The second of one group is torn; the third and fourth lie behind it, intact.
  disk.flipBit(`${FOLDER}/0000000000000001.segment`, 4096 + 448 + 100)
  log = await open(disk)
  assert.equal(log.nextOffset, 1)
  assert.equal(await log.append(payloadOf(9, 400)), 1)
  await log.close()
  log = await open(disk)
  assert.deepEqual(await readAll(log), [payloadOf(0, 400), payloadOf(9, 400)])
  await log.close()
})

test('G6 what a refused group left does not come back behind a new entry', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const disk = createMemoryDisk({ seed })
    let log = await open(disk)
    disk.setFull('allocated')
    const refused = [0, 1, 2, 3, 4].map((at) => log.append(payloadOf(at, 400)))
    for (const { status } of await Promise.allSettled(refused)) assert.equal(status, 'rejected')
    disk.setFull('no')
    assert.equal(await log.append(payloadOf(9, 400)), 0)
    await log.close()
    log = await open(disk)
    assert.deepEqual(await readAll(log), [payloadOf(9, 400)])
    await log.close()
  }
})

test('G8 one flipped bit costs at most the entry it is in, and is never served', async () => {
  const property = fc.asyncProperty(
    fc.nat(),
    fc.array(sizes, { minLength: 2, maxLength: 6 }),
    fc.nat(),
    async (seed, groups, flipAt) => {
      const model = new Model(seed)
      await model.open()
      for (const group of groups)
        await take(model, { kind: 'append', sizes: group, isAwaited: true })
      await model.log.close()
      const names = (await model.disk.list(FOLDER)).filter((name) => name.endsWith('.segment'))
      const at = flipAt % (names.length * OPTIONS.segmentBytes)
      const name = names[Math.floor(at / OPTIONS.segmentBytes)]!
      model.disk.flipBit(`${FOLDER}/${name}`, at % OPTIONS.segmentBytes, flipAt % 8)
      const log = await open(model.disk)
      const lost: number[] = []
      for (let offset = log.firstOffset; offset < log.nextOffset;) {
        const entries = await log.read(offset, 5000).catch((error: WeirError) => {
          assert.equal(error.code, 'LOG_ENTRY_DAMAGED')
          lost.push(offset)
          assert.equal(error.details['resumeOffset'], offset + 1)
          return []
        })
        for (const { bytes } of entries) assert.deepEqual(bytes, model.durable[offset++])
        if (entries.length === 0) offset++
      }
      const end = model.durable.length
      // A broken last entry cannot be told from a torn one: it is cut (and its group with it).
      const lastGroup = groups.at(-1)!.length
      assert.ok(log.nextOffset === end || log.nextOffset >= end - lastGroup, 'the end is kept')
      assert.ok(lost.length <= 1)
      assert.ok(log.nextOffset === end || lost.length === 0)
      await log.close()
    },
  )
  await fc.assert(property, { numRuns: 80 })
})
