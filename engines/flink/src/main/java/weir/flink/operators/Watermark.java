package weir.flink.operators;

import java.nio.ByteBuffer;

/**
 * "Nothing older than this is expected on time any more": the highest event time seen minus the
 * allowed disorder. When no reading came for the idle timeout, the gateway's ticks move it on. It
 * never goes back. The twin of {@code src/stream/watermark.ts}; all times in µs.
 */
public final class Watermark {
  /** Before the first reading nothing can be late. */
  public static final long NONE = Long.MIN_VALUE;
  /** A reading in the last millisecond of a window must not close that very window. */
  private static final long DISORDER_US_MIN = 1000;
  /** No event time is believed that lies so far ahead of the clock: the clock went back. */
  private static final long SET_BACK_US = 60_000_000;

  private final long disorderUs;
  private final long idleTimeoutUs;
  private long watermarkUs = NONE;
  private long highestEventUs = NONE;
  private long lastIngestUs = NONE;

  public Watermark(long disorderUs, long idleTimeoutUs) {
    this.disorderUs = Math.max(disorderUs, DISORDER_US_MIN);
    this.idleTimeoutUs = idleTimeoutUs;
  }

  public long watermarkUs() {
    return watermarkUs;
  }

  /** A message of event time {@code eventUs} arrived. True when the watermark moved. */
  public boolean observe(long eventUs, long ingestUs) {
    if (ingestUs > lastIngestUs) lastIngestUs = ingestUs;
    if (eventUs <= highestEventUs) return false;
    highestEventUs = eventUs;
    return advance(eventUs - disorderUs);
  }

  /**
   * The gateway's clock says {@code ingestUs}, {@code passedUs} after the last time. True when the
   * watermark moved: with that clock, or, when it was set back behind the devices' own, as fast as
   * time goes.
   */
  public boolean tick(long ingestUs, long passedUs) {
    if (lastIngestUs == NONE) return false;
    long overdueUs = ingestUs - lastIngestUs - idleTimeoutUs;
    if (overdueUs < 0) return false;
    long byClockUs = ingestUs - disorderUs - idleTimeoutUs;
    if (watermarkUs - byClockUs < SET_BACK_US) return advance(byClockUs);
    return advance(watermarkUs + Math.min(passedUs, overdueUs));
  }

  /** The gateway's clock was set by {@code stepUs}: nobody was silent for that. */
  public void shift(long stepUs, long nowUs) {
    if (lastIngestUs != NONE) lastIngestUs = Math.min(lastIngestUs + stepUs, nowUs);
  }

  private boolean advance(long toUs) {
    if (toUs <= watermarkUs) return false;
    watermarkUs = toUs;
    return true;
  }

  public int bytes() {
    return 3 * Long.BYTES;
  }

  public void write(ByteBuffer to) {
    to.putLong(watermarkUs).putLong(highestEventUs).putLong(lastIngestUs);
  }

  public void read(ByteBuffer from) {
    watermarkUs = from.getLong();
    highestEventUs = from.getLong();
    lastIngestUs = from.getLong();
  }
}
