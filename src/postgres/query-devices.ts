/**
 * Devices of a statement, one look each, several at once: as many as there are, since a statement
 * ends by its own limits.
 */
import type { ScanQuestion } from '../query/query.ts'
import type { GroupsPlace } from './query-groups.ts'
import type { Row } from './query-database.ts'
import { ASKED, askedOf } from './query-scan.ts'
import { loadDevice, type DeviceLook } from './query-source.ts'

/** Names in memory at a time. */
const DEVICES_PER_PAGE = 1000
/** Of the connections to one store. */
const LOOKS_AT_ONCE = 4

const PAGE = `SELECT DISTINCT device_id FROM series WHERE ${ASKED} AND device_id > $5
  ORDER BY device_id LIMIT ${DEVICES_PER_PAGE}`

interface DeviceRow extends Row {
  device_id: string
}

export interface DevicesQuestion extends Omit<ScanQuestion, 'startUs' | 'endUs'> {
  /** Partials, and where they do not tell everything, are asked for. */
  hasPartials: boolean
}

export interface DeviceLooks {
  /**
   * Calls back with each device that has such series, in no order and several at once; a view is
   * valid during its call. Errors: those of the calls, QUERY_FAILED, STORAGE_UNAVAILABLE, the
   * signal's reason.
   */
  eachDevice(
    question: DevicesQuestion,
    run: (look: DeviceLook) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<void>
}

export async function lookAtEach(
  { database, hashDevice, options, signal }: GroupsPlace,
  question: DevicesQuestion,
  run: (look: DeviceLook) => Promise<void>,
): Promise<void> {
  const { tenant, metrics, hasPartials } = question
  const lookAt = async (deviceId: string): Promise<void> => {
    const device = { tenant, deviceId, deviceHash: hashDevice(tenant, deviceId) }
    await database.snapshot(
      async (ask) => run(await loadDevice(ask, { device, metrics, hasPartials }, options)),
      signal,
    )
  }
  for (let after = ''; ;) {
    const values = [...askedOf(question), after]
    const rows = await database.snapshot((ask) => ask<DeviceRow>(PAGE, values), signal)
    await inLanes(rows, ({ device_id }) => lookAt(device_id))
    if (rows.length < DEVICES_PER_PAGE) return
    after = rows.at(-1)!.device_id
  }
}

/** After an error no further one is begun, and those under way have ended. */
async function inLanes<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values()
  const errors: unknown[] = []
  const lane = async (): Promise<void> => {
    for (const item of waiting) {
      if (errors.length > 0) return
      await work(item).catch((error: unknown) => errors.push(error))
    }
  }
  await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, lane))
  if (errors.length > 0) throw errors[0]
}
