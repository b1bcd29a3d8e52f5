/**
 * Has this reading been seen? Identity is (series, event time in µs). Per series the 64 highest
 * event times are remembered, and the highest one that was ever forgotten, the floor. Above the
 * floor the memory is complete, so membership decides exactly; at or below it nobody can know, and
 * the reading is stored as unverified but never counted into a partial.
 *
 * In order, a time is appended to the header's few recent ones; they spill into the ring when they
 * are full, and before anything is looked up, so that laziness is never visible. Places are turned
 * into integers (`| 0`) before they index: as doubles they would take a generic, slow path.
 */
import * as at from './series-state.ts'
import { FATE_DUPLICATE, FATE_FRESH, FATE_UNVERIFIED } from './stream.ts'

const MASK = at.RING_LENGTH - 1

/**
 * Decides the fate of event time `time` for the series whose records begin at `base` of `hot` and
 * `coldBase` of `cold`, and remembers the time when it is fresh.
 */
export function observeTime(
  hot: Float64Array,
  base: number,
  cold: Float64Array,
  coldBase: number,
  time: number,
): number {
  let count = hot[base + at.RECENT_COUNT]! | 0
  if (time <= hot[base + at.HIGHEST]!) {
    spill(hot, base, cold, coldBase)
    return observeOlder(cold, coldBase, time)
  }
  if (count === at.RECENT_LENGTH) {
    spill(hot, base, cold, coldBase)
    count = 0
  }
  hot[base + at.RECENT_AT + count] = time
  hot[base + at.RECENT_COUNT] = count + 1
  hot[base + at.HIGHEST] = time
  return FATE_FRESH
}

/** Appends the recent times, which are higher than all of the ring, to the ring. */
function spill(hot: Float64Array, base: number, cold: Float64Array, coldBase: number): void {
  const recent = hot[base + at.RECENT_COUNT]! | 0
  let place = cold[coldBase + at.NEWEST]! | 0
  let count = cold[coldBase + at.COUNT]! | 0
  for (let i = 0; i < recent; i++) {
    place = (place + 1) & MASK
    if (count === at.RING_LENGTH) cold[coldBase + at.FLOOR] = cold[coldBase + place]!
    else count++
    cold[coldBase + place] = hot[base + at.RECENT_AT + i]!
  }
  cold[coldBase + at.NEWEST] = place
  cold[coldBase + at.COUNT] = count
  hot[base + at.RECENT_COUNT] = 0
}

/** Out of order: walks back from the newest, since what is late is mostly a little late. */
function observeOlder(ring: Float64Array, base: number, time: number): number {
  if (time <= ring[base + at.FLOOR]!) return FATE_UNVERIFIED
  const newest = ring[base + at.NEWEST]! | 0
  const count = ring[base + at.COUNT]! | 0
  let newer = 0
  for (; newer < count; newer++) {
    const seen = ring[base + ((newest - newer) & MASK)]!
    if (seen === time) return FATE_DUPLICATE
    if (seen < time) break
  }
  if (newer === count) {
    // Older than all: it takes the place behind the oldest, or is itself the first to be dropped.
    if (count === at.RING_LENGTH) ring[base + at.FLOOR] = time
    else {
      ring[base + ((newest - count) & MASK)] = time
      ring[base + at.COUNT] = count + 1
    }
    return FATE_FRESH
  }
  const place = (newest + 1) & MASK
  if (count === at.RING_LENGTH) ring[base + at.FLOOR] = ring[base + place]!
  else ring[base + at.COUNT] = count + 1
  for (let moved = 0; moved < newer; moved++)
    ring[base + ((place - moved) & MASK)] = ring[base + ((newest - moved) & MASK)]!
  ring[base + ((place - newer) & MASK)] = time
  ring[base + at.NEWEST] = place
  return FATE_FRESH
}
