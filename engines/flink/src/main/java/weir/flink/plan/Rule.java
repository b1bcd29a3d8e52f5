package weir.flink.plan;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

/**
 * A rule as it was compiled: {@code Rule} of {@code src/pipeline/pipeline.ts}.
 *
 * @param type of devices, or null
 * @param deviceIds only these, or null
 * @param condition null of silence
 * @param clear what fires resolves only when this holds; null: when the condition does not
 * @param windowUs one of the plan's sizes; 0 on readings and silence
 * @param repeatCount 0: the first breach counts
 * @param schedule or null
 * @param metrics kind and name of all that it looks at
 * @param recipients ids, or null: those who want to hear of it
 */
public record Rule(
    String id,
    long version,
    String type,
    Set<String> deviceIds,
    Map<String, String> tags,
    On on,
    String when,
    List<Variable> variables,
    Condition condition,
    Condition clear,
    long windowUs,
    boolean isEarly,
    long silentUs,
    long forUs,
    long keepUs,
    int repeatCount,
    long repeatWithinUs,
    Schedule schedule,
    String severity,
    List<String> recipients,
    Set<String> metrics) {

  /** What decides. */
  public enum On {
    READINGS,
    WINDOW,
    SILENCE
  }

  /** One comparison of one metric's latest value, and so is what clears it. */
  public boolean isDirect() {
    return on == On.READINGS
        && variables.size() == 1
        && variables.get(0).of() == Variable.Of.LATEST
        && condition.threshold() != null
        && (clear == null || clear.threshold() != null);
  }

  /** Throws IllegalArgumentException for what is no rule that this version can run. */
  public static Rule parse(JsonNode one) {
    On on = On.valueOf(text(one, "on").toUpperCase(Locale.ROOT));
    List<Variable> variables = new ArrayList<>();
    for (JsonNode variable : Plan.needed(one, "variables")) variables.add(Variable.parse(variable));
    Set<String> metrics = new HashSet<>();
    for (Variable variable : variables) if (!variable.isOfDevice()) metrics.add(variable.metric());
    JsonNode repeat = one.path("repeat");
    return new Rule(
        text(one, "id"),
        Plan.needed(one, "version").asLong(),
        one.path("type").asText(null),
        one.hasNonNull("deviceIds") ? Set.copyOf(texts(one.get("deviceIds"))) : null,
        tags(Plan.needed(one, "tags")),
        on,
        text(one, "when"),
        List.copyOf(variables),
        on == On.SILENCE ? null : Condition.parse(Plan.needed(one, "program"), variables.size()),
        one.hasNonNull("clear") ? Condition.parse(one.get("clear"), variables.size()) : null,
        Plan.needed(one, "windowMs").asLong() * 1000,
        one.path("isEarly").asBoolean(),
        Plan.needed(one, "silentUs").asLong(),
        Plan.needed(one, "forUs").asLong(),
        Plan.needed(one, "keepUs").asLong(),
        repeat.isObject() ? Plan.needed(repeat, "count").asInt() : 0,
        repeat.isObject() ? Plan.needed(repeat, "withinUs").asLong() : 0,
        one.hasNonNull("schedule") ? Schedule.parse(one.get("schedule")) : null,
        text(one, "severity"),
        one.hasNonNull("notify") ? List.copyOf(texts(one.get("notify"))) : null,
        Set.copyOf(metrics));
  }

  private static String text(JsonNode of, String name) {
    JsonNode value = Plan.needed(of, name);
    if (!value.isTextual()) throw new IllegalArgumentException(name + " is no text");
    return value.asText();
  }

  private static List<String> texts(JsonNode list) {
    List<String> texts = new ArrayList<>();
    for (JsonNode one : list) texts.add(one.asText());
    return texts;
  }

  private static Map<String, String> tags(JsonNode of) {
    Map<String, String> tags = new LinkedHashMap<>();
    of.properties().forEach(tag -> tags.put(tag.getKey(), tag.getValue().asText()));
    return Map.copyOf(tags);
  }
}
