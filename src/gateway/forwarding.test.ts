import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeFrame } from '../batch/batch.ts'
import { createMemoryLog } from '../log/memory-log.ts'
import type { Log } from '../log/log.ts'
import { Forwarding, type ReplaySource } from './forwarding.ts'
import { Dictionary } from './dictionary.ts'
import { FramePool } from './frame-pool.ts'
import { LogTail } from './log-tail.ts'

const LAG_BYTES_MAX = 4096

/** A frame without messages whose time tells which it is. */
const frameOf = (time: number): Uint8Array<ArrayBuffer> =>
  encodeFrame({
    ...{ messageCount: 0, readingCount: 0, baseIngestTimeUs: time },
    ...{ eventTimeUs: new Float64Array(), ingestDeltaUs: new Uint32Array() },
    ...{ device: new Uint32Array(), identityHigh: undefined, identityLow: undefined },
    ...{ readingsInMessage: new Uint16Array(), flags: new Uint8Array() },
    ...{ value: new Float64Array(), series: new Uint32Array() },
    definitions: { series: [], texts: [[time, `text ${time}`]] },
    deadLetters: undefined,
  })

/** The tail of a log without damage. */
function tailOf(log: Log): { tail: LogTail; dictionary: Dictionary } {
  const counts = { seriesMax: 10, seriesPerDeviceMax: 10, textsMax: 1000 }
  const dictionary = new Dictionary({
    ...counts,
    definitionBytesMax: 1 << 20,
    factsBytesMax: 1 << 16,
  })
  const numbers = undefined as never
  const lost = (): void => assert.fail('nothing is lost')
  return { tail: new LogTail({ log, dictionary, numbers, tenant: 'default', lost }), dictionary }
}

class Rig {
  readonly log: Log
  readonly forwarding: Forwarding
  readonly #source: ReplaySource
  readonly forwarded: { offset: number; bytes: number[]; isReplayed: boolean }[] = []
  readonly ends: number[] = []
  /** Lengths of frames that the stages behind hold. */
  readonly held: number[] = []
  #appending: Promise<void> = Promise.resolve()

  constructor(log: Log, tail: LogTail = tailOf(log).tail) {
    this.log = log
    this.#source = { log, tail, logEnds: (nextOffset) => this.ends.push(nextOffset) }
    this.forwarding = new Forwarding({
      pool: new FramePool(),
      limits: { lagBytesMax: LAG_BYTES_MAX },
      forward: (offset, frame, isReplayed) => {
        this.forwarded.push({ offset, bytes: [...frame], isReplayed })
        this.held.push(frame.length)
      },
    })
  }

  async hold(): Promise<void> {
    const { tail } = this.#source
    this.forwarding.hold(await tail.examine(0), this.#source)
  }

  /**
   * As group commit does, one after the other; here with some turns before it hears of the flush.
   */
  append(time: number): Promise<void> {
    this.#appending = this.#appending.then(() => this.#append(time))
    return this.#appending
  }

  async #append(time: number): Promise<void> {
    const frame = frameOf(time)
    const offset = await this.log.append(frame)
    await turns(time % 3)
    this.forwarding.durable(offset, frame)
  }

  take(count: number): void {
    for (const bytes of this.held.splice(0, count)) this.forwarding.taken(bytes, undefined)
  }

  check(count: number): void {
    assert.deepEqual(
      this.forwarded.map(({ offset }) => offset),
      Array.from({ length: count }, (_, offset) => offset),
    )
    for (const { offset, bytes } of this.forwarded) assert.deepEqual(bytes, [...frameOf(offset)])
  }
}

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function logOf(entries: number): Promise<Log> {
  const log = createMemoryLog()
  for (let time = 0; time < entries; time++) await log.append(frameOf(time))
  return log
}

async function recovered(entries: number): Promise<Rig> {
  const log = await logOf(entries)
  const rig = new Rig(log)
  await rig.hold()
  return rig
}

