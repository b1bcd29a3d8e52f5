/**
 * What one write is about: events, people's acts that were seen, and what is due, worked out on
 * copies. Nothing is remembered before it is durable, so a turn whose write failed is forgotten.
 */
import { escalate, isGraver, type Alert, type Notification } from '../notify/notify.ts'
import type { Change as RowChange } from '../control/control.ts'
import type { RuleEvent } from '../stream/stream.ts'
import type { AlertRecord, HistoryEntry } from './alerts.ts'
import { advance, reopenUntilUs, phaseOf } from './alert-machine.ts'
import type { AlertTimes, Input, LiveAlert, Pending } from './alert-machine.ts'
import { deviceKeyOf, keyOf, subjectOf, type AlertMemory, type Subject } from './alert-memory.ts'
import { alertChange, episodeChange, historyChange } from './alert-rows.ts'
import type { EpisodeRow, NoticeRow } from './alert-rows.ts'
import { holdOf, type Hold } from './holding.ts'
import { hashOf } from './outbox.ts'
import { hearersOf, named, whenToTell, type Directory, type Hearer } from './recipients.ts'

export interface TurnParts {
  memory: AlertMemory
  /** By tenant. */
  directories: ReadonlyMap<string, Directory>
  /** Episodes that were known before, by tenant and id. */
  episodes: ReadonlyMap<string, EpisodeRow>
  /** By tenant and device, of devices that are silent. */
  parents: ReadonlyMap<string, string | undefined>
  nowUs: number
  times: AlertTimes
  linkOf: (alertId: string | undefined) => string
}

interface Entry {
  alert: LiveAlert
  dueUs: number | undefined
  isChanged: boolean
}

const NOBODY: Directory = { recipients: new Map(), silences: [] }

export class Turn {
  readonly #parts: TurnParts
  readonly #alerts = new Map<string, Entry>()
  /** Alerts of this turn that say that a device is silent, by its key. */
  readonly #silenceOf = new Map<string, string>()
  readonly #newestOf = new Map<string, string>()
  readonly #episodes = new Map<string, { row: EpisodeRow; tenant: string; atUs: number }>()
  readonly #history: RowChange[] = []
  /** What is new of each recipient, and what was suppressed. */
  readonly fresh: NoticeRow[] = []
  readonly suppressed: NoticeRow[] = []

  constructor(parts: TurnParts) {
    this.#parts = parts
  }

  take(event: RuleEvent): void {
    const key = keyOf(event)
    const known = this.#episodes.get(key)?.row ?? this.#parts.episodes.get(key)
    const kind = kindOf(event, known)
    if (kind === 'known') return
    const before =
      kind === 'ended'
        ? this.#find(keyOf({ tenant: event.tenant, id: known!.alertId }))
        : this.#newest(event)
    const after = this.#advance(before, { kind, event })
    const alertId = after?.record.id ?? known?.alertId ?? event.id
    const row: EpisodeRow = {
      ...{ id: event.id, alertId, revision: known?.revision ?? 0 },
      state: event.state,
    }
    const atUs = event.resolvedAtUs ?? event.triggeredAtUs
    this.#episodes.set(key, { row, tenant: event.tenant, atUs })
  }

  /** Time passed for it. With `isActed` a person changed it, and its row is to say that we saw. */
  look(key: string, isActed = false): void {
    const before = this.#find(key)
    if (before === undefined) return
    this.#advance(this.#chain(before), { kind: 'time' })
    const entry = this.#alerts.get(key)
    if (entry !== undefined) entry.isChanged ||= isActed || entry.alert !== before
  }

