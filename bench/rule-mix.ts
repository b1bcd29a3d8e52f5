/**
 * Rules for a benchmark: 100 on all devices, the others on ten each. Of those on ten, 80 % are one
 * comparison (a quarter of them with hysteresis), 10 % two metrics, 5 % a rate, 5 % silence; of
 * those on all, 80 are one comparison, 10 two metrics, 3 rates, 2 windows, 5 silence.
 */
import type { RuleDefinition } from '../src/pipeline/pipeline.ts'

const ON_ALL = 100
const DEVICES_A_RULE = 10

export interface RuleMix {
  count: number
  devices: readonly string[]
  /** By name: between what its values stay nearly always. */
  metrics: Record<string, readonly [number, number]>
  seed: number
}

/** Random, and the same in every run. */
export function sequence(seed: number): () => number {
  let state = seed
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
}

export function ruleMix({ count, devices, metrics, seed }: RuleMix): RuleDefinition[] {
  const random = sequence(seed)
  const pick = (below: number): number => Math.floor(random() * below)
  const names = Object.keys(metrics)
  return Array.from({ length: count }, (_, index) => {
    const isOnAll = index < ON_ALL
    const kind = isOnAll ? index : (index * 7) % 100
    const metric = names[pick(names.length)]!
    const other = names[pick(names.length)]!
    const [low, high] = metrics[metric]!
    const threshold = Number((high + (high - low) * random()).toFixed(3))
    const chosen = Array.from({ length: DEVICES_A_RULE }, () => devices[pick(devices.length)]!)
    const scope = isOnAll ? {} : { devices: [...new Set(chosen)] }
    const of = { metric, other, threshold, low }
    return { id: `rule-${index}`, ...scope, ...textOf(kind, of, isOnAll) }
  })
}

function textOf(
  kind: number,
  {
    metric: m,
    other,
    threshold,
    low,
  }: Record<'metric' | 'other', string> & Record<'threshold' | 'low', number>,
  isOnAll: boolean,
): Omit<RuleDefinition, 'id'> {
  if (kind < 20)
    return { when: `${m} > ${threshold}`, clear: `${m} < ${threshold * 0.9}`, for: '10s' }
  if (kind < 80) return { when: `${m} > ${threshold}`, for: '30s' }
  if (kind < 90) return { when: `${m} > ${threshold} && ${other} >= ${low}`, for: '10s' }
  if (kind < 93 || (kind < 95 && !isOnAll)) return { when: `rate(${m}) > ${threshold * 100}` }
  if (kind < 95) return { when: `avg(${m}) > ${threshold}`, window: '1m' }
  return { silent: { interval: '60s', count: 3 } }
}
