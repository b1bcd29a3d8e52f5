/**
 * Compiles a rule's condition from CEL to a typed stack program.
 *
 * What is taken of CEL: numbers, booleans, texts, metrics by name (`temperature`, `motor.current`,
 * `metrics["PM2.5"]`), `+ - * / %`, comparisons, `&& || !`, `? :`, and `in [constants]`. Numbers
 * are doubles, as telemetry is, so `80` and `80.0` are the same, where CEL proper would refuse to
 * compare a double with an int; the one place where that could change a result, the division of
 * two whole constants, is refused. Everything else of CEL gets an error that names it.
 */
import { parse, type ASTNode } from '@marcbachmann/cel-js'
import { suggest } from '../config/config.ts'
import type { ValueKind } from '../batch/batch.ts'
import { inferKinds, metricName, type Scope } from './condition-kinds.ts'
import type { Instruction, Program } from './pipeline.ts'
import { evaluate } from './program.ts'

export interface Condition {
  /** In the order of the program's variables. */
  metrics: string[]
  /** Parallel to `metrics`. */
  metricKinds: ValueKind[]
  program: Program
}

/** What is wrong with a condition, and where. */
export class ConditionError extends Error {
  constructor(text: string, start: number, message: string) {
    super(`${message} (at character ${start + 1} of ${JSON.stringify(text)})`)
    this.name = 'ConditionError'
  }
}

const INSTRUCTIONS_MAX = 1_000
const CONSTANTS_IN_LIST_MAX = 64

const ARITHMETIC = {
  '+': 'add',
  '-': 'subtract',
  '*': 'multiply',
  '/': 'divide',
  '%': 'modulo',
} as const
const ORDER = {
  '<': 'less',
  '<=': 'less-or-equal',
  '>': 'greater',
  '>=': 'greater-or-equal',
} as const
const EQUALITY = { '==': 'equal', '!=': 'not-equal' } as const
const LOGIC = { '&&': 'and', '||': 'or' } as const

/** `80 < t` is `t > 80`. */
const MIRRORED = {
  less: 'greater',
  'less-or-equal': 'greater-or-equal',
  greater: 'less',
  'greater-or-equal': 'less-or-equal',
} as const

type Comparison = keyof typeof MIRRORED
type Operation = Exclude<Instruction[0], 'constant' | 'text' | 'metric'>

/** Throws ConditionError. */
export function compileCondition(text: string, scope: Scope): Condition {
  const root = parseCel(text)
  const kinds = inferKinds(root, scope)
  const compiler = new Compiler(text, scope, kinds)
  const kind = compiler.compile(root)
  const { instructions, metrics, texts } = compiler
  if (kind !== 'boolean')
    throw new ConditionError(text, 0, `found a ${kind}, expected a condition (true or false)`)
  if (metrics.length === 0)
    throw new ConditionError(text, 0, 'found no metric, expected a condition on at least one')
  if (instructions.length > INSTRUCTIONS_MAX)
    throw new ConditionError(text, 0, `found more than ${INSTRUCTIONS_MAX} operations`)
  const stackDepthMax = measureStack(instructions)
  const metricKinds = metrics.map((name) => kinds.get(name) ?? 'number')
  const threshold = thresholdOf(instructions, metricKinds[0]!)
  const program = { instructions, texts, stackDepthMax, threshold }
  return { metrics, metricKinds, program }
}

function parseCel(text: string): ASTNode {
  try {
    return parse(text).ast
  } catch (error) {
    const { summary, range } = error as { summary?: string; range?: { start: number } }
    const message = summary ?? (error instanceof Error ? error.message : String(error))
    throw new ConditionError(text, range?.start ?? 0, `not valid CEL: ${message}`)
  }
}

/** Emits instructions in postfix order, checking kinds on the way. */
class Compiler {
  readonly instructions: Instruction[] = []
  readonly metrics: string[] = []
  readonly texts: string[] = []
  readonly #text: string
  readonly #scope: Scope
  readonly #kinds: ReadonlyMap<string, ValueKind>

  constructor(text: string, scope: Scope, kinds: ReadonlyMap<string, ValueKind>) {
    this.#text = text
    this.#scope = scope
    this.#kinds = kinds
  }

