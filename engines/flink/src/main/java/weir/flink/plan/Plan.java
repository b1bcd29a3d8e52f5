package weir.flink.plan;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonProcessingException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;

/**
 * What a pipeline definition compiles to, as far as the stream asks: {@code Plan} of {@code
 * src/pipeline/pipeline.ts}, and the time after which what is silent is forgotten.
 *
 * @param windowsUs ascending; the first divides all others
 */
public record Plan(
    Time time, long[] windowsUs, List<Detector> detectors, List<Rule> rules, long stateTtlUs) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** All in µs. */
  public record Time(
      long disorderUs, long allowedLatenessUs, long idleTimeoutUs, long alertStalenessUs) {
    /** Windows that ended so long ago wake nobody. */
    public long windowStalenessUs() {
      return alertStalenessUs + disorderUs + idleTimeoutUs;
    }
  }

  /**
   * A z-score against mean and sample deviation of the n accepted readings before.
   *
   * @param type of devices, or null for every one
   */
  public record Detector(String id, String type, String metric, int n, double threshold) {}

  /** Throws IllegalArgumentException for what is no plan that this version can run. */
  public static Plan parse(String json) {
    JsonNode root = tree(json);
    JsonNode time = root.path("time");
    List<Detector> detectors = new ArrayList<>();
    for (JsonNode one : root.path("detectors")) detectors.add(detector(one));
    List<Rule> rules = new ArrayList<>();
    for (JsonNode one : root.path("rules")) rules.add(Rule.parse(one));
    long[] windowsUs = new long[root.path("windowsMs").size()];
    for (int k = 0; k < windowsUs.length; k++)
      windowsUs[k] = root.get("windowsMs").get(k).asLong() * 1000;
    if (windowsUs.length == 0) throw new IllegalArgumentException("a plan without windows");
    return new Plan(
        new Time(
            needed(time, "disorderUs").asLong(),
            needed(time, "allowedLatenessUs").asLong(),
            needed(time, "idleTimeoutUs").asLong(),
            needed(time, "alertStalenessUs").asLong()),
        windowsUs,
        List.copyOf(detectors),
        List.copyOf(rules),
        needed(root, "stateTtlUs").asLong());
  }

  private static Detector detector(JsonNode one) {
    return new Detector(
        needed(one, "id").asText(),
        one.path("type").asText(null),
        needed(one, "metric").asText(),
        needed(one, "n").asInt(),
        needed(one, "threshold").asDouble());
  }

  /** Throws IllegalArgumentException. */
  public static JsonNode tree(String json) {
    try {
      return JSON.readTree(json);
    } catch (JsonProcessingException error) {
      throw new IllegalArgumentException("it is no JSON", error);
    }
  }

  static JsonNode needed(JsonNode of, String name) {
    JsonNode value = of.get(name);
    if (value == null || value.isNull()) throw new IllegalArgumentException(name + " is missing");
    return value;
  }
}
