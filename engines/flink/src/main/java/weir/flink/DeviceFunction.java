package weir.flink;

import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import java.util.Arrays;
import java.util.Map;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.types.Row;
import weir.flink.operators.Partial;
import weir.flink.operators.SeriesState;
import weir.flink.operators.Watermark;

/**
 * All that is stateful of a device in one function, so that its messages cross the network once:
 *
 * <pre>
 * message → each reading: repeat? → window │ late │ to be computed from storage
 *             (rules and detectors follow here, on what is fresh)
 * watermark → windows close
 * </pre>
 *
 * <p>Called as {@code DeviceFunction(input => TABLE messages PARTITION BY device, on_time =>
 * DESCRIPTOR(event_time))}. Input: {@code device}, {@code event_time} with a watermark, {@code
 * event_us} BIGINT, and {@code metrics} MAP of STRING and DOUBLE, of which null is no reading. The
 * job's parameters are {@code weir.windows-ms}, ascending with spaces, and {@code
 * weir.allowed-lateness-ms}.
 */
@DataTypeHint(
    "ROW<kind STRING, metric STRING, window_ms BIGINT, start_ms BIGINT, is_late BOOLEAN,"
        + " n BIGINT, sum_of DOUBLE, lowest DOUBLE, highest DOUBLE, mean DOUBLE, squares DOUBLE,"
        + " earliest DOUBLE, earliest_us BIGINT, latest DOUBLE, latest_us BIGINT>")
public final class DeviceFunction extends ProcessTableFunction<Row> {
  private static final long serialVersionUID = 1;
  private static final int COLUMNS = 15;
  /** Windows of the smallest size, and late partials, that a series may hold at once. */
  private static final int OPEN_MAX = 16;
  private static final int LATE_PARTIALS_MAX = 1000;
  private static final String TIMER = "close";

  private transient long[] sizesUs;
  private transient long allowedLatenessUs;

  /** Of a device, as Flink keeps it. */
  public static final class State {
    public byte[] bytes = {};
  }

  @Override
  public void open(FunctionContext context) {
    String sizes = context.getJobParameter("weir.windows-ms", "60000 300000");
    sizesUs = Arrays.stream(sizes.split(" ")).mapToLong(ms -> Long.parseLong(ms) * 1000).toArray();
    String lateness = context.getJobParameter("weir.allowed-lateness-ms", "3600000");
    allowedLatenessUs = Long.parseLong(lateness) * 1000;
  }

  public void eval(
      Context context,
      @StateHint State state,
      @ArgumentHint({SET_SEMANTIC_TABLE, REQUIRE_ON_TIME}) Row input) {
    DeviceState device = read(state);
    long watermarkUs = watermarkUs(context);
    advance(device, watermarkUs);
    long eventUs = input.getFieldAs("event_us");
    Map<String, Double> metrics = input.getFieldAs("metrics");
    metrics.forEach(
        (metric, value) -> {
          if (value != null) observe(device, metric, eventUs, value, watermarkUs);
        });
    write(context, state, device);
  }

  public void onTimer(OnTimerContext context, State state) {
    DeviceState device = read(state);
    advance(device, watermarkUs(context));
    write(context, state, device);
  }

  private void observe(
      DeviceState device, String metric, long eventUs, double value, long watermarkUs) {
    SeriesState series = device.of(metric);
    // One that is new with this message has not been told.
    series.advance(watermarkUs, partial -> emit(metric, partial));
    SeriesState.Outcome outcome =
        series.observe(eventUs, value, partial -> emit(metric, partial));
    switch (outcome) {
      case COUNTED, DUPLICATE -> {}
      case UNVERIFIED, TOO_LATE -> emitDirty(metric, eventUs);
    }
  }

  private void advance(DeviceState device, long watermarkUs) {
    device
        .all()
        .forEach((metric, series) -> series.advance(watermarkUs, one -> emit(metric, one)));
  }

  private DeviceState read(State state) {
    return new DeviceState(
        state.bytes,
        () -> new SeriesState(sizesUs, allowedLatenessUs, OPEN_MAX, LATE_PARTIALS_MAX));
  }

  /** Writes what is kept, and sets the timer for what closes next. */
  private void write(Context context, State state, DeviceState device) {
    state.bytes = device.bytes();
    long closesAtUs = Long.MAX_VALUE;
    for (SeriesState series : device.all().values())
      closesAtUs = Math.min(closesAtUs, series.closesAtUs());
    if (closesAtUs == Long.MAX_VALUE) return;
    context.timeContext(Long.class).registerOnTime(TIMER, closesAtUs / 1000);
  }

  private static long watermarkUs(Context context) {
    Long ms = context.timeContext(Long.class).currentWatermark();
    if (ms == null || ms == Long.MIN_VALUE) return Watermark.NONE;
    // What has ended says the highest there is.
    return ms > Long.MAX_VALUE / 2000 ? Long.MAX_VALUE / 2 : ms * 1000;
  }

  private void emit(String metric, Partial partial) {
    Row row = Row.withPositions(COLUMNS);
    Object[] fields = {
      "partial", metric, partial.windowMs(), partial.startMs(), partial.isLate(),
      partial.count(), partial.sum(), partial.min(), partial.max(), partial.mean(),
      partial.squares(), partial.first(), partial.firstTimeUs(), partial.last(),
      partial.lastTimeUs(),
    };
    for (int at = 0; at < COLUMNS; at++) row.setField(at, fields[at]);
    collect(row);
  }

  /** Windows of the largest size that start then must be computed from stored readings. */
  private void emitDirty(String metric, long eventUs) {
    long sizeUs = sizesUs[sizesUs.length - 1];
    Row row = Row.withPositions(COLUMNS);
    row.setField(0, "dirty");
    row.setField(1, metric);
    row.setField(2, sizeUs / 1000);
    row.setField(3, Math.floorDiv(eventUs, sizeUs) * sizeUs / 1000);
    collect(row);
  }
}
