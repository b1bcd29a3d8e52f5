/** What an erasure does to hours and days. */
import type pg from 'pg'
import type { Span } from '../query/query.ts'
import { askIn } from './query-database.ts'
import { deleteRows } from './rollup-rows.ts'
import { addLate, DAY_MS, HOUR_MS, loadProgress, lockRollups, type Hours } from './rollup-tables.ts'

/**
 * In the transaction that deletes readings of these series (by their ids) in the span, µs, or hides
 * them: takes the rows away that sum them up, of the series and of their fleets, and has them made
 * again of what is left. From the transaction's end on the readings tell; until then nothing is
 * summed up, and a step under way ends first. Rows of fleets whose readings are gone (without a
 * lake, behind `postgres.retention`) are not made again. Call it while the series are in `series`.
 */
export async function renewHours(
  client: pg.ClientBase,
  series: readonly number[],
  span: Span,
): Promise<void> {
  await lockRollups(client)
  const progress = await loadProgress(askIn(client))
  if (progress === undefined || series.length === 0) return
  const hours: Hours = {
    fromMs: Math.max(progress.fromMs, Math.floor(span.startUs / 1000 / HOUR_MS) * HOUR_MS),
    toMs: Math.min(progress.closedMs, Math.ceil(span.endUs / 1000 / HOUR_MS) * HOUR_MS),
  }
  if (hours.fromMs >= hours.toMs) return
  const { rows } = await client.query<{ id: number }>(
    `SELECT DISTINCT fleet.id FROM fleet JOIN series USING (tenant, metric, device_type)
     WHERE series.id = ANY ($1::integer[]) AND kind = 0`,
    [series],
  )
  const fleets = rows.map(({ id }) => id)
  const windowsMs = [HOUR_MS, DAY_MS]
  await deleteRows(client, 'hour_rollup', { ids: series, ...hours, windowsMs })
  await deleteRows(client, 'fleet_rollup', { ids: fleets, ...hours, windowsMs })
  const late = (owners: readonly number[]) => owners.map((owner) => ({ owner, ...hours }))
  await addLate(client, 'late_hour', late(series))
  await addLate(client, 'late_fleet_hour', late(fleets))
}