  compile(node: ASTNode): ValueKind {
    const name = metricName(node)
    if (name !== undefined) return this.#metric(node, name)
    switch (node.op) {
      case 'value':
        return this.#literal(node, node.args)
      case '!_':
        return this.#unary('not', node.args, 'boolean')
      case '-_':
        return this.#unary('negate', node.args, 'number')
      case '?:':
        return this.#select(node.args)
      case 'in':
        return this.#membership(node, node.args)
      case '&&':
      case '||':
        return this.#binary(LOGIC[node.op], node.args, 'boolean')
      case '==':
      case '!=':
        return this.#alike(EQUALITY[node.op], node.args)
      case '<':
      case '<=':
      case '>':
      case '>=':
        return this.#order(node, ORDER[node.op])
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
        return this.#arithmetic(node, ARITHMETIC[node.op])
      default:
        return this.#fail(node, `${describe(node)} is not supported in rules`)
    }
  }

  #metric(node: ASTNode, name: string): ValueKind {
    const { isOpen, title, kinds, ambiguous } = this.#scope
    if (ambiguous.has(name))
      this.#fail(node, `found the metric "${name}", whose kind differs between schemas`)
    const kind = this.#kinds.get(name) ?? (isOpen ? 'number' : undefined)
    if (kind === undefined) {
      const known = [...kinds.keys()]
      this.#fail(
        node,
        `found the metric "${name}", which ${title} does not have${suggest(name, known)}`,
      )
    }
    if (!this.metrics.includes(name)) this.metrics.push(name)
    this.instructions.push(['metric', this.metrics.indexOf(name)])
    return kind
  }

  #literal(node: ASTNode, value: unknown): ValueKind {
    switch (typeof value) {
      case 'bigint':
      case 'number': {
        const number = Number(value)
        if (typeof value === 'bigint' && !Number.isSafeInteger(number))
          this.#fail(node, `found ${value}, expected a whole number below 2^53`)
        this.instructions.push(['constant', number])
        return 'number'
      }
      case 'boolean':
        this.instructions.push(['constant', value ? 1 : 0])
        return 'boolean'
      case 'string':
        if (!this.texts.includes(value)) this.texts.push(value)
        this.instructions.push(['text', this.texts.indexOf(value)])
        return 'text'
      default:
        return this.#fail(node, `${describe(node)} is not supported in rules`)
    }
  }

  #expect(node: ASTNode, wanted: ValueKind): void {
    const kind = this.compile(node)
    if (kind !== wanted)
      this.#fail(node, `found ${sourceOf(node)}, which is a ${kind}, expected a ${wanted}`)
  }

  #unary(operation: Operation, operand: ASTNode, kind: ValueKind): ValueKind {
    this.#expect(operand, kind)
    this.#emit(operation, 1)
    return kind
  }

  #binary(operation: Operation, operands: [ASTNode, ASTNode], kind: ValueKind): ValueKind {
    for (const operand of operands) this.#expect(operand, kind)
    this.#emit(operation, 2)
    return kind
  }

  #alike(operation: Operation, [left, right]: [ASTNode, ASTNode]): ValueKind {
    this.#expect(right, this.compile(left))
    this.#emit(operation, 2)
    return 'boolean'
  }

  #order(node: ASTNode, operation: Operation): ValueKind {
    const [left, right] = node.args as [ASTNode, ASTNode]
    const kind = this.compile(left)
    // Dictionary ids have no order, so a text's `<` cannot be had.
    if (kind !== 'number')
      this.#fail(node, `found ${node.op} on a ${kind}, expected numbers (== and != take any kind)`)
    this.#expect(right, kind)
    this.#emit(operation, 2)
    return 'boolean'
  }

  #arithmetic(node: ASTNode, operation: Operation): ValueKind {
    const [left, right] = node.args as [ASTNode, ASTNode]
    if (node.op === '/' && isWholeConstant(left) && isWholeConstant(right))
      this.#fail(
        node,
        'found the division of two whole constants, which CEL cuts off; write one of them with .0',
      )
    return this.#binary(operation, [left, right], 'number')
  }

  #select([condition, left, right]: [ASTNode, ASTNode, ASTNode]): ValueKind {
    this.#expect(condition, 'boolean')
    const kind = this.compile(left)
    this.#expect(right, kind)
    this.#emit('select', 3)
    return kind
  }

  /** `x in [a, b]` is `x == a || x == b`; the program has no lists. */
  #membership(node: ASTNode, [value, list]: [ASTNode, ASTNode]): ValueKind {
    if (list.op !== 'list' || list.args.length === 0 || list.args.length > CONSTANTS_IN_LIST_MAX)
      this.#fail(list, `expected a list of 1 to ${CONSTANTS_IN_LIST_MAX} constants after "in"`)
    for (const [index, item] of list.args.entries()) {
      if (!isConstant(item)) this.#fail(item, `found ${sourceOf(item)}, expected a constant`)
      this.#alike('equal', [value, item])
      if (index > 0) this.#emit('or', 2)
      if (this.instructions.length > INSTRUCTIONS_MAX)
        this.#fail(node, `found more than ${INSTRUCTIONS_MAX} operations`)
    }
    return 'boolean'
  }

  /** Folds an operation on constants, by the interpreter itself so that both always agree. */
  #emit(operation: Operation, operandCount: number): void {
    const operands = this.instructions.slice(-operandCount)
    this.instructions.push([operation] as Instruction)
    if (!operands.every(([kind]) => kind === 'constant')) return
    const folded = this.instructions.splice(-1 - operandCount)
    const value = evaluate({ instructions: folded }, NOTHING, new Float64Array(3), () => -1)
    if (!Number.isFinite(value))
      throw new ConditionError(
        this.#text,
        0,
        `found a constant that is ${value}, expected a number`,
      )
    this.instructions.push(['constant', value])
  }

  #fail(node: ASTNode, message: string): never {
    throw new ConditionError(this.#text, node.start, message)
  }
}

