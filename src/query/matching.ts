/** Which series a question means, and how their numbers become values again. */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { ReadingSource, Value } from './query.ts'

export interface SeriesFilter {
  tenant: string
  deviceId: string
  metric: string
  dimensions: Record<string, string>
}

/** Series of the device and metric whose dimensions match; those not named may be anything. */
export function matchSeries(source: ReadingSource, filter: SeriesFilter): SeriesDefinition[] {
  return source
    .series(filter.tenant, filter.deviceId, filter.metric)
    .filter((one) => matchesDimensions(one, filter))
    .toSorted((a, b) => a.series - b.series)
}

export function matchesDimensions(
  { dimensions }: Pick<SeriesDefinition, 'dimensions'>,
  filter: Pick<SeriesFilter, 'dimensions'>,
): boolean {
  const asked = Object.entries(filter.dimensions)
  if (asked.length === 0) return true
  const own = new Map(dimensions)
  return asked.every(([name, value]) => own.get(name) === value)
}

/** Turns a stored number back into what was sent: numbers, booleans as 0 and 1, texts as ids. */
export function valueReader(
  source: ReadingSource,
  series: readonly SeriesDefinition[],
): (series: number, value: number) => Value {
  const kinds = new Map(series.map(({ series, kind }) => [series, kind]))
  return (id, value) => {
    const kind = kinds.get(id)
    if (kind === 'text') return source.text(value)
    return kind === 'boolean' ? value !== 0 : value
  }
}
