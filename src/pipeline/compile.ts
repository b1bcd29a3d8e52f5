/**
 * Compiles a pipeline definition to the plan that engines interpret. Everything wrong with a
 * definition is reported at once, each problem with file, line, key and what is expected.
 */
import { createHash } from 'node:crypto'
import {
  checkShape,
  formatProblems,
  readDocument,
  sourceWithoutText,
  type Path,
  type Problem,
  type Source,
} from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import { PipelineDefinition, type TimeDefinition, type TypeDefinition } from './definition.ts'
import { resolveDetectors } from './detectors.ts'
import { resolveDurationUs } from './durations.ts'
import { resolveTypes } from './device-types.ts'
import type { Plan, Rule, RuleTest, TimePolicy } from './pipeline.ts'
import { resolveRetention } from './retention.ts'
import { RuleDefinition } from './rule-definition.ts'
import { resolveTests } from './rule-tests.ts'
import { resolveRule, resolveRules } from './rules.ts'

/** DESIGN "Time": what holds unless the definition says otherwise. */
const TIME_DEFAULTS: Required<TimeDefinition> = {
  disorder: '10s',
  future: '5s',
  past: '8d',
  allowedLateness: '1h',
  idleTimeout: '5s',
  alertStaleness: '5m',
}
const WINDOWS_DEFAULT = ['1m', '5m']

/** The built-in pipeline: type generic, windows of 1 and 5 minutes, no detectors, no rules. */
export function defaultPlan(): Plan {
  return compilePipeline({ version: 1 })
}

/** Compiles YAML (or JSON); errors as `compilePipeline`, with `fileName` and lines. */
export function parsePipeline(yamlText: string, fileName: string): Plan {
  return parseTests(yamlText, fileName).plan
}

/** The tests of its rules, too, with the line on which each begins. */
export function parseTests(
  yamlText: string,
  fileName: string,
): { plan: Plan; tests: (RuleTest & { line: number | undefined })[] } {
  const { value, source, problems } = readDocument(yamlText, fileName)
  if (problems.length > 0) throw invalid(problems, source)
  const { plan, tests } = compileAll(value, source)
  return { plan, tests: tests.map((test) => ({ ...test, line: source.placeOf(test.path)?.line })) }
}

/**
 * Throws PIPELINE_DEFINITION_INVALID, or PIPELINE_RULE_INVALID when all that is wrong is in rules'
 * conditions; the message lists every problem, and so does `details.problems`.
 */
export function compilePipeline(
  definition: unknown,
  source: Source = sourceWithoutText('pipeline'),
): Plan {
  return compileAll(definition, source).plan
}

function compileAll(definition: unknown, source: Source): { plan: Plan; tests: RuleTest[] } {
  const problems = checkShape(PipelineDefinition, definition)
  if (problems.some(({ path }) => path.length === 0)) throw invalid(problems, source)
  // Parts whose shape is wrong are left out of what follows; everything else is checked further,
  // so that one run finds as much as can be found.
  const isSound = soundness(problems)
  const written = definition as PipelineDefinition
  const types = resolveTypes(soundTypes(written, isSound), problems)
  const time = resolveTime(isSound('time') ? (written.time ?? {}) : {}, problems)
  const windows = isSound('windows') ? (written.windows ?? WINDOWS_DEFAULT) : WINDOWS_DEFAULT
  const windowsMs = resolveWindows(windows, problems)
  const retention = resolveRetention(isSound('retention') ? (written.retention ?? {}) : {}, {
    ...{ types, problems },
  })
  const context = { types, unsoundTypes: unsoundTypes(written, types), windowsMs, problems }
  const detectors = resolveDetectors(soundItems('detectors', written, isSound), context)
  const rules = resolveRules(soundItems('rules', written, isSound), context)
  const ruleIds = namesOf(written)
  const tests = resolveTests(soundItems('tests', written, isSound), { ...context, ruleIds })
  if (problems.length > 0) throw invalid(problems, source)
  const fingerprint = fingerprintOf(definition)
  const { rules: ruleDefinitions = [] } = written
  const plan: Plan = {
    ...{
      version: 1,
      fingerprint,
      types,
      time,
      windowsMs,
      detectors,
      retention,
      rules,
      ruleDefinitions,
    },
  }
  return { plan, tests }
}

/**
 * Compiles one rule against the types and windows of a plan. Errors: PIPELINE_RULE_INVALID when all
 * that is wrong is in its conditions, else PIPELINE_DEFINITION_INVALID; with `details.problems`.
 */
