/** PostgreSQL's tables as the suite of questions wants them, filled by SQL. */
import pg from 'pg'
import type { SeriesDefinition } from '../../src/batch/batch.ts'
import { KIND_CODES, type PostgresPlace } from '../../src/postgres/postgres.ts'
import { openPostgresQuery } from '../../src/postgres/query.ts'
import { migrate } from '../../src/postgres/schema.ts'
import type { Given, QueryBench } from '../../src/query/query-fixture.ts'
import type { QueryLimits } from '../../src/query/query.ts'
import * as words from '../../src/stream/stream.ts'

const PARTITIONS = 4
/** From 1970 on: as far as the suite's readings go. */
const MONTHS = 14

/** Any hash will do: the same for those who write and those who ask. */
export const hashOf = (key: string): number =>
  [...key].reduce((hash, letter) => (Math.imul(hash, 31) + letter.codePointAt(0)!) | 0, 7)

export interface TablesBench extends QueryBench {
  /** Takes back everything that was given. */
  empty(): Promise<void>
}

export async function openTables(place: PostgresPlace, limits: QueryLimits): Promise<TablesBench> {
  const { url, schema } = place
  const client = new pg.Client({ connectionString: url, options: `-c search_path=${schema}` })
  await client.connect()
  await migrate(client, schema)
  for (let month = 0; month < MONTHS; month++) await client.query(monthSql(month))
  const query = openPostgresQuery({
    ...{ access: place, limits, partitions: PARTITIONS, hashKey: hashOf },
    windowsMs: [60_000, 300_000],
  })
  const series = new Map<number, SeriesDefinition>()
  return {
    query,
    async give(given) {
      for (const one of given.series ?? []) series.set(one.series, one)
      await fill(client, given, series)
    },
    async empty() {
      const tables = ['series', 'reading', 'window_partial', 'dirty_range', 'coverage']
      await client.query(`TRUNCATE ${tables.join(', ')}`)
    },
    async close() {
      await query.close()
      await client.query(`DROP SCHEMA ${schema} CASCADE`)
      await client.end()
    },
  }
}

function monthSql(month: number): string {
  const [fromMs, toMs] = [Date.UTC(1970, month), Date.UTC(1970, month + 1)]
  const parts = Array.from(
    { length: PARTITIONS },
    (_, part) => `CREATE TABLE reading_${month}_${part} PARTITION OF reading_${month}
      FOR VALUES WITH (MODULUS ${PARTITIONS}, REMAINDER ${part});`,
  )
  return `CREATE TABLE reading_${month} PARTITION OF reading
      FOR VALUES FROM (${fromMs * 1000}) TO (${toMs * 1000}) PARTITION BY HASH (device_hash);
    ${parts.join('\n')}
    CREATE TABLE window_partial_${month} PARTITION OF window_partial
      FOR VALUES FROM (${fromMs}) TO (${toMs})`
}

