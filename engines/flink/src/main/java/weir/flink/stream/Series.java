package weir.flink.stream;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import weir.flink.entries.Dimensions;
import weir.flink.entries.Message;
import weir.flink.entries.WindowEntry;
import weir.flink.operators.SeriesState;
import weir.flink.operators.ZScore;
import weir.flink.plan.Plan;
import weir.flink.rules.EventId;
import weir.flink.state.StateWriter;

/** One series of a device: what it is called, and what is remembered of it. */
final class Series {
  private static final String[] KINDS = {"number", "boolean", "text"};
  /** Windows of the smallest size that may be open beyond those that the disorder explains. */
  private static final int OPEN_SPARE = 2;

  private static final int LATE_PARTIALS_MAX = 1000;

  final int kind;
  final byte[] metric;
  /** Canonical. */
  final byte[] dimensions;
  /** The device's type when it was new. */
  final byte[] type;
  /** Kind and name, as rules ask for it. */
  final String metricKey;
  final String typeText;
  private final byte[] name;
  final SeriesState state;
  final List<Detected> detected = new ArrayList<>(0);
  /** The last that rules saw; NaN: none. */
  double last = Double.NaN;
  long lastIngestUs;

  /**
   * A detector that looks at it.
   *
   * @param id its own, as bytes
   */
  record Detected(Plan.Detector detector, byte[] id, ZScore score) {}

  Series(Plan plan, int kind, byte[] metric, byte[] dimensions, byte[] type) {
    this.kind = kind;
    this.metric = metric;
    this.dimensions = dimensions;
    this.type = type;
    String name = new String(metric, StandardCharsets.UTF_8);
    metricKey = KINDS[kind] + ' ' + name;
    typeText = new String(type, StandardCharsets.UTF_8);
    this.name = written(kind, metric, dimensions, type);
    Plan.Time time = plan.time();
    long smallestUs = plan.windowsUs()[0];
    int open = (int) (time.disorderUs() / smallestUs) + 1 + OPEN_SPARE;
    state =
        new SeriesState(plan.windowsUs(), time.allowedLatenessUs(), open, LATE_PARTIALS_MAX);
    if (kind != Message.NUMBER) return;
    for (Plan.Detector one : plan.detectors())
      if (one.metric().equals(name) && (one.type() == null || one.type().equals(typeText)))
        detected.add(
            new Detected(
                one,
                one.id().getBytes(StandardCharsets.UTF_8),
                new ZScore(one.n(), one.threshold())));
  }

  boolean isWindowed() {
    return kind != Message.TEXT;
  }

  WindowEntry.Series named(byte[] tenant, byte[] device) {
    return new WindowEntry.Series(tenant, device, type, metric, kind, dimensions);
  }

  /** Silent for good: what is older than its last reading nobody can know any more. */
  void forget() {
    state.forget();
    last = Double.NaN;
    for (Detected one : detected) one.score().clear();
  }

  /** {@code [deviceId, metric, dimensions, kind]} as JSON. */
  String json(String deviceId) {
    StringBuilder pairs = new StringBuilder();
    for (Dimensions.Pair pair : Dimensions.read(dimensions))
      pairs
          .append(pairs.length() == 0 ? "" : ",")
          .append('[')
          .append(EventId.quote(pair.name()))
          .append(',')
          .append(EventId.quote(pair.value()))
          .append(']');
    String name = EventId.quote(new String(metric, StandardCharsets.UTF_8));
    return "[" + EventId.quote(deviceId) + ',' + name + ",[" + pairs + "],\"" + KINDS[kind] + "\"]";
  }

  String kindName() {
    return KINDS[kind];
  }

  /** Kind, metric, dimensions and type, as they stand in the state. */
  private static byte[] written(int kind, byte[] metric, byte[] dimensions, byte[] type) {
    StateWriter to = new StateWriter();
    to.put((byte) kind);
    to.put(metric);
    to.put(dimensions);
    to.put(type);
    return to.take();
  }

  void write(StateWriter to) {
    to.put(name);
    to.put(last);
    to.put(lastIngestUs);
    state.write(to.room(state.bytes()));
    to.put((byte) detected.size());
    for (Detected one : detected) {
      to.put(one.id());
      to.put(one.score().bytes());
      one.score().write(to.room(one.score().bytes()));
    }
  }

  /**
   * Reads the next one of a device.
   *
   * @param spare one of a device before, which is used again if it is called the same, as it mostly
   *     is; or null
   */
  static Series read(Plan plan, ByteBuffer from, Series spare) {
    int length = from.getInt();
    int at = from.position();
    byte[] bytes = from.array();
    Series series = spare;
    if (spare == null
        || !Arrays.equals(bytes, at, at + length, spare.name, 0, spare.name.length)) {
      int kind = from.get();
      byte[] metric = StateWriter.bytesOf(from);
      byte[] dimensions = StateWriter.bytesOf(from);
      series = new Series(plan, kind, metric, dimensions, StateWriter.bytesOf(from));
    }
    from.position(at + length);
    series.readState(from);
    return series;
  }

  private void readState(ByteBuffer from) {
    last = from.getDouble();
    lastIngestUs = from.getLong();
    state.read(from);
    for (Detected one : detected) one.score().clear();
    for (int left = from.get(); left > 0; left--) {
      int length = from.getInt();
      int at = from.position();
      from.position(at + length);
      int end = from.getInt() + from.position();
      for (Detected one : detected)
        if (Arrays.equals(from.array(), at, at + length, one.id, 0, one.id.length))
          one.score().read(from);
      from.position(end);
    }
  }
}
