import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeFrame } from '../batch/batch.ts'
import { createMemoryLog } from '../log/memory-log.ts'
import { SimulatedClock } from '../world/simulated-clock.ts'
import { BatchBuilder } from './batch-builder.ts'
import { Dictionary } from './dictionary.ts'
import { FramePool } from './frame-pool.ts'
import { FrameRoom } from './frame-room.ts'
import { GroupCommit } from './group-commit.ts'

/** A flush of the log takes this long. */
const FLUSH_MS = 0.5

class Bench {
  readonly clock = new SimulatedClock()
  readonly builder = new BatchBuilder()
  /** When each frame left, and how many messages it held. */
  readonly frames: { atMs: number; messages: number }[] = []
  readonly commit: GroupCommit

  constructor() {
    const memory = createMemoryLog()
    const append = async (bytes: Uint8Array): Promise<number> => {
      await new Promise<void>((resolve) => this.clock.after(FLUSH_MS, resolve))
      return memory.append(Uint8Array.from(bytes))
    }
    const { builder } = this
    const counts = { seriesMax: 10, seriesPerDeviceMax: 10, textsMax: 10 }
    const dictionary = new Dictionary({
      ...counts,
      definitionBytesMax: 1 << 20,
      factsBytesMax: 1 << 16,
    })
    const limits = { batchReadingsMax: 1000, frameBytesMax: 1 << 20 }
    this.commit = new GroupCommit({
      builder,
      dictionary,
      room: new FrameRoom({ builder, dictionary }, limits),
      log: { append, close: () => memory.close() },
      clock: this.clock,
      pool: new FramePool(),
      limits: { lagBytesMax: 1 << 20 },
      forward: (_, frame) => {
        const { messageCount: messages } = decodeFrame(frame)
        this.frames.push({ atMs: this.clock.monotonicMs(), messages })
      },
      durable: () => {},
      sealing: () => {},
      unblocked: () => {},
    })
  }

  add(messages: number): void {
    const times = { eventTimeUs: 0, ingestTimeUs: 0, flags: 0 }
    for (let i = 0; i < messages; i++) {
      this.builder.reserve(0)
      const ids = { device: 0, identityHigh: 0, identityLow: 0 }
      this.builder.endMessage({ ...times, ...ids, readings: 0 })
    }
    this.commit.touch()
  }
}

test('under load a batch is filled until PACE_MS after the last seal', async () => {
  const bench = new Bench()
  bench.add(150)
  await bench.clock.run(0.2)
  bench.add(20)
  // A flush later the first is durable, and the second may go; it waits for those behind it.
  await bench.clock.run(1)
  bench.add(30)
  await bench.clock.run(10)
  assert.deepEqual(bench.frames, [
    { atMs: 0.5, messages: 150 },
    { atMs: 2.5, messages: 50 },
  ])
})

test('behind a small batch nobody waits', async () => {
  const bench = new Bench()
  bench.add(20)
  await bench.clock.run(0.2)
  bench.add(20)
  await bench.clock.run(10)
  assert.deepEqual(bench.frames, [
    { atMs: 0.5, messages: 20 },
    { atMs: 1, messages: 20 },
  ])
})

test('a drain does not wait longer than the pace, and loses nothing', async () => {
  const bench = new Bench()
  bench.add(150)
  await bench.clock.run(0.2)
  bench.add(20)
  const drained = bench.commit.drain()
  await bench.clock.run(10)
  await drained
  assert.equal(
    bench.frames.reduce((sum, { messages }) => sum + messages, 0),
    170,
  )
})