const NOTHING = new Float64Array(0)

const sourceOf = (node: ASTNode): string => node.input.slice(node.start, node.end)

function isConstant(node: ASTNode): boolean {
  return node.op === 'value' || (node.op === '-_' && node.args.op === 'value')
}

function isWholeConstant(node: ASTNode): boolean {
  if (node.op === 'value') return typeof node.args === 'bigint'
  if (node.op === '-_') return isWholeConstant(node.args)
  if (!Object.hasOwn(ARITHMETIC, node.op)) return false
  return (node.args as [ASTNode, ASTNode]).every(isWholeConstant)
}

/** A construct of CEL that rules do not take, by its name. */
function describe(node: ASTNode): string {
  switch (node.op) {
    case 'call':
      return `the function ${node.args[0]}()`
    case 'rcall':
      return `the method .${node.args[0]}()`
    case 'list':
      return 'a list outside "in"'
    case 'map':
      return 'a map'
    case 'value':
      return `the constant ${sourceOf(node)}`
    default:
      return `${sourceOf(node)} (${node.op})`
  }
}

/** The greatest count of values on the stack at any time. */
function measureStack(instructions: Instruction[]): number {
  let depth = 0
  let depthMax = 0
  for (const [operation] of instructions) {
    if (operation === 'constant' || operation === 'text' || operation === 'metric') depth += 1
    else if (operation === 'select') depth -= 2
    else if (operation !== 'not' && operation !== 'negate') depth -= 1
    depthMax = Math.max(depthMax, depth)
  }
  return depthMax
}

/** The whole condition as one comparison of a number metric with a constant, if it is that. */
function thresholdOf(instructions: Instruction[], kind: ValueKind): Program['threshold'] {
  const [left, right, last] = instructions
  if (instructions.length !== 3 || left === undefined || right === undefined) return undefined
  const operation = last![0]
  if (kind !== 'number' || !Object.hasOwn(MIRRORED, operation)) return undefined
  const comparison = operation as Comparison
  if (left[0] === 'metric' && right[0] === 'constant') return { comparison, value: right[1] }
  if (left[0] === 'constant' && right[0] === 'metric')
    return { comparison: MIRRORED[comparison], value: left[1] }
  return undefined
}
