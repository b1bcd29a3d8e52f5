package weir.flink;

import weir.flink.entries.AvroReader;
import weir.flink.entries.MalformedEntry;

/**
 * Of a job that began in the midst of telemetry, which window partials count: those of windows that
 * it saw from their beginning. What it knows of others is less than what was said of them before,
 * and would take its place.
 */
final class WindowFilter {
  private final long fromMs;
  private final AvroReader reader = new AvroReader();

  WindowFilter(long fromMs) {
    this.fromMs = fromMs;
  }

  /** @param entry of the topic of windows */
  boolean passes(byte[] entry) {
    if (fromMs == Long.MIN_VALUE) return true;
    try {
      return startMs(entry) >= fromMs;
    } catch (MalformedEntry error) {
      throw new IllegalStateException(error);
    }
  }

  private long startMs(byte[] entry) throws MalformedEntry {
    reader.reset(entry, 0, entry.length);
    for (int name = 0; name < 4; name++) reader.bytes();
    reader.number();
    for (long count = reader.blockCount(); count > 0; count = reader.blockCount())
      for (long text = 0; text < 2 * count; text++) reader.bytes();
    reader.number();
    return reader.number();
  }
}
