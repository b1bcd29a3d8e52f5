/**
 * What becomes of an alert: for each phase and each input what is done, written down in full
 * (`TABLE`), and pure: an alert and an input in, the alert and its history out. Whether somebody is
 * told of a change that waits (`pending`) is decided by `holding.ts`.
 *
 * Episodes of one rule on one device are one alert as long as each begins within the time of
 * reopening after the one before ended, by the times that the events say: the same in a replay. The
 * version of a rule does not count. The newest episode, by when it fired, decides the state.
 */
import { WeirError } from '../errors/errors.ts'
import { isGraver, type Change } from '../notify/notify.ts'
import type { RuleEvent } from '../stream/stream.ts'
import type { AlertAction, AlertRecord, HistoryEntry } from './alerts.ts'

export interface AlertTimes {
  /** After an end, for how long a breach reopens the alert; its end is told after that. */
  reopenUs: number
  /**
   * So many episodes that fired within `flapWithinUs` are folded; the next may be that far away.
   */
  flapEpisodes: number
  flapWithinUs: number
  /** What gave no sign of life for this long is told, unless its parent is silent, too. */
  parentWaitUs: number
}

export const ALERT_TIMES: AlertTimes = {
  reopenUs: 300_000_000,
  flapEpisodes: 5,
  flapWithinUs: 1_800_000_000,
  parentWaitUs: 10_000_000,
}

/** A change that people are to be told, and were not yet. */
export interface Pending {
  change: Change
  sinceUs: number
  /** It stands in the history of deliveries that it is held. */
  isRecorded: boolean
}

/** How far the chain of one recipient has come, by its times. */
export interface EscalationMark {
  stepsTold: number
  lastToldAtUs: number
  /** Undefined: nobody is left. */
  nextUs: number | undefined
}

/** An alert, with what nobody asks about it. */
export interface LiveAlert {
  record: AlertRecord
  /** Of its row; 0 for one that is not written. */
  revision: number
  /** Its history so far, and how often people were to be told. */
  entries: number
  tellings: number
  newest: { id: string; triggeredAtUs: number }
  /** When it last was firing: the end of the newest episode; while it fires, its beginning. */
  lastUs: number
  /** When the newest episodes fired, the newest last; as many as make it flap. */
  recentUs: readonly number[]
  /** It is folded until then. */
  flapUntilUs: number
  /** The time of reopening is over, and its end told. */
  isClosed: boolean
  isEndTold: boolean
  /** The gravest that people were told; undefined: nothing. */
  toldSeverity: string | undefined
  pending: Pending | undefined
  /** Of a device that is silent, once it was asked for. */
  parent: string | undefined
  /** By recipient. */
  escalations: Readonly<Record<string, EscalationMark>>
}

export type Phase = 'absent' | 'firing' | 'ended' | 'closed'

/**
 * `passed`: the end of an episode of which nothing was heard. `known`: an event that was taken
 * before, in whatever order.
 */
export type Input =
  | { kind: 'fired' | 'ended' | 'passed'; event: RuleEvent }
  | { kind: AlertAction['do']; action: AlertAction; by: string }
  | { kind: 'known' }
  | { kind: 'time' }

export interface Context {
  nowUs: number
  times: AlertTimes
}

/** `alert`: undefined where there is none. A new one has another id than the one before. */
export interface Outcome {
  alert: LiveAlert | undefined
  history: HistoryEntry[]
}

type Act = (alert: LiveAlert, input: never, context: Context) => Outcome

/** Of what is firing, any breach is one more episode; of what has ended, one that is near. */
export const TABLE = {
  absent: {
    fired: 'open',
    ended: 'ignore',
    passed: 'openEnded',
    known: 'ignore',
    time: 'ignore',
    acknowledge: 'refuse',
    snooze: 'refuse',
    wake: 'refuse',
    note: 'refuse',
  },
  firing: {
    fired: 'reopen',
    ended: 'end',
    passed: 'addPassed',
    known: 'ignore',
    time: 'pass',
    acknowledge: 'acknowledge',
    snooze: 'snooze',
    wake: 'wake',
    note: 'note',
  },
  ended: {
    fired: 'reopenNear',
    ended: 'end',
    passed: 'passNear',
    known: 'ignore',
    time: 'pass',
    acknowledge: 'acknowledge',
    snooze: 'snooze',
    wake: 'wake',
    note: 'note',
  },
  closed: {
    fired: 'reopenNear',
    ended: 'end',
    passed: 'passNear',
    known: 'ignore',
    time: 'pass',
    acknowledge: 'acknowledge',
    snooze: 'snooze',
    wake: 'wake',
    note: 'note',
  },
} as const satisfies Record<Phase, Record<Input['kind'], string>>

type ActName = (typeof TABLE)[Phase][Input['kind']]

/** Errors: ALERT_UNKNOWN, for what people do to an alert that there is not. */
export function advance(alert: LiveAlert | undefined, input: Input, context: Context): Outcome {
  const name = TABLE[phaseOf(alert)][input.kind]
  const act = ACTS[name] as (alert: LiveAlert | undefined, input: Input, at: Context) => Outcome
  return act(alert, input, context)
}

