package weir.flink.stream;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import weir.flink.entries.Dimensions;
import weir.flink.entries.Message;
import weir.flink.entries.WindowEntry;
import weir.flink.plan.Plan;
import weir.flink.rules.Concern;
import weir.flink.state.StateWriter;

/** What a device is called, and the series that it has, in the order of their first readings. */
final class DeviceSeries implements Concern.Device {
  private static final int NONE = -1;
  private static final int SPARES_MAX = 100;

  private final Plan plan;
  private final List<Series> all = new ArrayList<>();
  /** Of devices before. */
  private final List<Series> spares = new ArrayList<>();
  private byte[] key;
  private int tenantLength = NONE;
  /** As they are asked for. */
  private String tenantText;
  private String deviceText;

  DeviceSeries(Plan plan) {
    this.plan = plan;
  }

  void clear() {
    all.clear();
    tenantLength = NONE;
    tenantText = null;
    deviceText = null;
  }

  boolean isNamed() {
    return tenantLength != NONE;
  }

  /** @param key {@code tenant/device} */
  void name(byte[] key, int tenantLength) {
    this.key = key;
    this.tenantLength = tenantLength;
  }

  int tenantLength() {
    return tenantLength;
  }

  List<Series> all() {
    return all;
  }

  /** Whose reading it is; made where there is none. */
  Series of(Message message, int reading) {
    int kind = message.kind(reading);
    for (int i = 0; i < all.size(); i++) {
      // In the order of the message before, mostly.
      Series series = all.get((reading + i) % all.size());
      if (series.kind == kind
          && message.hasName(reading, series.metric)
          && message.hasDimensions(series.dimensions)) return series;
    }
    byte[] dimensions = Dimensions.canonical(message.dimensions());
    for (Series series : all)
      if (series.kind == kind
          && message.hasName(reading, series.metric)
          && Arrays.equals(dimensions, series.dimensions)) return series;
    Series series = new Series(plan, kind, message.name(reading), dimensions, message.type());
    all.add(series);
    return series;
  }

  WindowEntry.Series named(Series series) {
    byte[] tenant = Arrays.copyOf(key, tenantLength);
    return series.named(tenant, Arrays.copyOfRange(key, tenantLength + 1, key.length));
  }

  EventWriter.Names names() {
    return new EventWriter.Names(tenant(), deviceId());
  }

  @Override
  public String tenant() {
    if (tenantText == null) tenantText = new String(key, 0, tenantLength, StandardCharsets.UTF_8);
    return tenantText;
  }

  @Override
  public String deviceId() {
    if (deviceText == null) {
      int at = tenantLength + 1;
      deviceText = new String(key, at, key.length - at, StandardCharsets.UTF_8);
    }
    return deviceText;
  }

  @Override
  public String type() {
    return all.isEmpty() ? "" : all.get(0).typeText;
  }

  @Override
  public boolean hasSeries(String metric, String type) {
    for (Series one : all)
      if (one.metricKey.equals(metric) && (type == null || type.equals(one.typeText))) return true;
    return false;
  }

  @Override
  public boolean hasSeriesOf(String type) {
    for (Series one : all) if (type == null || type.equals(one.typeText)) return true;
    return false;
  }

  void write(StateWriter to) {
    to.put(all.size());
    for (Series one : all) one.write(to);
  }

  void read(ByteBuffer from) {
    int count = from.getInt();
    for (int i = 0; i < count; i++) {
      Series spare = i < spares.size() ? spares.get(i) : null;
      Series series = Series.read(plan, from, spare);
      all.add(series);
      if (i >= SPARES_MAX || series == spare) continue;
      if (i < spares.size()) spares.set(i, series);
      else spares.add(series);
    }
  }
}
