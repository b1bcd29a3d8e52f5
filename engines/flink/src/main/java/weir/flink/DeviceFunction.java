package weir.flink;

import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ProcessTableFunction;
import weir.flink.entries.DeviceKey;
import weir.flink.stream.DeviceStream;
import weir.flink.stream.Instance;
import weir.flink.stream.Marks;

/**
 * The second of the job's functions: all that is stateful of a device, so that its messages cross
 * the network once. Its rows are readings (kind 0), partials of windows (1), events (2) and marks
 * (3), which say how far this instance is. {@code entry_key} is the key in Kafka, {@code source}
 * the offset of a reading's message.
 */
@DataTypeHint(
    value = "ROW<kind TINYINT, part INT, entry_key STRING, data BYTES, source BIGINT>",
    bridgedTo = RowData.class)
public final class DeviceFunction extends ProcessTableFunction<RowData> {
  private static final long serialVersionUID = 1;
  static final byte READING = 0;
  static final byte WINDOW = 1;
  static final byte EVENT = 2;
  static final byte MARK = 3;

  private static final int KEY = 0;
  private static final int DATA = 1;
  private static final byte[] EMPTY = {};
  private static final long NEVER = Long.MAX_VALUE;
  /** Flink's time when nothing comes any more: every timer is due at once, again and again. */
  private static final long DRAINED = Long.MAX_VALUE;

  /** They hold one key at a time. */
  private transient DeviceStream device;

  private transient Marks marks;
  private transient int subtask;
  private transient int subtasks;
  /** Of telemetry. */
  private transient int partitions;
  private transient Output output;
  /** Of this instance's own key; one that is set again fires once. */
  private transient long marksTimerMs;

  /**
   * Of a key, as Flink keeps it; without a key there is none. The key stands there once more, since
   * a timer is not told it.
   */
  public static final class State {
    public byte[] key;
    public byte[] bytes;
  }

  @Override
  public void open(FunctionContext context) {
    JobSettings settings = JobSettings.of(context);
    Instance instance = new Instance(settings.plan());
    device = new DeviceStream(instance);
    marks = new Marks(instance);
    subtask = context.getTaskInfo().getIndexOfThisSubtask();
    subtasks = settings.parallelism();
    partitions = settings.partitions();
    output = new Output(new WindowFilter(settings.windowsFromMs()));
    marksTimerMs = NEVER;
  }

  public void eval(
      Context context,
      @StateHint State state,
      @ArgumentHint(
              value = {SET_SEMANTIC_TABLE, REQUIRE_ON_TIME},
              type =
                  @DataTypeHint(
                      value = "ROW<k STRING, data BYTES, rowtime TIMESTAMP_LTZ(3)>",
                      bridgedTo = RowData.class))
          RowData input) {
    if (state.key == null) state.key = input.getString(KEY).toBytes();
    byte[] data = input.getBinary(DATA);
    int addressed = SubtaskKeys.subtaskOf(state.key);
    if (addressed == -1) {
      device.restore(state.key, bytesOf(state));
      device.process(data, output);
      keepDevice(context, state);
    } else {
      if (addressed != subtask)
        throw new IllegalStateException("a row for " + addressed + " came to " + subtask);
      marks.restore(subtask, subtasks, bytesOf(state));
      marks.told(data, nowMs(context.timeContext(Long.class)));
      keepMarks(context, state);
    }
  }

  public void onTimer(OnTimerContext context, State state) {
    // A timer outlives the state that was forgotten.
    if (state.key == null) return;
    TimeContext<Long> time = context.timeContext(Long.class);
    int addressed = SubtaskKeys.subtaskOf(state.key);
    if (addressed == -1) {
      device.restore(state.key, bytesOf(state));
      if (time.time() >= device.timerSetMs()) device.timerSet(NEVER);
      device.onTimer(nowMs(time), output);
      keepDevice(context, state);
    } else if (addressed == subtask) {
      if (time.time() >= marksTimerMs) marksTimerMs = NEVER;
      marks.restore(subtask, subtasks, bytesOf(state));
      marks.onTimer(nowMs(time), output);
      keepMarks(context, state);
    } else {
      // There were more or fewer instances when it was set, and they had other keys.
      keep(state, EMPTY);
    }
  }

  private static byte[] bytesOf(State state) {
    return state.bytes == null ? EMPTY : state.bytes;
  }

  /**
   * A timer that goes off too early asks for the next one: so what moves with every message, as the
   * end of a silence does, sets one timer and not one a message.
   */
  private void keepDevice(Context context, State state) {
    TimeContext<Long> time = context.timeContext(Long.class);
    long nowMs = nowMs(time);
    long timerMs = nowMs == DRAINED ? NEVER : device.timerMs(nowMs);
    if (timerMs < device.timerSetMs()) {
      time.registerOnTime(timerMs);
      device.timerSet(timerMs);
    }
    keep(state, device.state());
  }

  private void keepMarks(Context context, State state) {
    TimeContext<Long> time = context.timeContext(Long.class);
    long timerMs = nowMs(time) == DRAINED ? NEVER : marks.timerMs();
    if (timerMs < marksTimerMs) {
      time.registerOnTime(timerMs);
      marksTimerMs = timerMs;
    }
    keep(state, marks.state());
  }

  /** Flink's time; before the first watermark since a start, long ago. */
  private static long nowMs(TimeContext<Long> time) {
    Long watermark = time.currentWatermark();
    return watermark == null ? Long.MIN_VALUE : watermark;
  }

  /** Flink forgets a key of which nothing is left. */
  private static void keep(State state, byte[] bytes) {
    boolean isEmpty = bytes.length == 0;
    state.bytes = isEmpty ? null : bytes;
    if (isEmpty) state.key = null;
  }

  private final class Output implements DeviceStream.Output, Marks.Output {
    /** Whoever takes a row is done with it before the next one is collected. */
    private final GenericRowData row = new GenericRowData(5);

    private final WindowFilter windows;

    Output(WindowFilter windows) {
      this.windows = windows;
    }

    @Override
    public void reading(int partition, byte[] key, byte[] value, long source) {
      // What others wrote into another partition than its key's has a number of that one.
      boolean isOfItsKey = DeviceKey.partitionOf(key, partitions) == partition;
      emit(READING, null, key, value, isOfItsKey ? source : null);
    }

    @Override
    public void window(int partition, byte[] key, byte[] value) {
      if (windows.passes(value)) emit(WINDOW, partition, key, value, null);
    }

    @Override
    public void event(byte[] key, byte[] value) {
      emit(EVENT, null, key, value, null);
    }

    @Override
    public void mark(int partition, byte[] data) {
      emit(MARK, partition, null, data, null);
    }

    private void emit(byte kind, Integer partition, byte[] key, byte[] data, Long source) {
      row.setField(0, kind);
      row.setField(1, partition);
      row.setField(2, key == null ? null : StringData.fromBytes(key));
      row.setField(3, data);
      row.setField(4, source);
      collect(row);
    }
  }
}
