/** The rules of the tests of this folder, and what their conditions say, without a program. */
import type { RuleDefinition, Variable } from '../pipeline/pipeline.ts'

export const SCRIPT_RULES: RuleDefinition[] = [
  { id: 'hot', type: 'pump', when: 'a > 80', for: '30s' },
  { id: 'burning', type: 'pump', when: 'a > 95' },
  { id: 'warm-while-on', type: 'pump', when: 'a > 60 && on', for: '5s' },
  { id: 'faulty', type: 'pump', when: 'label == "fault"' },
  { id: 'latch', type: 'pump', when: 'a > 70', clear: 'a < 30', keep: '10s' },
  { id: 'apart', type: 'pump', when: 'a > b', clear: 'a < 20 && b >= 20', for: '2s', keep: '4s' },
  { id: 'often', type: 'pump', when: 'b >= 50', repeat: { count: 3, within: '20s' } },
  { id: 'often-apart', when: 'b < a && a < 90', repeat: { count: 2, within: '1m' }, for: '3s' },
  { id: 'steep', type: 'pump', when: 'rate(a) > 5', keep: '2s' },
  { id: 'jump', type: 'pump', when: 'abs(delta(b)) > 40 && previous(b) < 50 && b >= 20' },
  { id: 'quiet', type: 'pump', silent: { interval: '20s', count: 3 } },
  { id: 'quiet-for-long', devices: ['device-1', 'device-2'], silent: { interval: '1h', count: 1 } },
  {
    ...{ id: 'late-shift', when: 'a > 40', for: '10s' },
    schedule: { from: '22:20', to: '23:10', timeZone: 'UTC' },
  },
  { id: 'mean', type: 'pump', window: '1m', when: 'avg(a) > 50', for: '1m' },
  {
    id: 'both',
    window: '5m',
    when: 'max(a) > 80 && min(b) < 20',
    clear: 'max(a) < 60 && count(b) > 1',
  },
  { id: 'soon', window: '1m', early: true, when: 'max(a) > 90', keep: '30s' },
  { id: 'soon-both', window: '1m', early: true, when: 'last(a) > last(b)', for: '5s' },
  { id: 'by-tag', tags: { site: 'x' }, when: 'a > number(device.tags.limit)' },
  {
    ...{ id: 'short-shift', when: 'b >= 50', for: '20s', keep: '1m' },
    schedule: { from: '22:20', to: '22:24', timeZone: 'UTC' },
  },
  {
    ...{ id: 'quiet-shift', silent: { interval: '15s', count: 2 } },
    schedule: { from: '22:19', to: '22:29', timeZone: 'UTC' },
  },
  { id: 'quiet-by-tag', tags: { site: 'x' }, silent: { interval: '45s', count: 2 } },
]

/** Versions of one rule that changes. */
export const COMING_RULES: RuleDefinition[] = [
  { id: 'coming', when: 'a > 50' },
  { id: 'coming', when: 'a > 60 && on', for: '5s' },
  { id: 'coming', devices: ['device-0', 'device-3'], when: 'rate(a) > 5' },
  { id: 'coming', silent: { interval: '10s', count: 2 } },
  { id: 'coming', window: '1m', when: 'avg(a) > 50' },
  // The plan's rule of this id stays as it is.
  { id: 'hot', when: 'a > 0' },
]

/** By label; undefined: not known. */
export type Values = (label: string) => number
export const CONDITIONS: Record<string, (of: Values) => boolean> = {
  'a > 80': (of) => of('a') > 80,
  'a > 95': (of) => of('a') > 95,
  'a > 60 && on': (of) => of('a') > 60 && of('on') === 1,
  'label == "fault"': (of) => of('label') === 1,
  'a > 70': (of) => of('a') > 70,
  'a < 30': (of) => of('a') < 30,
  'a > b': (of) => of('a') > of('b'),
  'a < 20 && b >= 20': (of) => of('a') < 20 && of('b') >= 20,
  'b >= 50': (of) => of('b') >= 50,
  'b < a && a < 90': (of) => of('b') < of('a') && of('a') < 90,
  'rate(a) > 5': (of) => of('rate(a)') > 5,
  'rate(a) <= -0.5': (of) => of('rate(a)') <= -0.5,
  'delta(b) < -40': (of) => of('delta(b)') < -40,
  'abs(delta(b)) > 40 && previous(b) < 50 && b >= 20': (of) =>
    Math.abs(of('delta(b)')) > 40 && of('previous(b)') < 50 && of('b') >= 20,
  'a > 40': (of) => of('a') > 40,
  'avg(a) > 50': (of) => of('avg(a)') > 50,
  'max(a) > 80 && min(b) < 20': (of) => of('max(a)') > 80 && of('min(b)') < 20,
  'max(a) < 60 && count(b) > 1': (of) => of('max(a)') < 60 && of('count(b)') > 1,
  'max(a) > 90': (of) => of('max(a)') > 90,
  'last(a) > last(b)': (of) => of('last(a)') > of('last(b)'),
  'a > number(device.tags.limit)': (of) => of('a') > of('number(device.tags.limit)'),
  'a > 50': (of) => of('a') > 50,
}

/** What ends a rule that has a condition for it. */
export const CLEARS: Record<string, string> = {
  latch: 'a < 30',
  apart: 'a < 20 && b >= 20',
  both: 'max(a) < 60 && count(b) > 1',
}

/** What a window says of its readings; NaN of none. */
export function aggregated(
  { of }: Variable,
  readings: readonly { eventUs: number; value: number }[],
): number {
  if (readings.length === 0) return NaN
  const values = readings.toSorted((a, b) => a.eventUs - b.eventUs).map(({ value }) => value)
  if (of === 'avg') return values.reduce((sum, one) => sum + one, 0) / values.length
  if (of === 'max') return Math.max(...values)
  if (of === 'min') return Math.min(...values)
  return of === 'count' ? values.length : values.at(-1)!
}

export interface Heard {
  eventUs: number
  value: number
  /** The number of lists of definitions that there were when it came. */
  sequence: number
}

/** How the value changed between the two last readings by event time, the first since `since`. */
export function changed(variable: Variable, heard: readonly Heard[], since: number): number {
  let before: Heard | undefined
  let newest: Heard | undefined
  for (const one of heard) {
    if (newest !== undefined && one.eventUs <= newest.eventUs) continue
    before = newest
    newest = one
  }
  if (before === undefined || newest === undefined || before.sequence < since) return NaN
  if (variable.of === 'previous') return before.value
  const delta = newest.value - before.value
  return variable.of === 'delta' ? delta : delta / ((newest.eventUs - before.eventUs) / 1e6)
}
