/** Whether a month has left PostgreSQL for the lake, and up to which offsets PostgreSQL has all. */
import { monthSpan } from './cold-view.ts'
import type { Ask, Row } from './query-database.ts'
import type { Month } from './time-tables.ts'

export interface StoredOffset {
  topic: string
  partition: number
  nextOffset: number
}

/** Of a tenant's devices of one type. */
export interface LakeFolder {
  tenant: string
  deviceType: string
}

export const storedOffsets = (ask: Ask): Promise<StoredOffset[]> =>
  ask<StoredOffset & Row>(
    'SELECT topic, partition, next_offset AS "nextOffset" FROM writer_offset',
    [],
  )

export const lakeFolders = (ask: Ask): Promise<LakeFolder[]> =>
  ask<LakeFolder & Row>(
    'SELECT DISTINCT tenant, device_type AS "deviceType" FROM series ORDER BY 1, 2',
    [],
  )

const HAS_LEFT = `
  SELECT $5 >= (SELECT month FROM complete_from) AND NOT EXISTS (
    SELECT FROM series CROSS JOIN LATERAL (
      SELECT FROM reading WHERE series = id AND time_us >= $3 AND time_us < $4 LIMIT 1
    ) AS one WHERE tenant = $1 AND device_type = $2
  ) AS left`

/** All of it, and none of it without a lake, unless it was of an age to be deleted. */
export async function hasLeft(
  ask: Ask,
  { tenant, deviceType }: LakeFolder,
  month: Month,
): Promise<boolean> {
  const { startUs, endUs } = monthSpan(month)
  const [row] = await ask<{ left: boolean } & Row>(HAS_LEFT, [
    ...[tenant, deviceType, startUs, endUs, month],
  ])
  return row!.left
}
