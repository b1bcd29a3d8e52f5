/** The alerts that are open or were of late, and when each is to be looked at again. */
import type { RuleEvent } from '../stream/stream.ts'
import { phaseOf, type LiveAlert } from './alert-machine.ts'

type Named = { tenant: string; id: string }

export const keyOf = ({ tenant, id }: Named): string => JSON.stringify([tenant, id])

export const deviceKeyOf = (tenant: string, deviceId: string): string =>
  JSON.stringify([tenant, deviceId])

/** What makes two episodes one alert. */
export type Subject = Pick<RuleEvent, 'tenant' | 'ruleId' | 'deviceId'>

export const subjectOf = (of: Subject): string =>
  JSON.stringify([of.tenant, of.ruleId, of.deviceId])

export class AlertMemory {
  readonly #alerts = new Map<string, LiveAlert>()
  readonly #newestOf = new Map<string, string>()
  /** Firing alerts that say that a device is silent, and alerts that wait for a silent parent. */
  readonly #silenceOf = new Map<string, Set<string>>()
  readonly #childrenOf = new Map<string, Set<string>>()
  readonly #snoozed = new Set<string>()
  readonly #dues = new Map<string, number>()
  /** No due is before that. */
  #nextUs = Infinity
  /** The newest time that an event said. */
  #newestUs = 0
  readonly counts = { firing: 0, resolved: 0 }

  find(key: string): LiveAlert | undefined {
    return this.#alerts.get(key)
  }

  /** The newest alert of a rule on a device. */
  newestOf(subject: string): LiveAlert | undefined {
    const key = this.#newestOf.get(subject)
    return key === undefined ? undefined : this.#alerts.get(key)
  }

  /** Ids of the firing alerts that say that this device is silent. */
  silencesOf(deviceKey: string): ReadonlySet<string> {
    return this.#silenceOf.get(deviceKey) ?? new Set()
  }

  /** Keys of those that were snoozed, perhaps not any more. */
  get snoozed(): ReadonlySet<string> {
    return this.#snoozed
  }

  all(): IterableIterator<LiveAlert> {
    return this.#alerts.values()
  }

  /** `dueUs`: when to look at it again, by the wall clock. */
  put(alert: LiveAlert, dueUs: number | undefined): void {
    const key = keyOf(alert.record)
    const before = this.#alerts.get(key)
    if (before !== undefined) this.counts[before.record.state]--
    this.counts[alert.record.state]++
    this.#alerts.set(key, alert)
    this.#newestUs = Math.max(this.#newestUs, alert.lastUs)
    const subject = subjectOf(alert.record)
    const newest = this.newestOf(subject)
    if (newest === undefined || newest.record.triggeredAtUs <= alert.record.triggeredAtUs) {
      this.#newestOf.set(subject, key)
    }
    this.#index(alert)
    if (alert.record.snoozedUntilUs === undefined) this.#snoozed.delete(key)
    else this.#snoozed.add(key)
    this.setDue(key, dueUs)
    const hasEnded = before?.record.state === 'firing' && alert.record.state === 'resolved'
    if (hasEnded && isSilence(alert)) this.#wakeChildren(alert)
  }

  #index(alert: LiveAlert): void {
    const { tenant, id, deviceId, suppressedBy } = alert.record
    const isFiring = phaseOf(alert) === 'firing'
    const deviceKey = deviceKeyOf(tenant, deviceId)
    if (isSilence(alert)) change(this.#silenceOf, deviceKey, { one: id, isIn: isFiring })
    if (alert.parent === undefined) return
    const isHeld = suppressedBy !== undefined && 'parentAlert' in suppressedBy
    const parentKey = deviceKeyOf(tenant, alert.parent)
    change(this.#childrenOf, parentKey, { one: keyOf(alert.record), isIn: isHeld && isFiring })
  }

  /** Their parent is back, so what held them is gone. */
  #wakeChildren({ record }: LiveAlert): void {
    const children = this.#childrenOf.get(deviceKeyOf(record.tenant, record.deviceId)) ?? []
    for (const key of children) this.setDue(key, 0)
  }

  setDue(key: string, dueUs: number | undefined): void {
    if (dueUs === undefined) this.#dues.delete(key)
    else this.#dues.set(key, dueUs)
    if (dueUs !== undefined) this.#nextUs = Math.min(this.#nextUs, dueUs)
  }

  /** At or before the first due; Infinity when there is none. */
  get nextUs(): number {
    return this.#nextUs
  }

  /** Keys of at most `limit` alerts that are due. They stay due until they are put again. */
  due(nowUs: number, limit: number): string[] {
    if (nowUs < this.#nextUs) return []
    const keys: string[] = []
    let nextUs = Infinity
    for (const [key, us] of this.#dues) {
      if (us <= nowUs && keys.length < limit) keys.push(key)
      else nextUs = Math.min(nextUs, us)
    }
    this.#nextUs = nextUs
    return keys
  }

  /** Forgets what is closed and too old to be reopened by any event that may still come. */
  prune(keptUs: number): void {
    for (const [key, alert] of this.#alerts) {
      if (phaseOf(alert) !== 'closed' || alert.lastUs > this.#newestUs - keptUs) continue
      this.#alerts.delete(key)
      this.#dues.delete(key)
      this.#snoozed.delete(key)
      this.counts[alert.record.state]--
      const subject = subjectOf(alert.record)
      if (this.#newestOf.get(subject) === key) this.#newestOf.delete(subject)
    }
  }

  clear(): void {
    for (const map of [this.#alerts, this.#newestOf, this.#silenceOf, this.#childrenOf]) map.clear()
    this.#dues.clear()
    this.#snoozed.clear()
    this.#nextUs = Infinity
    Object.assign(this.counts, { firing: 0, resolved: 0 })
  }
}

const isSilence = ({ record }: LiveAlert): boolean => record.reason.kind === 'silence'

function change(
  sets: Map<string, Set<string>>,
  key: string,
  { one, isIn }: { one: string; isIn: boolean },
): void {
  const set = sets.get(key) ?? new Set<string>()
  if (isIn) set.add(one)
  else set.delete(one)
  if (set.size === 0) sets.delete(key)
  else sets.set(key, set)
}
