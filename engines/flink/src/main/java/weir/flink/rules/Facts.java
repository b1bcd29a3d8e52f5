package weir.flink.rules;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import weir.flink.plan.Plan;

/**
 * What the registry says of a device: {@code NamedFacts} of {@code src/entries/control-entry.ts}.
 *
 * @param location or null
 */
public record Facts(
    String tenant, String deviceId, String deviceType, String location, Map<String, String> tags) {

  /** Throws IllegalArgumentException. */
  public static Facts parse(String json) {
    JsonNode root = Plan.tree(json);
    if (!root.isObject()) throw new IllegalArgumentException("facts of a device are no object");
    boolean areNames =
        root.path("tenant").isTextual()
            && root.path("deviceId").isTextual()
            && !root.path("deviceId").asText().isEmpty()
            && root.path("deviceType").isTextual();
    if (!areNames) throw new IllegalArgumentException("facts of no device");
    Map<String, String> tags = new HashMap<>();
    boolean areTexts = root.path("tags").isObject();
    for (String name : new String[] {"location", "parent"})
      areTexts &= !root.has(name) || root.get(name).isTextual();
    for (JsonNode value : root.path("tags")) areTexts &= value.isTextual();
    if (!areTexts) throw new IllegalArgumentException("facts that are no texts");
    root.get("tags").properties().forEach(tag -> tags.put(tag.getKey(), tag.getValue().asText()));
    return new Facts(
        root.get("tenant").asText(),
        root.get("deviceId").asText(),
        root.get("deviceType").asText(),
        root.path("location").asText(null),
        tags);
  }
}
