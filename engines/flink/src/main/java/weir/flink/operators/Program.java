package weir.flink.operators;

import java.util.List;
import java.util.Locale;
import java.util.function.IntToDoubleFunction;

/**
 * A rule's condition as a stack program, and its interpreter. It allocates nothing: values and stack
 * belong to the caller, texts are compared by their dictionary ids. Every operation is total (numbers
 * are IEEE 754 doubles, nothing throws), so {@code and}, {@code or} and {@code select} may evaluate
 * all their operands. The twin of {@code src/pipeline/program.ts}; an operation is named there as
 * here, in lower case with hyphens.
 */
public final class Program {
  /** How an instruction is called in the plan: LESS_OR_EQUAL is {@code less-or-equal}. */
  public enum Operation {
    CONSTANT,
    TEXT,
    METRIC,
    ADD,
    SUBTRACT,
    MULTIPLY,
    DIVIDE,
    MODULO,
    NEGATE,
    ABSOLUTE,
    LESS,
    LESS_OR_EQUAL,
    GREATER,
    GREATER_OR_EQUAL,
    EQUAL,
    NOT_EQUAL,
    NOT,
    AND,
    OR,
    SELECT;

    /** Throws IllegalArgumentException for a name that this version does not know. */
    public static Operation named(String name) {
      return valueOf(name.replace('-', '_').toUpperCase(Locale.ROOT));
    }
  }

  /**
   * @param operand of CONSTANT the number, of TEXT and METRIC an index; else of no meaning
   */
  public record Instruction(Operation operation, double operand) {}

  private final Operation[] operations;
  private final double[] operands;

  public Program(List<Instruction> instructions) {
    operations = instructions.stream().map(Instruction::operation).toArray(Operation[]::new);
    operands = instructions.stream().mapToDouble(Instruction::operand).toArray();
  }

  /**
   * Whether the condition holds.
   *
   * @param values one per variable: numbers as they are, booleans as 0 or 1, texts as dictionary ids
   * @param stack scratch space of at least the program's {@code stackDepthMax}
   * @param textId the number of the text constant of this index; -1 when the dictionary has no such
   *     text yet, and then it equals no value
   */
  public boolean run(double[] values, double[] stack, IntToDoubleFunction textId) {
    return evaluate(values, stack, textId) != 0;
  }

  /** The program's result as a number (booleans 0 and 1). */
  public double evaluate(double[] values, double[] stack, IntToDoubleFunction textId) {
    // The index of the topmost value. Operands are left (below) and right (on top).
    int top = -1;
    for (int at = 0; at < operations.length; at++) {
      Operation operation = operations[at];
      switch (operation) {
        case CONSTANT -> stack[++top] = operands[at];
        case METRIC -> stack[++top] = values[(int) operands[at]];
        case TEXT -> stack[++top] = textValue((int) operands[at], textId);
        case NEGATE -> stack[top] = -stack[top];
        case ABSOLUTE -> stack[top] = Math.abs(stack[top]);
        case NOT -> stack[top] = stack[top] == 0 ? 1 : 0;
        case SELECT -> {
          top -= 2;
          stack[top] = stack[top] == 0 ? stack[top + 2] : stack[top + 1];
        }
        default -> {
          top--;
          stack[top] = applyBinary(operation, stack[top], stack[top + 1]);
        }
      }
    }
    return stack[0];
  }

  /** Unknown texts get ids of their own, so that two different ones are not equal. */
  private static double textValue(int index, IntToDoubleFunction textId) {
    double id = textId.applyAsDouble(index);
    return id == -1 ? -1 - index : id;
  }

  private static double applyBinary(Operation operation, double left, double right) {
    return switch (operation) {
      case ADD -> left + right;
      case SUBTRACT -> left - right;
      case MULTIPLY -> left * right;
      case DIVIDE -> left / right;
      case MODULO -> left % right;
      case LESS -> left < right ? 1 : 0;
      case LESS_OR_EQUAL -> left <= right ? 1 : 0;
      case GREATER -> left > right ? 1 : 0;
      case GREATER_OR_EQUAL -> left >= right ? 1 : 0;
      case EQUAL -> left == right ? 1 : 0;
      case NOT_EQUAL -> left == right ? 0 : 1;
      case AND -> left != 0 && right != 0 ? 1 : 0;
      case OR -> left != 0 || right != 0 ? 1 : 0;
      default -> throw new IllegalStateException(operation + " has not two operands");
    };
  }
}
