package weir.flink.stream;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import weir.flink.rules.LiveRule;
import weir.flink.state.StateWriter;

/**
 * What happens in a partition beside the messages of its devices, each with its place in the order:
 * what every instance of the device function is told, in rows between those of messages. A device
 * that comes later makes up for what it missed.
 *
 * @param kind TICK, CLOSE, RULES, SHIFT or BOOK
 * @param sequence ascends by one with each of CLOSE, RULES and SHIFT
 * @param clockUs before it happened: what was due by then came first
 * @param watermarkUs after it
 * @param firstUs CLOSE: windows that end at or before it are closed; SHIFT: the step
 * @param secondUs CLOSE: ingest time at which that was decided; SHIFT: the clock behind the step
 * @param text RULES: changes as JSON; BOOK: all rules
 * @param removed RULES: those that are gone by it, for devices that have not seen them go
 */
record Told(
    byte kind,
    int partition,
    long sequence,
    long clockUs,
    long watermarkUs,
    long firstUs,
    long secondUs,
    String text,
    List<LiveRule> removed) {
  static final byte TICK = 0;
  static final byte CLOSE = 1;
  static final byte RULES = 2;
  static final byte SHIFT = 3;
  /** All rules, and what happened of late, for an instance that knows nothing. */
  static final byte BOOK = 4;

  void write(StateWriter to) {
    to.put(kind);
    to.put(partition);
    for (long number : new long[] {sequence, clockUs, watermarkUs, firstUs, secondUs})
      to.put(number);
    to.put(text.getBytes(StandardCharsets.UTF_8));
    to.put(removed.size());
    for (LiveRule live : removed) live.write(to);
  }

  static Told read(ByteBuffer from) {
    byte kind = from.get();
    int partition = from.getInt();
    long[] numbers = new long[5];
    for (int i = 0; i < numbers.length; i++) numbers[i] = from.getLong();
    String text = StateWriter.textOf(from);
    List<LiveRule> removed = new ArrayList<>();
    for (int left = from.getInt(); left > 0; left--)
      removed.add(LiveRule.read(from));
    return new Told(
        kind, partition, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], text, removed);
  }

  /** As it is kept: the changes themselves are in the book then. */
  Told withoutText() {
    return new Told(
        kind, partition, sequence, clockUs, watermarkUs, firstUs, secondUs, "", removed);
  }
}
