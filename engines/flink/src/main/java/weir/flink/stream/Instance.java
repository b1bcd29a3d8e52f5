package weir.flink.stream;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import weir.flink.plan.Plan;
import weir.flink.rules.RuleBook;

/**
 * What one parallel instance of the device function knows of partitions. It is no state: after a
 * start each partition tells it anew, before the first message.
 */
public final class Instance {
  final Plan plan;
  private final Map<Integer, Partition> partitions = new HashMap<>();

  public Instance(Plan plan) {
    this.plan = plan;
  }

  /** Null before it told anything. */
  Partition partition(int number) {
    return partitions.get(number);
  }

  /** Takes a row for all; gives what is new in it that happened. */
  List<Told> told(byte[] data) {
    ByteBuffer from = ByteBuffer.wrap(data);
    Told told = Told.read(from);
    if (told.kind() == Told.BOOK) {
      Partition partition = new Partition(plan, told);
      for (int left = from.getInt(); left > 0; left--) partition.kept.add(Told.read(from));
      partitions.put(told.partition(), partition);
      return List.copyOf(partition.kept);
    }
    partitions.get(told.partition()).take(told);
    return told.kind() == Told.TICK ? List.of() : List.of(told);
  }

  /** How far a partition is, as it told last. */
  static final class Partition {
    final RuleBook book;
    long clockUs;
    long watermarkUs;
    long sequence;
    /** Ascending by sequence, without gaps. */
    private final List<Told> kept = new ArrayList<>();

    Partition(Plan plan, Told told) {
      book = new RuleBook(plan.rules());
      book.restore(told.text(), 0);
      advance(told);
    }

    private void take(Told told) {
      if (told.kind() == Told.RULES)
        book.apply(Plan.tree(told.text()), told.sequence());
      advance(told);
      if (told.kind() == Told.TICK) return;
      kept.add(told.withoutText());
      if (kept.size() > 2 * Sequencer.KEPT_MAX) kept.subList(0, Sequencer.KEPT_MAX).clear();
    }

    /** Of a TICK the clock is the one behind it; nothing is due by it before. */
    private void advance(Told told) {
      if (told.kind() == Told.TICK || told.kind() == Told.BOOK) clockUs = told.clockUs();
      watermarkUs = told.watermarkUs();
      sequence = told.sequence();
    }

    /** What happened since; null where that is not known any more. */
    List<Told> since(long sequence) {
      int missed = (int) Math.min(this.sequence - sequence, Integer.MAX_VALUE);
      if (missed > kept.size()) return null;
      return kept.subList(kept.size() - missed, kept.size());
    }

    /** A message's stamp says more of the watermark. */
    void stamped(Stamp stamp) {
      clockUs = stamp.clockUs;
      watermarkUs = stamp.watermarkUs;
    }
  }
}
