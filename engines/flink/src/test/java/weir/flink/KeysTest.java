package weir.flink;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.flink.table.data.StringData;
import org.junit.jupiter.api.Test;

/** Where rows go; that Flink agrees is what `test/cluster/flink-job.test.ts` shows. */
class KeysTest {
  @Test
  void anInstanceIsReachedByItsKey() {
    for (int max : new int[] {1, 2, 7, 128, 1000, 32768})
      for (int parallelism : new int[] {1, 2, 3, 5, 16, 100}) {
        if (parallelism > max) continue;
        StringData[] keys = SubtaskKeys.of(parallelism, max);
        for (int subtask = 0; subtask < parallelism; subtask++) {
          int group = KeyGroups.groupOf(keys[subtask], max);
          assertEquals(subtask, KeyGroups.subtaskOf(group, max, parallelism));
          assertEquals(subtask, SubtaskKeys.subtaskOf(keys[subtask].toBytes()));
        }
      }
  }

  @Test
  void aKeyOfADeviceIsNoneOfAnInstance() {
    for (String key : new String[] {"t/d", "/", "", "1/2:3", "1", ":", ":/", "1a:2", "t:1/d"})
      assertEquals(-1, SubtaskKeys.subtaskOf(key.getBytes(StandardCharsets.UTF_8)), key);
  }

  @Test
  void partitionsAreSpreadEvenly() {
    for (int partitions : new int[] {1, 2, 4, 8, 16, 32, 64, 128})
      for (int parallelism = 1; parallelism <= partitions; parallelism *= 2)
        assertArrayEquals(
            filled(parallelism, partitions / parallelism), counts(partitions, 128, parallelism));
    for (int partitions = 1; partitions <= 100; partitions++)
      for (int parallelism = 1; parallelism <= 16; parallelism++) {
        int[] counts = counts(partitions, 720, parallelism);
        int most = Arrays.stream(counts).max().orElseThrow();
        assertTrue(most <= partitions / parallelism + 3, Arrays.toString(counts));
      }
  }

  @Test
  void aPartitionKeepsItsKey() {
    assertEquals("0:", PartitionKey.of(0, 128).toString().substring(0, 2));
    int[] groups = new int[8];
    for (int at = 0; at < groups.length; at++)
      groups[at] = KeyGroups.groupOf(PartitionKey.of(at, 128), 128);
    assertArrayEquals(new int[] {0, 64, 32, 96, 16, 80, 48, 112}, groups);
  }

  private static int[] filled(int length, int value) {
    int[] all = new int[length];
    Arrays.fill(all, value);
    return all;
  }

  private static int[] counts(int partitions, int max, int parallelism) {
    int[] counts = new int[parallelism];
    for (int partition = 0; partition < partitions; partition++) {
      int group = KeyGroups.groupOf(PartitionKey.of(partition, max), max);
      counts[KeyGroups.subtaskOf(group, max, parallelism)]++;
    }
    return counts;
  }
}
