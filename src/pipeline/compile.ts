/**
 * Compiles a pipeline definition to the plan that engines interpret. Everything wrong with a
 * definition is reported at once, each problem with file, line, key and what is expected.
 */
import { createHash } from 'node:crypto'
import type { ValueKind } from '../batch/batch.ts'
import {
  checkShape,
  formatProblems,
  parseDurationUs,
  readDocument,
  sourceWithoutText,
  suggest,
  type Path,
  type Problem,
  type Source,
} from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import { compileCondition, ConditionError } from './condition.ts'
import type { Scope } from './condition-kinds.ts'
import {
  PipelineDefinition,
  type DetectorDefinition,
  type RuleDefinition,
  type TimeDefinition,
} from './definition.ts'
import { resolveTypes } from './device-types.ts'
import type { Detector, DeviceType, Plan, Rule, TimePolicy } from './pipeline.ts'

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
const SEVERITY_DEFAULT = 'warning'

type Types = Record<string, DeviceType>

/** The built-in pipeline: type generic, windows of 1 and 5 minutes, no detectors, no rules. */
export function defaultPlan(): Plan {
  return compilePipeline({ version: 1 })
}

/** Compiles YAML (or JSON). Errors as `compilePipeline`, with `fileName` and lines in the message. */
export function parsePipeline(yamlText: string, fileName: string): Plan {
  const { value, source, problems } = readDocument(yamlText, fileName)
  if (problems.length > 0) throw invalid(problems, source)
  return compilePipeline(value, source)
}

/**
 * Throws PIPELINE_DEFINITION_INVALID, or PIPELINE_RULE_INVALID when all that is wrong is in rules'
 * conditions; the message lists every problem, and so does `details.problems`.
 */
export function compilePipeline(
  definition: unknown,
  source: Source = sourceWithoutText('pipeline'),
): Plan {
  const problems = checkShape(PipelineDefinition, definition)
  // A section whose shape is wrong is not looked into further; the others are, so that one run
  // finds as much as can be found.
  const isSound = (section: string): boolean =>
    problems.every(({ path }) => path.length > 0 && path[0] !== section)
  const sound = Object.fromEntries(
    Object.entries(definition ?? {}).filter(([section]) => isSound(section)),
  ) as Partial<PipelineDefinition>

  const types = resolveTypes(sound.types ?? {}, problems)
  const time = resolveTime(sound.time ?? {}, problems)
  const windowsMs = resolveWindows(sound.windows ?? WINDOWS_DEFAULT, problems)
  const areTypesSound = isSound('types')
  const detectors = areTypesSound ? resolveDetectors(sound.detectors ?? [], types, problems) : []
  const rules = areTypesSound ? resolveRules(sound.rules ?? [], types, problems) : []
  if (problems.length > 0) throw invalid(problems, source)
  const fingerprint = fingerprintOf(definition)
  return { version: 1, fingerprint, types, time, windowsMs, detectors, rules }
}

function invalid(problems: Problem[], source: Source): WeirError {
  const isCondition = ({ path }: Problem): boolean => path[0] === 'rules' && path.at(-1) === 'when'
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

function durationUs(text: string, path: Path, problems: Problem[]): number {
  const us = parseDurationUs(text)
  if (us === undefined)
    problems.push({ path, message: `found ${text}, expected less than 285 years` })
  return us ?? 0
}

function resolveTime(definition: TimeDefinition, problems: Problem[]): TimePolicy {
  const us = (key: keyof TimeDefinition): number =>
    durationUs(definition[key] ?? TIME_DEFAULTS[key], ['time', key], problems)
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
      ms: durationUs(text, ['windows', index], problems) / 1_000,
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

function resolveDetectors(
  definitions: DetectorDefinition[],
  types: Types,
  problems: Problem[],
): Detector[] {
  checkIds('detectors', definitions, problems)
  return definitions.map(({ id, type, metric, zscore }, index) => {
    const path = ['detectors', index]
    const scope = scopeOf(type, types, path, problems)
    const kind = scope?.kinds.get(metric)
    if (scope !== undefined && kind === undefined && !scope.isOpen)
      problems.push({
        path: [...path, 'metric'],
        message: `found "${metric}", which ${scope.title} does not have${suggest(metric, [...scope.kinds.keys()])}`,
      })
    if (kind !== undefined && kind !== 'number')
      problems.push({
        path: [...path, 'metric'],
        message: `found "${metric}", which is a ${kind}, expected a number`,
      })
    return { id, type, metric, kind: 'zscore', n: zscore.n, threshold: zscore.threshold }
  })
}

function resolveRules(definitions: RuleDefinition[], types: Types, problems: Problem[]): Rule[] {
  checkIds('rules', definitions, problems)
  return definitions.flatMap((definition, index) => {
    const path = ['rules', index]
    const { id, version = 1, type, device, when, severity = SEVERITY_DEFAULT } = definition
    const forUs = durationUs(definition.for ?? '0s', [...path, 'for'], problems)
    const scope = scopeOf(type, types, path, problems)
    if (scope === undefined) return []
    try {
      const condition = compileCondition(when, scope)
      return { id, version, type, deviceId: device, when, forUs, severity, ...condition }
    } catch (error) {
      if (!(error instanceof ConditionError)) throw error
      problems.push({ path: [...path, 'when'], message: `rule ${id}: ${error.message}` })
      return []
    }
  })
}

function checkIds(section: string, definitions: { id: string }[], problems: Problem[]): void {
  const seen = new Set<string>()
  for (const [index, { id }] of definitions.entries()) {
    if (seen.has(id))
      problems.push({
        path: [section, index, 'id'],
        message: `found "${id}" a second time, expected ids to be unique`,
      })
    seen.add(id)
  }
}

/**
 * The metrics that a detector or rule may name: those that every active schema of the type has with
 * the same kind; without a type, those of any type.
 */
function scopeOf(
  type: string | undefined,
  types: Types,
  path: Path,
  problems: Problem[],
): Scope | undefined {
  if (type !== undefined && !Object.hasOwn(types, type)) {
    problems.push({
      path: [...path, 'type'],
      message: `found "${type}", expected a declared type${suggest(type, Object.keys(types))}`,
    })
    return undefined
  }
  const chosen = type === undefined ? Object.values(types) : [types[type]!]
  const isOpen = chosen.some(({ isStrict }) => !isStrict)
  const title = type === undefined ? 'no type' : `type ${type} (in every active schema)`
  return { ...commonKinds(chosen), isOpen, title }
}

function commonKinds(types: DeviceType[]): Pick<Scope, 'kinds' | 'ambiguous'> {
  const kinds = new Map<string, ValueKind>()
  const ambiguous = new Set<string>()
  for (const { schemas } of types) {
    const [first, ...others] = schemas.filter(({ isActive }) => isActive)
    for (const { name, type } of first?.metrics ?? []) {
      const isCommon = others.every(({ metrics }) =>
        metrics.some((metric) => metric.name === name && metric.type === type),
      )
      if (!isCommon) continue
      if (kinds.has(name) && kinds.get(name) !== type) ambiguous.add(name)
      kinds.set(name, type)
    }
  }
  return { kinds, ambiguous }
}
