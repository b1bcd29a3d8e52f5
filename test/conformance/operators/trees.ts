/** Conditions as trees: what a program must compute, said by recursion, and the program of it. */
import fc from 'fast-check'
import type { Instruction } from '../../../src/pipeline/pipeline.ts'

export type Tree =
  | { kind: 'constant'; value: number }
  | { kind: 'metric' | 'text'; index: number }
  | { kind: 'unary'; operation: keyof typeof UNARY; of: Tree }
  | { kind: 'binary'; operation: keyof typeof BINARY; left: Tree; right: Tree }
  | { kind: 'select'; condition: Tree; yes: Tree; no: Tree }

const UNARY = {
  negate: (x: number) => -x,
  absolute: (x: number) => Math.abs(x),
  // NaN is not 0, and so it is true.
  not: (x: number) => Number(x === 0),
}

const BINARY = {
  add: (x: number, y: number) => x + y,
  subtract: (x: number, y: number) => x - y,
  multiply: (x: number, y: number) => x * y,
  divide: (x: number, y: number) => x / y,
  modulo: (x: number, y: number) => x % y,
  less: (x: number, y: number) => Number(x < y),
  'less-or-equal': (x: number, y: number) => Number(x <= y),
  greater: (x: number, y: number) => Number(x > y),
  'greater-or-equal': (x: number, y: number) => Number(x >= y),
  equal: (x: number, y: number) => Number(x === y),
  'not-equal': (x: number, y: number) => Number(x !== y),
  and: (x: number, y: number) => Number(x !== 0 && y !== 0),
  or: (x: number, y: number) => Number(x !== 0 || y !== 0),
}

/** Every operation, over a quotient, which may be infinite or not a number, and a metric. */
export function eachOperation(): [string, Tree][] {
  const metric = (index: number): Tree => ({ kind: 'metric', index })
  const [left, right] = [metric(0), metric(1)]
  const quotient: Tree = { kind: 'binary', operation: 'divide', left, right }
  const unary = (Object.keys(UNARY) as (keyof typeof UNARY)[]).map((operation): [string, Tree] => [
    operation,
    { kind: 'unary', operation, of: quotient },
  ])
  const binary = (Object.keys(BINARY) as (keyof typeof BINARY)[]).flatMap(
    (operation): [string, Tree][] => [
      [operation, { kind: 'binary', operation, left: quotient, right: metric(2) }],
      [
        `${operation}, the other way`,
        { ...{ kind: 'binary', operation }, ...{ left: metric(2), right: quotient } },
      ],
    ],
  )
  const select: Tree = { kind: 'select', condition: quotient, yes: metric(2), no: metric(0) }
  return [...unary, ...binary, ['select', select]]
}

/** A text that the dictionary does not have is unlike every value and every other text. */
export function valueOf(tree: Tree, values: number[], textIds: number[]): number {
  const of = (one: Tree): number => valueOf(one, values, textIds)
  switch (tree.kind) {
    case 'constant':
      return tree.value
    case 'metric':
      return values[tree.index]!
    case 'text':
      return textIds[tree.index] === -1 ? -1 - tree.index : textIds[tree.index]!
    case 'unary':
      return UNARY[tree.operation](of(tree.of))
    case 'binary':
      return BINARY[tree.operation](of(tree.left), of(tree.right))
    case 'select':
      return of(tree.condition) === 0 ? of(tree.no) : of(tree.yes)
  }
}

/** Operands before their operation. */
export function programOf(tree: Tree): Instruction[] {
  switch (tree.kind) {
    case 'constant':
      return [['constant', tree.value]]
    case 'metric':
    case 'text':
      return [[tree.kind, tree.index]]
    case 'unary':
      return [...programOf(tree.of), [tree.operation]]
    case 'binary':
      return [...programOf(tree.left), ...programOf(tree.right), [tree.operation]]
    case 'select':
      return [tree.condition, tree.yes, tree.no].flatMap(programOf).concat([['select']])
  }
}

export function depthOf(tree: Tree): number {
  switch (tree.kind) {
    case 'unary':
      return depthOf(tree.of)
    case 'binary':
      return Math.max(depthOf(tree.left), 1 + depthOf(tree.right))
    case 'select':
      return Math.max(depthOf(tree.condition), 1 + depthOf(tree.yes), 2 + depthOf(tree.no))
    default:
      return 1
  }
}

/** Over three metrics and two texts. */
export const anyTree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    fc.constantFrom(0, 1, -1, 0.5, 80, 1e300).map((value): Tree => ({ kind: 'constant', value })),
    fc.nat(2).map((index): Tree => ({ kind: 'metric', index })),
    fc.nat(1).map((index): Tree => ({ kind: 'text', index })),
    fc.record({
      kind: fc.constant('unary' as const),
      operation: fc.constantFrom(...(Object.keys(UNARY) as (keyof typeof UNARY)[])),
      of: tie('tree'),
    }),
    fc.record({
      kind: fc.constant('binary' as const),
      operation: fc.constantFrom(...(Object.keys(BINARY) as (keyof typeof BINARY)[])),
      left: tie('tree'),
      right: tie('tree'),
    }),
    fc.record({
      kind: fc.constant('select' as const),
      condition: tie('tree'),
      yes: tie('tree'),
      no: tie('tree'),
    }),
  ),
})).tree
