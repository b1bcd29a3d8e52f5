/** What a recipient wants to hear, and when. */
import type { Notification } from './notify.ts'
import { quietUntilUs, type QuietHours } from './quiet-hours.ts'

export interface Preferences {
  /** Severities that are wanted; without, all. */
  severities?: readonly string[]
  quietHours?: QuietHours
  /** Severities that quiet hours do not hold. */
  disturbing?: readonly string[]
}

const DISTURBING_DEFAULT: readonly string[] = ['critical']

/** `suppressed` is final; it stays in the history, with its reason. */
export type Decision =
  | { when: 'now' }
  | { when: 'later'; atUs: number }
  | { when: 'suppressed'; reason: 'severity' }

export function decide(
  { alert }: Notification,
  { severities, quietHours, disturbing = DISTURBING_DEFAULT }: Preferences,
  nowUs: number,
): Decision {
  if (severities !== undefined && !severities.includes(alert.severity)) {
    return { when: 'suppressed', reason: 'severity' }
  }
  if (quietHours === undefined || disturbing.includes(alert.severity)) return { when: 'now' }
  const atUs = quietUntilUs(quietHours, nowUs)
  return atUs === undefined ? { when: 'now' } : { when: 'later', atUs }
}
