/** Series of numbers some at a time, and a look at them that knows hours that are kept. */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { ColdFiles } from './cold-files.ts'
import { ColdRuns } from './cold-runs.ts'
import type { Ask } from './query-database.ts'
import { seriesOf, type HashDevice, type SeriesRow } from './query-source.ts'
import { QuestionTexts } from './query-texts.ts'
import { PostgresView } from './reading-view.ts'
import { loadLate, type Hours } from './rollup-tables.ts'
import { Telling } from './rollup-telling.ts'
import { erasedOfSeries } from './tombstones.ts'

/** A day of each is in memory at a time: two dozen sums of some kilobytes. */
const SERIES_AT_ONCE = 250

interface TenantRow extends SeriesRow {
  tenant: string
}

const COLUMNS = `series.id, series.tenant, device_id, series.device_type, series.metric, dimensions,
  kind`
const ALL = `SELECT ${COLUMNS} FROM series WHERE kind = 0 AND id > $1 ORDER BY id LIMIT $2`
const MEMBERS = `SELECT ${COLUMNS} FROM series
  JOIN fleet USING (tenant, metric, device_type)
  WHERE kind = 0 AND fleet.id = $3 AND series.id > $1 ORDER BY series.id LIMIT $2`
const BY_IDS = `SELECT ${COLUMNS} FROM series WHERE kind = 0 AND id = ANY ($1::integer[])
  ORDER BY id`

export const numberSeries = (ask: Ask): AsyncGenerator<SeriesDefinition[]> => pages(ask, ALL, [])

export const fleetMembers = (ask: Ask, fleet: number): AsyncGenerator<SeriesDefinition[]> =>
  pages(ask, MEMBERS, [fleet])

async function* pages(
  ask: Ask,
  text: string,
  values: readonly unknown[],
): AsyncGenerator<SeriesDefinition[]> {
  let after = 0
  for (;;) {
    const rows = await ask<TenantRow>(text, [after, SERIES_AT_ONCE, ...values])
    if (rows.length === 0) return
    yield rows.map((row) => seriesOf(row, row.tenant))
    after = rows.at(-1)!.id
  }
}

/** Of those that there are, the ones of numbers. */
export async function seriesByIds(ask: Ask, ids: readonly number[]): Promise<SeriesDefinition[]> {
  const rows = await ask<TenantRow>(BY_IDS, [ids])
  return rows.map((row) => seriesOf(row, row.tenant))
}

export async function viewOfSeries(
  ask: Ask,
  parts: {
    series: readonly SeriesDefinition[]
    hashDevice: HashDevice
    progress: Hours
    coldFiles: ColdFiles
  },
): Promise<PostgresView> {
  const { series, hashDevice, progress, coldFiles } = parts
  const ids = series.map((one) => one.series)
  const hashes = new Map(
    series.map((one) => [one.series, hashDevice(one.tenant, one.deviceId)] as const),
  )
  const late = await loadLate(ask, 'late_hour', ids)
  return new PostgresView({
    erased: await erasedOfSeries(ask, series),
    ...{ ask, texts: new QuestionTexts(), rowsMax: Infinity, isText: () => false },
    hashOf: (id) => hashes.get(id)!,
    telling: new Telling({ streams: new Map(), dirty: new Map(), summedUp: progress, late }),
    cold: { files: coldFiles, runs: new ColdRuns(ask) },
  })
}
