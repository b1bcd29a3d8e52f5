/** The latest values of one device, from answers and from live readings, whichever is newer. */
import type { LiveEvent } from '../api/api.ts'
import type { Latest } from './api.ts'

export type Reading = Extract<LiveEvent, { event: 'reading' }>['data']

/**
 * Keeps `latest` unless a newer value is known, and returns what was kept. Live readings carry no
 * unit: the one of an earlier answer stays.
 */
export function noteLatest(
  values: Map<string, Latest>,
  metric: string,
  latest: Latest,
): Latest | undefined {
  const known = values.get(metric)
  if (known !== undefined && known.ts > latest.ts) return undefined
  const unit = latest.unit ?? known?.unit
  const noted = { ts: latest.ts, value: latest.value, ...(unit === undefined ? {} : { unit }) }
  values.set(metric, noted)
  return noted
}
