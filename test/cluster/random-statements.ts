/** Random statements over the random readings. */
import fc from 'fast-check'
import { BASE_MS } from '../../src/query/query-fixture.ts'

const SECONDS = 1500

const time = fc.nat({ max: SECONDS / 15 }).chain((step) => {
  const ms = BASE_MS + step * 15_000
  const text = new Date(ms).toISOString().slice(0, -1)
  return fc.constantFrom(`'${text}'`, `epoch_ms(${ms})`, `TIMESTAMP '${text}' + INTERVAL 1 SECOND`)
})
const of = (column: string) =>
  fc.oneof(
    fc
      .tuple(fc.constantFrom('<', '<=', '>', '>='), time)
      .map((parts) => `${column} ${parts.join(' ')}`),
    fc.tuple(time, time).map(([from, to]) => `${column} BETWEEN ${from} AND ${to}`),
  )
const names = fc.constantFrom(
  ...["device_id = 'pump-1'", "device_id IN ('pump-2', 'pump-3')", "device_id <> 'pump-1'"],
  ...["metric = 'temperature'", "metric IN ('mode', 'running')", "tags LIKE '%left%'"],
)
const conditions = (column: string): fc.Arbitrary<string> =>
  fc
    .array(fc.oneof(of(column), names), { maxLength: 3 })
    .chain((all) => fc.constantFrom(all.join(' AND '), all.join(' OR ')))
    .map((where) => (where === '' ? '' : `WHERE ${where}`))
const timesOnly = fc.array(of('ts'), { maxLength: 2 }).map((all) => ['true', ...all].join(' AND '))

const WINDOW = 'window_ms, epoch_ms(window_start), count, avg, min, max, sum, stddev, first, last'

export const statement: fc.Arbitrary<string> = fc.oneof(
  conditions('ts').map(
    (where) =>
      `SELECT device_id, metric, epoch_us(ts), value, text, tags FROM telemetry ${where} ORDER BY ALL`,
  ),
  conditions('ts').map(
    (where) =>
      `SELECT device_id, metric, count(*), min(value), max(text) FROM telemetry ${where}
       GROUP BY ALL ORDER BY ALL`,
  ),
  timesOnly.map(
    (where) =>
      `SELECT device_id, epoch_us(ts), metrics, tags FROM wide WHERE ${where} ORDER BY 1, 2, 4`,
  ),
  conditions('window_start').map(
    (where) =>
      `SELECT device_id, metric, tags, ${WINDOW} FROM aggregations ${where} ORDER BY 1, 2, 3, 4, 5`,
  ),
  fc.tuple(conditions('ts'), conditions('window_start')).map(
    ([readings, windows]) =>
      `SELECT device_id, metric, count(*) FROM (FROM telemetry ${readings}) t
       JOIN (FROM aggregations ${windows}) a USING (device_id, metric, tags)
       GROUP BY ALL ORDER BY ALL`,
  ),
)
