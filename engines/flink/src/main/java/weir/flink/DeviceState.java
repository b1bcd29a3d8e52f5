package weir.flink;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;
import weir.flink.operators.SeriesState;

/**
 * The series of one device, by metric, out of and into the bytes that Flink keeps for the key: their
 * number, and of each the metric's name and its state.
 */
final class DeviceState {
  private final Map<String, SeriesState> series = new LinkedHashMap<>();
  private final Supplier<SeriesState> create;

  /** Of Flink's state: of a new key there are no bytes. */
  DeviceState(byte[] bytes, Supplier<SeriesState> create) {
    this.create = create;
    if (bytes.length == 0) return;
    ByteBuffer from = ByteBuffer.wrap(bytes);
    for (int left = from.getInt(); left > 0; left--) {
      byte[] name = new byte[from.getInt()];
      from.get(name);
      of(new String(name, StandardCharsets.UTF_8)).read(from);
    }
  }

  SeriesState of(String metric) {
    return series.computeIfAbsent(metric, name -> create.get());
  }

  Map<String, SeriesState> all() {
    return series;
  }

  byte[] bytes() {
    Map<byte[], SeriesState> named = new LinkedHashMap<>();
    int length = Integer.BYTES;
    for (Map.Entry<String, SeriesState> one : series.entrySet()) {
      byte[] name = one.getKey().getBytes(StandardCharsets.UTF_8);
      named.put(name, one.getValue());
      length += Integer.BYTES + name.length + one.getValue().bytes();
    }
    ByteBuffer to = ByteBuffer.allocate(length).putInt(named.size());
    named.forEach((name, state) -> state.write(to.putInt(name.length).put(name)));
    return to.array();
  }
}
