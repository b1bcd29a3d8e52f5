/**
 * What every log must do, named after the port's guarantees. An adapter's test calls `testLog`
 * with a way to open it; what it cannot be put through is listed with the reason, and shown as
 * skipped.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { ErrorCode, WeirError } from '../errors/errors.ts'
import { payloadOf, readAll, type LogBench, type LogTraits } from './log-fixture.ts'
import type { Log } from './log.ts'

const hasCode =
  (code: ErrorCode) =>
  (error: WeirError): boolean =>
    error.code === code

/** Appends `count` entries at once, of 1 to 1,999 bytes. Returns their payloads. */
async function fill(log: Log, count: number): Promise<Uint8Array[]> {
  const from = log.nextOffset
  const payloads = Array.from({ length: count }, (_, at) =>
    payloadOf(from + at, 1 + ((at * 613) % 1999)),
  )
  const offsets = await Promise.all(payloads.map((payload) => log.append(payload)))
  assert.deepEqual(
    offsets,
    payloads.map((_, at) => from + at),
  )
  return payloads
}

export function testLog(traits: LogTraits): void {
  const guarantee = (
    name: string,
    skip: string | undefined,
    run: (bench: LogBench) => Promise<void>,
  ): void => {
    const options = { skip: traits.skip ?? skip ?? false }
    test(`${name} [${traits.name}]`, options, async (context: TestContext) => {
      const bench = await traits.createBench()
      context.after(() => bench.dispose?.())
      await run(bench)
    })
  }
  testDurability(traits, guarantee)
  testOrder(guarantee)
  testReading(guarantee)
  testTrim(traits, guarantee)
  testRestart(traits, guarantee)
  testFaults(traits, guarantee)
  testDamage(traits, guarantee)
}

type Guarantee = (
  name: string,
  skip: string | undefined,
  run: (bench: LogBench) => Promise<void>,
) => void

function testDurability(traits: LogTraits, guarantee: Guarantee): void {
  guarantee(
    'G1 what was appended is there after a restart',
    traits.forgetsOnClose,
    async (bench) => {
      let log = await bench.open()
      const payloads = await fill(log, 60)
      await log.close()
      log = await bench.open()
      assert.equal(log.nextOffset, 60)
      assert.deepEqual(await readAll(log), payloads)
      payloads.push(...(await fill(log, 5)))
      assert.deepEqual(await readAll(log), payloads)
      await log.close()
    },
  )

  guarantee(
    'G1 an acknowledged entry survives a power cut',
    traits.cannotCutPower,
    async (bench) => {
      const payloads: Uint8Array[] = []
      for (let round = 0; round < 10; round++) {
        const log = await bench.open()
        const read = await readAll(log)
        assert.deepEqual(read.slice(0, payloads.length), payloads)
        payloads.push(...read.slice(payloads.length), ...(await fill(log, 7)))
        const unanswered = log.append(payloadOf(round, 3000))
        bench.cutPower!()
        await unanswered.catch(() => undefined)
      }
    },
  )
}

function testOrder(guarantee: Guarantee): void {
  guarantee('G2 offsets follow the order of the calls, from 0', undefined, async (bench) => {
    const log = await bench.open()
    assert.equal(log.firstOffset, 0)
    assert.equal(log.nextOffset, 0)
    const first = log.append(payloadOf(0, 100))
    const later = [1, 2, 3, 4, 5].map((seed) => log.append(payloadOf(seed, 2000 - seed * 300)))
    assert.deepEqual(await Promise.all([first, ...later]), [0, 1, 2, 3, 4, 5])
    assert.equal(log.nextOffset, 6)
    assert.equal(log.statistics.entriesAppended, 6)
    assert.equal(log.statistics.bytesAppended, 100 + 1700 + 1400 + 1100 + 800 + 500)
    await log.close()
  })

  guarantee('G2 entries become durable in order', undefined, async (bench) => {
    const log = await bench.open()
    let settled = 0
    const appends = Array.from({ length: 40 }, async (_, at) => {
      const offset = await log.append(payloadOf(at, at * 50))
      assert.equal(offset, settled++)
    })
    await Promise.all(appends)
    await log.close()
  })

  guarantee('G2 an append is answered at whatever moment it comes', undefined, async (bench) => {
    const log = await bench.open()
    for (let turns = 0; turns < 30; turns++) {
      const before = log.append(payloadOf(turns, 100))
      for (let turn = 0; turn < turns; turn++) await Promise.resolve()
      const between = log.append(payloadOf(turns, 200))
      await before
      for (let turn = 0; turn < turns % 10; turn++) await Promise.resolve()
      const after = log.append(payloadOf(turns, 300))
      assert.deepEqual(await Promise.all([between, after]), [turns * 3 + 1, turns * 3 + 2])
    }
    await log.close()
  })
}

