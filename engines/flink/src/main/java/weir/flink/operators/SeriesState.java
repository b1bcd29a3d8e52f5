package weir.flink.operators;

import java.nio.ByteBuffer;
import java.util.function.Consumer;

/**
 * All that is remembered of one series of numbers: seen event times, open windows, late partials.
 * One object serves any number of keys: {@link #read} it, observe, {@link #write} it. The twin of
 * what {@code src/stream/processor.ts} does for a reading.
 */
public final class SeriesState {
  private final Deduplication deduplication = new Deduplication();
  private final Windows windows;
  private final LatePartials late;
  private final long allowedLatenessUs;

  /** What becomes of a reading. */
  public enum Outcome {
    /** In its windows, on time or late. */
    COUNTED,
    DUPLICATE,
    /** To be stored; its windows must be computed from storage. */
    UNVERIFIED,
    /** To be stored; at least one window can take it no more, and is computed from storage. */
    TOO_LATE
  }

  public SeriesState(long[] sizesUs, long allowedLatenessUs, int openMax, int latePartialsMax) {
    this.allowedLatenessUs = allowedLatenessUs;
    windows = new Windows(sizesUs, openMax);
    late = new LatePartials(windows, latePartialsMax);
  }

  /** Emits what the watermark closes. It may be told one lower than before, after a restart. */
  public void advance(long watermarkUs, Consumer<Partial> emit) {
    if (!windows.closeThrough(watermarkUs, emit)) return;
    late.expire(openUntilUs());
  }

  /** A reading; {@link #advance} by the watermark of its message first. */
  public Outcome observe(long eventUs, double value, Consumer<Partial> emit) {
    Outcome seen = deduplicate(eventUs);
    return seen == Outcome.COUNTED ? count(eventUs, value, emit) : seen;
  }

  /** The first half: COUNTED when it is fresh, and then to be counted. */
  public Outcome deduplicate(long eventUs) {
    return switch (deduplication.observe(eventUs)) {
      case Deduplication.FATE_DUPLICATE -> Outcome.DUPLICATE;
      case Deduplication.FATE_UNVERIFIED -> Outcome.UNVERIFIED;
      default -> Outcome.COUNTED;
    };
  }

  /** The second half, of what is fresh: on time, late, or too late. */
  public Outcome count(long eventUs, double value, Consumer<Partial> emit) {
    if (!windows.isEmitted(0, windows.startOf(0, eventUs))) {
      windows.add(eventUs, value, emit);
      return Outcome.COUNTED;
    }
    boolean isTooLate = addLate(eventUs, value);
    late.flush(emit);
    return isTooLate ? Outcome.TOO_LATE : Outcome.COUNTED;
  }

  /** Per window size: still open, late, or too late. */
  private boolean addLate(long eventUs, double value) {
    long openUntilUs = openUntilUs();
    boolean isTooLate = false;
    for (int k = 0; k < windows.sizes(); k++) {
      long startUs = windows.startOf(k, eventUs);
      if (!windows.isEmitted(k, startUs)) windows.addLate(k, eventUs, value);
      else if (startUs + windows.sizeUs(k) <= openUntilUs || !late.add(k, eventUs, value))
        isTooLate = true;
    }
    return isTooLate;
  }

  /** A window that ends at or before this takes no late readings any more. */
  private long openUntilUs() {
    long watermarkUs = windows.watermarkUs();
    return watermarkUs == Watermark.NONE ? Watermark.NONE : watermarkUs - allowedLatenessUs;
  }

  /** The watermark that {@link #advance} waits for; MAX_VALUE when no window is open. */
  public long closesAtUs() {
    return windows.closesAtUs();
  }

  /** Something is remembered that can be forgotten: no reading waits for its window to close. */
  public boolean canForget() {
    return !deduplication.isEmpty() && windows.closesAtUs() == Long.MAX_VALUE;
  }

  /** What was silent for good. */
  public void forget() {
    deduplication.forget();
  }

  public void clear() {
    deduplication.clear();
    windows.clear();
    late.clear();
  }

  public int bytes() {
    return deduplication.bytes() + windows.bytes() + late.bytes();
  }

  public void write(ByteBuffer to) {
    deduplication.write(to);
    windows.write(to);
    late.write(to);
  }

  public void read(ByteBuffer from) {
    deduplication.read(from);
    windows.read(from);
    late.read(from);
  }
}
