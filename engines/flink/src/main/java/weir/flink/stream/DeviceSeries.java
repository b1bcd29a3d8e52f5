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
  private final Plan plan;
  private final List<Series> all = new ArrayList<>();
  private byte[] tenant;
  private byte[] device;

  DeviceSeries(Plan plan) {
    this.plan = plan;
  }

  void clear() {
    all.clear();
    tenant = null;
  }

  boolean isNamed() {
    return tenant != null;
  }

  /** @param key {@code tenant/device} */
  void name(byte[] key, int tenantLength) {
    tenant = Arrays.copyOf(key, tenantLength);
    device = Arrays.copyOfRange(key, tenantLength + 1, key.length);
  }

  int tenantLength() {
    return tenant.length;
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
    return series.named(tenant, device);
  }

  EventWriter.Names names() {
    return new EventWriter.Names(tenant(), deviceId());
  }

  @Override
  public String tenant() {
    return new String(tenant, StandardCharsets.UTF_8);
  }

  @Override
  public String deviceId() {
    return new String(device, StandardCharsets.UTF_8);
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
    for (int left = from.getInt(); left > 0; left--) all.add(Series.read(plan, from));
  }
}
