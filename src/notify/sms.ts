/**
 * A notification in one SMS: 160 characters of the GSM alphabet (3GPP TS 23.038, 6.2.1). One
 * character outside of it would make the limit 70, so others are written otherwise or as `?`.
 */
import { explain } from './explanation.ts'
import type { Notification } from './notify.ts'

export const SMS_UNITS_MAX = 160
/** A longer link would leave no room for what it is about. */
const LINK_UNITS_MAX = 100

const BASIC = new Set(
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?' +
    '¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà',
)
/** Written with an escape before them: two units. */
const EXTENDED = new Set('^{}\\[~]|€')
const OTHERWISE: Record<string, string> = { '°': '', '…': '...', '’': "'", µ: 'u', '·': '.' }

/** How much of an SMS a character takes; undefined when GSM does not have it. */
function unitsOf(character: string): number | undefined {
  if (BASIC.has(character)) return 1
  return EXTENDED.has(character) ? 2 : undefined
}

export const smsUnits = (text: string): number =>
  Array.from(text).reduce((sum, character) => sum + (unitsOf(character) ?? 1), 0)

const toGsm = (text: string): string =>
  Array.from(text, (one) => (unitsOf(one) === undefined ? (OTHERWISE[one] ?? '?') : one))
    .join('')
    .replaceAll(/\s+/g, ' ')

/** At most `units` of it, from the beginning. */
function cut(text: string, units: number): string {
  let kept = ''
  let left = units
  for (const character of text) {
    left -= unitsOf(character) ?? 1
    if (left < 0) break
    kept += character
  }
  return kept
}

export function explainSms(notification: Notification): string {
  const link = toGsm(notification.link)
  const words = toGsm(explain(notification).title)
  if (link.includes('?') && !notification.link.includes('?')) return cut(words, SMS_UNITS_MAX)
  if (smsUnits(link) > LINK_UNITS_MAX) return cut(words, SMS_UNITS_MAX)
  const room = SMS_UNITS_MAX - smsUnits(link) - 1
  const shown = smsUnits(words) > room ? `${cut(words, room - 3).trimEnd()}...` : words
  return `${shown} ${link}`
}
