package weir.flink;

import org.apache.flink.table.data.StringData;

/**
 * A key for each parallel instance of a function that is partitioned by one STRING, so that a row
 * can be sent to every one of them. They have the form {@code instance:attempt}, and so no slash,
 * which every key of a device has.
 */
final class SubtaskKeys {
  private SubtaskKeys() {}

  /** By instance. */
  static StringData[] of(int parallelism, int maxParallelism) {
    StringData[] keys = new StringData[parallelism];
    for (int at = 0; at < parallelism; at++) {
      int subtask = at;
      keys[at] =
          KeyGroups.find(
              subtask,
              maxParallelism,
              group -> KeyGroups.subtaskOf(group, maxParallelism, parallelism) == subtask);
    }
    return keys;
  }

  /** -1: it is the key of a device. */
  static int subtaskOf(byte[] key) {
    int subtask = 0;
    for (int at = 0; at < key.length; at++) {
      if (key[at] == ':') return at == 0 ? -1 : subtask;
      if (key[at] < '0' || key[at] > '9') return -1;
      subtask = 10 * subtask + key[at] - '0';
    }
    return -1;
  }
}
