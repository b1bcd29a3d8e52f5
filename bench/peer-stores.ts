/**
 * Stores that are asked what Weir is asked, on the same machine: InfluxDB 1.6, VictoriaMetrics,
 * QuestDB and PostgreSQL, as `npm run cluster:up` starts them. Each gets the readings in the form
 * that its manual says is quickest, and is asked in its own words.
 */
import pg from 'pg'
import { CopyRows, copyRows } from '../src/postgres/copy.ts'
import type { Access } from '../test/cluster/recipe.ts'

/** Readings of one device, in the order of their times. */
export interface Stretch {
  device: string
  /** Epoch milliseconds. */
  times: Float64Array
  values: Float64Array
  count: number
}

export interface SpanMs {
  startMs: number
  endMs: number
}

/** Each question answers with how many rows it gave. */
export interface PeerStore {
  readonly name: string
  create(): Promise<void>
  write(stretches: readonly Stretch[]): Promise<void>
  /** Until everything that was written is seen, and stored as it stays. */
  settle(): Promise<void>
  raw(device: string, span: SpanMs): Promise<number>
  hours(device: string, span: SpanMs): Promise<number>
  last(span: SpanMs): Promise<number>
  fleetHours(span: SpanMs): Promise<number>
  close(): Promise<void>
}

const TABLE = 'thermometer'
const HOUR_MS = 3_600_000

