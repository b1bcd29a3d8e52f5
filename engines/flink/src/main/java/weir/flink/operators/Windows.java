package weir.flink.operators;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/**
 * The tumbling windows of one series in event time. Each reading updates one window of the smallest
 * size; a larger one is the merge of the smaller on-time partials as they close, plus late readings
 * that still find it open. The twin of {@code src/stream/windows.ts}, with one difference: that one
 * closes the windows of all series at once, this one those of its key when it is told the watermark.
 *
 * <p>How far it has emitted, and the highest watermark it was told, are state of the key and never
 * go back. Flink does not give a function its watermark back after a restart, so whoever asked Flink
 * what is late would put a second on-time partial in the place of one that was emitted before.
 */
public final class Windows {
  /** Flink's rule in µs: [start, end) is emitted when the watermark reaches end - 1 ms. */
  private static final long CLOSING_US = 1000;

  /** Sizes in µs, ascending; each is a multiple of the first. */
  private final long[] sizesUs;
  private final int openMax;
  private long watermarkUs = Watermark.NONE;
  /** Per size: windows that start before this were emitted. */
  private final long[] emittedUpToUs;
  /** Of the smallest size, by start, each with at least one reading. */
  private final List<Window> open = new ArrayList<>();
  /** Per larger size the one that is open, if any. */
  private final Window[] larger;

  /**
   * @param openMax windows of the smallest size that may be open at once; one more closes the oldest
   *     before its time, whose further readings are late
   */
  public Windows(long[] sizesUs, int openMax) {
    this.sizesUs = sizesUs.clone();
    this.openMax = openMax;
    emittedUpToUs = new long[sizesUs.length];
    larger = new Window[sizesUs.length];
    clear();
  }

  public int sizes() {
    return sizesUs.length;
  }

  public long sizeUs(int k) {
    return sizesUs[k];
  }

  /** The highest that was told since the key was first seen. */
  public long watermarkUs() {
    return watermarkUs;
  }

  /** The watermark from which on something of this key is to be closed; MAX_VALUE when nothing. */
  public long closesAtUs() {
    long endUs = open.isEmpty() ? Long.MAX_VALUE : open.get(0).startUs + sizesUs[0];
    for (int k = 1; k < larger.length; k++)
      if (larger[k] != null) endUs = Math.min(endUs, larger[k].startUs + sizesUs[k]);
    return endUs == Long.MAX_VALUE ? endUs : endUs - CLOSING_US;
  }

  /** Start of the window of size {@code k} that holds {@code eventUs}. */
  public long startOf(int k, long eventUs) {
    return Math.floorDiv(eventUs, sizesUs[k]) * sizesUs[k];
  }

  public boolean isEmitted(int k, long startUs) {
    return startUs < emittedUpToUs[k];
  }

  /** Adds a reading whose smallest window was not emitted. */
  public void add(long eventUs, double value, Consumer<Partial> emit) {
    long startUs = startOf(0, eventUs);
    int at = open.size();
    while (at > 0 && open.get(at - 1).startUs > startUs) at--;
    if (at == 0 || open.get(at - 1).startUs != startUs) {
      open.add(at, new Window(startUs));
      at++;
    }
    open.get(at - 1).add(eventUs, value);
    if (open.size() > openMax) closeBefore(open.get(0).startUs + sizesUs[0], emit);
  }

  /** A late reading that the larger size {@code k} still takes on time. */
  public void addLate(int k, long eventUs, double value) {
    if (larger[k] == null) larger[k] = new Window(startOf(k, eventUs));
    larger[k].add(eventUs, value);
  }

  /**
   * Emits every window that {@code watermarkUs} passed, each once, in order of their ends. True when
   * there may have been one.
   */
  public boolean closeThrough(long watermarkUs, Consumer<Partial> emit) {
    if (watermarkUs <= this.watermarkUs) return false;
    this.watermarkUs = watermarkUs;
    long upToUs = startOf(0, watermarkUs + CLOSING_US);
    if (upToUs <= emittedUpToUs[0]) return false;
    closeBefore(upToUs, emit);
    return true;
  }

  private void closeBefore(long upToUs, Consumer<Partial> emit) {
    while (!open.isEmpty() && open.get(0).startUs < upToUs) {
      Window closed = open.remove(0);
      closeLargerBefore(closed.startUs, emit);
      emit.accept(closed.partial(sizesUs[0], false));
      for (int k = 1; k < sizesUs.length; k++) {
        if (larger[k] == null) larger[k] = new Window(startOf(k, closed.startUs));
        larger[k].merge(closed);
      }
    }
    closeLargerBefore(upToUs, emit);
    emittedUpToUs[0] = upToUs;
  }

  /** Closes the larger windows that end at or before {@code upToUs}. */
  private void closeLargerBefore(long upToUs, Consumer<Partial> emit) {
    for (int k = 1; k < sizesUs.length; k++) {
      long startUs = startOf(k, upToUs);
      if (startUs <= emittedUpToUs[k]) continue;
      if (larger[k] != null) emit.accept(larger[k].partial(sizesUs[k], false));
      larger[k] = null;
      emittedUpToUs[k] = startUs;
    }
  }

  public void clear() {
    watermarkUs = Watermark.NONE;
    Arrays.fill(emittedUpToUs, Watermark.NONE);
    Arrays.fill(larger, null);
    open.clear();
  }

  public int bytes() {
    int held = open.size();
    for (Window window : larger) if (window != null) held++;
    return Long.BYTES * (1 + sizesUs.length) + Integer.BYTES + larger.length + held * Window.BYTES;
  }

  public void write(ByteBuffer to) {
    to.putLong(watermarkUs);
    for (long emitted : emittedUpToUs) to.putLong(emitted);
    to.putInt(open.size());
    for (Window window : open) window.write(to);
    for (Window window : larger) {
      to.put((byte) (window == null ? 0 : 1));
      if (window != null) window.write(to);
    }
  }

  /** Takes over what was written with the same sizes. */
  public void read(ByteBuffer from) {
    watermarkUs = from.getLong();
    for (int k = 0; k < emittedUpToUs.length; k++) emittedUpToUs[k] = from.getLong();
    open.clear();
    for (int left = from.getInt(); left > 0; left--) open.add(Window.read(from));
    for (int k = 0; k < larger.length; k++) larger[k] = from.get() == 0 ? null : Window.read(from);
  }
}
