/** Devices of a question about many, one look each: partials and coverage are a device's own. */
import { WeirError } from '../errors/errors.ts'
import { seriesAsked, type GroupsSource } from '../query/query.ts'
import type { QueryDatabase, Row } from './query-database.ts'
import { ASKED, askedOf } from './query-scan.ts'
import { loadSource, type SourceOptions } from './query-source.ts'

/** A look takes some milliseconds. */
export const DEVICES_MAX = 2000

const DEVICES = `SELECT DISTINCT device_id FROM series WHERE ${ASKED}
  ORDER BY device_id LIMIT ${DEVICES_MAX + 1}`

interface DeviceRow extends Row {
  device_id: string
}

export interface GroupsPlace {
  database: QueryDatabase
  hashDevice: (tenant: string, deviceId: string) => number
  options: SourceOptions
  signal: AbortSignal | undefined
}

/** Errors: QUERY_LIMIT_EXCEEDED for too many devices, QUERY_FAILED, STORAGE_UNAVAILABLE. */
export async function lookAtDevices(
  { database, hashDevice, options, signal }: GroupsPlace,
  question: Parameters<GroupsSource['looks']>[0],
  run: Parameters<GroupsSource['looks']>[1],
): Promise<void> {
  const { tenant, metric } = question
  const rows = await database.snapshot(
    (ask) => ask<DeviceRow>(DEVICES, askedOf(seriesAsked(question))),
    signal,
  )
  if (rows.length > DEVICES_MAX) {
    const detail = `The question is about more than ${DEVICES_MAX} devices: ask by type, tag or box`
    throw new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: DEVICES_MAX } })
  }
  for (const { device_id: deviceId } of rows) {
    const device = { tenant, deviceId, deviceHash: hashDevice(tenant, deviceId) }
    await database.snapshot(async (ask) => {
      const source = await loadSource(ask, { device, metric, hasPartials: true }, options)
      await run(source.series(tenant, deviceId, metric), source.view())
    }, signal)
  }
}
