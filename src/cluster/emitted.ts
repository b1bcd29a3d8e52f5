/**
 * What a stream before this one has put into the readings topic already, beyond its last checkpoint.
 *
 * Behind the readings of each step stands a *mark*: how far telemetry is in the topic with it. What
 * lies behind the last mark are the first entries of the step that a crash cut off, and since the
 * same entries always give the same readings in the same order, counting them is enough. So the topic
 * has every reading once, also for those who read along and cannot tell a repeat.
 */
import { decodeTick } from '../entries/entries.ts'
import type { Kafka, ReadEntry, Reader } from '../kafka/kafka.ts'

export interface Emitted {
  /** Of telemetry: readings of entries before it are there. */
  markOffset: number
  /** So many entries of readings at or behind it are there, too. */
  entries: number
}

/** Entries that are looked at first; then twice as many. */
const LOOK_BACK_MIN = 1000
const BYTES_MAX = 4 << 20
const WAIT_MS = 100

/** Errors: LOG_UNAVAILABLE, LOG_ENTRY_DAMAGED. */
export async function findEmitted(
  kafka: Kafka,
  reader: Reader,
  { topic, partition }: { topic: string; partition: number },
): Promise<Emitted> {
  const { firstOffset, nextOffset } = await kafka.bounds(topic, partition)
  for (let back = LOOK_BACK_MIN; ; back *= 2) {
    const fromOffset = Math.max(firstOffset, nextOffset - back)
    const found = await lookFrom(reader, { partition, fromOffset, nextOffset })
    if (found.hasMark || fromOffset === firstOffset) return found
  }
}

async function lookFrom(
  reader: Reader,
  { partition, fromOffset, nextOffset }: Record<'partition' | 'fromOffset' | 'nextOffset', number>,
): Promise<Emitted & { hasMark: boolean }> {
  let found = { markOffset: 0, entries: 0, hasMark: false }
  for (let offset = fromOffset; offset < nextOffset;) {
    const read = { partition, fromOffset: offset, bytesMax: BYTES_MAX, waitMs: WAIT_MS }
    const entries: readonly ReadEntry[] = await reader.read(read)
    for (const { value } of entries) {
      const markOffset = decodeTick(value)
      if (markOffset === undefined) found.entries++
      else found = { markOffset, entries: 0, hasMark: true }
    }
    const last = entries.at(-1)
    if (last !== undefined) offset = last.offset + 1
  }
  return found
}
