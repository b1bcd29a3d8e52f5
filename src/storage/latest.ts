/** The latest value of every metric of a device, and of one metric of every device. */
import type { SeriesDefinition } from '../batch/batch.ts'
import {
  compareDeviceIds,
  LatestRows,
  type LatestColumns,
  type LatestQuestion,
  type Value,
} from '../query/query.ts'
import type { LastValues } from './last-values.ts'
import type { SeriesDirectory } from './series-directory.ts'

interface LatestParts {
  directory: SeriesDirectory
  lastValues: LastValues
}

/** Of several series of one metric the newest reading counts. `ts` is ms. */
export function latestByMetric(
  { directory, lastValues }: LatestParts,
  { tenant, deviceId }: { tenant: string; deviceId: string },
): Record<string, { ts: number; value: Value }> {
  const latest = new Map<string, { ts: number; value: Value }>()
  for (const one of directory.ofDevice(tenant, deviceId)) {
    const last = lastValues.get(one.series)
    if (last === undefined) continue
    const ts = last.timeUs / 1000
    const known = latest.get(one.metric)
    if (known !== undefined && known.ts >= ts) continue
    latest.set(one.metric, { ts, value: valueOf(directory, one, last.value) })
  }
  return Object.fromEntries(latest)
}

/** One walk over the metric's series, which are in the order of the answer. */
export function latestOfMetric(
  { directory, lastValues }: LatestParts,
  { tenant, metric, deviceType, afterDeviceId, limit }: LatestQuestion,
): LatestColumns {
  const rows = new LatestRows(limit)
  const series = directory.ofMetric(tenant, metric)
  const from = afterDeviceId === undefined ? 0 : firstBehind(series, afterDeviceId)
  for (let at = from; at < series.length; at++) {
    const one = series[at]!
    if (deviceType !== undefined && one.deviceType !== deviceType) continue
    const last = lastValues.get(one.series)
    if (last === undefined) continue
    const value = valueOf(directory, one, last.value)
    if (!rows.take(one.deviceId, last.timeUs / 1000, value)) break
  }
  return rows.columns
}

/** The place of the first series of a device behind this one. */
function firstBehind(series: readonly SeriesDefinition[], deviceId: string): number {
  let from = 0
  let to = series.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if (compareDeviceIds(series[middle]!.deviceId, deviceId) <= 0) from = middle + 1
    else to = middle
  }
  return from
}

function valueOf(directory: SeriesDirectory, { kind }: SeriesDefinition, value: number): Value {
  if (kind === 'text') return directory.text(value)
  return kind === 'boolean' ? value !== 0 : value
}
