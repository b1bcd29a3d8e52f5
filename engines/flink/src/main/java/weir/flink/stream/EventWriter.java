package weir.flink.stream;

import java.nio.charset.StandardCharsets;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.JsonNodeFactory;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import weir.flink.entries.Dimensions;
import weir.flink.rules.EventId;

/** Events as they stand in their topic: {@code EventEntry} of {@code src/cluster/output-entries.ts}. */
final class EventWriter {
  record Names(String tenant, String deviceId) {}

  byte[] anomaly(
      String detector, Names names, Series series, long eventUs, double value, double score) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("type", "anomaly");
    ObjectNode event = root.putObject("event");
    String key =
        "[" + EventId.quote(names.tenant) + ',' + EventId.quote(detector) + ','
            + EventId.quote(series.json(names.deviceId)) + ',' + eventUs + ']';
    event.put("id", EventId.of(key));
    event.put("tenant", names.tenant);
    event.put("detectorId", detector);
    event.put("deviceId", names.deviceId);
    event.put("metric", new String(series.metric, StandardCharsets.UTF_8));
    event.put("eventTimeUs", eventUs);
    event.put("value", value);
    event.put("score", score);
    return bytes(root);
  }

  byte[] dirty(Names names, Series series, long fromMs, long toMs) {
    ObjectNode root = JsonNodeFactory.instance.objectNode();
    root.put("type", "dirty");
    ObjectNode name = root.putObject("series");
    name.put("tenant", names.tenant);
    name.put("deviceId", names.deviceId);
    name.put("deviceType", series.typeText);
    name.put("metric", new String(series.metric, StandardCharsets.UTF_8));
    ArrayNode dimensions = name.putArray("dimensions");
    for (Dimensions.Pair pair : Dimensions.read(series.dimensions))
      dimensions.addArray().add(pair.name()).add(pair.value());
    name.put("kind", series.kindName());
    root.put("fromMs", fromMs);
    root.put("toMs", toMs);
    return bytes(root);
  }

  private static byte[] bytes(ObjectNode root) {
    return root.toString().getBytes(StandardCharsets.UTF_8);
  }
}
