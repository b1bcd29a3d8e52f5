package weir.flink;

import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ProcessTableFunction;
import weir.flink.stream.Sequencer;

/**
 * The first of the job's functions: the entries of a Kafka partition in their order, and what each
 * is for those behind it. A row of kind 0 goes to the function of devices, under the key of a
 * device or of one of its instances ({@link SubtaskKeys}); one of kind 1 is a dead letter.
 */
@DataTypeHint(value = "ROW<kind TINYINT, k STRING, data BYTES>", bridgedTo = RowData.class)
public final class SequenceFunction extends ProcessTableFunction<RowData> {
  private static final long serialVersionUID = 1;
  static final byte TO_DEVICES = 0;
  static final byte DEAD_LETTER = 1;

  private static final int PARTITION = 1;
  private static final int OFFSET = 2;
  private static final int KEY = 3;
  private static final int VALUE = 4;
  private static final int TIMESTAMP = 5;
  private static final byte[] EMPTY = {};

  private transient JobSettings settings;
  private transient Output output;
  /** By partition. Nobody else changes the state of a key, so they are what it says. */
  private transient Map<Integer, Sequencer> sequencers;

  /** What changes with each entry of a partition; without bytes there is none. */
  public static final class Hot {
    public byte[] bytes;
  }

  @Override
  public void open(FunctionContext context) {
    settings = JobSettings.of(context);
    output = new Output(SubtaskKeys.of(settings.parallelism(), settings.maxParallelism()));
    sequencers = new HashMap<>();
  }

  /**
   * The rest of a partition's state may be large, and Flink reads and compares what is no view with
   * every row: so it stands in a map, under the key 0.
   */
  public void eval(
      @StateHint Hot hot,
      @StateHint(type = @DataTypeHint("MAP<INT, BYTES>")) MapView<Integer, byte[]> cold,
      @ArgumentHint(
              value = {SET_SEMANTIC_TABLE, REQUIRE_ON_TIME},
              type =
                  @DataTypeHint(
                      value =
                          "ROW<lane STRING, `partition` INT, `offset` BIGINT, `key` BYTES, "
                              + "`value` BYTES, ts TIMESTAMP_LTZ(3),"
                              + " read_at TIMESTAMP_LTZ(3)>",
                      bridgedTo = RowData.class))
          RowData input)
      throws Exception {
    Sequencer sequencer = sequencerOf(input.getInt(PARTITION), hot, cold);
    byte[] key = input.isNullAt(KEY) ? null : input.getBinary(KEY);
    byte[] value = input.isNullAt(VALUE) ? EMPTY : input.getBinary(VALUE);
    long timestampMs = input.getTimestamp(TIMESTAMP, 3).getMillisecond();
    sequencer.process(key, value, input.getLong(OFFSET), timestampMs, output);
    hot.bytes = sequencer.hot();
    byte[] changed = sequencer.cold();
    if (changed != null) cold.put(0, changed);
  }

  private Sequencer sequencerOf(int partition, Hot hot, MapView<Integer, byte[]> cold)
      throws Exception {
    Sequencer known = sequencers.get(partition);
    if (known != null) return known;
    Sequencer sequencer = new Sequencer(settings.plan(), partition);
    if (hot.bytes != null) sequencer.restore(hot.bytes, cold.get(0));
    sequencers.put(partition, sequencer);
    sequencer.announce(output);
    return sequencer;
  }

  private final class Output implements Sequencer.Output {
    private final StringData[] subtaskKeys;
    /** Whoever takes a row is done with it before the next one is collected. */
    private final GenericRowData row = new GenericRowData(3);

    Output(StringData[] subtaskKeys) {
      this.subtaskKeys = subtaskKeys;
    }

    @Override
    public void toDevice(byte[] key, byte[] data) {
      emit(TO_DEVICES, StringData.fromBytes(key), data);
    }

    @Override
    public void toAll(byte[] data) {
      for (StringData key : subtaskKeys) emit(TO_DEVICES, key, data);
    }

    @Override
    public void deadLetter(byte[] key, byte[] value) {
      emit(DEAD_LETTER, StringData.fromBytes(key), value);
    }

    private void emit(byte kind, StringData key, byte[] data) {
      row.setField(0, kind);
      row.setField(1, key);
      row.setField(2, data);
      collect(row);
    }
  }
}
