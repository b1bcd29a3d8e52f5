/** Which metrics a condition names, and what kind of value each of them has. */
import type { ASTNode } from '@marcbachmann/cel-js'
import type { ValueKind } from '../batch/batch.ts'
import { termOf, type Term } from './condition-terms.ts'

/** The metrics that a condition may name. */
export interface Scope {
  /** Declared metrics and their kinds. */
  kinds: ReadonlyMap<string, ValueKind>
  /** Declared metrics that are of different kinds in different types. */
  ambiguous: ReadonlySet<string>
  /** Whether other metrics exist too (type generic); their kind then follows from their use. */
  isOpen: boolean
  /** For messages: `type pump`. */
  title: string
  /** Of metrics that have the same unit wherever they are declared. */
  units: ReadonlyMap<string, string>
  /** Whether metrics stand for what a window says of them, or for their readings. */
  isWindowed: boolean
}

/**
 * The kinds of all metrics in scope. In an open scope a metric's kind follows from what it is
 * compared or combined with; nothing is said of one that is only compared with its like (the
 * compiler takes it as a number).
 */
export function inferKinds(root: ASTNode, scope: Scope): ReadonlyMap<string, ValueKind> {
  if (!scope.isOpen) return scope.kinds
  const inference = new Inference(scope.kinds)
  let known: number
  // Each pass visits every node once and carries what is known one step further; a chain such as
  // `a == b && b == c && c == "x"` takes one pass a link.
  do {
    known = inference.knownCount
    inference.visit(root, 'boolean')
  } while (inference.knownCount > known)
  return inference.kinds
}

class Inference {
  readonly kinds: Map<string, ValueKind>
  readonly #nodes = new Map<ASTNode, ValueKind>()

  constructor(declared: ReadonlyMap<string, ValueKind>) {
    this.kinds = new Map(declared)
  }

  get knownCount(): number {
    return this.kinds.size + this.#nodes.size
  }

  /** The kind of a node as far as it is known; a metric without one gets the `wanted` kind. */
  visit(node: ASTNode, wanted: ValueKind | undefined): ValueKind | undefined {
    const term = termOf(node)
    const kind = term === undefined ? this.#operation(node, wanted) : this.#term(term, wanted)
    if (kind !== undefined) this.#nodes.set(node, kind)
    return kind
  }

  #term(term: Term, wanted: ValueKind | undefined): ValueKind | undefined {
    if (term.of === 'device') return term.kind
    const { of, metric } = term
    // What a function makes is a number, of a number unless it is known for something else.
    const isItself = of === 'latest' || of === 'previous'
    const kind = isItself ? wanted : 'number'
    if (!this.kinds.has(metric) && kind !== undefined) this.kinds.set(metric, kind)
    return isItself ? this.kinds.get(metric) : 'number'
  }

  #operation(node: ASTNode, wanted: ValueKind | undefined): ValueKind | undefined {
    switch (node.op) {
      case 'value':
        return kindOfLiteral(node.args)
      case '!_':
        return this.visit(node.args, 'boolean')
      case '-_':
        return this.visit(node.args, 'number')
      case '&&':
      case '||':
        return this.#operands(node.args, 'boolean', 'boolean')
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
        return this.#operands(node.args, 'number', 'number')
      case '<':
      case '<=':
      case '>':
      case '>=':
        return this.#operands(node.args, 'number', 'boolean')
      case '==':
      case '!=':
        this.#alike(node.args, undefined)
        return 'boolean'
      case '?:': {
        const [condition, left, right] = node.args
        this.visit(condition, 'boolean')
        return this.#alike([left, right], wanted)
      }
      case 'in': {
        const [value, list] = node.args
        const first = list.op === 'list' ? list.args[0] : undefined
        this.visit(value, first && this.visit(first, undefined))
        return 'boolean'
      }
      case 'call': {
        const [name, args] = node.args
        for (const argument of args) this.visit(argument, name === 'abs' ? 'number' : undefined)
        return name === 'abs' ? 'number' : undefined
      }
      default:
        return undefined
    }
  }

  #operands(nodes: [ASTNode, ASTNode], wanted: ValueKind, result: ValueKind): ValueKind {
    for (const node of nodes) this.visit(node, wanted)
    return result
  }

  /** Both nodes have one kind: what is known of either goes to the other. */
  #alike([left, right]: [ASTNode, ASTNode], wanted: ValueKind | undefined): ValueKind | undefined {
    const kind = wanted ?? this.#nodes.get(left) ?? this.#nodes.get(right)
    const leftKind = this.visit(left, kind)
    const rightKind = this.visit(right, kind ?? leftKind)
    return leftKind ?? rightKind
  }
}

function kindOfLiteral(value: unknown): ValueKind | undefined {
  if (typeof value === 'bigint' || typeof value === 'number') return 'number'
  if (typeof value === 'string') return 'text'
  return typeof value === 'boolean' ? 'boolean' : undefined
}