export function phaseOf(alert: LiveAlert | undefined): Phase {
  if (alert === undefined) return 'absent'
  if (alert.record.state === 'firing') return 'firing'
  return alert.isClosed ? 'closed' : 'ended'
}

/** Until when a breach is one of this alert. */
export function reopenUntilUs(alert: LiveAlert, { reopenUs, flapWithinUs }: AlertTimes): number {
  if (alert.record.state === 'firing') return Infinity
  return alert.lastUs + (alert.lastUs < alert.flapUntilUs ? flapWithinUs : reopenUs)
}

/** The record as it is at `nowUs`: what was folded is so until it was calm for long enough. */
export const recordAt = ({ record, flapUntilUs }: LiveAlert, nowUs: number): AlertRecord => ({
  ...record,
  isFlapping: flapUntilUs > nowUs,
})

type OfEvent = { event: RuleEvent }
type OfAction<Do extends AlertAction['do']> = {
  action: Extract<AlertAction, { do: Do }>
  by: string
}

const ACTS = {
  ignore: (alert) => ({ alert, history: [] }),
  refuse() {
    throw new WeirError('ALERT_UNKNOWN')
  },
  open: (_, { event }: OfEvent, { nowUs }) => opened(event, nowUs),
  openEnded: (_, { event }: OfEvent, { nowUs }) => openedAndEnded(event, nowUs),
  reopen: (alert, { event }: OfEvent, context) => reopened(alert, event, context),
  reopenNear: (alert, { event }: OfEvent, context) =>
    event.triggeredAtUs > reopenUntilUs(alert, context.times)
      ? opened(event, context.nowUs)
      : reopened(alert, event, context),
  addPassed: (alert, { event }: OfEvent, context) => passed(alert, event, context),
  passNear: (alert, { event }: OfEvent, context) =>
    event.triggeredAtUs > reopenUntilUs(alert, context.times)
      ? openedAndEnded(event, context.nowUs)
      : passed(alert, event, context),
  end: (alert, { event }: OfEvent) => ended({ alert, history: [] }, event),
  acknowledge(alert, { action, by }: OfAction<'acknowledge'>, { nowUs }) {
    const record = { ...alert.record, acknowledged: { by, atUs: nowUs } }
    // Somebody knows of it, so what was held back is told.
    const known = { ...alert, record, pending: undefined, toldSeverity: record.severity }
    return acted(known, nowUs, { what: 'acknowledge', by, ...text(action.note) })
  },
  snooze(alert, { action, by }: OfAction<'snooze'>, { nowUs }) {
    const { untilUs } = action
    const record = { ...alert.record, snoozedUntilUs: untilUs > nowUs ? untilUs : undefined }
    const until = new Date(Math.floor(untilUs / 1000)).toISOString()
    return acted({ ...alert, record }, nowUs, { what: 'snooze', by, text: `until ${until}` })
  },
  wake(alert, { by }: OfAction<'wake'>, { nowUs }) {
    const record = { ...alert.record, snoozedUntilUs: undefined }
    return acted({ ...alert, record }, nowUs, { what: 'wake', by })
  },
  note: (alert, { action, by }: OfAction<'note'>, { nowUs }) =>
    acted(alert, nowUs, { what: 'note', by, ...text(action.text) }),
  pass: (alert, _, context) => ({ alert: passTime(alert, context), history: [] }),
} satisfies Record<ActName, Act>

const text = (given: string | undefined): { text?: string } =>
  given === undefined ? {} : { text: given }

const acted = (alert: LiveAlert, atUs: number, entry: Omit<HistoryEntry, 'atUs'>): Outcome => ({
  alert,
  history: [{ atUs, ...entry }],
})

interface Made {
  alert: LiveAlert
  history: HistoryEntry[]
}

function opened(event: RuleEvent, nowUs: number): Made {
  const { id, tenant, deviceId, ruleId, triggeredAtUs } = event
  const alert: LiveAlert = {
    record: {
      ...{ id, tenant, deviceId, ruleId, triggeredAtUs, occurrences: 1, isFlapping: false },
      ...{ acknowledged: undefined, snoozedUntilUs: undefined, suppressedBy: undefined },
      ...newestOf(event),
    },
    ...{ revision: 0, entries: 0, tellings: 0 },
    newest: { id, triggeredAtUs },
    lastUs: triggeredAtUs,
    recentUs: [triggeredAtUs],
    flapUntilUs: 0,
    ...{ isClosed: false, isEndTold: false, toldSeverity: undefined },
    pending: { change: 'opened', sinceUs: nowUs, isRecorded: false },
    ...{ parent: undefined, escalations: {} },
  }
  return { alert, history: [firedEntry(event, 'fired')] }
}

/** It was over before it was heard of: nobody is told. */
function openedAndEnded(event: RuleEvent, nowUs: number): Made {
  const { alert, history } = opened(event, nowUs)
  return ended({ alert: { ...alert, pending: undefined }, history }, event)
}

/** What an alert has of its newest episode. */
const newestOf = (event: RuleEvent) => ({
  ruleVersion: event.ruleVersion,
  severity: event.severity,
  state: 'firing' as const,
  sinceUs: event.breachEventTimeUs,
  resolvedAtUs: undefined,
  reason: event.reason,
  values: event.values,
})