  #find(key: string): LiveAlert | undefined {
    return this.#alerts.get(key)?.alert ?? this.#parts.memory.find(key)
  }

  #newest(of: Subject): LiveAlert | undefined {
    const key = this.#newestOf.get(subjectOf(of))
    return key === undefined ? this.#parts.memory.newestOf(subjectOf(of)) : this.#find(key)
  }

  #advance(before: LiveAlert | undefined, input: Input): LiveAlert | undefined {
    const { nowUs, times } = this.#parts
    const { alert, history } = advance(before, input, { nowUs, times })
    if (alert === undefined) return undefined
    const entered = this.#enter(this.#withParent(alert), history)
    const isSame = before?.record.id === alert.record.id
    if (isSame && before.pending !== undefined && alert.pending === undefined) {
      this.#suppress(entered, before.pending, 'it ended, or somebody acknowledged it')
    }
    const { alert: told, hold } = this.#tell(entered)
    this.#put({ alert: told, dueUs: dueOf(told, hold, times), isChanged: told !== before })
    return told
  }

  #put(entry: Entry): void {
    const { record } = entry.alert
    const key = keyOf(record)
    const isChanged = entry.isChanged || this.#alerts.get(key)?.isChanged === true
    this.#alerts.set(key, { ...entry, isChanged })
    const newest = this.#newest(record)
    if (newest === undefined || newest.record.triggeredAtUs <= record.triggeredAtUs) {
      this.#newestOf.set(subjectOf(record), key)
    }
    const deviceKey = deviceKeyOf(record.tenant, record.deviceId)
    if (record.reason.kind !== 'silence') return
    if (record.state === 'firing') this.#silenceOf.set(deviceKey, record.id)
    else this.#silenceOf.delete(deviceKey)
  }

  #withParent(alert: LiveAlert): LiveAlert {
    const { tenant, deviceId, reason } = alert.record
    if (reason.kind !== 'silence' || alert.parent !== undefined) return alert
    return { ...alert, parent: this.#parts.parents.get(deviceKeyOf(tenant, deviceId)) }
  }

  #enter(alert: LiveAlert, entries: readonly HistoryEntry[]): LiveAlert {
    for (const [at, entry] of entries.entries()) {
      this.#history.push(historyChange(alert.record, alert.entries + at + 1, entry))
    }
    return { ...alert, entries: alert.entries + entries.length }
  }

  /** What is pending becomes notifications, or is held. */
  #tell(alert: LiveAlert): { alert: LiveAlert; hold: Hold | undefined } {
    const { pending, record } = alert
    if (pending === undefined) return { alert, hold: undefined }
    const hold = this.#holdOf(alert)
    if (hold === undefined) {
      const directory = this.#directoryOf(alert)
      const hearers = hearersOf(record, pending.change, directory)
      return { alert: this.#told(this.#notify(alert, hearers, pending.change), pending), hold }
    }
    if (pending.change === 'resolved') {
      this.#suppress(alert, pending, hold.reason ?? '')
      return { alert: { ...alert, pending: undefined }, hold: undefined }
    }
    if (hold.reason !== undefined) this.#suppress(alert, pending, hold.reason)
    const { suppressedBy } = hold
    const isSame = JSON.stringify(suppressedBy) === JSON.stringify(record.suppressedBy)
    if (pending.isRecorded && isSame) return { alert, hold }
    const sinceUs =
      hold.reason === undefined ? hold.againUs - this.#parts.times.parentWaitUs : pending.sinceUs
    const isRecorded = pending.isRecorded || hold.reason !== undefined
    const held = { ...pending, sinceUs, isRecorded }
    return { alert: { ...alert, record: { ...record, suppressedBy }, pending: held }, hold }
  }

  #told(alert: LiveAlert, { change }: Pending): LiveAlert {
    const { severity } = alert.record
    const { toldSeverity = severity } = alert
    return {
      ...alert,
      record: { ...alert.record, suppressedBy: undefined },
      pending: undefined,
      toldSeverity: isGraver(severity, toldSeverity) ? severity : toldSeverity,
      isEndTold: change === 'resolved',
    }
  }

  #holdOf(alert: LiveAlert): Hold | undefined {
    const { nowUs, times } = this.#parts
    const { silences } = this.#directoryOf(alert)
    return holdOf(alert, { silences, parentAlert: this.#parentAlertOf(alert), nowUs, times })
  }

  #directoryOf({ record }: LiveAlert): Directory {
    return this.#parts.directories.get(record.tenant) ?? NOBODY
  }

  /** An alert that says that its parent is silent; also one of this turn. */
  #parentAlertOf({ record, parent }: LiveAlert): string | undefined {
    if (parent === undefined) return undefined
    const { tenant } = record
    const isFiring = (id: string): boolean =>
      this.#find(keyOf({ tenant, id }))?.record.state === 'firing'
    const before = this.#parts.memory.silencesOf(deviceKeyOf(tenant, parent))
    return [...before].find(isFiring) ?? this.#silenceOf.get(deviceKeyOf(tenant, parent))
  }

  #notify(alert: LiveAlert, hearers: readonly Hearer[], change: Notification['change']): LiveAlert {
    const { nowUs } = this.#parts
    const tellings = alert.tellings + 1
    const next = { ...alert, tellings }
    const escalations = { ...alert.escalations }
    for (const hearer of hearers) {
      const notification = this.#notificationOf(next, change, hearer.id)
      const when = whenToTell(hearer, notification, nowUs)
      if ('suppressed' in when) {
        this.suppressed.push(noticeOf(alert, hearer.id, { notification, problem: when.suppressed }))
        continue
      }
      const { dueAtUs } = when
      this.fresh.push({ ...noticeOf(alert, hearer.id, { notification }), dueAtUs })
      const first = hearer.recipient.escalation?.[0]
      if (change === 'escalated' || change === 'resolved' || first === undefined) continue
      const nextUs = nowUs + first.afterUs
      escalations[hearer.id] = { stepsTold: 0, lastToldAtUs: nowUs, nextUs }
    }
    return { ...next, escalations }
  }

  /** In the history of deliveries, that and why nobody hears of it. */
  #suppress(alert: LiveAlert, pending: Pending, problem: string): void {
    if (pending.isRecorded) return
    const tellings = `${alert.tellings} ${alert.entries} ${pending.change}`
    for (const { id } of hearersOf(alert.record, pending.change, this.#directoryOf(alert))) {
      const notification = this.#notificationOf(alert, pending.change, id, tellings)
      this.suppressed.push(noticeOf(alert, id, { notification, problem }))
    }
  }

  #notificationOf(
    { record, tellings }: LiveAlert,
    change: Notification['change'],
    recipientId: string,
    number = String(tellings),
  ): Notification {
    const createdAtUs = this.#parts.nowUs
    return {
      // In the order of time, so that an index of them grows at its end.
      id: `${createdAtUs.toString(36)}-${hashOf(record.tenant, record.id, number, recipientId)}`,
      ...{ change, createdAtUs },
      alert: toldOf(record),
      link: this.#parts.linkOf(record.id),
    }
  }

  /** Those are told whose turn it is, when nobody acknowledged it. */
  #chain(alert: LiveAlert): LiveAlert {
    const { nowUs } = this.#parts
    const due = Object.entries(alert.escalations).filter(
      ([, { nextUs }]) => nextUs !== undefined && nextUs <= nowUs,
    )
    if (due.length === 0 || phaseOf(alert) !== 'firing') return alert
    const hold = this.#holdOf(alert)
    return due.reduce((before, [id]) => this.#escalate(before, id, hold), alert)
  }

  #escalate(alert: LiveAlert, id: string, hold: Hold | undefined): LiveAlert {
    const { nowUs } = this.#parts
    const mark = alert.escalations[id]!
    const directory = this.#directoryOf(alert)
    const chain = directory.recipients.get(id)?.escalation ?? []
    const { acknowledged, triggeredAtUs } = alert.record
    const state = { ...mark, triggeredAtUs, isHandled: acknowledged !== undefined }
    const set = (to: LiveAlert, change: Partial<typeof mark>): LiveAlert => ({
      ...to,
      escalations: { ...to.escalations, [id]: { ...mark, ...change } },
    })
    if (hold !== undefined && !state.isHandled) return set(alert, { nextUs: hold.againUs })
    const what = escalate(chain, state, nowUs)
    if (what.do === 'nothing') return set(alert, { nextUs: undefined })
    if (what.do === 'wait') return set(alert, { nextUs: what.untilUs })
    const entry: HistoryEntry = {
      ...{ atUs: nowUs, what: 'escalated', text: `to ${what.recipientIds.join(', ')}` },
    }
    const told = this.#notify(
      this.#enter(alert, [entry]),
      named(what.recipientIds, directory),
      'escalated',
    )
    const next = chain[what.step + 1]
    const nextUs = next === undefined ? undefined : nowUs + next.afterUs
    return set(told, { stepsTold: what.step + 1, lastToldAtUs: nowUs, nextUs })
  }

  /** Neighbours of one table and kind, so that a database takes many as one statement. */
  changes(): RowChange[] {
    const { nowUs } = this.#parts
    const alerts = this.#changed.map(({ alert }) => alertChange(alert, nowUs))
    const episodes = [...this.#episodes.values()].map(({ row, tenant, atUs }) =>
      episodeChange(tenant, row, atUs),
    )
    const isNew = ({ expected = 0 }: RowChange): boolean => expected === 0
    return [alerts, episodes, this.#history].flatMap((all) => [
      ...all.filter(isNew),
      ...all.filter((change) => !isNew(change)),
    ])
  }

  /** They are durable. */
  apply(): void {
    for (const { alert, dueUs, isChanged } of this.#alerts.values()) {
      const revision = alert.revision + (isChanged ? 1 : 0)
      this.#parts.memory.put({ ...alert, revision }, dueUs)
    }
  }

  /** All that it looked at. */
  get records(): AlertRecord[] {
    return [...this.#alerts.values()].map(({ alert }) => alert.record)
  }

  /** Those of them that it changes. */
  get changedRecords(): AlertRecord[] {
    return this.#changed.map(({ alert }) => alert.record)
  }

  get #changed(): Entry[] {
    return [...this.#alerts.values()].filter(({ isChanged }) => isChanged)
  }
}

