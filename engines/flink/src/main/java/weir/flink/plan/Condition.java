package weir.flink.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import weir.flink.entries.Message;
import weir.flink.operators.Program;

/**
 * A rule's condition: its program, with the numbers of the texts in it.
 *
 * @param threshold the whole condition as one comparison of a variable with a constant, or null
 */
public record Condition(Program program, double[] textIds, int stackDepth, Threshold threshold) {
  private static final int DEPTH_MAX = 10_000;

  public enum Comparison {
    LESS,
    LESS_OR_EQUAL,
    GREATER,
    GREATER_OR_EQUAL;

    boolean holds(double value, double bound) {
      return switch (this) {
        case LESS -> value < bound;
        case LESS_OR_EQUAL -> value <= bound;
        case GREATER -> value > bound;
        case GREATER_OR_EQUAL -> value >= bound;
      };
    }
  }

  public record Threshold(int variable, Comparison comparison, double value) {
    public boolean holds(double of) {
      return comparison.holds(of, value);
    }
  }

  /** On values in the order of the rule's variables, none of them NaN. */
  public boolean holds(double[] values) {
    if (threshold != null) return threshold.holds(values[threshold.variable]);
    return program.run(values, new double[stackDepth], index -> textIds[index]);
  }

  /** Throws IllegalArgumentException, also for a program that would leave its stack or its values. */
  static Condition parse(JsonNode one, int variables) {
    List<Program.Instruction> instructions = new ArrayList<>();
    for (JsonNode instruction : Plan.needed(one, "instructions"))
      instructions.add(
          new Program.Instruction(
              Program.Operation.named(instruction.path(0).asText()),
              instruction.path(1).asDouble()));
    JsonNode texts = Plan.needed(one, "texts");
    double[] textIds = new double[texts.size()];
    for (int i = 0; i < textIds.length; i++) textIds[i] = Message.textId(texts.get(i).asText());
    int depth = Plan.needed(one, "stackDepthMax").asInt();
    if (depth < 0 || depth > DEPTH_MAX) throw new IllegalArgumentException("a stack of " + depth);
    check(instructions, variables, textIds.length, depth);
    JsonNode threshold = one.path("threshold");
    return new Condition(
        new Program(instructions),
        textIds,
        depth,
        threshold.isObject() ? threshold(threshold, variables) : null);
  }

  /** It names what there is, and its stack never runs empty or beyond its room. */
  private static void check(
      List<Program.Instruction> instructions, int variables, int texts, int depthMax) {
    int depth = 0;
    for (Program.Instruction one : instructions) {
      int takes =
          switch (one.operation()) {
            case CONSTANT, TEXT, METRIC -> 0;
            case NEGATE, ABSOLUTE, NOT -> 1;
            case SELECT -> 3;
            default -> 2;
          };
      if (one.operation() == Program.Operation.METRIC) within(one.operand(), variables);
      if (one.operation() == Program.Operation.TEXT) within(one.operand(), texts);
      if (depth < takes) throw new IllegalArgumentException("a program that takes what is not there");
      depth += 1 - takes;
      within(depth - 1, depthMax);
    }
    if (depth != 1) throw new IllegalArgumentException("a program that leaves no result");
  }

  private static void within(double index, int count) {
    if (!(index >= 0 && index < count))
      throw new IllegalArgumentException(index + " is not one of " + count);
  }

  private static Threshold threshold(JsonNode one, int variables) {
    String comparison = Plan.needed(one, "comparison").asText();
    within(Plan.needed(one, "variable").asDouble(), variables);
    return new Threshold(
        Plan.needed(one, "variable").asInt(),
        Comparison.valueOf(comparison.replace('-', '_').toUpperCase(Locale.ROOT)),
        Plan.needed(one, "value").asDouble());
  }
}
