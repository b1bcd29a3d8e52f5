package weir.flink.plan;

import java.util.Locale;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

/**
 * A value that a condition asks for: of readings, or of what the registry says of the device.
 *
 * @param label as people write it: {@code temperature}, {@code rate(temperature)}
 * @param metric {@code number temperature}: kind and name; null of a device's
 * @param unit empty where none is known
 * @param field of a device's: id, type, location or tag; else null
 * @param tag the tag's name
 * @param isText its number stands for a text
 */
public record Variable(
    Of of, String label, String metric, String unit, String field, String tag, boolean isText) {

  /** On readings the first four and RATE; of a window all from AVG on. */
  public enum Of {
    DEVICE,
    LATEST,
    PREVIOUS,
    DELTA,
    RATE,
    AVG,
    MIN,
    MAX,
    SUM,
    COUNT,
    STDDEV,
    FIRST,
    LAST
  }

  public boolean isOfDevice() {
    return of == Of.DEVICE;
  }

  static Variable parse(JsonNode one) {
    Of of = Of.valueOf(Plan.needed(one, "of").asText().toUpperCase(Locale.ROOT));
    String kind = Plan.needed(one, "kind").asText();
    String label = Plan.needed(one, "label").asText();
    boolean isText = kind.equals("text");
    if (of == Of.DEVICE)
      return new Variable(
          of, label, null, "", Plan.needed(one, "field").asText(), one.path("tag").asText(), isText);
    String metric = kind + ' ' + Plan.needed(one, "metric").asText();
    return new Variable(of, label, metric, one.path("unit").asText(), null, null, isText);
  }
}
