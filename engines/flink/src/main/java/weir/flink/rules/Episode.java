package weir.flink.rules;

import java.nio.ByteBuffer;
import java.util.Arrays;
import weir.flink.plan.Rule;
import weir.flink.state.StateWriter;

/** What a rule says of a device, from pending over firing to resolved. */
final class Episode {
  static final int IDLE = 0;
  static final int PENDING = 1;
  static final int FIRING = 2;
  static final long NEVER = Long.MIN_VALUE;

  final RuleName name;
  /** Null where its rule is gone. */
  LiveRule live;
  int phase = IDLE;
  long sinceUs;
  /** Event time of the first breach. */
  long breachUs;
  long triggeredUs;
  long endedUs = NEVER;
  /** Newest window in breach. */
  long windowUs = NEVER;
  /** When the rule's schedule is to be looked at again. */
  long closesUs = Long.MAX_VALUE;
  double before = Double.NaN;
  /** Times of the breaches that count, ascending. */
  long[] counted = {};
  /** Parallel to the rule's variables. */
  double[] values;
  /** Of what fires. */
  EventWords words;

  Episode(LiveRule live) {
    name = new RuleName(live.rule.id(), live.rule.version());
    this.live = live;
    values = new double[live.rule.variables().size()];
    Arrays.fill(values, Double.NaN);
  }

  private Episode(RuleName name) {
    this.name = name;
  }

  /** When something happens without a reading; MAX_VALUE: never. */
  long dueUs() {
    Rule rule = live.rule;
    return switch (phase) {
      case IDLE -> countedUntilUs();
      case PENDING -> Math.min(closesUs, sinceUs + rule.forUs());
      default -> endedUs == NEVER ? closesUs : Math.min(closesUs, endedUs + rule.keepUs());
    };
  }

  /** NEVER where nothing is counted. */
  long countedUntilUs() {
    if (counted.length == 0) return NEVER;
    return counted[counted.length - 1] + live.rule.repeatWithinUs();
  }

  /** Counts this breach; true when there were enough of them of late. */
  boolean isRepeated(long ingestUs) {
    Rule rule = live.rule;
    if (rule.repeatCount() == 0) return true;
    int kept = Math.min(counted.length, rule.repeatCount() - 1);
    long[] next = new long[kept + 1];
    System.arraycopy(counted, counted.length - kept, next, 0, kept);
    next[kept] = ingestUs;
    counted = next;
    return next.length == rule.repeatCount() && next[0] >= ingestUs - rule.repeatWithinUs();
  }

  /** The gateway's clock was set: what waits goes on as if it had not been. */
  void shift(long stepUs, long nowUs) {
    sinceUs = Math.min(sinceUs + stepUs, nowUs);
    if (endedUs != NEVER) endedUs = Math.min(endedUs + stepUs, nowUs);
    for (int i = 0; i < counted.length; i++) counted[i] = Math.min(counted[i] + stepUs, nowUs);
    // Schedules go by the wall: one that closed within the step is looked at now.
    closesUs = Math.max(closesUs, nowUs);
  }

  void write(StateWriter to) {
    to.put(name.id());
    to.put(name.version());
    to.put((byte) phase);
    for (long time : new long[] {sinceUs, breachUs, triggeredUs, endedUs, windowUs, closesUs})
      to.put(time);
    to.put(before);
    to.put(counted.length);
    for (long time : counted) to.put(time);
    to.put(values.length);
    for (double value : values) to.put(value);
    if (phase == FIRING) to.put(words.json());
  }

  static Episode read(ByteBuffer from) {
    Episode one = new Episode(new RuleName(StateWriter.textOf(from), from.getLong()));
    one.phase = from.get();
    one.sinceUs = from.getLong();
    one.breachUs = from.getLong();
    one.triggeredUs = from.getLong();
    one.endedUs = from.getLong();
    one.windowUs = from.getLong();
    one.closesUs = from.getLong();
    one.before = from.getDouble();
    one.counted = new long[from.getInt()];
    for (int i = 0; i < one.counted.length; i++) one.counted[i] = from.getLong();
    one.values = new double[from.getInt()];
    for (int i = 0; i < one.values.length; i++) one.values[i] = from.getDouble();
    if (one.phase == FIRING) one.words = EventWords.parse(StateWriter.textOf(from));
    return one;
  }
}
