package weir.flink;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.FunctionContext;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * The key of a Kafka partition, {@code partition:attempt}, such that partitions are spread over the
 * instances of a function as evenly as they can be, whatever the parallelism. By their numbers they
 * would not be: of 8 partitions and 4 instances one got none and another 3.
 *
 * <p>The key groups are cut in half again and again, in the order of partitions (the sequence of
 * van der Corput): 0, 1/2, 1/4, 3/4, 1/8, … So a key stays what it is when there are more
 * partitions, as the state behind it must.
 */
public final class PartitionKey extends ScalarFunction {
  private static final long serialVersionUID = 1;

  private transient int maxParallelism;
  private transient Map<Integer, StringData> keys;

  @Override
  public void open(FunctionContext context) {
    maxParallelism = JobSettings.maxParallelism(context);
    keys = new HashMap<>();
  }

  @DataTypeHint(value = "STRING", bridgedTo = StringData.class)
  public StringData eval(Integer partition) {
    if (partition == null) return null;
    return keys.computeIfAbsent(partition, one -> of(one, maxParallelism));
  }

  static StringData of(int partition, int maxParallelism) {
    long reversed = Integer.toUnsignedLong(Integer.reverse(partition));
    int wanted = (int) (reversed * maxParallelism >>> Integer.SIZE);
    return KeyGroups.find(partition, maxParallelism, group -> group == wanted);
  }
}
