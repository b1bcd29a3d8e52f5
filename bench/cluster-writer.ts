/**
 * Kafka to PostgreSQL: entries that lie in the readings topic, until all of them are rows. The
 * table holds rows of the same series before, so that its index is as large as in a real one.
 */
import { EntrySource } from './cluster-entries.ts'
import { openPlace, type ClusterPlace } from './cluster-place.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import type { Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const MINUTE_US = 60_000_000
const SECOND_US = 1_000_000
const MINUTES_A_STATEMENT = 100
const WRITTEN_MS_MAX = 600_000
const POLL_MS = 50

export interface WriterLoad {
  devices: number
  /** Rows that are in the table before, about. */
  rows: number
  /** Readings to be written, about. */
  readings: number
}

export async function measureWriter(reporter: Reporter, load: WriterLoad): Promise<void> {
  const place = await openPlace('writer')
  try {
    await place.makeTopic('readings')
    const { nowUs } = await fill(place, load)
    const appender = place.kafka.createAppender(place.topic('readings'))
    const turns = Math.ceil(load.readings / (load.devices * METRICS_PER_MESSAGE))
    const startMs = performance.now()
    // Its own encoder, so that these entries depend on nothing before them.
    const times = Array.from({ length: turns }, (_, turn) => nowUs + (turn + 1) * SECOND_US)
    await new EntrySource(appender, load.devices).append(times)
    const appendingS = (performance.now() - startMs) / 1000
    await appender.close()
    const readings = turns * load.devices * METRICS_PER_MESSAGE
    reporter.add('Kafka: appending such entries', (turns * load.devices) / appendingS, 'entries/s')
    await measure(place, reporter, readings)
  } finally {
    await place.close()
  }
}

/** Kafka's entries and the rows of the table are counted before, and behind. */
async function measure(place: ClusterPlace, reporter: Reporter, readings: number): Promise<void> {
  const before = await countRows(place)
  reporter.add('rows in the table before', before, 'rows')
  const ends = await place.ends('readings')
  const server = await WeirServer.start({ config: place.config, role: 'writer' })
  try {
    const startMs = performance.now()
    const there = await countWritten(place)
    await untilWritten(place, ends)
    const seconds = (performance.now() - startMs) / 1000
    const rows = (sumOf(ends) - there) * METRICS_PER_MESSAGE
    reporter.add('Kafka to PostgreSQL', rows / seconds, 'rows/s')
  } finally {
    await server.stop()
  }
  const found = (await countRows(place)) - before
  if (found !== readings) throw new Error(`${readings} readings were in Kafka, ${found} are rows`)
  reporter.note(`every one of ${readings} readings is in the table once`)
}

/**
 * A first message of each device at both ends of the time to be filled makes series and months by
 * the writer itself; the rest is put between them. Returns the later end.
 */
async function fill(place: ClusterPlace, load: WriterLoad): Promise<{ nowUs: number }> {
  const { kafka, topic, database, config } = place
  const minutes = Math.ceil(load.rows / (load.devices * METRICS_PER_MESSAGE))
  const nowUs = Math.floor(Date.now() / 60_000) * MINUTE_US
  const startUs = nowUs - minutes * MINUTE_US
  const appender = kafka.createAppender(topic('readings'))
  await new EntrySource(appender, load.devices).append([startUs, nowUs])
  await appender.close()
  const server = await WeirServer.start({ config, role: 'writer' })
  await untilWritten(place, await place.ends('readings')).finally(() => server.stop())
  await database.query(`CREATE TEMPORARY TABLE filled AS
    SELECT series, device_hash FROM reading WHERE time_us = ${nowUs} ORDER BY 1`)
  const startMs = performance.now()
  for (let minute = 1; minute < minutes; minute += MINUTES_A_STATEMENT) {
    const last = Math.min(minutes - 1, minute + MINUTES_A_STATEMENT - 1)
    await database.query(`INSERT INTO reading
      SELECT series, device_hash, ${startUs} + minute * ${MINUTE_US}, 20 + sin(minute + series)
      FROM filled, generate_series(${minute}::bigint, ${last}) AS minute`)
    const rate = (last * load.devices * METRICS_PER_MESSAGE) / (performance.now() - startMs)
    console.log(`filled ${last} of ${minutes} minutes, ${Math.round(rate)},000 rows/s`)
  }
  // What the server would do by itself now and then, and in the middle of a measurement.
  await database.query('VACUUM ANALYZE reading')
  await database.query('CHECKPOINT')
  return { nowUs }
}

const sumOf = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0)

async function countRows({ database }: ClusterPlace): Promise<number> {
  const { rows } = await database.query<{ count: string }>('SELECT count(*) FROM reading')
  return Number(rows[0]!.count)
}

/** Entries, by the offsets that stand beside the rows. */
async function countWritten({ database, topic }: ClusterPlace): Promise<number> {
  const { rows } = await database.query<{ sum: string }>(
    'SELECT coalesce(sum(next_offset), 0) AS sum FROM writer_offset WHERE topic = $1',
    [topic('readings')],
  )
  return Number(rows[0]!.sum)
}

async function untilWritten(place: ClusterPlace, ends: readonly number[]): Promise<void> {
  const startMs = performance.now()
  for (const end = sumOf(ends); (await countWritten(place)) < end;) {
    if (performance.now() - startMs > WRITTEN_MS_MAX)
      throw new Error(`${await countWritten(place)} of ${end} entries are written`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
