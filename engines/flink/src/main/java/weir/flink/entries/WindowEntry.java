package weir.flink.entries;

import weir.flink.operators.Partial;

/** Partials and watermarks for the topic of windows. The twin of {@code window-entry.ts}. */
public final class WindowEntry {
  private static final byte[] NOBODY = {};
  private static final byte[] NO_DIMENSIONS = {0};
  private static final Partial NOTHING = new Partial(0, 0, false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

  /**
   * What the windows of one series are told under, as bytes.
   *
   * @param dimensions as a map, in one block
   */
  public record Series(
      byte[] tenant, byte[] device, byte[] type, byte[] metric, int kind, byte[] dimensions) {}

  private WindowEntry() {}

  public static byte[] encode(Series series, Partial partial) {
    return encode(series, partial, partial.startMs());
  }

  /** Partials tell everything of windows that end at or before {@code watermarkMs + 1}. */
  public static byte[] watermark(long watermarkMs) {
    Series nobody = new Series(NOBODY, NOBODY, NOBODY, NOBODY, 0, NO_DIMENSIONS);
    return encode(nobody, NOTHING, watermarkMs);
  }

  private static byte[] encode(Series series, Partial partial, long startMs) {
    AvroWriter writer = new AvroWriter();
    writer.text(series.tenant());
    writer.text(series.device());
    writer.text(series.type());
    writer.text(series.metric());
    writer.number(series.kind());
    writer.raw(series.dimensions(), 0, series.dimensions().length);
    writer.number(partial.windowMs());
    writer.number(startMs);
    writer.bool(partial.isLate());
    writer.number(partial.count());
    writer.real(partial.sum());
    writer.real(partial.min());
    writer.real(partial.max());
    writer.real(partial.mean());
    writer.real(partial.squares());
    writer.real(partial.first());
    writer.number(partial.firstTimeUs());
    writer.real(partial.last());
    writer.number(partial.lastTimeUs());
    return writer.take();
  }
}
