package weir.flink.rules;

import java.nio.ByteBuffer;
import weir.flink.plan.Opening;
import weir.flink.plan.Plan;
import weir.flink.plan.Rule;
import weir.flink.state.StateWriter;

/** A rule in force. */
public final class LiveRule {
  public final Rule rule;
  /** As it came, JSON; empty of the plan's. */
  final String written;
  /** Never another's: what falls together comes in this order. */
  final int order;
  /** Of the partition's sequence: what was heard before is not known to it. */
  final long since;
  final boolean isOfPlan;
  /** Computed once: hot. */
  final boolean isDirect;
  final Opening opening;

  LiveRule(Rule rule, String written, int order, long since, boolean isOfPlan) {
    this.rule = rule;
    this.written = written;
    this.order = order;
    this.since = since;
    this.isOfPlan = isOfPlan;
    isDirect = rule.isDirect();
    opening = new Opening(rule.schedule());
  }

  /** It is decided behind a message, from what is remembered of its metrics. */
  boolean isInterpreted() {
    return !isDirect && rule.on() != Rule.On.SILENCE;
  }

  /** Of changes, not the plan's. */
  public void write(StateWriter to) {
    to.put(written);
    to.put(order);
    to.put(since);
  }

  public static LiveRule read(ByteBuffer from) {
    String written = StateWriter.textOf(from);
    Rule rule = Rule.parse(Plan.tree(written));
    return new LiveRule(rule, written, from.getInt(), from.getLong(), false);
  }
}
