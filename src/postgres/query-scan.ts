/**
 * A scan over the tables, one device a look: readings lie by series, and a snapshot that lasts for
 * the whole of it would keep dead rows from being cleared.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import { scanDevices, type ScanQuestion, type ScanSource, type ScanStep } from '../query/query.ts'
import type { ColdFiles } from './cold-files.ts'
import { ColdRuns } from './cold-runs.ts'
import type { QueryDatabase, Row } from './query-database.ts'
import { seriesOf, type SeriesRow } from './query-source.ts'
import { QuestionTexts } from './query-texts.ts'
import { PostgresView } from './reading-view.ts'
import { erasedOfDevice } from './tombstones.ts'
import { Telling } from './rollup-telling.ts'

/** Each reading is looked at. */
const NOTHING_TOLD = new Telling({
  ...{ streams: new Map(), dirty: new Map(), summedUp: undefined, late: new Map() },
})
/** Names of series that are in memory at a time. */
const SERIES_PER_PAGE = 10_000

/** Of series, with the values of askedOf(). */
export const ASKED = `tenant = $1 AND (metric = ANY ($2) OR $2 IS NULL)
  AND (device_type = ANY ($3) OR $3 IS NULL) AND (device_id = ANY ($4) OR $4 IS NULL)`

const COUNT = `SELECT count(DISTINCT device_id)::integer AS count FROM series WHERE ${ASKED}`

/** Whole devices: as many as begin in a page. */
const PAGE = `SELECT id, device_id, device_type, metric, dimensions, kind FROM series
  WHERE ${ASKED} AND device_id > $5 AND device_id <= (
    SELECT max(device_id) FROM (
      SELECT device_id FROM series WHERE ${ASKED} AND device_id > $5 ORDER BY device_id LIMIT $6
    ) AS page
  ) ORDER BY device_id, id`

export interface ScanPlace {
  database: QueryDatabase
  hashDevice: (tenant: string, deviceId: string) => number
  coldFiles: ColdFiles
}

/** Errors: QUERY_FAILED, STORAGE_UNAVAILABLE. */
export async function* scanTables(
  { database, hashDevice, coldFiles }: ScanPlace,
  question: ScanQuestion,
): AsyncGenerator<ScanStep, void> {
  const { tenant } = question
  const [row] = await database.snapshot((ask) => ask<CountRow>(COUNT, askedOf(question)))
  const source: ScanSource = {
    devicesTotal: row!.count,
    devices: devicesOf(database, question),
    devicesMax: 1,
    look: (devices, run) =>
      database.snapshot(async (ask) => {
        const series = devices.flat()
        const texts = new QuestionTexts()
        const isText = new Set(series.flatMap((one) => (one.kind === 'text' ? [one.series] : [])))
        const { deviceId } = series[0]!
        const hash = hashDevice(tenant, deviceId)
        const erased = await erasedOfDevice(ask, { tenant, deviceId })
        const view = new PostgresView({
          ...{ ask, texts, rowsMax: Infinity, telling: NOTHING_TOLD, hashOf: () => hash },
          erased: () => erased,
          isText: (id) => isText.has(id),
          cold: { files: coldFiles, runs: new ColdRuns(ask) },
        })
        return run({ view, text: (id) => texts.text(id) })
      }),
    // Every page of readings waits for the network.
    pause: async () => {},
  }
  yield* scanDevices(source, question)
}

interface CountRow extends Row {
  count: number
}

export const askedOf = ({
  tenant,
  metrics,
  deviceTypes,
  deviceIds,
}: Omit<ScanQuestion, 'startUs' | 'endUs'>): unknown[] => [
  ...[tenant, metrics ?? null, deviceTypes ?? null, deviceIds ?? null],
]

async function* devicesOf(
  database: QueryDatabase,
  question: ScanQuestion,
): AsyncGenerator<SeriesDefinition[]> {
  let after = ''
  for (;;) {
    const values = [...askedOf(question), after, SERIES_PER_PAGE]
    const rows = await database.snapshot((ask) => ask<SeriesRow>(PAGE, values))
    if (rows.length === 0) return
    const devices = Map.groupBy(rows, (row) => row.device_id)
    for (const [deviceId, own] of devices) {
      yield own.map((row) => seriesOf(row, question.tenant))
      after = deviceId
    }
  }
}
