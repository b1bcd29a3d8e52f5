/** For tests of logs. */
import assert from 'node:assert/strict'
import type { Log } from './log.ts'

/** Bytes that tell which entry they are: `length` bytes that depend on `seed`. */
export function payloadOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at++) bytes[at] = (seed * 31 + at * 7 + (at >> 8)) & 0xff
  return bytes
}

/** Reads everything from `fromOffset` in pieces. */
export async function readAll(log: Log, fromOffset = 0, bytesMax = 5000): Promise<Uint8Array[]> {
  const read: Uint8Array[] = []
  let offset = Math.max(fromOffset, log.firstOffset)
  while (offset < log.nextOffset) {
    const entries = await log.read(offset, bytesMax)
    assert.ok(entries.length > 0, `nothing at ${offset} of ${log.nextOffset}`)
    for (const entry of entries) {
      assert.equal(entry.offset, offset++)
      read.push(entry.bytes)
    }
  }
  return read
}

/** One log and its surroundings. The tests close the log themselves. */
export interface LogBench {
  /** Opens the log, again and again; the one before has been closed or its power cut. */
  open(): Promise<Log>
  /** Forgets what was not synced. Open logs are dead. */
  cutPower?(): void
  setFull?(isFull: boolean): void
  failNextFlush?(): void
  /** Destroys an entry in the middle of a closed log. */
  damage?(offset: number): Promise<void>
  dispose?(): Promise<void>
}

export interface LogTraits {
  name: string
  /** Why none of it can run. */
  skip?: string | undefined
  createBench(): Promise<LogBench>
  /** Set when the log does not outlive the object: why. */
  forgetsOnClose?: string
  /** Trimming frees whole segments: firstOffset may stay below what was asked. */
  trimsWholeSegments: boolean
  /** Why the bench has no such switch. */
  cannotCutPower?: string
  cannotFill?: string
  cannotFailFlush?: string
  cannotDamage?: string
}
