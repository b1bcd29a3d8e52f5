package weir.flink;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import org.apache.flink.api.common.TaskInfo;
import org.apache.flink.table.functions.FunctionContext;
import weir.flink.plan.Plan;

/**
 * What whoever submits the job says to all functions, by {@code pipeline.global-job-parameters}:
 * {@code weir.plan}, JSON in base64url without padding, as those are a list with commas and colons;
 * {@code weir.parallelism} and {@code weir.max-parallelism}, by which {@link SubtaskKeys} finds all
 * instances of a function; {@code weir.partitions}, of the topics of telemetry, readings and windows;
 * {@code weir.layout}; and {@code weir.windows-from-ms} where it did not begin with the first entry.
 */
record JobSettings(
    Plan plan, int parallelism, int maxParallelism, int partitions, long windowsFromMs) {
  /** What src/flink/state-layout.ts says of it. */
  private static final int LAYOUT = 1;

  private static final String PARALLELISM = "weir.parallelism";
  private static final String MAX_PARALLELISM = "weir.max-parallelism";

  static JobSettings of(FunctionContext context) {
    int layout = number(context, "weir.layout");
    if (layout != LAYOUT)
      throw new IllegalStateException(
          "the job has state layout " + layout + " and this jar " + LAYOUT + ": take its version's");
    byte[] plan = Base64.getUrlDecoder().decode(parameter(context, "weir.plan"));
    TaskInfo task = context.getTaskInfo();
    int parallelism = number(context, PARALLELISM);
    check(PARALLELISM, parallelism, task.getNumberOfParallelSubtasks());
    int most = maxParallelism(context);
    check(MAX_PARALLELISM, most, task.getMaxNumberOfParallelSubtasks());
    String json = new String(plan, StandardCharsets.UTF_8);
    int partitions = number(context, "weir.partitions");
    String from = context.getJobParameter("weir.windows-from-ms", null);
    long windowsFromMs = from == null ? Long.MIN_VALUE : Long.parseLong(from);
    return new JobSettings(Plan.parse(json), parallelism, most, partitions, windowsFromMs);
  }

  static int maxParallelism(FunctionContext context) {
    return number(context, MAX_PARALLELISM);
  }

  /** Keys of instances that are not there would be lost, so the job must be what was said. */
  private static void check(String name, int said, int actual) {
    if (said == actual) return;
    throw new IllegalStateException(name + " is " + said + ", but this operator has " + actual);
  }

  private static int number(FunctionContext context, String name) {
    return Integer.parseInt(parameter(context, name));
  }

  private static String parameter(FunctionContext context, String name) {
    String value = context.getJobParameter(name, null);
    if (value != null) return value;
    throw new IllegalStateException("the job parameter " + name + " is missing");
  }
}
