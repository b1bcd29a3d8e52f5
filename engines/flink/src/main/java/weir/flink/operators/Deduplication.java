package weir.flink.operators;

import java.nio.ByteBuffer;

/**
 * Has this reading been seen? Of one series the 64 highest event times are remembered, and the
 * highest one that was ever forgotten, the floor. Above the floor the memory is complete, so
 * membership decides exactly; at or below it nobody can know. The twin of
 * {@code src/stream/deduplication.ts}.
 */
public final class Deduplication {
  public static final int FATE_FRESH = 0;
  /** Its identity was seen: not stored, not counted. */
  public static final int FATE_DUPLICATE = 1;
  /** Older than the memory reaches: stored, resolved at query. */
  public static final int FATE_UNVERIFIED = 2;

  /** A power of two, so that places wrap with a mask. */
  private static final int RING_LENGTH = 64;
  private static final int MASK = RING_LENGTH - 1;

  /** Event times, ascending from the oldest to the newest place. */
  private final long[] ring = new long[RING_LENGTH];
  private long floor = Long.MIN_VALUE;
  private int newest;
  private int count;

  /** Decides the fate of event time {@code time}, µs, and remembers it when it is fresh. */
  public int observe(long time) {
    if (time <= floor) return FATE_UNVERIFIED;
    // Walks back from the newest: what is late is mostly a little late, and the rest is in order.
    int newer = 0;
    for (; newer < count; newer++) {
      long seen = ring[(newest - newer) & MASK];
      if (seen == time) return FATE_DUPLICATE;
      if (seen < time) break;
    }
    if (newer == count) observeOldest(time);
    else insertBehind(newer, time);
    return FATE_FRESH;
  }

  /** It takes the place behind the oldest, or is itself the first to be dropped. */
  private void observeOldest(long time) {
    if (count == RING_LENGTH) {
      floor = time;
      return;
    }
    ring[(newest - count) & MASK] = time;
    count++;
  }

  private void insertBehind(int newer, long time) {
    int place = (newest + 1) & MASK;
    if (count == RING_LENGTH) floor = ring[place];
    else count++;
    for (int moved = 0; moved < newer; moved++)
      ring[(place - moved) & MASK] = ring[(newest - moved) & MASK];
    ring[(place - newer) & MASK] = time;
    newest = place;
  }

  public boolean isEmpty() {
    return count == 0;
  }

  /** What was silent for good: at or below its highest time nobody can know. */
  public void forget() {
    if (count > 0) floor = Math.max(floor, ring[newest & MASK]);
    newest = 0;
    count = 0;
  }

  public void clear() {
    floor = Long.MIN_VALUE;
    newest = 0;
    count = 0;
  }

  public int bytes() {
    return Long.BYTES + 2 * Integer.BYTES + count * Long.BYTES;
  }

  /** The floor, and the ring as it is when it is full, else its times from the oldest on. */
  public void write(ByteBuffer to) {
    boolean isFull = count == RING_LENGTH;
    to.putLong(floor).putInt(count).putInt(isFull ? newest : Math.max(0, count - 1));
    if (isFull) to.asLongBuffer().put(ring);
    else
      for (int at = 0; at < count; at++)
        to.putLong(to.position() + at * Long.BYTES, ring[(newest - count + 1 + at) & MASK]);
    to.position(to.position() + count * Long.BYTES);
  }

  public void read(ByteBuffer from) {
    floor = from.getLong();
    count = from.getInt();
    newest = from.getInt();
    from.asLongBuffer().get(ring, 0, count);
    from.position(from.position() + count * Long.BYTES);
  }
}
