package weir.flink.stream;

import java.nio.ByteBuffer;
import java.util.Arrays;
import weir.flink.entries.DeviceKey;
import weir.flink.entries.WindowEntry;

/**
 * How far a partition's windows are told: as far as the instance is that is the least far. Behind all
 * of their partials, since these come by the same way.
 */
public final class Coverage {
  private static final long NONE = Long.MIN_VALUE;

  /** An entry of the topic of windows. */
  public interface Output {
    void watermark(byte[] key, byte[] value);
  }

  /** By instance: windows that end at or before this are told. */
  private long[] upToUs = {};

  private long saidUs = NONE;

  public void restore(byte[] state) {
    upToUs = new long[0];
    saidUs = NONE;
    if (state.length == 0) return;
    ByteBuffer from = ByteBuffer.wrap(state);
    saidUs = from.getLong();
    upToUs = new long[from.getInt()];
    for (int i = 0; i < upToUs.length; i++) upToUs[i] = from.getLong();
  }

  public byte[] state() {
    ByteBuffer to = ByteBuffer.allocate(Long.BYTES * (1 + upToUs.length) + Integer.BYTES);
    to.putLong(saidUs).putInt(upToUs.length);
    for (long one : upToUs) to.putLong(one);
    return to.array();
  }

  /** @param partitions of the topic of windows */
  public void mark(int partition, int partitions, byte[] data, Output out) {
    ByteBuffer from = ByteBuffer.wrap(data);
    int subtask = from.getInt();
    int subtasks = from.getInt();
    if (subtasks != upToUs.length) {
      // There are more of them now, or fewer: each says it anew.
      upToUs = new long[subtasks];
      Arrays.fill(upToUs, NONE);
    }
    upToUs[subtask] = Math.max(upToUs[subtask], from.getLong());
    long leastUs = Arrays.stream(upToUs).min().orElse(NONE);
    if (leastUs == NONE || leastUs <= saidUs) return;
    saidUs = leastUs;
    out.watermark(
        DeviceKey.ofPartition(partition, partitions), WindowEntry.watermark(leastUs / 1000 - 1));
  }
}
