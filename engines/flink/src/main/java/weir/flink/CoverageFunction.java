package weir.flink;

import static org.apache.flink.table.annotation.ArgumentTrait.REQUIRE_ON_TIME;
import static org.apache.flink.table.annotation.ArgumentTrait.SET_SEMANTIC_TABLE;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ProcessTableFunction;
import weir.flink.stream.Coverage;

/**
 * The last of the job's functions, and before the topic of windows the only one: partials of a
 * Kafka partition as they come, and behind them how far all instances of {@link DeviceFunction} are
 * with it. What stands in one order here is written in that order by one producer.
 */
@DataTypeHint(value = "ROW<entry_key STRING, data BYTES>", bridgedTo = RowData.class)
public final class CoverageFunction extends ProcessTableFunction<RowData> {
  private static final long serialVersionUID = 1;
  private static final int PARTITION = 1;
  private static final int KIND = 2;
  private static final int KEY = 3;
  private static final int DATA = 4;
  private static final byte[] EMPTY = {};

  private transient int partitions;
  private transient Output output;
  /** By partition. Nobody else changes the state of a key, so they are what it says. */
  private transient Map<Integer, Coverage> coverages;

  /** Of a partition, as Flink keeps it; without bytes there is none. */
  public static final class State {
    public byte[] bytes;
  }

  @Override
  public void open(FunctionContext context) {
    partitions = JobSettings.of(context).partitions();
    output = new Output();
    coverages = new HashMap<>();
  }

  public void eval(
      @StateHint State state,
      @ArgumentHint(
              value = {SET_SEMANTIC_TABLE, REQUIRE_ON_TIME},
              type =
                  @DataTypeHint(
                      value =
                          "ROW<lane STRING, part INT, kind TINYINT, entry_key STRING,"
                              + " data BYTES, rowtime TIMESTAMP_LTZ(3)>",
                      bridgedTo = RowData.class))
          RowData input) {
    if (input.getByte(KIND) == DeviceFunction.WINDOW) {
      output.emit(input.getString(KEY), input.getBinary(DATA));
      return;
    }
    int partition = input.getInt(PARTITION);
    Coverage coverage = coverageOf(partition, state);
    coverage.mark(partition, partitions, input.getBinary(DATA), output);
    state.bytes = coverage.state();
  }

  private Coverage coverageOf(int partition, State state) {
    Coverage known = coverages.get(partition);
    if (known != null) return known;
    Coverage coverage = new Coverage();
    coverage.restore(state.bytes == null ? EMPTY : state.bytes);
    coverages.put(partition, coverage);
    return coverage;
  }

  private final class Output implements Coverage.Output {
    /** Whoever takes a row is done with it before the next one is collected. */
    private final GenericRowData row = new GenericRowData(2);

    @Override
    public void watermark(byte[] key, byte[] value) {
      emit(StringData.fromBytes(key), value);
    }

    void emit(StringData key, byte[] data) {
      row.setField(0, key);
      row.setField(1, data);
      collect(row);
    }
  }
}
