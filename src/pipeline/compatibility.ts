/**
 * What a new schema version breaks. Two questions, as in schema registries:
 *
 * - *backward*: would the new version take every message that a device on the old one sends? (So a
 *   new version may be activated before all devices are updated.)
 * - *forward*: does what was built for the old version (rules, queries, charts) understand every
 *   message of the new one? Metrics that it does not know do it no harm.
 */
import type { Metric, Plan, Schema } from './pipeline.ts'

type Compatibility = 'full' | 'backward' | 'forward' | 'none'

export interface BreakingChange {
  metric: string
  /** The direction that no longer holds. */
  breaks: 'backward' | 'forward' | 'both'
  /** For people: `max went from 150 to 120`. */
  change: string
}

export interface SchemaComparison {
  type: string
  from: number
  to: number
  compatibility: Compatibility
  changes: BreakingChange[]
}

/** Every pair of consecutive schema versions of every type. */
export function compareVersions(plan: Pick<Plan, 'types'>): SchemaComparison[] {
  return Object.values(plan.types).flatMap(({ name, schemas }) =>
    schemas.slice(1).map((newer, index) => {
      const older = schemas[index]!
      const changes = compareSchemas(older, newer)
      const compatibility = compatibilityOf(changes)
      return { type: name, from: older.version, to: newer.version, compatibility, changes }
    }),
  )
}

/** One line for each pair of consecutive versions, for people (`weir pipeline check`). */
export function describeVersions(plan: Pick<Plan, 'types'>): string[] {
  return compareVersions(plan).map(({ type, from, to, compatibility, changes }) => {
    const details = changes.map(({ metric, change, breaks }) => `${metric} ${change} (${breaks})`)
    const lost = details.length === 0 ? '' : `; breaks: ${details.join(', ')}`
    return `${type}@${from} to ${type}@${to}: ${TITLES[compatibility]}${lost}`
  })
}

const TITLES: Record<Compatibility, string> = {
  full: 'compatible both ways',
  backward: 'backward compatible',
  forward: 'forward compatible',
  none: 'not compatible',
}

function compatibilityOf(changes: readonly BreakingChange[]): Compatibility {
  const isBackward = changes.every(({ breaks }) => breaks === 'forward')
  const isForward = changes.every(({ breaks }) => breaks === 'backward')
  if (isBackward) return isForward ? 'full' : 'backward'
  return isForward ? 'forward' : 'none'
}

/** The breaking changes from `older` to `newer`, by metric; none when they are fully compatible. */
export function compareSchemas(
  older: Pick<Schema, 'metrics'>,
  newer: Pick<Schema, 'metrics'>,
): BreakingChange[] {
  const added = newer.metrics.filter(({ name }) => find(older, name) === undefined)
  return [
    ...older.metrics.flatMap((metric) => compareMetrics(metric, find(newer, metric.name))),
    ...added
      .filter(({ isRequired }) => isRequired)
      .map(({ name }): BreakingChange => ({
        metric: name,
        breaks: 'backward',
        change: 'added as required',
      })),
  ]
}

const find = ({ metrics }: Pick<Schema, 'metrics'>, name: string): Metric | undefined =>
  metrics.find((metric) => metric.name === name)

function compareMetrics(older: Metric, newer: Metric | undefined): BreakingChange[] {
  const { name } = older
  // Schemas are strict, so old messages with it are refused; old rules may rely on a required one.
  if (newer === undefined)
    return [{ metric: name, breaks: older.isRequired ? 'both' : 'backward', change: 'removed' }]
  if (older.type !== newer.type)
    return [change(name, 'both', `type went from ${older.type} to ${newer.type}`)]
  const changes: BreakingChange[] = []
  if (older.unit !== newer.unit)
    changes.push(change(name, 'both', `unit went from "${older.unit}" to "${newer.unit}"`))
  if (older.isRequired !== newer.isRequired)
    changes.push(
      newer.isRequired
        ? change(name, 'backward', 'became required')
        : change(name, 'forward', 'is no longer required'),
    )
  if (older.min !== newer.min)
    changes.push(bound(name, 'min', [older.min, newer.min], newer.min > older.min))
  if (older.max !== newer.max)
    changes.push(bound(name, 'max', [older.max, newer.max], newer.max < older.max))
  return [...changes, ...compareValues(older, newer)]
}

function change(metric: string, breaks: BreakingChange['breaks'], text: string): BreakingChange {
  return { metric, breaks, change: text }
}

function bound(
  metric: string,
  name: 'min' | 'max',
  [from, to]: [number, number],
  isNarrower: boolean,
): BreakingChange {
  const write = (value: number): string => (Number.isFinite(value) ? String(value) : 'none')
  const text = `${name} went from ${write(from)} to ${write(to)}`
  return change(metric, isNarrower ? 'backward' : 'forward', text)
}

/** Allowed texts; undefined allows any. */
function compareValues(older: Metric, newer: Metric): BreakingChange[] {
  const removed = older.values?.filter((value) => newer.values?.includes(value) === false) ?? []
  const added = newer.values?.filter((value) => older.values?.includes(value) === false) ?? []
  const isLimited = older.values === undefined && newer.values !== undefined
  const isFreed = older.values !== undefined && newer.values === undefined
  const changes: BreakingChange[] = []
  if (isLimited) changes.push(change(older.name, 'backward', 'values became limited'))
  if (isFreed) changes.push(change(older.name, 'forward', 'values are no longer limited'))
  if (removed.length > 0)
    changes.push(change(older.name, 'backward', `values without ${removed.join(', ')}`))
  if (added.length > 0)
    changes.push(change(older.name, 'forward', `values with ${added.join(', ')}`))
  return changes
}
