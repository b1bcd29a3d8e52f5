/** One look at all series of a question about many devices. */
import { WeirError } from '../errors/errors.ts'
import { seriesAsked, type GroupsSource } from '../query/query.ts'
import type { QueryDatabase } from './query-database.ts'
import { ASKED, askedOf } from './query-scan.ts'
import {
  loadGroupsView,
  seriesOf,
  type HashDevice,
  type SeriesRow,
  type SourceOptions,
} from './query-source.ts'

/** Each takes a kilobyte and some lookups, before any reading. */
export const SERIES_MAX = 50_000

const SERIES = `SELECT id, device_id, device_type, metric, dimensions, kind FROM series
  WHERE ${ASKED} ORDER BY id LIMIT ${SERIES_MAX + 1}`

export interface GroupsPlace {
  database: QueryDatabase
  hashDevice: HashDevice
  options: SourceOptions
  signal: AbortSignal | undefined
}

/** Errors: QUERY_LIMIT_EXCEEDED for too many series, QUERY_FAILED, STORAGE_UNAVAILABLE. */
export async function lookAtDevices(
  { database, hashDevice, options, signal }: GroupsPlace,
  question: Parameters<GroupsSource['looks']>[0],
  run: Parameters<GroupsSource['looks']>[1],
): Promise<void> {
  await database.snapshot(async (ask) => {
    const rows = await ask<SeriesRow>(SERIES, askedOf(seriesAsked(question)))
    if (rows.length > SERIES_MAX) {
      const detail = `The question is about more than ${SERIES_MAX} series: ask by type, tag or box`
      throw new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: SERIES_MAX } })
    }
    const series = rows.map((row) => seriesOf(row, question.tenant))
    await run(series, await loadGroupsView(ask, { series, hashDevice }, options))
  }, signal)
}