test('the tail goes first, then what came meanwhile, then frames go on at once', async () => {
  // More than two reads of the window.
  const rig = await recovered(120)
  const replayed = rig.forwarding.replay()
  for (let time = 120; time < 150; time++) {
    await rig.append(time)
    assert.ok(rig.forwarding.waitingEntries > 0)
  }
  assert.ok(rig.held.reduce((sum, bytes) => sum + bytes, 0) <= LAG_BYTES_MAX * 2, 'memory')
  while (rig.forwarded.length < 150 || rig.held.length > 0) {
    rig.take(1)
    await turns(1)
  }
  await replayed
  assert.equal(rig.forwarding.waitingEntries, 0)
  assert.equal(rig.forwarding.lagBytes, 0)
  assert.ok(rig.ends.includes(150), 'storage hears of what came meanwhile')
  await rig.append(150)
  rig.check(151)
  assert.deepEqual(
    rig.forwarded.filter(({ isReplayed }) => !isReplayed).map(({ offset }) => offset),
    [150],
  )
})

test('what the replay read before group commit heard of the flush goes on once', async () => {
  const rig = await recovered(3)
  const frame = frameOf(3)
  const offset = await rig.log.append(frame)
  await rig.forwarding.replay()
  rig.forwarding.durable(offset, frame)
  await rig.append(4)
  rig.check(5)
})

test('promise 2: whatever the timing of appends and replay, each entry goes on once, in order', async () => {
  const steps = fc.array(fc.constantFrom('append', 'append', 'take', 'take', 'turn'), {
    maxLength: 80,
  })
  await fc.assert(
    fc.asyncProperty(fc.nat(30), steps, async (tail, script) => {
      const rig = await recovered(tail)
      const replayed = rig.forwarding.replay()
      const appends: Promise<void>[] = []
      for (const step of script) {
        if (step === 'append') appends.push(rig.append(tail + appends.length))
        else if (step === 'take') rig.take(2)
        else await turns(1)
      }
      await Promise.all(appends)
      while (rig.held.length > 0 || rig.forwarding.waitingEntries > 0) {
        rig.take(5)
        await turns(4)
      }
      await replayed
      rig.check(tail + appends.length)
      assert.equal(rig.forwarding.lagBytes, 0)
    }),
    { numRuns: 200 },
  )
})

test('promise 5: pushed without end, the replay ends after twice the tail at most', async () => {
  const rig = await recovered(300)
  const tailBytes = rig.log.statistics.bytesAppended
  assert.equal(rig.forwarding.lagBytes, tailBytes)
  let isOver = false
  const replayed = rig.forwarding.replay().then(() => (isOver = true))
  let appended = 300
  while (!isOver) {
    while (!rig.forwarding.isFull && !isOver) await rig.append(appended++)
    rig.take(1)
    await turns(1)
  }
  await replayed
  const acceptedBytes = rig.log.statistics.bytesAppended - tailBytes
  assert.ok(acceptedBytes <= tailBytes + 3 * LAG_BYTES_MAX, `${acceptedBytes} of ${tailBytes}`)
  rig.check(rig.forwarded.length)
})

test('a replay that is stopped hands on nothing more; what waits stays in the log', async () => {
  const rig = await recovered(200)
  const replayed = rig.forwarding.replay()
  await turns(2)
  rig.forwarding.stop()
  await replayed
  const { length } = rig.forwarded
  assert.ok(length > 0 && length < 200)
  await rig.append(200)
  rig.take(length)
  assert.equal(rig.forwarded.length, length)
})

test('all definitions of the tail are learned before anything is handed on', async () => {
  const { tail, dictionary } = tailOf(await logOf(20))
  const { fromOffset, entries } = await tail.examine(5)
  assert.deepEqual({ fromOffset, entries }, { fromOffset: 5, entries: 15 })
  assert.equal(dictionary.text('text 19'), 19)
})
