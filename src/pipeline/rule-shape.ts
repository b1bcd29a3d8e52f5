/**
 * Whether something is a compiled rule: what came through a log may have been written by another
 * version, or by somebody else's program, and an engine that met half of a rule would end in the
 * same place after each restart. If you add a key to a rule, it is decided here.
 */
import { isTimeZone, type Schedule } from '../schedule/schedule.ts'
import type { Instruction, Program, Rule, Threshold, Variable } from './pipeline.ts'

type Test = (value: unknown) => boolean
type Shape<T> = { readonly [Name in keyof Required<T>]: Test }

const isText: Test = (value) => typeof value === 'string'
const isBoolean: Test = (value) => typeof value === 'boolean'
const isNumber: Test = (value) => typeof value === 'number' && Number.isFinite(value)
const isCount: Test = (value) => Number.isSafeInteger(value) && Number(value) >= 0
/** JSON leaves out what is undefined. */
const orNone =
  (test: Test): Test =>
  (value) =>
    value === undefined || test(value)
const oneOf =
  (...names: readonly string[]): Test =>
  (value) =>
    names.includes(value as string)
const listOf =
  (test: Test): Test =>
  (value) =>
    Array.isArray(value) && value.every(test)
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const shapeOf =
  <T>(shape: Shape<T>): Test =>
  (value) =>
    isRecord(value) && Object.entries<Test>(shape).every(([name, test]) => test(value[name]))

const isComparison = oneOf('less', 'less-or-equal', 'greater', 'greater-or-equal')
const isThreshold = shapeOf<Threshold>({
  ...{ variable: isCount, comparison: isComparison, value: isNumber },
})

/** What each operation takes from the stack, and puts onto it. */
const OPERATIONS: Record<Instruction[0], { takes: number; operand?: Test }> = {
  constant: { takes: 0, operand: isNumber },
  text: { takes: 0, operand: isCount },
  metric: { takes: 0, operand: isCount },
  ...{ negate: { takes: 1 }, absolute: { takes: 1 }, not: { takes: 1 }, select: { takes: 3 } },
  ...{ add: { takes: 2 }, subtract: { takes: 2 }, multiply: { takes: 2 }, divide: { takes: 2 } },
  ...{ modulo: { takes: 2 }, less: { takes: 2 }, 'less-or-equal': { takes: 2 } },
  ...{ greater: { takes: 2 }, 'greater-or-equal': { takes: 2 }, equal: { takes: 2 } },
  ...{ 'not-equal': { takes: 2 }, and: { takes: 2 }, or: { takes: 2 } },
}

const isInstruction: Test = (value) => {
  if (!Array.isArray(value) || !Object.hasOwn(OPERATIONS, String(value[0]))) return false
  const { operand } = OPERATIONS[value[0] as Instruction[0]]
  return operand === undefined || operand(value[1])
}

const hasProgramShape = shapeOf<Program>({
  ...{ instructions: listOf(isInstruction), texts: listOf(isText), stackDepthMax: isCount },
  ...{ threshold: orNone(isThreshold), guards: listOf(isThreshold) },
})

const isVariable: Test = (value) =>
  isRecord(value) &&
  (value['of'] === 'device'
    ? [value['label'], value['tag']].every(isText) &&
      oneOf('id', 'type', 'location', 'tag')(value['field']) &&
      oneOf('text', 'number')(value['kind'])
    : oneOf(...METRIC_VARIABLES)(value['of']) &&
      [value['label'], value['metric'], value['unit']].every(isText) &&
      oneOf('number', 'boolean', 'text')(value['kind']))

const METRIC_VARIABLES: readonly Exclude<Variable['of'], 'device'>[] = [
  ...(['latest', 'previous', 'delta', 'avg', 'min', 'max', 'sum', 'count'] as const),
  ...(['stddev', 'first', 'last', 'rate'] as const),
]

const TIME = /^([01]\d|2[0-3]):[0-5]\d$|^24:00$/
const isTime: Test = (value) => typeof value === 'string' && TIME.test(value)
const isSchedule = shapeOf<Schedule>({
  days: listOf((day) => isCount(day) && Number(day) >= 1 && Number(day) <= 7),
  ...{ from: isTime, to: isTime },
  timeZone: (value) => typeof value === 'string' && isTimeZone(value),
})

const isTexts = listOf(isText)
const hasRuleShape = shapeOf<Rule>({
  ...{ id: isText, version: isCount, type: orNone(isText), deviceIds: orNone(isTexts) },
  tags: (value) => isRecord(value) && Object.values(value).every(isText),
  ...{ on: oneOf('readings', 'window', 'silence'), when: isText, variables: listOf(isVariable) },
  ...{ program: hasProgramShape, clear: orNone(hasProgramShape) },
  ...{ windowMs: isCount, isEarly: isBoolean, silentUs: isCount, forUs: isCount, keepUs: isCount },
  repeat: orNone(shapeOf<NonNullable<Rule['repeat']>>({ count: isCount, withinUs: isCount })),
  ...{ schedule: orNone(isSchedule), severity: isText, notify: orNone(isTexts) },
  summary: orNone(isText),
  budget: orNone(shapeOf<NonNullable<Rule['budget']>>({ alerts: isNumber, perUs: isCount })),
})

export function isRule(value: unknown): value is Rule {
  if (!hasRuleShape(value)) return false
  const { program, clear, variables, on } = value as Rule
  if (on === 'silence') return variables.length === 0 && program.instructions.length === 0
  return [program, clear ?? program].every((one) => canRun(one, variables.length))
}

/** It names what there is, and its stack never runs empty or beyond its room. */
function canRun(
  { instructions, texts, stackDepthMax, threshold, guards }: Program,
  variables: number,
) {
  const compared = threshold === undefined ? guards : [threshold, ...guards]
  if (compared.some(({ variable }) => variable >= variables)) return false
  let depth = 0
  for (const [operation, operand] of instructions) {
    if (operation === 'metric' && operand >= variables) return false
    if (operation === 'text' && operand >= texts.length) return false
    const { takes } = OPERATIONS[operation]
    if (depth < takes) return false
    depth += 1 - takes
    if (depth > stackDepthMax) return false
  }
  return depth === 1
}
