/** Rules: from their words to plain data that engines interpret. */
import { formatDurationUs, type Path, type Problem } from '../config/config.ts'
import { isTimeZone, EVERY_DAY, type Schedule } from '../schedule/schedule.ts'
import { compileCondition, ConditionError } from './condition.ts'
import type { Scope } from './condition-kinds.ts'
import { checkIds, scopeOf, type Context, type Items } from './detectors.ts'
import { resolveDurationUs } from './durations.ts'
import type { Program, Rule, Variable } from './pipeline.ts'
import { WEEKDAYS, type RuleDefinition } from './rule-definition.ts'

const SEVERITY_DEFAULT = 'warning'

export interface RuleContext extends Context {
  windowsMs: readonly number[]
}

export function resolveRules(items: Items<RuleDefinition>, context: RuleContext): Rule[] {
  checkIds('rules', items, context.problems)
  return items.flatMap(([index, definition]) => {
    const rule = resolveRule(definition, ['rules', index], context)
    return rule === undefined ? [] : [rule]
  })
}

/** Undefined when it cannot be had; why is then among the problems. */
export function resolveRule(
  definition: RuleDefinition,
  path: Path,
  context: RuleContext,
): Rule | undefined {
  const { id, version = 1, type, severity = SEVERITY_DEFAULT, notify, summary } = definition
  const { problems } = context
  const us = (key: string, text: string | undefined): number =>
    text === undefined ? 0 : resolveDurationUs(text, [...path, ...key.split('.')], problems)
  checkKind(definition, path, problems)
  const scope = scopeOf(type, path, context)
  const windowMs = resolveWindow(definition, path, context)
  const silence = resolveSilence(definition, path, problems)
  const { repeat, budget } = definition
  const rule = {
    ...{ id, version, type, deviceIds: deviceIdsOf(definition), tags: definition.tags ?? {} },
    ...{ windowMs, isEarly: definition.early ?? false, silentUs: silence?.silentUs ?? 0 },
    forUs: us('for', definition.for),
    keepUs: us('keep', definition.keep),
    repeat: repeat && { count: repeat.count, withinUs: us('repeat.within', repeat.within) },
    schedule: resolveSchedule(definition, path, problems),
    ...{ severity, notify, summary },
    budget: budget && { alerts: budget.alerts, perUs: us('budget.per', budget.per) },
  }
  if (silence !== undefined) return { ...rule, ...silence }
  if (scope === undefined || definition.when === undefined) return undefined
  const conditions = resolveConditions(
    { ...definition, when: definition.when },
    { scope: { ...scope, isWindowed: definition.window !== undefined }, path, problems },
  )
  const on = definition.window === undefined ? 'readings' : 'window'
  return conditions && { ...rule, on, when: definition.when, ...conditions }
}

/** What goes with what. */
function checkKind(definition: RuleDefinition, path: Path, problems: Problem[]): void {
  const { when, silent, early, window } = definition
  if ((when === undefined) === (silent === undefined))
    problems.push({
      path: silent === undefined ? path : [...path, 'silent'],
      message:
        silent === undefined
          ? '"when" is missing, expected a condition (or "silent")'
          : 'found "when" and "silent", expected one of them',
    })
  if (early !== undefined && window === undefined)
    problems.push({
      path: [...path, 'early'],
      message: 'found it without a window, expected a rule with one',
    })
  for (const key of ['clear', 'for', 'keep', 'repeat', 'window'] as const)
    if (silent !== undefined && definition[key] !== undefined)
      problems.push({
        path: [...path, key],
        message: 'found it beside "silent", expected none: silence ends with the first message',
      })
}

function deviceIdsOf({ device, devices }: RuleDefinition): string[] | undefined {
  if (device === undefined && devices === undefined) return undefined
  return [...new Set([...(device === undefined ? [] : [device]), ...(devices ?? [])])].toSorted()
}

function resolveWindow(
  { window }: RuleDefinition,
  path: Path,
  { windowsMs, problems }: RuleContext,
): number {
  if (window === undefined) return 0
  const windowMs = resolveDurationUs(window, [...path, 'window'], problems) / 1000
  if (!windowsMs.includes(windowMs)) {
    const known = windowsMs.map((ms) => formatDurationUs(ms * 1000)).join(', ')
    const message = `found ${window}, expected one of the windows (${known})`
    problems.push({ path: [...path, 'window'], message })
  }
  return windowMs
}

function resolveSilence(
  { silent }: RuleDefinition,
  path: Path,
  problems: Problem[],
): Pick<Rule, 'on' | 'when' | 'silentUs' | 'variables' | 'program' | 'clear'> | undefined {
  if (silent === undefined) return undefined
  const intervalPath = [...path, 'silent', 'interval']
  const silentUs = resolveDurationUs(silent.interval, intervalPath, problems) * silent.count
  if (silentUs < 1_000_000 || !Number.isSafeInteger(silentUs))
    problems.push({
      path: intervalPath,
      message: `found ${silent.interval}, expected 1s or more in all, and below 285 years`,
    })
  const [, count, unit] = /^(\d+)(\w+)$/.exec(formatDurationUs(silentUs)) ?? ['', silentUs, 'µs']
  const nothing = { instructions: [], texts: [], stackDepthMax: 0 }
  return {
    ...{ on: 'silence', when: `silent for ${count} ${unit}`, silentUs, variables: [] },
    ...{ program: { ...nothing, threshold: undefined, guards: [] }, clear: undefined },
  }
}

function resolveSchedule(
  { schedule }: RuleDefinition,
  path: Path,
  problems: Problem[],
): Schedule | undefined {
  if (schedule === undefined) return undefined
  const { days, from, to, timeZone } = schedule
  const at = [...path, 'schedule']
  if (!isTimeZone(timeZone))
    problems.push({
      path: [...at, 'timeZone'],
      message: `found "${timeZone}", expected a time zone such as Europe/Berlin`,
    })
  if (from === to)
    problems.push({
      path: [...at, 'to'],
      message: `found ${to}, expected another time than from; a whole day is 00:00 to 24:00`,
    })
  const numbers = days?.map((day) => WEEKDAYS.indexOf(day) + 1) ?? EVERY_DAY
  return { days: [...new Set(numbers)].toSorted((a, b) => a - b), from, to, timeZone }
}

function resolveConditions(
  { id, when, clear }: { id: string; when: string; clear?: string | undefined },
  { scope, path, problems }: { scope: Scope; path: Path; problems: Problem[] },
): Pick<Rule, 'variables' | 'program' | 'clear'> | undefined {
  const variables: Variable[] = []
  const compile = (key: 'when' | 'clear', text: string): Program | undefined => {
    try {
      return compileCondition(text, scope, variables)
    } catch (error) {
      if (!(error instanceof ConditionError)) throw error
      problems.push({ path: [...path, key], message: `rule ${id}: ${error.message}` })
      return undefined
    }
  }
  const program = compile('when', when)
  const clearProgram = clear === undefined ? undefined : compile('clear', clear)
  return program && { variables, program, clear: clearProgram }
}