const firedEntry = (event: RuleEvent, what: 'fired' | 'reopened'): HistoryEntry => ({
  ...{ atUs: event.triggeredAtUs, what, episodeId: event.id },
  text: `${event.severity}: ${event.reason.condition}`,
})

/** One more episode. One that is older than the newest is history, and changes nothing else. */
function reopened(alert: LiveAlert, event: RuleEvent, { nowUs, times }: Context): Made {
  const history = [firedEntry(event, 'reopened')]
  const occurrences = alert.record.occurrences + 1
  const { triggeredAtUs, severity } = event
  if (triggeredAtUs < alert.newest.triggeredAtUs) {
    return { alert: { ...alert, record: { ...alert.record, occurrences } }, history }
  }
  const isWorse = alert.toldSeverity !== undefined && isGraver(severity, alert.toldSeverity)
  const heeded = isWorse ? { acknowledged: undefined, snoozedUntilUs: undefined } : {}
  const next: LiveAlert = {
    ...alert,
    record: { ...alert.record, ...newestOf(event), ...heeded, occurrences },
    newest: { id: event.id, triggeredAtUs },
    lastUs: Math.max(alert.lastUs, triggeredAtUs),
    ...{ isClosed: false, isEndTold: false },
    pending: alert.pending ?? newsOf(alert, isWorse, nowUs),
  }
  return fold(next, triggeredAtUs, { history, times })
}

/** What there is to tell when it fires again: most often nothing. */
function newsOf(alert: LiveAlert, isWorse: boolean, sinceUs: number): Pending | undefined {
  if (alert.toldSeverity === undefined) return { change: 'opened', sinceUs, isRecorded: false }
  return isWorse || alert.isEndTold ? { change: 'reopened', sinceUs, isRecorded: false } : undefined
}

/** Many episodes in a short time: from now on the next one may be further away. */
function fold(
  alert: LiveAlert,
  firedUs: number,
  more: { history: HistoryEntry[]; times: AlertTimes },
) {
  const { flapEpisodes, flapWithinUs } = more.times
  const recentUs = [...alert.recentUs, firedUs].slice(-flapEpisodes)
  const wasFolded = firedUs < alert.flapUntilUs
  const isMany = recentUs.length === flapEpisodes && firedUs - recentUs[0]! <= flapWithinUs
  const flapUntilUs = isMany || wasFolded ? firedUs + flapWithinUs : alert.flapUntilUs
  const within = Math.round(flapWithinUs / 60_000_000)
  const entry: HistoryEntry = {
    ...{ atUs: firedUs, what: 'flapping' },
    text: `${flapEpisodes} episodes within ${within} min`,
  }
  const history = isMany && !wasFolded ? [...more.history, entry] : more.history
  return { alert: { ...alert, recentUs, flapUntilUs }, history }
}

/** The end of an episode; the alert has ended when it is the newest. */
function ended({ alert, history }: Made, event: RuleEvent): Made {
  const resolvedAtUs = event.resolvedAtUs ?? event.triggeredAtUs
  const entries: HistoryEntry[] = [
    ...history,
    { atUs: resolvedAtUs, what: 'resolved', episodeId: event.id },
  ]
  if (event.id !== alert.newest.id) return { alert, history: entries }
  const { reason, values } = event
  const record = { ...alert.record, state: 'resolved' as const, resolvedAtUs, reason, values }
  const lastUs = Math.max(alert.lastUs, resolvedAtUs)
  return { alert: { ...alert, record, lastUs, pending: undefined }, history: entries }
}

/** An episode that was over before it was heard of: history, and nobody is told. */
function passed(alert: LiveAlert, event: RuleEvent, context: Context): Made {
  const { alert: next, history } = reopened(alert, event, context)
  const { pending, isEndTold } = alert
  return ended({ alert: { ...next, pending, isEndTold }, history }, event)
}

/** A snooze that is over, an end that may be told, a time of flapping that is over. */
function passTime(alert: LiveAlert, { nowUs, times }: Context): LiveAlert {
  const awake = endSnooze(alert, nowUs)
  if (phaseOf(awake) !== 'ended' || nowUs < reopenUntilUs(awake, times)) return awake
  const pending: Pending = { change: 'resolved', sinceUs: nowUs, isRecorded: false }
  const isNews = awake.toldSeverity !== undefined && !awake.isEndTold
  return { ...awake, isClosed: true, pending: isNews ? pending : undefined }
}

function endSnooze(alert: LiveAlert, nowUs: number): LiveAlert {
  const { snoozedUntilUs, state, acknowledged } = alert.record
  if (snoozedUntilUs === undefined || snoozedUntilUs > nowUs) return alert
  const record = { ...alert.record, snoozedUntilUs: undefined }
  const isNews = state === 'firing' && acknowledged === undefined && alert.pending === undefined
  const pending: Pending = { change: 'reminded', sinceUs: nowUs, isRecorded: false }
  return isNews ? { ...alert, record, pending } : { ...alert, record }
}