async function fill(
  client: pg.Client,
  given: Given,
  series: ReadonlyMap<number, SeriesDefinition>,
): Promise<void> {
  const insert = (text: string, rows: readonly object[]): Promise<unknown> =>
    client.query(text, [JSON.stringify(rows)])
  await insert(
    `INSERT INTO series OVERRIDING SYSTEM VALUE
     SELECT * FROM json_populate_recordset(NULL::series, $1)`,
    (given.series ?? []).map((one) => ({
      ...{ id: one.series, tenant: one.tenant, device_id: one.deviceId, metric: one.metric },
      ...{ device_type: one.deviceType, kind: KIND_CODES[one.kind] },
      dimensions: JSON.stringify(one.dimensions),
    })),
  )
  await insert(
    `INSERT INTO reading SELECT * FROM json_populate_recordset(NULL::reading, $1)
     ON CONFLICT DO NOTHING`,
    (given.readings ?? []).map(({ series: id, timeUs, value }) => {
      const { tenant, deviceId } = series.get(id)!
      const row = { series: id, device_hash: hashOf(`${tenant}/${deviceId}`), time_us: timeUs }
      return typeof value === 'string'
        ? { ...row, value: 0, text_value: value }
        : { ...row, value: Number(value), text_value: null }
    }),
  )
  await insert(
    `INSERT INTO window_partial SELECT * FROM json_populate_recordset(NULL::window_partial, $1)
     ON CONFLICT (series, window_ms, start_ms, is_late) DO UPDATE SET count = excluded.count,
       sum = excluded.sum, min = excluded.min, max = excluded.max, mean = excluded.mean,
       squares = excluded.squares, first = excluded.first, first_us = excluded.first_us,
       last = excluded.last, last_us = excluded.last_us`,
    (given.partials ?? []).map(partialRow),
  )
  await insert(
    `INSERT INTO dirty_range SELECT * FROM json_populate_recordset(NULL::dirty_range, $1)
     ON CONFLICT DO NOTHING`,
    (given.dirty ?? []).map(({ series, fromMs, toMs }) => ({
      ...{ series, from_ms: fromMs, to_ms: toMs },
    })),
  )
  if (given.coverage !== undefined) {
    const { fromMs, watermarkMs } = given.coverage
    await client.query(
      `INSERT INTO coverage SELECT place, $1, $2 FROM generate_series(0, ${PARTITIONS - 1}) place
       ON CONFLICT (partition) DO UPDATE SET watermark_ms = excluded.watermark_ms`,
      [fromMs, watermarkMs],
    )
  }
  await fillEvents(insert, given)
}

const partialRow = (row: readonly number[]): object => ({
  ...{ series: row[words.PARTIAL_SERIES], window_ms: row[words.PARTIAL_WINDOW_MS] },
  ...{ start_ms: row[words.PARTIAL_START_MS], is_late: row[words.PARTIAL_IS_LATE] !== 0 },
  ...{ count: row[words.PARTIAL_COUNT], sum: row[words.PARTIAL_SUM] },
  ...{ min: row[words.PARTIAL_MIN], max: row[words.PARTIAL_MAX] },
  ...{ mean: row[words.PARTIAL_MEAN], squares: row[words.PARTIAL_SQUARES] },
  ...{ first: row[words.PARTIAL_FIRST], first_us: row[words.PARTIAL_FIRST_TIME_US] },
  ...{ last: row[words.PARTIAL_LAST], last_us: row[words.PARTIAL_LAST_TIME_US] },
})

let letters = 0

async function fillEvents(
  insert: (text: string, rows: readonly object[]) => Promise<unknown>,
  given: Given,
): Promise<void> {
  // One at a time: an episode may be there twice.
  for (const one of given.alerts ?? []) {
    const row = {
      ...{ id: one.id, tenant: one.tenant, device_id: one.deviceId, rule_id: one.ruleId },
      ...{ rule_version: one.ruleVersion, severity: one.severity, state: one.state },
      ...{ triggered_at_us: one.triggeredAtUs, resolved_at_us: one.resolvedAtUs ?? null },
      ...{ breach_event_time_us: one.breachEventTimeUs, values: one.values },
    }
    await insert(
      `INSERT INTO alert SELECT * FROM json_populate_recordset(NULL::alert, $1)
       ON CONFLICT (id) DO UPDATE SET state = excluded.state,
         resolved_at_us = excluded.resolved_at_us WHERE alert.state <> 'resolved'`,
      [row],
    )
  }
  await insert(
    `INSERT INTO anomaly SELECT * FROM json_populate_recordset(NULL::anomaly, $1)
     ON CONFLICT DO NOTHING`,
    (given.anomalies ?? []).map((one) => ({
      ...{ id: one.id, tenant: one.tenant, device_id: one.deviceId, metric: one.metric },
      ...{ detector_id: one.detectorId, event_time_us: one.eventTimeUs },
      ...{ value: one.value, score: one.score },
    })),
  )
  await insert(
    'INSERT INTO dead_letter SELECT * FROM json_populate_recordset(NULL::dead_letter, $1)',
    (given.deadLetters ?? []).map((one) => ({
      ...{ topic_partition: 0, topic_offset: letters++, tenant: one.tenant },
      ...{ device_id: one.deviceId, received_at_us: one.receivedAtUs, code: one.code },
      ...{ detail: one.detail, payload: one.payload },
    })),
  )
}
