/** The latest values of one device, from answers and from live readings, whichever is newer. */
import type { LiveEvent } from '../api/api.ts'
import type { Latest } from './api.ts'

export type Reading = Extract<LiveEvent, { event: 'reading' }>['data']

/**
 * Keeps the newer of the known value and `latest`; returns it when anything changed. Live readings
 * carry no unit: it comes from an answer, be it earlier or later.
 */
export function noteLatest(
  values: Map<string, Latest>,
  metric: string,
  latest: Latest,
): Latest | undefined {
  const known = values.get(metric)
  const unit = latest.unit ?? known?.unit
  if (known !== undefined && known.ts > latest.ts && known.unit === unit) return undefined
  const { ts, value } = known !== undefined && known.ts > latest.ts ? known : latest
  const noted = { ts, value, ...(unit === undefined ? {} : { unit }) }
  values.set(metric, noted)
  return noted
}
