/**
 * The interpreter of a rule's condition. It allocates nothing: values and stack belong to the
 * caller, texts are compared by their dictionary ids. Every operation is total (numbers are IEEE
 * 754 doubles, nothing throws), so `and`, `or` and `select` may evaluate all their operands.
 * Flink's operator interprets the same table.
 */
import type { Program } from './pipeline.ts'

/**
 * Whether the condition holds.
 *
 * @param values one per variable, in the order of `Rule.variables`: numbers as they are, booleans
 *   as 0 or 1, texts as dictionary ids (0 or more)
 * @param stack scratch space of at least `program.stackDepthMax`
 * @param textId the number of `program.texts[index]`; -1 when the dictionary has no such text yet,
 *   and then it equals no value
 */
export function run(
  program: Program,
  values: Float64Array,
  stack: Float64Array,
  textId: (index: number) => number,
): boolean {
  return evaluate(program, values, stack, textId) !== 0
}

/** The program's result as a number (booleans 0 and 1); `run` is this for conditions. */
export function evaluate(
  program: Pick<Program, 'instructions'>,
  values: Float64Array,
  stack: Float64Array,
  textId: (index: number) => number,
): number {
  const { instructions } = program
  // The index of the topmost value. Operands are left (below) and right (on top).
  let top = -1
  for (let at = 0; at < instructions.length; at++) {
    const instruction = instructions[at]!
    switch (instruction[0]) {
      case 'constant':
        stack[++top] = instruction[1]
        continue
      case 'metric':
        stack[++top] = values[instruction[1]]!
        continue
      case 'text': {
        const id = textId(instruction[1])
        // Unknown texts get ids of their own, so that two different ones are not equal.
        stack[++top] = id === -1 ? -1 - instruction[1] : id
        continue
      }
      case 'negate':
        stack[top] = -stack[top]!
        continue
      case 'absolute':
        stack[top] = Math.abs(stack[top]!)
        continue
      case 'not':
        stack[top] = stack[top] === 0 ? 1 : 0
        continue
      case 'select':
        top -= 2
        stack[top] = stack[top] === 0 ? stack[top + 2]! : stack[top + 1]!
        continue
      default:
        top--
        stack[top] = applyBinary(instruction[0], stack[top]!, stack[top + 1]!)
    }
  }
  return stack[0]!
}

type BinaryOperation =
  | 'add'
  | 'subtract'
  | 'multiply'
  | 'divide'
  | 'modulo'
  | 'less'
  | 'less-or-equal'
  | 'greater'
  | 'greater-or-equal'
  | 'equal'
  | 'not-equal'
  | 'and'
  | 'or'

function applyBinary(operation: BinaryOperation, left: number, right: number): number {
  switch (operation) {
    case 'add':
      return left + right
    case 'subtract':
      return left - right
    case 'multiply':
      return left * right
    case 'divide':
      return left / right
    case 'modulo':
      return left % right
    case 'less':
      return left < right ? 1 : 0
    case 'less-or-equal':
      return left <= right ? 1 : 0
    case 'greater':
      return left > right ? 1 : 0
    case 'greater-or-equal':
      return left >= right ? 1 : 0
    case 'equal':
      return left === right ? 1 : 0
    case 'not-equal':
      return left === right ? 0 : 1
    case 'and':
      return left !== 0 && right !== 0 ? 1 : 0
    case 'or':
      return left !== 0 || right !== 0 ? 1 : 0
  }
}
