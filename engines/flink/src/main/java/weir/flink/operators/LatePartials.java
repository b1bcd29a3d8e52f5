package weir.flink.operators;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * The late partials of one series: of windows that were emitted, while their end plus the allowed
 * lateness is not passed. Each is an upsert: what was touched is emitted with its whole value by the
 * next {@link #flush}. Their number is bounded; what does not fit is recomputed from storage
 * instead. The twin of {@code src/stream/late-partials.ts}.
 */
public final class LatePartials {
  private final Windows sizes;
  private final int heldMax;
  private final List<Held> held = new ArrayList<>();

  private static final class Held {
    final int k;
    final Window window;
    boolean isTouched;

    Held(int k, Window window) {
      this.k = k;
      this.window = window;
    }
  }

  LatePartials(Windows sizes, int heldMax) {
    this.sizes = sizes;
    this.heldMax = heldMax;
  }

  /** Counts a late reading into the window of size {@code k}; false when there is no room. */
  boolean add(int k, long eventUs, double value) {
    Held one = find(k, sizes.startOf(k, eventUs));
    if (one == null) return false;
    one.isTouched = true;
    one.window.add(eventUs, value);
    return true;
  }

  private Held find(int k, long startUs) {
    for (Held one : held) if (one.k == k && one.window.startUs == startUs) return one;
    if (held.size() == heldMax) return null;
    Held one = new Held(k, new Window(startUs));
    held.add(one);
    return one;
  }

  /** Emits every partial that was touched since the last flush. */
  void flush(Consumer<Partial> emit) {
    for (Held one : held) {
      if (one.isTouched) emit.accept(one.window.partial(sizes.sizeUs(one.k), true));
      one.isTouched = false;
    }
  }

  /** Forgets windows that end at or before {@code endUs}. Call between a flush and an add. */
  void expire(long endUs) {
    held.removeIf(one -> one.window.startUs + sizes.sizeUs(one.k) <= endUs);
  }

  void clear() {
    held.clear();
  }

  int bytes() {
    return Integer.BYTES + held.size() * (1 + Window.BYTES);
  }

  /** What is touched must have been flushed. */
  void write(ByteBuffer to) {
    to.putInt(held.size());
    for (Held one : held) {
      to.put((byte) one.k);
      one.window.write(to);
    }
  }

  void read(ByteBuffer from) {
    held.clear();
    for (int left = from.getInt(); left > 0; left--)
      held.add(new Held(from.get(), Window.read(from)));
  }
}
