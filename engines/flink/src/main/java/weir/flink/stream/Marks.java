package weir.flink.stream;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import weir.flink.state.StateWriter;

/**
 * When all devices of one instance have closed what a partition's watermark closed: some seconds
 * after it said so, as each of them looks so often. State of the key by which the instance is
 * reached.
 */
public final class Marks {
  /** This instance has told everything of a partition's windows up to there. */
  public interface Output {
    void mark(int partition, byte[] data);
  }

  /** Flink's time before its first watermark. */
  private static final long UNKNOWN = Long.MIN_VALUE;
  /** To be looked at once that is known. */
  private static final long SOON = 0;

  private record Pending(int partition, long upToUs, long atMs) {
    Pending at(long laterMs) {
      return new Pending(partition, upToUs, laterMs);
    }
  }

  private final Instance instance;
  private final StateWriter writer = new StateWriter();
  private final List<Pending> pending = new ArrayList<>();
  private int subtask;
  private int subtasks;

  public Marks(Instance instance) {
    this.instance = instance;
  }

  public void restore(int subtask, int subtasks, byte[] state) {
    this.subtask = subtask;
    this.subtasks = subtasks;
    pending.clear();
    if (state.length == 0) return;
    ByteBuffer from = ByteBuffer.wrap(state);
    for (int left = from.getInt(); left > 0; left--)
      pending.add(new Pending(from.getInt(), from.getLong(), from.getLong()));
  }

  public byte[] state() {
    writer.reset();
    writer.put(pending.size());
    for (Pending one : pending) {
      writer.put(one.partition);
      writer.put(one.upToUs);
      writer.put(one.atMs);
    }
    return writer.take();
  }

  /** A row for all, at Flink's time {@code nowMs}. */
  public void told(byte[] data, long nowMs) {
    for (Told one : instance.told(data)) {
      if (one.kind() != Told.CLOSE) continue;
      int partition = one.partition();
      long atMs = nowMs == UNKNOWN ? SOON : settledMs(partition, one.firstUs(), nowMs);
      // After a start what happened of late is told again.
      pending.removeIf(
          before -> before.partition == partition && before.upToUs == one.firstUs());
      pending.add(new Pending(partition, one.firstUs(), atMs));
    }
  }

  public void onTimer(long nowMs, Output out) {
    for (Pending one : List.copyOf(pending)) {
      if (one.atMs > nowMs) continue;
      pending.remove(one);
      // From a start on it is told anew.
      if (instance.partition(one.partition) == null)
        pending.add(one.at(Timers.settledAfterStart(nowMs)));
      else if (one.atMs == SOON)
        pending.add(one.at(settledMs(one.partition, one.upToUs, nowMs)));
      else out.mark(one.partition, dataOf(one.upToUs));
    }
  }

  private long settledMs(int partition, long upToUs, long nowMs) {
    long clockUs = instance.partition(partition).clockUs;
    return Timers.settled(instance.plan, upToUs, nowMs, clockUs);
  }

  private byte[] dataOf(long upToUs) {
    return ByteBuffer.allocate(2 * Integer.BYTES + Long.BYTES)
        .putInt(subtask)
        .putInt(subtasks)
        .putLong(upToUs)
        .array();
  }

  /** MAX_VALUE: never. */
  public long timerMs() {
    long atMs = Long.MAX_VALUE;
    for (Pending one : pending) atMs = Math.min(atMs, one.atMs);
    return atMs;
  }
}
