package weir.flink.operators;

import java.nio.ByteBuffer;

/**
 * The moments of one window while it is held. Sums are of offsets from a pivot, the first value to
 * arrive: a large mean costs no digits. The twin of {@code addToWindow} and of the merge in
 * {@code src/stream/windows.ts}, step by step, so that both round alike.
 */
public final class Window {
  public static final int BYTES = 4 * Long.BYTES + 7 * Double.BYTES;

  public final long startUs;
  private long count;
  private double pivot;
  private double min;
  private double max;
  private double offsets;
  private double squares;
  private double first;
  private long firstTimeUs;
  private double last;
  private long lastTimeUs;

  public Window(long startUs) {
    this.startUs = startUs;
  }

  public void add(long time, double value) {
    count++;
    if (count == 1) {
      pivot = value;
      min = value;
      max = value;
      first = value;
      firstTimeUs = time;
      last = value;
      lastTimeUs = time;
      return;
    }
    if (value < min) min = value;
    if (value > max) max = value;
    double offset = value - pivot;
    offsets += offset;
    squares += offset * offset;
    if (time > lastTimeUs) {
      last = value;
      lastTimeUs = time;
    } else if (time < firstTimeUs) {
      first = value;
      firstTimeUs = time;
    }
  }

  /** Takes over what the other has; its sums are moved to this pivot. */
  void merge(Window other) {
    if (count == 0) pivot = other.pivot;
    double shift = other.pivot - pivot;
    min = count == 0 ? other.min : Math.min(min, other.min);
    max = count == 0 ? other.max : Math.max(max, other.max);
    if (count == 0 || other.lastTimeUs > lastTimeUs) {
      last = other.last;
      lastTimeUs = other.lastTimeUs;
    }
    if (count == 0 || other.firstTimeUs < firstTimeUs) {
      first = other.first;
      firstTimeUs = other.firstTimeUs;
    }
    count += other.count;
    squares += other.squares + shift * (2 * other.offsets + other.count * shift);
    offsets += other.offsets + other.count * shift;
  }

  public Partial partial(long sizeUs, boolean isLate) {
    return new Partial(
        sizeUs / 1000,
        startUs / 1000,
        isLate,
        count,
        count * pivot + offsets,
        min,
        max,
        pivot + offsets / count,
        Math.max(0, squares - offsets * offsets / count),
        first,
        firstTimeUs,
        last,
        lastTimeUs);
  }

  public void write(ByteBuffer to) {
    to.putLong(startUs).putLong(count).putLong(firstTimeUs).putLong(lastTimeUs);
    to.putDouble(pivot).putDouble(min).putDouble(max).putDouble(offsets).putDouble(squares);
    to.putDouble(first).putDouble(last);
  }

  public static Window read(ByteBuffer from) {
    Window window = new Window(from.getLong());
    window.count = from.getLong();
    window.firstTimeUs = from.getLong();
    window.lastTimeUs = from.getLong();
    window.pivot = from.getDouble();
    window.min = from.getDouble();
    window.max = from.getDouble();
    window.offsets = from.getDouble();
    window.squares = from.getDouble();
    window.first = from.getDouble();
    window.last = from.getDouble();
    return window;
  }
}
