/**
 * A row a reading, or a row a message with a column for each metric: what does each take on disk,
 * and how long are questions? Devices of one type send three metrics a minute for a day, their
 * times jittered by milliseconds. Weir's own files are narrow; DuckDB writes the same readings
 * narrow and wide, and is asked for one metric of one device, all of one device, and an average.
 *
 * How large our own files would be if they were wide is known from their columns: of the time,
 * which all metrics of a message share, there would be a third.
 */
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { jitterMs } from './day.ts'
import { isQuick, median, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const PIPELINE = fileURLToPath(new URL('./day.pipeline.yaml', import.meta.url))
const DEVICES = numberFlag('devices', isQuick ? 50 : 1000)
const METRICS = ['temperature', 'pressure', 'vibration'] as const
const MINUTES = 1440
const MINUTE_MS = 60_000
const DEVICES_AT_ONCE = 50
const QUERIES = numberFlag('queries', 30)

const reporter = new Reporter('wide', `${DEVICES} devices of three metrics: narrow rows and wide`)
const endMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS
const startMs = endMs - MINUTES * MINUTE_MS
const sent = DEVICES * MINUTES * METRICS.length

const idOf = (device: number): string => `d${String(device).padStart(5, '0')}`

/** Walks with two, two and three digits, as sensors have them. */
async function fill(server: WeirServer): Promise<void> {
  await server.register(
    Array.from({ length: DEVICES }, (_, at) => ({ id: idOf(at), type: 'sensor' })),
  )
  let random = 1
  const step = (): number => {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
    return (random >>> 28) - 7.5
  }
  const walks = Array.from({ length: DEVICES }, () => [21, 1013, 5])
  for (let minute = 0; minute < MINUTES; minute++) {
    for (let first = 0; first < DEVICES; first += DEVICES_AT_ONCE) {
      const batch = walks.slice(first, first + DEVICES_AT_ONCE).map((walk, at) => {
        walk[0] = 21 + (walk[0]! - 21) * 0.98 + step() / 100
        walk[1] = 1013 + (walk[1]! - 1013) * 0.98 + step() / 50
        walk[2] = Math.abs(5 + (walk[2]! - 5) * 0.98 + step() / 500)
        const metrics = Object.fromEntries(
          METRICS.map((name, metric) => [
            name,
            Number(walk[metric]!.toFixed(metric === 2 ? 3 : 2)),
          ]),
        )
        const ts = startMs + minute * MINUTE_MS + jitterMs(first + at, minute)
        return { device: idOf(first + at), ts, metrics }
      })
      const { status, body } = await server.call('POST', '/v1/telemetry', batch)
      if (status !== 200) throw new Error(`telemetry answered ${status}: ${body.slice(0, 300)}`)
    }
  }
  await server.call('POST', '/v1/storage/flush')
  await server.untilMerged(60_000)
}

/** Compressed bytes by column of Weir's own files. */
async function addOwn(database: DuckDBConnection, files: readonly string[]): Promise<void> {
  const list = files.map((file) => `'${file}'`).join()
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0)
  const reader = await database.runAndReadAll(
    `SELECT path_in_schema, sum(total_compressed_size)::DOUBLE
     FROM parquet_metadata([${list}]) GROUP BY 1`,
  )
  const columns = new Map(reader.getRows() as [string, number][])
  const times = (columns.get('time') ?? 0) + (columns.get('micros') ?? 0)
  reporter.add('Weir, narrow', bytes / sent, 'bytes/reading')
  reporter.add('of which times', times / sent, 'bytes/reading')
  const wide = bytes - times + times / METRICS.length
  reporter.add('Weir, if it were wide', wide / sent, 'bytes/reading')
}

const LAYOUTS = {
  narrow: `SELECT series // 3 AS device, series % 3 AS metric, ts, value FROM readings
           ORDER BY device, metric, ts`,
  wide: `SELECT series // 3 AS device, ts, max(value) FILTER (series % 3 = 0) AS m0,
           max(value) FILTER (series % 3 = 1) AS m1, max(value) FILTER (series % 3 = 2) AS m2
         FROM readings GROUP BY device, ts ORDER BY device, ts`,
}
const QUESTIONS: Record<string, Record<keyof typeof LAYOUTS, (device: number) => string>> = {
  'one metric of one device': {
    narrow: (device) => `SELECT ts, value FROM f WHERE device = ${device} AND metric = 0`,
    wide: (device) => `SELECT ts, m0 FROM f WHERE device = ${device}`,
  },
  'all of one device': {
    narrow: (device) => `SELECT ts, metric, value FROM f WHERE device = ${device}`,
    wide: (device) => `SELECT ts, m0, m1, m2 FROM f WHERE device = ${device}`,
  },
  'an average of all': {
    narrow: () => 'SELECT avg(value) FROM f WHERE metric = 0',
    wide: () => 'SELECT avg(m0) FROM f',
  },
}

async function addLayout(
  database: DuckDBConnection,
  layout: keyof typeof LAYOUTS,
  folder: string,
): Promise<void> {
  const path = join(folder, `${layout}.parquet`)
  await database.run(
    `COPY (${LAYOUTS[layout]}) TO '${path}' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION V2)`,
  )
  reporter.add(`DuckDB, ${layout}`, statSync(path).size / sent, 'bytes/reading')
  await database.run(`CREATE OR REPLACE VIEW f AS SELECT * FROM read_parquet('${path}')`)
  for (const [name, questions] of Object.entries(QUESTIONS)) {
    const times: number[] = []
    for (let query = 0; query < QUERIES; query++) {
      const askedMs = performance.now()
      await database.runAndReadAll(questions[layout]((query * 7919) % DEVICES))
      times.push(performance.now() - askedMs)
    }
    reporter.add(`DuckDB, ${layout}: ${name}`, median(times), 'ms')
  }
}

const server = await WeirServer.start({ pipeline: PIPELINE })
const folder = mkdtempSync(join(tmpdir(), 'weir-wide-'))
try {
  await fill(server)
  const segments = join(server.dataFolder, 'segments')
  const names = readdirSync(segments).filter((name) => name.startsWith('readings'))
  const files = names.map((name) => join(segments, name))
  const database = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
  await addOwn(database, files)
  await database.run(
    `CREATE TABLE readings AS SELECT series, epoch_ms(time) AS ts,
       coalesce(real, mantissa / power(10, scale)) AS value
     FROM read_parquet([${files.map((file) => `'${file}'`).join()}])`,
  )
  const layouts = Object.keys(LAYOUTS) as (keyof typeof LAYOUTS)[]
  for (const layout of layouts) await addLayout(database, layout, folder)
} finally {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}
reporter.finish()
