package weir.flink.rules;

import java.nio.charset.StandardCharsets;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.JsonNodeFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import weir.flink.plan.Condition;
import weir.flink.plan.Plan;
import weir.flink.plan.Rule;
import weir.flink.plan.Variable;

/**
 * What must be known of a rule to tell of it, also when it is gone, and events as they are told:
 * {@code RuleEvent} of {@code src/stream/stream.ts}. Kept with what fires as JSON.
 */
final class EventWords {
  private final ObjectNode words;

  private EventWords(ObjectNode words) {
    this.words = words;
  }

  static EventWords of(Rule rule) {
    ObjectNode words = JsonNodeFactory.instance.objectNode();
    words.put("ruleId", rule.id());
    words.put("ruleVersion", rule.version());
    words.put("severity", rule.severity());
    ArrayNode labels = words.putArray("labels");
    for (Variable one : rule.variables())
      if (one.isText()) labels.addNull();
      else labels.add(one.label());
    ObjectNode reason = words.putObject("reason");
    reason.put("kind", rule.on() == Rule.On.SILENCE ? "silence" : "condition");
    reason.put("condition", rule.when());
    Condition.Threshold threshold = rule.condition() == null ? null : rule.condition().threshold();
    if (threshold != null && !rule.variables().get(threshold.variable()).isOfDevice()) {
      Variable variable = rule.variables().get(threshold.variable());
      reason.put("metric", variable.label());
      if (!variable.unit().isEmpty()) reason.put("unit", variable.unit());
      reason.put("threshold", threshold.value());
      words.put("variable", threshold.variable());
    }
    if (rule.recipients() != null) {
      ArrayNode notify = reason.putArray("notify");
      for (String id : rule.recipients()) notify.add(id);
    }
    return new EventWords(words);
  }

  static EventWords parse(String json) {
    return new EventWords((ObjectNode) Plan.tree(json));
  }

  String json() {
    return words.toString();
  }

  /** One event, for the topic. */
  byte[] event(String tenant, String deviceId, Episode episode, boolean isResolved, long atUs) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("type", "alert");
    ObjectNode event = root.putObject("event");
    String ruleId = words.get("ruleId").asText();
    long version = words.get("ruleVersion").asLong();
    event.put("id", id(tenant, ruleId, version, deviceId, episode.breachUs));
    event.put("tenant", tenant);
    event.put("ruleId", ruleId);
    event.put("ruleVersion", version);
    event.set("severity", words.get("severity"));
    event.put("deviceId", deviceId);
    event.put("state", isResolved ? "resolved" : "firing");
    event.put("triggeredAtUs", episode.triggeredUs);
    if (isResolved) event.put("resolvedAtUs", atUs);
    event.put("breachEventTimeUs", episode.breachUs);
    ObjectNode values = event.putObject("values");
    JsonNode labels = words.get("labels");
    for (int i = 0; i < episode.values.length; i++)
      if (!labels.get(i).isNull() && Double.isFinite(episode.values[i]))
        values.put(labels.get(i).asText(), episode.values[i]);
    event.set("reason", reason(episode));
    return root.toString().getBytes(StandardCharsets.UTF_8);
  }

  private ObjectNode reason(Episode episode) {
    ObjectNode reason = ((ObjectNode) words.get("reason")).deepCopy();
    JsonNode variable = words.get("variable");
    if (variable == null) return reason;
    double value = episode.values[variable.asInt()];
    if (Double.isFinite(value)) reason.put("value", value);
    if (Double.isFinite(episode.before)) reason.put("valueBefore", episode.before);
    return reason;
  }

  private static String id(String tenant, String rule, long version, String device, long breachUs) {
    return EventId.of(
        "[" + EventId.quote(tenant) + ',' + EventId.quote(rule) + ',' + version + ','
            + EventId.quote(device) + ',' + breachUs + ']');
  }
}
