/** Tests of rules: checked against types and rules, and laid out as readings in time. */
import type { ValueKind } from '../batch/batch.ts'
import { suggest, type Path, type Problem } from '../config/config.ts'
import { scopeOf, type Context, type Items } from './detectors.ts'
import { resolveDurationUs } from './durations.ts'
import type { RuleTest } from './pipeline.ts'
import type { ReadingsDefinition, TestDefinition, TestValue } from './test-definition.ts'

const READINGS_MAX = 100_000
/** A Monday. */
const START_DEFAULT = '2024-01-01T00:00:00Z'
const DEVICE_DEFAULT = 'device-1'
const TYPE_DEFAULT = 'generic'
const NO_METRICS = new Set(['at', 'every', 'times'])

export interface TestContext extends Context {
  /** As written, those with problems of their own included. */
  ruleIds: readonly string[]
}

export function resolveTests(items: Items<TestDefinition>, context: TestContext): RuleTest[] {
  const names = new Set<string>()
  return items.map(([index, definition]) => {
    const path = ['tests', index]
    const { name } = definition
    if (names.has(name))
      context.problems.push({
        path: [...path, 'name'],
        message: `found "${name}" a second time, expected names to be unique`,
      })
    names.add(name)
    return resolveTest(definition, path, context)
  })
}

function resolveTest(definition: TestDefinition, path: Path, context: TestContext): RuleTest {
  const { problems } = context
  const { name, device = {}, rules } = definition
  const us = (text: string, ...key: Path): number =>
    resolveDurationUs(text, [...path, ...key], problems)
  const startUs = resolveStart(definition.start ?? START_DEFAULT, [...path, 'start'], problems)
  const deviceType = device.type ?? TYPE_DEFAULT
  const readings = resolveReadings(definition, deviceType, { path, startUs, context })
  const lastUs = Math.max(
    startUs,
    ...[readings.at(-1)?.timeUs ?? startUs],
    ...definition.expect.map(({ at }, index) => startUs + us(at, 'expect', index, 'at')),
  )
  for (const [index, id] of (rules ?? []).entries())
    checkRule(id, [...path, 'rules', index], context)
  for (const [index, { rule }] of definition.expect.entries())
    checkRule(rule, [...path, 'expect', index, 'rule'], context)
  return {
    ...{ name, path, startUs, readings, rules },
    device: {
      ...{ device: 0, tenant: 'test', deviceId: device.id ?? DEVICE_DEFAULT, deviceType },
      ...{ location: device.location, tags: device.tags ?? {}, parent: undefined },
    },
    endUs: definition.until === undefined ? lastUs : startUs + us(definition.until, 'until'),
    expected: definition.expect.map(({ at, rule, state }, index) => ({
      ...{ atUs: us(at, 'expect', index, 'at'), ruleId: rule, state },
    })),
  }
}

function resolveStart(text: string, path: Path, problems: Problem[]): number {
  const ms = Date.parse(text)
  if (!Number.isFinite(ms)) problems.push({ path, message: `found ${text}, which is no date` })
  return Number.isFinite(ms) ? ms * 1000 : 0
}

function checkRule(id: string, path: Path, { ruleIds, problems }: TestContext): void {
  if (ruleIds.includes(id)) return
  problems.push({ path, message: `found "${id}", expected a rule${suggest(id, ruleIds)}` })
}

interface Place {
  path: Path
  startUs: number
  context: TestContext
}

/** In the order of their times; what is sent at one time is one message. */
function resolveReadings(
  { readings, device }: TestDefinition,
  deviceType: string,
  { path, startUs, context }: Place,
): RuleTest['readings'] {
  const { problems } = context
  const devicePath = [...path, ...(device?.type === undefined ? [] : ['device'])]
  const scope = scopeOf(deviceType, devicePath, context)
  const laidOut = (readings as ReadingsDefinition[]).flatMap((one, index) => {
    const at = [...path, 'readings', index]
    const metrics = Object.entries(one).filter(([key]) => !NO_METRICS.has(key))
    if (metrics.length === 0)
      problems.push({ path: at, message: 'found no metric, expected one such as temperature: 81' })
    for (const [metric, values] of metrics) checkMetric(metric, values, [...at, metric])
    return layOut(one, at, { metrics, startUs, problems })
  })
  if (laidOut.length > READINGS_MAX)
    problems.push({
      path: [...path, 'readings'],
      message: `found ${laidOut.length} readings, expected at most ${READINGS_MAX}`,
    })
  return laidOut.toSorted((a, b) => a.timeUs - b.timeUs)

  function checkMetric(metric: string, values: unknown, at: Path): void {
    if (scope === undefined) return
    const kind = scope.kinds.get(metric)
    if (kind === undefined) {
      if (scope.isOpen) return
      const known = suggest(metric, [...scope.kinds.keys()])
      problems.push({ path: at, message: `found it, which ${scope.title} does not have${known}` })
      return
    }
    const wrong = listOf(values as TestValue).find((value) => kindOf(value) !== kind)
    if (wrong === undefined) return
    problems.push({ path: at, message: `found ${JSON.stringify(wrong)}, expected a ${kind}` })
  }
}

function layOut(
  { at, every, times }: ReadingsDefinition,
  path: Path,
  more: {
    metrics: [string, TestValue | TestValue[] | undefined][]
    startUs: number
    problems: Problem[]
  },
): RuleTest['readings'] {
  const { metrics, startUs, problems } = more
  const firstUs = startUs + resolveDurationUs(at, [...path, 'at'], problems)
  const everyUs = every === undefined ? 0 : resolveDurationUs(every, [...path, 'every'], problems)
  const longest = Math.max(1, ...metrics.map(([, values]) => listOf(values).length))
  const count = times ?? longest
  if (count > 1 && everyUs === 0)
    problems.push({
      path,
      message: `found ${count} readings, expected "every", such as every: 10s`,
    })
  if (every !== undefined && count === 1)
    problems.push({ path, message: 'found "every" for one reading, expected "times" or a list' })
  // Beyond the limit it is a problem already, and no reason to fill the memory.
  return Array.from({ length: Math.min(count, READINGS_MAX + 1) }, (_, turn) =>
    metrics.map(([metric, values]) => {
      const list = listOf(values)
      const value = list[turn % list.length]!
      return { timeUs: firstUs + turn * everyUs, metric, kind: kindOf(value), value }
    }),
  ).flat()
}

const listOf = (values: TestValue | TestValue[] | undefined): TestValue[] =>
  Array.isArray(values) ? values : values === undefined ? [] : [values]

const KINDS: Record<string, ValueKind> = { number: 'number', boolean: 'boolean', string: 'text' }

const kindOf = (value: TestValue): ValueKind => KINDS[typeof value]!
