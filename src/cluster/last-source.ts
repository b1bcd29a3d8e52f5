/**
 * How far a stream before this one came with the readings topic, beyond its last checkpoint: the
 * topic's last entry says of which message it is, and all before are there. So the topic has each
 * reading once, also for those who read along and cannot tell a repeat.
 */
import type { Kafka, Reader } from '../kafka/kafka.ts'

/** Entries that are looked at first, from the end; then twice as many. */
const LOOK_BACK_MIN = 1000
const BYTES_MAX = 4 << 20
const WAIT_MS = 100

/** The highest offset of telemetry that readings are of, or -1. Errors: LOG_UNAVAILABLE. */
export async function lastSource(
  kafka: Kafka,
  reader: Reader,
  { topic, partition }: { topic: string; partition: number },
): Promise<number> {
  const { firstOffset, nextOffset } = await kafka.bounds(topic, partition)
  for (let back = LOOK_BACK_MIN; ; back *= 2) {
    const fromOffset = Math.max(firstOffset, nextOffset - back)
    let last = -1
    for (let offset = fromOffset; offset < nextOffset;) {
      const from = { partition, fromOffset: offset, bytesMax: BYTES_MAX, waitMs: WAIT_MS }
      const entries = await reader.read(from)
      for (const { source = -1 } of entries) last = Math.max(last, source)
      offset = (entries.at(-1)?.offset ?? offset - 1) + 1
    }
    // Other people may write to it, too, and theirs have no source.
    if (last >= 0 || fromOffset === firstOffset) return last
  }
}
