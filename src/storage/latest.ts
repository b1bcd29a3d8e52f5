/** A device's latest value of every metric. */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { Value } from '../query/query.ts'
import type { LastValues } from './last-values.ts'
import type { SeriesDirectory } from './series-directory.ts'

/** Of several series of one metric the newest reading counts. `ts` is ms. */
export function latestByMetric(
  directory: SeriesDirectory,
  lastValues: LastValues,
  series: readonly SeriesDefinition[],
): Record<string, { ts: number; value: Value }> {
  const latest = new Map<string, { ts: number; value: Value }>()
  for (const { series: id, metric, kind } of series) {
    const last = lastValues.get(id)
    if (last === undefined) continue
    const ts = last.timeUs / 1000
    const known = latest.get(metric)
    if (known !== undefined && known.ts >= ts) continue
    const value =
      kind === 'text'
        ? directory.text(last.value)
        : kind === 'boolean'
          ? last.value !== 0
          : last.value
    latest.set(metric, { ts, value })
  }
  return Object.fromEntries(latest)
}
