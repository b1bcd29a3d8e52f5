/** The views that statements are over, as SQL; the tables behind them have a secret prefix. */
import type { View } from './check-statement.ts'
import { quote } from './quote.ts'
import type { SqlSource } from './sql.ts'

const list = (files: readonly string[]): string => `[${files.map(quote).join()}]`

const READING = `series, epoch_ms(time) * 1000 + micros AS time_us,
  coalesce(real, mantissa / power(10, scale)) AS value`

/** Statements that make the wanted views. `prefix` is of letters, digits and `_`. */
export function viewStatements(
  views: ReadonlySet<View>,
  source: SqlSource,
  prefix: string,
): string[] {
  const statements: string[] = []
  const isAny = (...wanted: View[]): boolean => wanted.some((view) => views.has(view))
  if (isAny('telemetry', 'wide', 'aggregations')) statements.push(...telemetry(source, prefix))
  if (isAny('wide')) statements.push(WIDE)
  if (isAny('aggregations')) statements.push(...aggregations(source, prefix))
  return statements
}

function telemetry(source: SqlSource, prefix: string): string[] {
  const { tenant, readings, overlapping, cold, overlappingCold, rows: plain } = source
  const apart = readings.filter((file) => !overlapping.includes(file))
  const parts = []
  if (apart.length > 0) parts.push(`SELECT ${READING} FROM read_parquet(${list(apart)})`)
  if (plain.length > 0) {
    parts.push(`SELECT series::INTEGER AS series, time_us, value FROM read_parquet(${list(plain)})`)
  }
  if (overlapping.length > 0) {
    // Of one identity the first write counts, and files are in the order of writes.
    parts.push(`SELECT series, time_us, arg_min(value, file_index) AS value FROM (
      SELECT ${READING}, list_position(${list(overlapping)}, filename) AS file_index
      FROM read_parquet(${list(overlapping)}, filename = true)) GROUP BY series, time_us`)
    if (overlappingCold.length > 0) {
      parts[parts.length - 1] = `SELECT * FROM (${parts.at(-1)!}) o
        WHERE (o.series, o.time_us) NOT IN (SELECT (series, epoch_us(time)) FROM ${prefix}cold)`
    }
  }
  const all = parts.length > 0 ? parts.join(' UNION ALL ') : NO_ROWS
  const rows =
    source.erased === undefined
      ? all
      : `SELECT * FROM (${all}) r WHERE ${notErased('r.series', 'r.time_us', source.erased)}`
  const shownUs = source.shownFromUs ?? 9e18
  const isKept = (time: string): string =>
    `${time} >= least(${source.nowUs} - coalesce(s.kept_us, 9e18), ${shownUs})`
  const coldRows = `SELECT s.device_id, s.metric, c.time AS ts, c.value, s.tags,
      c.text_value AS text
    FROM ${prefix}cold c JOIN ${prefix}series s USING (series) WHERE ${isKept('epoch_us(c.time)')}
      ${source.erased === undefined ? '' : `AND ${notErased('s.series', 'epoch_us(c.time)', source.erased)}`}`
  return [
    `CREATE TABLE ${prefix}series AS SELECT * FROM read_json(${quote(source.series)},
      format = 'newline_delimited', columns = {series: 'INTEGER', tenant: 'VARCHAR',
      device_id: 'VARCHAR', metric: 'VARCHAR', kind: 'VARCHAR', tags: 'VARCHAR',
      kept_us: 'DOUBLE'})
     WHERE tenant = ${quote(tenant)}`,
    `CREATE TABLE ${prefix}texts AS SELECT * FROM read_json(${quote(source.texts)},
      format = 'newline_delimited', columns = {id: 'INTEGER', text: 'VARCHAR'})`,
    // Files of the lake's form do not tell a number from a boolean, nor need they.
    `CREATE TABLE ${prefix}names AS SELECT device_id, metric, tags, kind = 'text' AS is_text,
       min(series) AS series FROM ${prefix}series GROUP BY ALL`,
    ...(cold.length > 0 ? [`CREATE VIEW ${prefix}cold AS ${coldOnce(source, prefix, cold)}`] : []),
    `CREATE VIEW ${prefix}readings AS ${rows}`,
    `CREATE VIEW telemetry AS
     SELECT s.device_id, s.metric, make_timestamp(r.time_us::BIGINT) AS ts,
       CASE WHEN s.kind = 'text' THEN NULL ELSE r.value END AS value, s.tags,
       CASE WHEN s.kind = 'text' THEN t.text END AS text
     FROM ${prefix}readings r JOIN ${prefix}series s USING (series)
       LEFT JOIN ${prefix}texts t ON s.kind = 'text' AND t.id = TRY_CAST(r.value AS INTEGER)
     WHERE ${isKept('r.time_us')}
     ${cold.length > 0 ? `UNION ALL ${coldRows}` : ''}`,
  ]
}

/** A row a device and time, as messages are: of each metric that is a number its value. */
const WIDE = `CREATE VIEW wide AS
  SELECT device_id, ts, map(list(metric ORDER BY metric), list(value ORDER BY metric)) AS metrics, tags
  FROM telemetry WHERE value IS NOT NULL GROUP BY device_id, ts, tags`