export function compileRule(
  definition: RuleDefinition,
  { types, windowsMs }: Pick<Plan, 'types' | 'windowsMs'>,
): Rule {
  const problems = checkShape(RuleDefinition, definition)
  const source = sourceWithoutText('rule')
  if (problems.length > 0) throw invalid(problems, source)
  const context = { types, unsoundTypes: new Set<string>(), windowsMs, problems }
  const rule = resolveRule(definition, [], context)
  if (rule === undefined || problems.length > 0) throw invalid(problems, source)
  return rule
}

type IsSound = (...path: Path) => boolean

/** Whether no problem lies at, below or above a path. */
function soundness(problems: readonly Problem[]): IsSound {
  const wrong = problems.map(({ path }) => path)
  return (...path) =>
    !wrong.some((other) =>
      path.slice(0, other.length).every((part, index) => other[index] === part),
    )
}

function soundTypes(written: PipelineDefinition, isSound: IsSound): Record<string, TypeDefinition> {
  const entries = Object.entries(written.types ?? {})
  return Object.fromEntries(entries.filter(([name]) => isSound('types', name)))
}

/** Also of rules that have problems of their own: a test that names one has none. */
function namesOf({ rules }: { rules?: unknown }): string[] {
  const items: unknown[] = Array.isArray(rules) ? rules : []
  return items.flatMap((rule) => {
    const { id } = (rule ?? {}) as { id?: unknown }
    return typeof id === 'string' ? [id] : []
  })
}

function unsoundTypes(written: PipelineDefinition, types: Plan['types']): ReadonlySet<string> {
  return new Set(Object.keys(written.types ?? {}).filter((name) => !Object.hasOwn(types, name)))
}

/** With their places in the list as written. */
function soundItems<Section extends 'detectors' | 'rules' | 'tests'>(
  section: Section,
  written: PipelineDefinition,
  isSound: IsSound,
): [number, NonNullable<PipelineDefinition[Section]>[number]][] {
  const items = written[section]
  if (!Array.isArray(items)) return []
  return [...items.entries()].filter(([index]) => isSound(section, index))
}

function invalid(problems: Problem[], source: Source): WeirError {
  const isCondition = ({ path }: Problem): boolean =>
    (path[0] === 'rules' || path.length === 1) &&
    (path.at(-1) === 'when' || path.at(-1) === 'clear')
  const code = problems.every(isCondition) ? 'PIPELINE_RULE_INVALID' : 'PIPELINE_DEFINITION_INVALID'
  return new WeirError(code, formatProblems(problems, source), { details: { problems } })
}

/** Of the definition with its keys sorted: layout, comments and order of keys do not count. */
function fingerprintOf(definition: unknown): string {
  const canonical = JSON.stringify(definition, (_, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )
  return createHash('sha256').update(canonical).digest('hex').slice(0, 16)
}

function resolveTime(definition: TimeDefinition, problems: Problem[]): TimePolicy {
  const us = (key: keyof TimeDefinition): number =>
    resolveDurationUs(definition[key] ?? TIME_DEFAULTS[key], ['time', key], problems)
  return {
    disorderUs: us('disorder'),
    futureUs: us('future'),
    pastUs: us('past'),
    allowedLatenessUs: us('allowedLateness'),
    idleTimeoutUs: us('idleTimeout'),
    alertStalenessUs: us('alertStaleness'),
  }
}

/** Ascending, and the smallest divides the others, so that coarser windows are merges of it. */
function resolveWindows(durations: string[], problems: Problem[]): number[] {
  const windows = durations
    .map((text, index) => ({
      text,
      path: ['windows', index],
      ms: resolveDurationUs(text, ['windows', index], problems) / 1_000,
    }))
    .toSorted((a, b) => a.ms - b.ms)
  const first = windows[0]!
  for (const [index, { text, path, ms }] of windows.entries()) {
    if (ms < 1_000 || ms > 86_400_000)
      problems.push({ path, message: `found ${text}, expected from 1s to 1d` })
    else if (ms === windows[index - 1]?.ms)
      problems.push({ path, message: `found ${text} a second time, expected each window once` })
    else if (ms % first.ms !== 0)
      problems.push({
        path,
        message: `found ${text}, expected a multiple of the smallest window (${first.text})`,
      })
  }
  return windows.map(({ ms }) => ms)
}
