/**
 * Comparisons with constants in a compiled condition. What is found here lets an engine pass over a
 * reading without the interpreter: a condition cannot hold while one of its guards does not.
 */
import type { Instruction, Program, Threshold } from './pipeline.ts'

/** `80 < t` is `t > 80`. */
const MIRRORED = {
  less: 'greater',
  'less-or-equal': 'greater-or-equal',
  greater: 'less',
  'greater-or-equal': 'less-or-equal',
} as const

type Comparison = keyof typeof MIRRORED

/** One value on the stack: where the instructions that made it lie. */
interface Value {
  from: number
  to: number
}

export function thresholdsOf(
  instructions: readonly Instruction[],
): Pick<Program, 'threshold' | 'guards'> {
  const guards = conjuncts(instructions).flatMap(({ from, to }) => {
    const threshold = thresholdOf(instructions.slice(from, to))
    return threshold === undefined ? [] : [threshold]
  })
  return { threshold: thresholdOf(instructions), guards }
}

/** The parts that a chain of `and` at the top joins; the whole where there is none. */
function conjuncts(instructions: readonly Instruction[]): Value[] {
  const parts = new Map<number, Value[]>()
  const stack: Value[] = []
  for (const [at, [operation]] of instructions.entries()) {
    const operands = stack.splice(stack.length - operandsOf(operation))
    const value = { from: operands[0]?.from ?? at, to: at + 1 }
    stack.push(value)
    if (operation === 'and') parts.set(at, operands)
  }
  const open = [...stack]
  const found: Value[] = []
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const joined = parts.get(value.to - 1)
    if (joined === undefined) found.push(value)
    else open.push(...joined.toReversed())
  }
  return found
}

function operandsOf(operation: Instruction[0]): number {
  if (operation === 'constant' || operation === 'text' || operation === 'metric') return 0
  if (operation === 'not' || operation === 'negate' || operation === 'absolute') return 1
  return operation === 'select' ? 3 : 2
}

/** The greatest count of values on the stack at any time. */
export function measureStack(instructions: readonly Instruction[]): number {
  let depth = 0
  let depthMax = 0
  for (const [operation] of instructions) {
    depth += 1 - operandsOf(operation)
    depthMax = Math.max(depthMax, depth)
  }
  return depthMax
}

function thresholdOf(instructions: readonly Instruction[]): Threshold | undefined {
  const [left, right, last] = instructions
  if (instructions.length !== 3 || left === undefined || right === undefined) return undefined
  const operation = last![0]
  if (!Object.hasOwn(MIRRORED, operation)) return undefined
  const comparison = operation as Comparison
  if (left[0] === 'metric' && right[0] === 'constant')
    return { variable: left[1], comparison, value: right[1] }
  if (left[0] === 'constant' && right[0] === 'metric')
    return { variable: right[1], comparison: MIRRORED[comparison], value: left[1] }
  return undefined
}