function testReading(guarantee: Guarantee): void {
  guarantee(
    'G3 entries are read byte for byte, aligned, in buffers of their own',
    undefined,
    async (bench) => {
      const log = await bench.open()
      const payloads = await fill(log, 30)
      const entries = await log.read(0, 3000)
      assert.ok(entries.length > 1)
      for (const { bytes } of entries) {
        assert.equal(bytes.byteOffset % 8, 0)
        structuredClone(bytes, { transfer: [bytes.buffer as ArrayBuffer] })
      }
      assert.deepEqual(await readAll(log), payloads)
      await log.close()
    },
  )

  guarantee(
    'G3 a reader may lend one buffer to read into again and again',
    undefined,
    async (bench) => {
      const log = await bench.open()
      const payloads = await fill(log, 30)
      const into = new Uint8Array(3000)
      const read: Uint8Array[] = []
      while (read.length < 30) {
        for (const { offset, bytes } of await log.read(read.length, into.length, into)) {
          assert.equal(offset, read.length)
          assert.equal(bytes.byteOffset % 8, 0)
          read.push(Uint8Array.from(bytes))
        }
      }
      assert.deepEqual(read, payloads)
      // What does not fit comes in a buffer of its own.
      const [large] = await log.read(3, 0, new Uint8Array(8))
      assert.deepEqual(large!.bytes, payloads[3])
      await log.close()
    },
  )

  guarantee(
    'G3 read() gives at least one entry, and no more than was asked',
    undefined,
    async (bench) => {
      const log = await bench.open()
      const payloads = await fill(log, 30)
      for (let offset = 0; offset < 30; offset++) {
        const entries = await log.read(offset, 2500)
        assert.equal(entries[0]!.offset, offset)
        const bytes = entries.reduce((sum, entry) => sum + entry.bytes.length, 0)
        assert.ok(entries.length === 1 || bytes <= 2500)
        assert.deepEqual((await log.read(offset, 0))[0]!.bytes, payloads[offset])
      }
      assert.deepEqual(await log.read(30, 2500), [])
      assert.deepEqual(await log.read(1000, 2500), [])
      await log.close()
    },
  )

  guarantee('G3 a reader that follows the appends misses nothing', undefined, async (bench) => {
    const log = await bench.open()
    const read: Uint8Array[] = []
    let isAppending = true
    const follow = async (): Promise<void> => {
      while (isAppending || read.length < log.nextOffset) {
        const entries = await log.read(read.length, 4000)
        for (const { offset, bytes } of entries) {
          assert.equal(offset, read.length)
          assert.ok(offset < log.nextOffset)
          read.push(bytes)
        }
        if (entries.length === 0) await new Promise<void>((resolve) => setImmediate(resolve))
      }
    }
    const following = follow()
    const payloads: Uint8Array[] = []
    for (let round = 0; round < 10; round++) payloads.push(...(await fill(log, 11)))
    isAppending = false
    await following
    assert.deepEqual(read, payloads)
    await log.close()
  })

  guarantee(
    'G3 the bytes are the caller’s again once append() has settled',
    undefined,
    async (bench) => {
      const log = await bench.open()
      const bytes = payloadOf(1, 500)
      await log.append(bytes)
      bytes.fill(0)
      assert.deepEqual((await log.read(0, 0))[0]!.bytes, payloadOf(1, 500))
      await log.close()
      await assert.rejects(log.append(bytes), hasCode('GATEWAY_SHUTTING_DOWN'))
    },
  )
}

function testTrim(traits: LogTraits, guarantee: Guarantee): void {
  guarantee('G5 trim() frees nothing at or above its offset', undefined, async (bench) => {
    const log = await bench.open()
    const payloads = await fill(log, 80)
    for (const offset of [0, 1, 13, 40, 79, 80]) {
      await log.trim(offset)
      assert.ok(log.firstOffset <= offset)
      if (!traits.trimsWholeSegments) assert.equal(log.firstOffset, offset)
      assert.deepEqual(await readAll(log, offset), payloads.slice(offset))
    }
    if (traits.trimsWholeSegments) assert.ok(log.firstOffset > 40, 'it frees something at last')
    await log.trim(10)
    assert.equal(log.nextOffset, 80)
    payloads.push(...(await fill(log, 20)))
    assert.deepEqual(await readAll(log, 80), payloads.slice(80))
    await log.close()
  })

  guarantee('G5 read() below firstOffset goes on with what is left', undefined, async (bench) => {
    const log = await bench.open()
    await fill(log, 80)
    await log.trim(70)
    const [entry] = await log.read(0, 0)
    assert.equal(entry?.offset, log.firstOffset)
    await log.close()
  })

  guarantee(
    'G5 offsets go on after everything was trimmed',
    traits.forgetsOnClose,
    async (bench) => {
      let log = await bench.open()
      await fill(log, 80)
      await log.trim(80)
      const { firstOffset } = log
      await log.close()
      log = await bench.open()
      assert.equal(log.firstOffset, firstOffset)
      assert.equal(await log.append(payloadOf(1, 10)), 80)
      await log.close()
    },
  )
}