/** A request with the service's user; errors: any other status than 2xx. */
async function request(
  { url = '', username = '', password = '' }: Access,
  path: string,
  { parameters = {}, body }: { parameters?: Record<string, string>; body?: string } = {},
): Promise<string> {
  const headers = { authorization: `Basic ${btoa(`${username}:${password}`)}` }
  const options = body === undefined ? { headers } : { headers, method: 'POST', body }
  const answer = await fetch(`${url}${path}?${String(new URLSearchParams(parameters))}`, options)
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${text.slice(0, 500)}`)
  return text
}

/** One line a reading, in milliseconds. */
function lines(stretches: readonly Stretch[]): string {
  let text = ''
  for (const { device, times, values, count } of stretches) {
    const head = `${TABLE},device=${device} temperature=`
    for (let at = 0; at < count; at++) text += `${head}${values[at]!} ${times[at]!}\n`
  }
  return text
}

interface InfluxAnswer {
  results: { error?: string; series?: { values: unknown[][] }[] }[]
}

class InfluxDb implements PeerStore {
  readonly name = 'InfluxDB'
  readonly #access: Access

  constructor(access: Access) {
    this.#access = access
  }

  async #ask(q: string): Promise<number> {
    const { database = '' } = this.#access
    const parameters = { db: database, epoch: 'ms', q }
    const text = await request(this.#access, '/query', { parameters })
    const [result] = (JSON.parse(text) as InfluxAnswer).results
    if (result?.error !== undefined) throw new Error(`${q}: ${result.error}`)
    return (result?.series ?? []).reduce((sum, { values }) => sum + values.length, 0)
  }

  async create(): Promise<void> {
    const q = `DROP MEASUREMENT ${TABLE}`
    await request(this.#access, '/query', { parameters: { db: 'weir', q }, body: '' })
  }

  async write(stretches: readonly Stretch[]): Promise<void> {
    const { database = '' } = this.#access
    const parameters = { db: database, precision: 'ms' }
    await request(this.#access, '/write', { parameters, body: lines(stretches) })
  }

  async settle(): Promise<void> {}

  raw = (device: string, span: SpanMs): Promise<number> =>
    this.#ask(`SELECT temperature FROM ${TABLE} WHERE device = '${device}' AND ${within(span)}`)

  hours = (device: string, span: SpanMs): Promise<number> =>
    this.#ask(
      `SELECT mean(temperature) FROM ${TABLE} WHERE device = '${device}' AND ${within(span)} GROUP BY time(1h)`,
    )

  last = (): Promise<number> => this.#ask(`SELECT last(temperature) FROM ${TABLE} GROUP BY device`)

  fleetHours = (span: SpanMs): Promise<number> =>
    this.#ask(`SELECT mean(temperature) FROM ${TABLE} WHERE ${within(span)} GROUP BY time(1h)`)

  async close(): Promise<void> {}
}

const within = ({ startMs, endMs }: SpanMs): string => `time >= ${startMs}ms AND time < ${endMs}ms`

interface MatrixAnswer {
  data: { result: { values?: unknown[] }[] }
}

class VictoriaMetrics implements PeerStore {
  readonly name = 'VictoriaMetrics'
  readonly #access: Access

  constructor(access: Access) {
    this.#access = access
  }

  async create(): Promise<void> {}

  async write(stretches: readonly Stretch[]): Promise<void> {
    const body = stretches.map(({ device, times, values, count }) => {
      const metric = { __name__: 'temperature', device }
      const [timestamps, own] = [times.subarray(0, count), values.subarray(0, count)]
      return JSON.stringify({ metric, values: [...own], timestamps: [...timestamps] })
    })
    await request(this.#access, '/api/v1/import', { body: body.join('\n') })
  }

  async settle(): Promise<void> {
    await request(this.#access, '/internal/force_flush')
    await request(this.#access, '/internal/force_merge')
  }

  async raw(device: string, { startMs, endMs }: SpanMs): Promise<number> {
    const parameters = {
      'match[]': `temperature{device="${device}"}`,
      ...{ start: `${startMs / 1000}`, end: `${(endMs - 1) / 1000}` },
    }
    const text = await request(this.#access, '/api/v1/export', { parameters })
    return text
      .split('\n')
      .filter((line) => line !== '')
      .reduce((sum, line) => sum + (JSON.parse(line) as { values: [] }).values.length, 0)
  }

  async #range(query: string, { startMs, endMs }: SpanMs): Promise<number> {
    const parameters = {
      ...{ query, step: '1h', nocache: '1' },
      ...{ start: `${(startMs + HOUR_MS) / 1000}`, end: `${endMs / 1000}` },
    }
    const text = await request(this.#access, '/api/v1/query_range', { parameters })
    const { result } = (JSON.parse(text) as MatrixAnswer).data
    return result.reduce((sum, { values = [] }) => sum + values.length, 0)
  }

  hours = (device: string, span: SpanMs): Promise<number> =>
    this.#range(`avg_over_time(temperature{device="${device}"}[1h])`, span)

  async last({ endMs }: SpanMs): Promise<number> {
    const parameters = { query: 'temperature', time: `${endMs / 1000}`, nocache: '1' }
    const text = await request(this.#access, '/api/v1/query', { parameters })
    return (JSON.parse(text) as MatrixAnswer).data.result.length
  }

  fleetHours = (span: SpanMs): Promise<number> =>
    this.#range('sum(sum_over_time(temperature[1h])) / sum(count_over_time(temperature[1h]))', span)

  async close(): Promise<void> {}
}

class QuestDb implements PeerStore {
  readonly name = 'QuestDB'
  readonly #access: Access

  constructor(access: Access) {
    this.#access = access
  }

  async #ask(query: string): Promise<{ count?: number; dataset?: unknown[][] }> {
    return JSON.parse(await request(this.#access, '/exec', { parameters: { query } })) as object
  }

  async #count(query: string): Promise<number> {
    return (await this.#ask(query)).count ?? 0
  }

  async create(): Promise<void> {
    await this.#ask(`DROP TABLE IF EXISTS ${TABLE}`)
    await this.#ask(
      `CREATE TABLE ${TABLE} (device SYMBOL CAPACITY 16384 INDEX, temperature DOUBLE, timestamp TIMESTAMP) TIMESTAMP(timestamp) PARTITION BY DAY WAL DEDUP UPSERT KEYS(timestamp, device)`,
    )
  }

  async write(stretches: readonly Stretch[]): Promise<void> {
    const parameters = { precision: 'ms' }
    await request(this.#access, '/write', { parameters, body: lines(stretches) })
  }

  /** The log is applied behind the acknowledgement. */
  async settle(): Promise<void> {
    for (;;) {
      const { dataset = [] } = await this.#ask(
        `SELECT writerTxn, sequencerTxn FROM wal_tables() WHERE name = '${TABLE}'`,
      )
      const [row = []] = dataset
      if (row[0] === row[1]) return
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }

  raw = (device: string, span: SpanMs): Promise<number> =>
    this.#count(
      `SELECT timestamp, temperature FROM ${TABLE} WHERE device = '${device}' AND ${between(span)}`,
    )

  hours = (device: string, span: SpanMs): Promise<number> =>
    this.#count(
      `SELECT timestamp, avg(temperature) FROM ${TABLE} WHERE device = '${device}' AND ${between(span)} SAMPLE BY 1h`,
    )

  last = (): Promise<number> =>
    this.#count(
      `SELECT device, timestamp, temperature FROM ${TABLE} LATEST ON timestamp PARTITION BY device`,
    )

  fleetHours = (span: SpanMs): Promise<number> =>
    this.#count(
      `SELECT timestamp, avg(temperature) FROM ${TABLE} WHERE ${between(span)} SAMPLE BY 1h`,
    )

  async close(): Promise<void> {}
}

const between = ({ startMs, endMs }: SpanMs): string =>
  `timestamp >= ${startMs * 1000} AND timestamp < ${endMs * 1000}`

/** A row a reading, found by device and time: what one would make first. */
class Postgres implements PeerStore {
  readonly name = 'PostgreSQL'
  readonly #client: pg.Client
  readonly #rows = new CopyRows(3)
  readonly #devices = new Set<string>()

  constructor({ url = '' }: Access) {
    this.#client = new pg.Client({ connectionString: url })
  }

  async create(): Promise<void> {
    await this.#client.connect()
    await this.#client.query(`DROP TABLE IF EXISTS ${TABLE}, ${TABLE}_device`)
    await this.#client.query(`CREATE TABLE ${TABLE}_device (id text PRIMARY KEY)`)
    await this.#client.query(
      `CREATE TABLE ${TABLE} (device text, ms bigint, temperature float8, PRIMARY KEY (device, ms))`,
    )
  }

  async write(stretches: readonly Stretch[]): Promise<void> {
    this.#rows.clear()
    for (const { device, times, values, count } of stretches) {
      this.#devices.add(device)
      for (let at = 0; at < count; at++) {
        this.#rows.row()
        this.#rows.text(device)
        this.#rows.long(times[at]!)
        this.#rows.double(values[at]!)
      }
    }
    await copyRows(this.#client, `COPY ${TABLE} FROM STDIN (FORMAT binary)`, this.#rows)
  }

  async settle(): Promise<void> {
    await this.#client.query(`INSERT INTO ${TABLE}_device SELECT unnest($1::text[])`, [
      [...this.#devices],
    ])
    await this.#client.query(`VACUUM ANALYZE ${TABLE}`)
  }

  async #count(text: string, parameters: unknown[]): Promise<number> {
    return (await this.#client.query(text, parameters)).rows.length
  }

  raw = (device: string, { startMs, endMs }: SpanMs): Promise<number> =>
    this.#count(
      `SELECT ms, temperature FROM ${TABLE} WHERE device = $1 AND ms >= $2 AND ms < $3 ORDER BY ms`,
      [device, startMs, endMs],
    )

  hours = (device: string, { startMs, endMs }: SpanMs): Promise<number> =>
    this.#count(
      `SELECT ms / ${HOUR_MS}, avg(temperature) FROM ${TABLE} WHERE device = $1 AND ms >= $2 AND ms < $3 GROUP BY 1`,
      [device, startMs, endMs],
    )

  last = (): Promise<number> =>
    this.#count(
      `SELECT id, ms, temperature FROM ${TABLE}_device, LATERAL (SELECT ms, temperature FROM ${TABLE} WHERE device = id ORDER BY ms DESC LIMIT 1) newest`,
      [],
    )

  fleetHours = ({ startMs, endMs }: SpanMs): Promise<number> =>
    this.#count(
      `SELECT ms / ${HOUR_MS}, avg(temperature) FROM ${TABLE} WHERE ms >= $1 AND ms < $2 GROUP BY 1`,
      [startMs, endMs],
    )

  async close(): Promise<void> {
    await this.#client.end()
  }
}

/** By the name of its service. */
export const PEER_STORES: Record<string, (access: Access) => PeerStore> = {
  influxdb: (access) => new InfluxDb(access),
  victoriametrics: (access) => new VictoriaMetrics(access),
  questdb: (access) => new QuestDb(access),
  postgres: (access) => new Postgres(access),
}