function kindOf(event: RuleEvent, known: EpisodeRow | undefined) {
  if (event.state === 'firing') return known === undefined ? 'fired' : 'known'
  if (known === undefined) return 'passed'
  return known.state === 'resolved' ? 'known' : 'ended'
}

/** When something is to happen to it by itself. */
export function dueOf(
  alert: LiveAlert,
  hold: Hold | undefined,
  times: AlertTimes,
): number | undefined {
  const { record, escalations } = alert
  const isFiring = record.state === 'firing'
  const dues = [
    hold?.againUs,
    record.snoozedUntilUs,
    phaseOf(alert) === 'ended' ? reopenUntilUs(alert, times) : undefined,
    ...(isFiring ? Object.values(escalations).map(({ nextUs }) => nextUs) : []),
  ].filter((us) => us !== undefined)
  return dues.length === 0 ? undefined : Math.min(...dues)
}

const noticeOf = (
  { record }: LiveAlert,
  recipientId: string,
  { notification, problem }: { notification: Notification; problem?: string },
): NoticeRow => ({
  ...{ tenant: record.tenant, id: notification.id, revision: 0, recipientId, groupId: undefined },
  state: problem === undefined ? 'waiting' : 'suppressed',
  ...{ dueAtUs: 0, notification, problem },
})

/** What a message says of an alert. */
function toldOf(record: LiveAlert['record']): Alert {
  const { id, deviceId, ruleId, severity, state, sinceUs, triggeredAtUs, resolvedAtUs } = record
  const { kind: _, notify: __, ...reason } = record.reason
  return {
    ...{ id, deviceId, ruleId, severity, state, sinceUs, triggeredAtUs },
    ...(resolvedAtUs === undefined ? {} : { resolvedAtUs }),
    ...{ occurrences: record.occurrences, ...reason },
  }
}