/** Of these files each identity once, with its series, time, value and text_value. */
function coldOnce(
  { tenant, overlappingCold }: SqlSource,
  prefix: string,
  cold: readonly string[],
): string {
  const rowsOf = (files: readonly string[], more = ''): string =>
    `SELECT s.series, c.time, c.value, c.text_value ${more}
     FROM read_parquet(${list(files)}, hive_partitioning = false, filename = true) c
       JOIN ${prefix}names s
       ON c.device_id = s.device_id AND c.metric = s.metric AND c.dimensions = s.tags
         AND (c.text_value IS NOT NULL) = s.is_text
     WHERE c.tenant = ${quote(tenant)}`
  const rivals = overlappingCold.filter((file) => cold.includes(file))
  const apart = cold.filter((file) => !rivals.includes(file))
  const parts = apart.length > 0 ? [rowsOf(apart)] : []
  if (rivals.length > 0) {
    const place = `, list_position(${list(rivals)}, c.filename) AS file_index`
    parts.push(`SELECT series, time, arg_min(value, file_index) AS value,
      arg_min(text_value, file_index) AS text_value
      FROM (${rowsOf(rivals, place)}) GROUP BY series, time`)
  }
  return parts.join(' UNION ALL ')
}

const notErased = (series: string, time: string, file: string): string =>
  `NOT EXISTS (SELECT 1 FROM read_json(${quote(file)}, format = 'newline_delimited',
    columns = {series: 'INTEGER', start_us: 'DOUBLE', end_us: 'DOUBLE'}) e
   WHERE e.series = ${series} AND e.start_us <= ${time} AND ${time} < e.end_us)`

const NO_ROWS = 'SELECT 0 AS series, 0 AS time_us, 0.0 AS value WHERE false'

const NO_PARTIALS = `SELECT 0 AS series, 0 AS window_ms, 0 AS start_ms, 0 AS is_late, 0 AS count,
  0.0 AS sum, 0.0 AS min, 0.0 AS max, 0.0 AS mean, 0.0 AS squares, 0.0 AS first, 0 AS first_time,
  0.0 AS last, 0 AS last_time, 0 AS "offset" WHERE false`

/** On-time and late partials merged; where they do not tell everything, from readings. */
function aggregations(source: SqlSource, prefix: string): string[] {
  const { rollups, windowsMs, uncertainCold, erased } = source
  const partials = rollups.length > 0 ? `SELECT * FROM read_parquet(${list(rollups)})` : NO_PARTIALS
  const sizes = windowsMs.map((size) => `(${size})`).join()
  const coldRows = `SELECT series, epoch_us(time) AS time_us, value
    FROM (${coldOnce(source, prefix, uncertainCold)}) c WHERE value IS NOT NULL
      ${erased === undefined ? '' : `AND ${notErased('c.series', 'epoch_us(c.time)', erased)}`}`
  return [
    `CREATE TABLE ${prefix}dirty AS SELECT * FROM read_json(${quote(source.dirty)},
      format = 'newline_delimited',
      columns = {series: 'INTEGER', start_us: 'DOUBLE', end_us: 'DOUBLE'})`,
    `CREATE VIEW ${prefix}uncertain AS SELECT series, time_us, value FROM ${prefix}readings
     ${uncertainCold.length > 0 ? `UNION ALL ${coldRows}` : ''}`,
    `CREATE VIEW ${prefix}merged AS
     SELECT series, window_ms, start_ms, sum(count) AS count, sum(sum) AS sum, min(min) AS min,
       max(max) AS max, sum(mean * count) / sum(count) AS mean,
       sum(squares + count * mean * mean) - pow(sum(mean * count), 2) / sum(count) AS squares,
       arg_min(first, first_time) AS first, arg_max(last, last_time) AS last
     FROM (SELECT DISTINCT ON (series, window_ms, start_ms, is_late) * FROM (${partials})
           ORDER BY series, window_ms, start_ms, is_late, "offset" DESC) p
     WHERE NOT EXISTS (SELECT 1 FROM ${prefix}dirty d WHERE d.series = p.series
       AND d.start_us < (p.start_ms + p.window_ms) * 1000 AND p.start_ms * 1000 < d.end_us)
     GROUP BY series, window_ms, start_ms`,
    `CREATE VIEW ${prefix}computed AS
     SELECT r.series, w.window_ms, CAST(floor(r.time_us / (w.window_ms * 1000)) AS BIGINT)
         * w.window_ms AS start_ms,
       count(*) AS count, sum(r.value) AS sum, min(r.value) AS min, max(r.value) AS max,
       avg(r.value) AS mean, coalesce(var_pop(r.value), 0) * count(*) AS squares,
       arg_min(r.value, r.time_us) AS first, arg_max(r.value, r.time_us) AS last
     FROM (VALUES ${sizes}) w(window_ms), ${prefix}uncertain r
     WHERE EXISTS (SELECT 1 FROM ${prefix}dirty d WHERE d.series = r.series AND d.start_us <
         (floor(r.time_us / (w.window_ms * 1000)) + 1) * w.window_ms * 1000
       AND floor(r.time_us / (w.window_ms * 1000)) * w.window_ms * 1000 < d.end_us)
     GROUP BY ALL`,
    `CREATE VIEW aggregations AS
     SELECT s.device_id, s.metric, a.window_ms::BIGINT AS window_ms,
       make_timestamp((a.start_ms * 1000)::BIGINT) AS window_start, a.count::BIGINT AS count,
       a.mean AS avg, a.min, a.max, a.sum,
       CASE WHEN a.count > 1 THEN sqrt(greatest(0, a.squares) / (a.count - 1)) END AS stddev,
       a.first, a.last, s.tags
     FROM (SELECT * FROM ${prefix}merged UNION ALL SELECT * FROM ${prefix}computed) a
       JOIN ${prefix}series s USING (series) WHERE s.kind <> 'text'`,
  ]
}
