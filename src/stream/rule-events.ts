/** What a rule says of a device, as others are told it. */
import type { Rule, Threshold } from '../pipeline/pipeline.ts'
import { hashKey } from './keys.ts'
import type { RuleEvent, RuleReason } from './stream.ts'
import type { DeviceName } from './watched-devices.ts'

/** What must be known of a rule to tell of it, also when it is gone. */
export type RuleWords = Pick<
  Rule,
  'id' | 'version' | 'severity' | 'on' | 'when' | 'notify' | 'variables'
> & { threshold: Threshold | undefined }

export const wordsOf = (rule: Rule): RuleWords => ({
  ...{ id: rule.id, version: rule.version, severity: rule.severity, on: rule.on, when: rule.when },
  ...{ notify: rule.notify, variables: rule.variables, threshold: rule.program.threshold },
})

export interface EpisodeFacts {
  resolvedAtUs: number | undefined
  breachEventTimeUs: number
  triggeredAtUs: number
  /** Parallel to the rule's variables; NaN where none is known. */
  values: ArrayLike<number>
  before: number
}

export function eventOf(
  rule: RuleWords,
  { tenant, deviceId }: Pick<DeviceName, 'tenant' | 'deviceId'>,
  facts: EpisodeFacts,
): RuleEvent {
  const { breachEventTimeUs, triggeredAtUs, resolvedAtUs } = facts
  return {
    id: hashKey([tenant, rule.id, rule.version, deviceId, breachEventTimeUs]),
    tenant,
    ruleId: rule.id,
    ruleVersion: rule.version,
    severity: rule.severity,
    deviceId,
    state: resolvedAtUs === undefined ? 'firing' : 'resolved',
    triggeredAtUs,
    resolvedAtUs,
    breachEventTimeUs,
    values: valuesOf(rule, facts),
    reason: reasonOf(rule, facts),
  }
}

/** By label; without texts, which are numbers of one process's dictionary. */
function valuesOf({ variables }: RuleWords, { values }: EpisodeFacts): Record<string, number> {
  const known: Record<string, number> = {}
  for (const [i, variable] of variables.entries()) {
    const isNumber = variable.kind !== 'text' && Number.isFinite(values[i])
    if (isNumber) known[variable.label] = values[i]!
  }
  return known
}

function reasonOf(rule: RuleWords, { values, before }: EpisodeFacts): RuleReason {
  const { on, when, threshold, variables, notify } = rule
  const reason: RuleReason = { kind: on === 'silence' ? 'silence' : 'condition', condition: when }
  const variable = threshold && variables[threshold.variable]
  if (threshold !== undefined && variable !== undefined && variable.of !== 'device') {
    const value = values[threshold.variable]!
    reason.metric = variable.label
    if (variable.unit !== '') reason.unit = variable.unit
    if (Number.isFinite(value)) reason.value = value
    reason.threshold = threshold.value
    if (Number.isFinite(before)) reason.valueBefore = before
  }
  if (notify !== undefined) reason.notify = notify
  return reason
}
