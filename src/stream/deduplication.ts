/**
 * Has this reading been seen? Identity is (series, event time in µs). Per series the 64 highest
 * event times are remembered, and the highest one that was ever forgotten, the floor. Above the
 * floor the memory is complete, so membership decides exactly; at or below it nobody can know, and
 * the reading is stored as unverified but never counted into a partial.
 */
import { COUNT, FLOOR, HIGHEST, NEWEST, RING_AT, RING_LENGTH } from './series-state.ts'
import { FATE_DUPLICATE, FATE_FRESH, FATE_UNVERIFIED } from './stream.ts'

const MASK = RING_LENGTH - 1

/** Decides the fate of event time `time` for the record at `base`, and remembers it when fresh. */
export function observeTime(chunk: Float64Array, base: number, time: number): number {
  if (time <= chunk[base + HIGHEST]!) return observeOlder(chunk, base, time)
  const place = (chunk[base + NEWEST]! + 1) & MASK
  const count = chunk[base + COUNT]!
  if (count === RING_LENGTH) chunk[base + FLOOR] = chunk[base + RING_AT + place]!
  else chunk[base + COUNT] = count + 1
  chunk[base + RING_AT + place] = time
  chunk[base + NEWEST] = place
  chunk[base + HIGHEST] = time
  return FATE_FRESH
}

/** Out of order: walks back from the newest, since what is late is mostly a little late. */
function observeOlder(chunk: Float64Array, base: number, time: number): number {
  if (time <= chunk[base + FLOOR]!) return FATE_UNVERIFIED
  const ring = base + RING_AT
  const newest = chunk[base + NEWEST]!
  const count = chunk[base + COUNT]!
  let newer = 0
  for (; newer < count; newer++) {
    const seen = chunk[ring + ((newest - newer) & MASK)]!
    if (seen === time) return FATE_DUPLICATE
    if (seen < time) break
  }
  if (newer === count) {
    // Older than all: it takes the place behind the oldest, or is itself the first to be dropped.
    if (count === RING_LENGTH) chunk[base + FLOOR] = time
    else {
      chunk[ring + ((newest - count) & MASK)] = time
      chunk[base + COUNT] = count + 1
    }
    return FATE_FRESH
  }
  const place = (newest + 1) & MASK
  if (count === RING_LENGTH) chunk[base + FLOOR] = chunk[ring + place]!
  else chunk[base + COUNT] = count + 1
  for (let moved = 0; moved < newer; moved++)
    chunk[ring + ((place - moved) & MASK)] = chunk[ring + ((newest - moved) & MASK)]!
  chunk[ring + ((place - newer) & MASK)] = time
  chunk[base + NEWEST] = place
  return FATE_FRESH
}
