/** A rule for a device in one request: what `POST /v1/alerts` means. */
import { createHash } from 'node:crypto'
import type { Kept, RuleBook, RuleText } from '../alerts/alerts.ts'
import { WeirError } from '../errors/errors.ts'
import type { RuleDefinition } from '../pipeline/pipeline.ts'

export interface DeviceRuleRequest {
  tenant: string
  deviceId: string
  /** The id of a rule, or what it says. */
  rule: string | (Omit<RuleDefinition, 'id' | 'version' | 'device' | 'devices'> & { id?: string })
}

/** Many scripts may add a device each to one rule at once. */
const TRIES_MAX = 100

/**
 * The rule, which watches the device from then on. Errors: API_NOT_FOUND for an id alone,
 * RULE_EXISTS, RULE_OF_DEFINITION, and those of RuleBook.put().
 */
export async function deviceRule(
  rules: RuleBook,
  request: DeviceRuleRequest,
): Promise<Kept<RuleText>> {
  for (let tries = 1; ; tries++) {
    try {
      return await putOnce(rules, request)
    } catch (error) {
      const isStale = error instanceof WeirError && error.code === 'CONTROL_REVISION_STALE'
      if (!isStale || tries === TRIES_MAX) throw error
    }
  }
}

async function putOnce(
  rules: RuleBook,
  { tenant, deviceId, rule }: DeviceRuleRequest,
): Promise<Kept<RuleText>> {
  const { id = idOf(deviceId, rule), ...said } = typeof rule === 'string' ? { id: rule } : rule
  if (rules.ofDefinition.some((defined) => defined.id === id))
    throw new WeirError('RULE_OF_DEFINITION', `${id} is a rule of the pipeline definition`)
  const before = await rules.find(tenant, id)
  if (typeof rule === 'string' && before === undefined)
    throw new WeirError('API_NOT_FOUND', `there is no rule "${id}"`)
  if (before === undefined) return rules.put(tenant, id, { ...said, device: deviceId }, 0)
  const { device, devices = [], ...saidBefore } = before.value
  if (typeof rule !== 'string' && canonical(said) !== canonical(saidBefore))
    throw new WeirError('RULE_EXISTS', `there is a rule "${id}" that says something else`)
  const watched = [...(device === undefined ? [] : [device]), ...devices]
  // Without devices it is for all that its type and tags mean.
  if (watched.length === 0 || watched.includes(deviceId)) return before
  const value = { ...saidBefore, devices: [...watched, deviceId] }
  return rules.put(tenant, id, value, before.revision)
}

/** Of what it says: the same request has the same rule, also when its first answer got lost. */
const idOf = (deviceId: string, rule: DeviceRuleRequest['rule']): string =>
  `rule-${createHash('sha256')
    .update(canonical([deviceId, rule]))
    .digest('hex')
    .slice(0, 16)}`

/** JSON whose keys are in order. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