function testRestart(traits: LogTraits, guarantee: Guarantee): void {
  guarantee('G9 restartAt goes on at the given offset', undefined, async (bench) => {
    let log = await bench.open()
    await fill(log, 20)
    await log.restartAt(90)
    assert.deepEqual([log.firstOffset, log.nextOffset], [90, 90])
    const payloads = await fill(log, 30)
    if (traits.forgetsOnClose === undefined) {
      await log.close()
      log = await bench.open()
    }
    assert.deepEqual([log.firstOffset, log.nextOffset], [90, 120])
    assert.deepEqual(await readAll(log, 90), payloads)
    await log.close()
  })
}

function testFaults(traits: LogTraits, guarantee: Guarantee): void {
  guarantee(
    'G6 a full disk refuses, keeps everything, and recovers',
    traits.cannotFill,
    async (bench) => {
      let log = await bench.open()
      const payloads = await fill(log, 20)
      for (let round = 0; round < 3; round++) {
        bench.setFull!(true)
        // Space that was allocated ahead may take some more.
        for (let isRefused = false; !isRefused;) {
          assert.ok(payloads.length < 500, 'a full disk takes no end')
          const payload = payloadOf(payloads.length, 1500)
          const outcome = await log.append(payload).catch((error: WeirError) => error)
          isRefused = typeof outcome !== 'number'
          if (typeof outcome === 'number') payloads.push(payload)
          else assert.equal(outcome.code, 'LOG_DISK_FULL')
        }
        const refused = [1, 2, 3].map((at) => log.append(payloadOf(at, 1500 + at)))
        for (const { reason } of (await Promise.allSettled(refused)) as PromiseRejectedResult[])
          assert.ok(hasCode('LOG_DISK_FULL')(reason as WeirError))
        assert.deepEqual(await readAll(log), payloads)
        bench.setFull!(false)
        payloads.push(...(await fill(log, 3)))
        assert.deepEqual(await readAll(log), payloads)
      }
      await log.close()
      log = await bench.open()
      assert.deepEqual(await readAll(log), payloads)
      await log.close()
    },
  )

  guarantee(
    'G7 after a failed flush nothing is acknowledged any more',
    traits.cannotFailFlush,
    async (bench) => {
      let log = await bench.open()
      const payloads = await fill(log, 10)
      bench.failNextFlush!()
      const appends = [1, 2, 3].map((at) => log.append(payloadOf(at, 900)))
      for (const append of appends) await assert.rejects(append, hasCode('LOG_FLUSH_FAILED'))
      await assert.rejects(log.append(payloadOf(4, 10)), hasCode('LOG_FLUSH_FAILED'))
      assert.deepEqual(await readAll(log), payloads, 'what was durable is still served')
      await log.close()
      log = await bench.open()
      assert.deepEqual((await readAll(log)).slice(0, 10), payloads)
      await log.close()
    },
  )
}

function testDamage(traits: LogTraits, guarantee: Guarantee): void {
  guarantee(
    'G8 damage names segment and offset, and its neighbours are served',
    traits.cannotDamage,
    async (bench) => {
      let log = await bench.open()
      const payloads: Uint8Array[] = []
      for (let round = 0; round < 40; round++) payloads.push(...(await fill(log, 2)))
      await log.close()
      for (const offset of [3, 41, 42, 77]) await bench.damage!(offset)
      log = await bench.open()
      assert.equal(log.nextOffset, 80)
      const missing: number[] = []
      for (let offset = 0; offset < 80;) {
        try {
          for (const entry of await log.read(offset, 5000)) {
            assert.equal(entry.offset, offset)
            assert.deepEqual(entry.bytes, payloads[offset++])
          }
        } catch (error) {
          assert.ok(hasCode('LOG_ENTRY_DAMAGED')(error as WeirError), String(error))
          const { details } = error as WeirError
          assert.equal(typeof details['segment'], 'string')
          assert.equal(details['offset'], offset)
          const resumeOffset = details['resumeOffset'] as number
          assert.ok(resumeOffset > offset)
          for (; offset < resumeOffset; offset++) missing.push(offset)
        }
      }
      assert.deepEqual(missing, [3, 41, 42, 77])
      await log.close()
    },
  )
}
