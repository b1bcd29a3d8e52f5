package weir.flink.entries;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * The key of a device's entries, {@code tenant/device}, and where Kafka's default partitioner puts
 * it: MurmurHash2 (Austin Appleby, public domain) with the sign bit taken off. The twin of {@code
 * src/entries/device-key.ts}.
 */
public final class DeviceKey {
  private static final int SEED = 0x9747b28c;
  private static final int M = 0x5bd1e995;
  private static final int R = 24;
  private static final Map<Long, byte[]> KEYS_OF_PARTITIONS = new HashMap<>();

  private DeviceKey() {}

  public static byte[] of(String tenant, String deviceId) {
    return (tenant + '/' + deviceId).getBytes(StandardCharsets.UTF_8);
  }

  public static int partitionOf(byte[] key, int partitions) {
    return (hash(key) & 0x7fff_ffff) % partitions;
  }

  /** A key that is no device's and that the partitioner puts into this partition. */
  public static synchronized byte[] ofPartition(int partition, int partitions) {
    return KEYS_OF_PARTITIONS.computeIfAbsent(
        (long) partitions << 32 | partition,
        place -> {
          for (int i = 0; ; i++) {
            byte[] key = Integer.toString(i).getBytes(StandardCharsets.US_ASCII);
            if (partitionOf(key, partitions) == partition) return key;
          }
        });
  }

  private static int hash(byte[] bytes) {
    int length = bytes.length;
    int hash = SEED ^ length;
    int at = 0;
    for (; at + 4 <= length; at += 4) {
      int k =
          bytes[at] & 0xff
              | (bytes[at + 1] & 0xff) << 8
              | (bytes[at + 2] & 0xff) << 16
              | (bytes[at + 3] & 0xff) << 24;
      k *= M;
      k ^= k >>> R;
      hash = hash * M ^ k * M;
    }
    int left = length - at;
    if (left >= 3) hash ^= (bytes[at + 2] & 0xff) << 16;
    if (left >= 2) hash ^= (bytes[at + 1] & 0xff) << 8;
    if (left >= 1) hash = (hash ^ (bytes[at] & 0xff)) * M;
    hash ^= hash >>> 13;
    hash *= M;
    return hash ^ hash >>> 15;
  }
}
