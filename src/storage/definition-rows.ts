/** Series and texts as rows of the catalogue's tables. */
import type { DatabaseSync } from 'node:sqlite'
import type { Definitions, SeriesDefinition } from '../batch/batch.ts'
import { withCrc, type Row } from '../sqlite/sqlite.ts'

/** Within the caller's transaction; what is known already is a replay. */
export function insertDefinitions(database: DatabaseSync, definitions: Definitions): void {
  const insertSeries = database.prepare(
    'INSERT OR IGNORE INTO series VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  )
  for (const one of definitions.series) {
    const { series, device, tenant, deviceId, deviceType, metric, kind } = one
    const dimensions = JSON.stringify(one.dimensions)
    const values = [series, device, tenant, deviceId, deviceType, metric, dimensions, kind]
    insertSeries.run(...withCrc(...values))
  }
  const insertText = database.prepare('INSERT OR IGNORE INTO texts VALUES (?, ?, ?)')
  for (const [id, text] of definitions.texts) insertText.run(...withCrc(id, text))
}

export const definitionsOf = (series: readonly Row[], texts: readonly Row[]): Definitions => ({
  series: series.map((row) => ({
    series: Number(row['series']),
    device: Number(row['device']),
    tenant: String(row['tenant']),
    deviceId: String(row['device_id']),
    deviceType: String(row['device_type']),
    metric: String(row['metric']),
    dimensions: JSON.parse(String(row['dimensions'])) as SeriesDefinition['dimensions'],
    kind: row['kind'] as SeriesDefinition['kind'],
  })),
  texts: texts.map(({ id, text }) => [Number(id), String(text)]),
})
