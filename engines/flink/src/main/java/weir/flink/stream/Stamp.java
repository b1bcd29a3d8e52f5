package weir.flink.stream;

import java.nio.ByteBuffer;

/**
 * What stands before a message on its way to its device: where it was in its partition, and what
 * time it was there. The watermark is the partition's, behind this message.
 */
final class Stamp {
  static final byte MESSAGE = 0;
  /** What the registry says of the device, as JSON. */
  static final byte FACTS = 1;

  private static final int BYTES = 1 + Integer.BYTES + 4 * Long.BYTES;

  /** More than an hour; what JavaScript's frames hold in 32 bits. */
  private static final long AHEAD_US_MAX = 0xffff_ffffL;

  byte kind;
  int partition;
  /** The entry's offset. */
  long source;
  long clockUs;
  long watermarkUs;
  long sequence;
  /** Where what it stamps begins. */
  int at;

  /** Clocks of gateways differ a little; the partition's does not go back. */
  static long ingestUs(long saidUs, long clockUs) {
    return Math.min(Math.max(saidUs, clockUs), clockUs + AHEAD_US_MAX);
  }

  byte[] before(byte[] payload) {
    return ByteBuffer.allocate(BYTES + payload.length)
        .put(kind)
        .putInt(partition)
        .putLong(source)
        .putLong(clockUs)
        .putLong(watermarkUs)
        .putLong(sequence)
        .put(payload)
        .array();
  }

  void read(byte[] data) {
    ByteBuffer from = ByteBuffer.wrap(data);
    kind = from.get();
    partition = from.getInt();
    source = from.getLong();
    clockUs = from.getLong();
    watermarkUs = from.getLong();
    sequence = from.getLong();
    at = from.position();
  }
}
