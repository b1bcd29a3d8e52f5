package weir.flink;

import java.nio.ByteBuffer;
import java.util.Map;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.ScalarFunction;

/** The headers of an entry of the readings topic: the offset of its message, as INT64. */
public final class SourceHeader extends ScalarFunction {
  private static final long serialVersionUID = 1;

  public @DataTypeHint(value = "MAP<STRING, BYTES>", bridgedTo = MapData.class) MapData eval(
      Long source) {
    if (source == null) return null;
    byte[] bytes = ByteBuffer.allocate(Long.BYTES).putLong(source).array();
    return new GenericMapData(Map.of(StringData.fromString("source"), bytes));
  }
}
