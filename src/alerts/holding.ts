/**
 * Why nobody is told of an alert now: it is snoozed, a silence matches it, or its device is silent
 * because its parent is. Pure; what it asks of the world is handed in.
 */
import { EVERY_DAY, isWithin } from '../schedule/schedule.ts'
import type { AlertRecord, Kept, Silence } from './alerts.ts'
import type { AlertTimes, LiveAlert } from './alert-machine.ts'

export interface Hold {
  /** Undefined: it only waits for its parent to be found silent, too. */
  reason: string | undefined
  suppressedBy: AlertRecord['suppressedBy']
  /** When to look again, by the wall clock. */
  againUs: number
}

export interface Surroundings {
  silences: readonly Kept<Silence>[]
  /** Id of an alert of the parent that says that it is silent. */
  parentAlert: string | undefined
  nowUs: number
  times: AlertTimes
}

/** A silence may be removed, or a parent come back, without anybody saying so. */
const AGAIN_US = 30_000_000

export function holdOf(alert: LiveAlert, around: Surroundings): Hold | undefined {
  const { record, parent, pending } = alert
  const { nowUs, parentAlert, times } = around
  const { snoozedUntilUs } = record
  if (snoozedUntilUs !== undefined && snoozedUntilUs > nowUs) {
    return { reason: 'snoozed', suppressedBy: undefined, againUs: snoozedUntilUs }
  }
  const silence = around.silences.find(({ value }) => isSilenced(value, record, nowUs))
  if (silence !== undefined) {
    const { id, value } = silence
    const againUs = Math.min(value.untilUs, nowUs + AGAIN_US)
    return { reason: `silence ${id}`, suppressedBy: { silence: id }, againUs }
  }
  if (parent === undefined || record.state !== 'firing') return undefined
  if (parentAlert !== undefined) {
    const suppressedBy = { parentAlert }
    return { reason: `alert ${parentAlert} of the parent`, suppressedBy, againUs: nowUs + AGAIN_US }
  }
  // The parent came back a moment ago: so will its children, unless they are silent themselves.
  const isFreed = record.suppressedBy !== undefined && 'parentAlert' in record.suppressedBy
  const sinceUs = isFreed ? nowUs : (pending?.sinceUs ?? 0)
  const againUs = sinceUs + times.parentWaitUs
  return nowUs < againUs ? { reason: undefined, suppressedBy: undefined, againUs } : undefined
}

/** What the silence leaves out matches all. */
export function isSilenced(silence: Silence, record: AlertRecord, nowUs: number): boolean {
  const { deviceId, ruleId, severity, fromUs, untilUs, hours, days } = silence
  if (nowUs < fromUs || nowUs >= untilUs) return false
  const isMeant =
    (deviceId ?? record.deviceId) === record.deviceId &&
    (ruleId ?? record.ruleId) === record.ruleId &&
    (severity ?? record.severity) === record.severity
  if (!isMeant || hours === undefined) return isMeant
  return isWithin({ ...hours, days: days ?? EVERY_DAY }, nowUs)
}
