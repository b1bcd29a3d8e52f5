package weir.flink;

import java.util.function.IntPredicate;
import org.apache.flink.runtime.state.KeyGroupRangeAssignment;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.data.writer.BinaryRowWriter;

/**
 * Where Flink puts a key: into the key group of its hash, which belongs to one parallel instance. A
 * key for a wanted group is found by trying, with Flink's own code.
 */
final class KeyGroups {
  private KeyGroups() {}

  /** The first of {@code name:0}, {@code name:1}, … whose group is wanted. */
  static StringData find(int name, int maxParallelism, IntPredicate isWanted) {
    for (int attempt = 0; ; attempt++) {
      StringData key = StringData.fromString(name + ":" + attempt);
      if (isWanted.test(groupOf(key, maxParallelism))) return key;
    }
  }

  /** Of a table that is partitioned by one STRING. */
  static int groupOf(StringData key, int maxParallelism) {
    // What the planner's key selector makes of it.
    BinaryRowData row = new BinaryRowData(1);
    BinaryRowWriter writer = new BinaryRowWriter(row);
    writer.writeString(0, key);
    writer.complete();
    return KeyGroupRangeAssignment.assignToKeyGroup(row, maxParallelism);
  }

  static int subtaskOf(int group, int maxParallelism, int parallelism) {
    return KeyGroupRangeAssignment.computeOperatorIndexForKeyGroup(
        maxParallelism, parallelism, group);
  }
}
