/**
 * What a person reads who was woken up: what is wrong, the value against its threshold, since when
 * and for how long, what changed, which device and rule, and where to look. One list of facts, from
 * which text, HTML and SMS are made.
 */
import { timeText } from './body.ts'
import type { Alert, Change, Digest, Notification, Value } from './notify.ts'

export interface Explanation {
  /** One line: `[critical] pump-01: temperature is 93.2 °C, threshold 80 °C`. */
  title: string
  facts: { name: string; text: string }[]
}

const TEXT_LENGTH_MAX = 200
/** Controls, and characters that turn the direction of others or are not seen. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu

/** One line of what a device or rule said. */
export function plain(text: string, lengthMax = TEXT_LENGTH_MAX): string {
  const line = text.replaceAll(UNSEEN, ' ').trim()
  const characters = Array.from(line)
  return characters.length > lengthMax ? `${characters.slice(0, lengthMax - 1).join('')}…` : line
}

export function explain(notification: Notification): Explanation {
  const { alert, change, digest } = notification
  const facts = [
    { name: 'What', text: whatHappened(alert, change) },
    ...(alert.value === undefined ? [] : [{ name: 'Value', text: valueText(alert) }]),
    ...changeFacts(alert),
    { name: 'Since', text: sinceText(notification) },
    { name: 'Device', text: plain(alert.deviceId) },
    { name: 'Rule', text: `${plain(alert.ruleId)}: ${plain(alert.condition)}` },
  ]
  const own = { title: titleOf(alert), facts: [...facts, link(notification)] }
  if (digest === undefined) return own
  const title = `${count(digest.count)} alerts: ${tally(digest.bySeverity)}`
  const about = [
    { name: 'Devices', text: tally(digest.byDevice) },
    { name: 'Rules', text: tally(digest.byRule) },
    { name: 'Gravest', text: own.title },
  ]
  return { title, facts: [...about, ...own.facts] }
}

export function explainText(notification: Notification): string {
  const { title, facts } = explain(notification)
  return `${title}\n\n${facts.map(({ name, text }) => `${name}: ${text}`).join('\n')}\n`
}

function titleOf(alert: Alert): string {
  const { severity, deviceId, ruleId, metric, state } = alert
  const who = `[${plain(severity, 32)}] ${plain(deviceId, 64)}`
  if (state === 'resolved') return `${who}: ${plain(ruleId, 64)} is resolved`
  if (alert.value === undefined) return `${who}: ${plain(ruleId, 64)} is firing`
  const limit =
    alert.threshold === undefined ? '' : `, threshold ${withUnit(alert.threshold, alert)}`
  return `${who}: ${plain(metric ?? ruleId, 64)} is ${withUnit(alert.value, alert)}${limit}`
}

const CHANGES: Record<Change, string> = {
  opened: 'it began to fire',
  reopened: 'it fires again',
  escalated: 'it fires, and nobody has acknowledged it',
  reminded: 'it is still firing',
  resolved: 'it is resolved',
}

function whatHappened({ occurrences }: Alert, change: Change): string {
  return occurrences > 1
    ? `${CHANGES[change]}, ${count(occurrences)} times so far`
    : CHANGES[change]
}

function valueText(alert: Alert): string {
  const { value, threshold } = alert
  if (value === undefined) return ''
  const shown = withUnit(value, alert)
  if (threshold === undefined) return shown
  const against = `${shown}, threshold ${withUnit(threshold, alert)}`
  if (typeof value !== 'number' || typeof threshold !== 'number') return against
  const distance = withUnit(Math.abs(value - threshold), alert)
  if (value === threshold) return against
  return `${against}: ${distance} ${value > threshold ? 'above' : 'below'}`
}

function changeFacts(alert: Alert): Explanation['facts'] {
  const { valueBefore, value } = alert
  if (valueBefore === undefined) return []
  const after = value === undefined ? '' : `, now ${withUnit(value, alert)}`
  return [{ name: 'Changed', text: `it was ${withUnit(valueBefore, alert)} before${after}` }]
}

function sinceText({ alert, createdAtUs }: Notification): string {
  const untilUs = alert.resolvedAtUs ?? createdAtUs
  return `${timeText(alert.sinceUs)}, for ${durationText(untilUs - alert.sinceUs)}`
}

const link = ({ link }: Notification): { name: string; text: string } => ({
  name: 'Link',
  text: plain(link, 2048),
})

function withUnit(value: Value, { unit }: Alert): string {
  return unit === undefined || typeof value !== 'number'
    ? valueOf(value)
    : `${valueOf(value)} ${plain(unit, 16)}`
}

/** Rounded, but the largest numbers as they are: to fewer digits they would be infinite. */
export function shortNumber(value: number, digits: number): string {
  const rounded = Number(value.toPrecision(digits))
  return String(Number.isFinite(rounded) ? rounded : value)
}

/** Six digits: more than anyone reads at night. */
const valueOf = (value: Value): string =>
  typeof value === 'number' ? shortNumber(value, 6) : plain(String(value), 64)

/** `1,234`. */
const count = (value: number): string => value.toLocaleString('en-US')

const TALLY_MAX = 3

/** `9,990 critical, 10 warning`. */
function tally(counts: Digest['bySeverity']): string {
  const sorted = Object.entries(counts).toSorted(([, left], [, right]) => right - left)
  const shown = sorted.slice(0, TALLY_MAX).map(([name, n]) => `${count(n)} ${plain(name, 64)}`)
  return `${shown.join(', ')}${sorted.length > TALLY_MAX ? ' and others' : ''}`
}

/** The two largest units: `2 h 5 min`, `3 d`, `45 s`. */
export function durationText(us: number): string {
  const seconds = Math.max(0, Math.round(us / 1_000_000))
  const units = [
    { name: 'd', seconds: 86_400 },
    { name: 'h', seconds: 3600 },
    { name: 'min', seconds: 60 },
    { name: 's', seconds: 1 },
  ]
  const first = units.findIndex((unit) => seconds >= unit.seconds)
  if (first === -1) return '0 s'
  const parts = units.slice(first, first + 2).map((unit, at, shown) => {
    const left = at === 0 ? seconds : seconds % shown[at - 1]!.seconds
    return { amount: Math.floor(left / unit.seconds), name: unit.name }
  })
  return parts
    .filter(({ amount }) => amount > 0)
    .map(({ amount, name }) => `${amount} ${name}`)
    .join(' ')
}
