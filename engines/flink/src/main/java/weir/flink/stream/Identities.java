package weir.flink.stream;

import java.nio.ByteBuffer;
import weir.flink.state.StateWriter;

/**
 * The last 128 ids that a device gave its messages, as hashes: they recognise the repeat of a whole
 * message even when its readings have been forgotten or carry no time of their own. The twin of
 * {@code src/stream/identities.ts}.
 */
final class Identities {
  private static final int LENGTH = 128;

  private long[] ring = {};
  private int count;
  private int next;

  /** Whether it is among them; if not, it is remembered. */
  boolean isRepeat(long identity) {
    for (int i = 0; i < count; i++) if (ring[i] == identity) return true;
    if (ring.length == 0) ring = new long[LENGTH];
    ring[next] = identity;
    next = (next + 1) % LENGTH;
    if (count < LENGTH) count++;
    return false;
  }

  void clear() {
    count = 0;
    next = 0;
  }

  void write(StateWriter to) {
    to.put((byte) (count - 1));
    for (int i = 0; i < count; i++) to.put(ring[i]);
    if (count > 0) to.put((byte) next);
  }

  void read(ByteBuffer from) {
    clear();
    count = from.get() + 1;
    if (count > 0 && ring.length == 0) ring = new long[LENGTH];
    for (int i = 0; i < count; i++) ring[i] = from.getLong();
    if (count > 0) next = from.get() & 0x7f;
  }
}
