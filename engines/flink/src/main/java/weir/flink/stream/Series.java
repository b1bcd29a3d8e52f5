package weir.flink.stream;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
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
  final SeriesState state;
  final List<Detected> detected = new ArrayList<>(0);
  /** The last that rules saw; NaN: none. */
  double last = Double.NaN;
  long lastIngestUs;

  /** A detector that looks at it. */
  record Detected(Plan.Detector detector, ZScore score) {}

  Series(Plan plan, int kind, byte[] metric, byte[] dimensions, byte[] type) {
    this.kind = kind;
    this.metric = metric;
    this.dimensions = dimensions;
    this.type = type;
    String name = new String(metric, StandardCharsets.UTF_8);
    metricKey = KINDS[kind] + ' ' + name;
    typeText = new String(type, StandardCharsets.UTF_8);
    Plan.Time time = plan.time();
    long smallestUs = plan.windowsUs()[0];
    int open = (int) (time.disorderUs() / smallestUs) + 1 + OPEN_SPARE;
    state =
        new SeriesState(plan.windowsUs(), time.allowedLatenessUs(), open, LATE_PARTIALS_MAX);
    if (kind != Message.NUMBER) return;
    for (Plan.Detector one : plan.detectors())
      if (one.metric().equals(name) && (one.type() == null || one.type().equals(typeText)))
        detected.add(new Detected(one, new ZScore(one.n(), one.threshold())));
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

  void write(StateWriter to) {
    to.put((byte) kind);
    to.put(metric);
    to.put(dimensions);
    to.put(type);
    to.put(last);
    to.put(lastIngestUs);
    state.write(to.room(state.bytes()));
    to.put((byte) detected.size());
    for (Detected one : detected) {
      to.put(one.detector().id());
      to.put(one.score().bytes());
      one.score().write(to.room(one.score().bytes()));
    }
  }

  static Series read(Plan plan, ByteBuffer from) {
    int kind = from.get();
    byte[] metric = StateWriter.bytesOf(from);
    byte[] dimensions = StateWriter.bytesOf(from);
    Series series = new Series(plan, kind, metric, dimensions, StateWriter.bytesOf(from));
    series.last = from.getDouble();
    series.lastIngestUs = from.getLong();
    series.state.read(from);
    for (int left = from.get(); left > 0; left--) {
      String id = StateWriter.textOf(from);
      int end = from.getInt() + from.position();
      for (Detected one : series.detected)
        if (one.detector().id().equals(id)) one.score().read(from);
      from.position(end);
    }
    return series;
  }
}
