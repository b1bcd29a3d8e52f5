/**
 * Compiles a rule's condition from CEL to a typed stack program.
 *
 * What is taken of CEL: numbers, booleans, texts, metrics by name (`temperature`, `motor.current`,
 * `metrics["PM2.5"]`), functions of a metric (`rate(temperature)`), what the registry says
 * (`device.tags.site`), `+ - * / %`, comparisons, `&& || !`, `? :`, and `in [constants]`. Numbers
 * are doubles, as telemetry is, so `80` and `80.0` are the same, where CEL proper would refuse to
 * compare a double with an int; the one place where that could change a result, the division of
 * two whole constants, is refused. Everything else of CEL gets an error that names it.
 */
import { parse, type ASTNode } from '@marcbachmann/cel-js'
import { suggest } from '../config/config.ts'
import type { ValueKind } from '../batch/batch.ts'
import { inferKinds, type Scope } from './condition-kinds.ts'
import { functionsOf, termOf, type Term } from './condition-terms.ts'
import type { Instruction, MetricVariable, Program, Variable } from './pipeline.ts'
import { evaluate } from './program.ts'
import { measureStack, thresholdsOf } from './thresholds.ts'

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

type Operation = Exclude<Instruction[0], 'constant' | 'text' | 'metric'>

/**
 * Throws ConditionError. What the program's variables stand for is added to `variables`, where it
 * is not there yet: conditions of one rule share them.
 */
export function compileCondition(text: string, scope: Scope, variables: Variable[]): Program {
  const root = parseCel(text)
  const compiler = new Compiler(text, { scope, kinds: inferKinds(root, scope), variables })
  const kind = compiler.compile(root)
  const { instructions, texts } = compiler
  if (kind !== 'boolean')
    throw new ConditionError(text, 0, `found a ${kind}, expected a condition (true or false)`)
  if (!compiler.hasMetric)
    throw new ConditionError(text, 0, 'found no metric, expected a condition on at least one')
  if (instructions.length > INSTRUCTIONS_MAX)
    throw new ConditionError(text, 0, `found more than ${INSTRUCTIONS_MAX} operations`)
  const stackDepthMax = measureStack(instructions)
  return { instructions, texts, stackDepthMax, ...thresholdsOf(instructions) }
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
  readonly texts: string[] = []
  hasMetric = false
  readonly #variables: Variable[]
  readonly #text: string
  readonly #scope: Scope
  readonly #kinds: ReadonlyMap<string, ValueKind>

  constructor(
    text: string,
    of: { scope: Scope; kinds: ReadonlyMap<string, ValueKind>; variables: Variable[] },
  ) {
    this.#text = text
    this.#scope = of.scope
    this.#kinds = of.kinds
    this.#variables = of.variables
  }

  compile(node: ASTNode): ValueKind {
    const term = termOf(node)
    if (term !== undefined) return this.#term(node, term)
    switch (node.op) {
      case 'value':
        return this.#literal(node, node.args)
      case '!_':
        return this.#unary('not', node.args, 'boolean')
      case '-_':
        return this.#unary('negate', node.args, 'number')
      case 'call':
        return this.#call(node, node.args)
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

  #call(node: ASTNode, [name, args]: [string, ASTNode[]]): ValueKind {
    const [argument] = args
    if (name === 'abs' && argument !== undefined && args.length === 1)
      return this.#unary('absolute', argument, 'number')
    if (name === 'number')
      this.#fail(node, 'found number() of something else, expected number(device.tags.limit)')
    if (ALL_FUNCTIONS.has(name))
      this.#fail(node, `found ${sourceOf(node)}, expected ${name}() of one metric’s name`)
    return this.#fail(node, `${describe(node)} is not supported in rules`)
  }

  #term(node: ASTNode, term: Term): ValueKind {
    if (term.of === 'device') {
      const { of, label, field, tag, kind } = term
      return this.#variable({ of, label, field, tag, kind }, kind)
    }
    const { of, metric, label, argument } = term
    const metricKind = this.#kindOf(argument, metric)
    this.#checkUse(node, term, metricKind)
    this.hasMetric = true
    const isItself = of === 'latest' || of === 'previous'
    const unit = unitOf(of, this.#scope.units.get(metric) ?? '')
    const variable = { of, label, metric, kind: metricKind, unit }
    return this.#variable(variable, isItself ? metricKind : 'number')
  }

  #variable(variable: Variable, kind: ValueKind): ValueKind {
    const isSame = (one: Variable): boolean =>
      one.label === variable.label && one.of === variable.of && one.kind === variable.kind
    let index = this.#variables.findIndex(isSame)
    if (index === -1) index = this.#variables.push(variable) - 1
    this.instructions.push(['metric', index])
    return kind
  }

  #kindOf(node: ASTNode, name: string): ValueKind {
    const { isOpen, title, kinds, ambiguous } = this.#scope
    if (ambiguous.has(name))
      this.#fail(node, `found the metric "${name}", whose kind differs between schemas`)
    const kind = this.#kinds.get(name) ?? (isOpen ? 'number' : undefined)
    if (kind !== undefined) return kind
    const known = [...kinds.keys()]
    const detail = `found the metric "${name}", which ${title} does not have`
    return this.#fail(node, `${detail}${suggest(name, known)}`)
  }

  #checkUse(node: ASTNode, { of, metric }: Exclude<Term, { of: 'device' }>, kind: ValueKind): void {
    const { isWindowed } = this.#scope
    if (isWindowed && of === 'latest')
      this.#fail(
        node,
        `found ${sourceOf(node)}, expected what the window says of it, such as avg(${metric})`,
      )
    if (of !== 'latest' && !functionsOf(isWindowed).includes(of))
      this.#fail(
        node,
        isWindowed
          ? `found ${of}(), which is of readings, expected none in a rule with a window`
          : `found ${of}(), which is of a window, expected a rule with one, such as window: 5m`,
      )
    const isOfNumbers = of === 'rate' || of === 'delta'
    if (kind === 'text' && of !== 'latest' && of !== 'previous')
      this.#fail(node, `found ${of}(${metric}), which is a text, expected a number or boolean`)
    if (isOfNumbers && kind !== 'number')
      this.#fail(node, `found ${of}(${metric}), which is a ${kind}, expected a number`)
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

const ALL_FUNCTIONS: ReadonlySet<string> = new Set([...functionsOf(false), ...functionsOf(true)])

function unitOf(of: MetricVariable['of'], unit: string): string {
  if (of === 'count') return '1'
  return of === 'rate' && unit !== '' ? `${unit}/s` : unit
}

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
