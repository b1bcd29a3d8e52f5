/** The few rows of a batch that are no readings: events, dirty ranges, coverage, dead letters. */
import type pg from 'pg'
import { DEAD_LETTERS_PER_DEVICE_MAX } from '../batch/batch.ts'
import { withoutNul } from './copy.ts'
import type { TopicDeadLetter, WriterBatch } from './postgres.ts'

export async function writeDirty(
  client: pg.ClientBase,
  { dirty = [], series }: WriterBatch,
): Promise<void> {
  if (dirty.length === 0) return
  await client.query(
    `INSERT INTO dirty_range SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[])
     ON CONFLICT DO NOTHING`,
    [
      dirty.map((range) => series.ids[range.series]),
      dirty.map(({ fromMs }) => fromMs),
      dirty.map(({ toMs }) => toMs),
    ],
  )
}

export async function writeCoverage(
  client: pg.ClientBase,
  { coverage = [] }: WriterBatch,
): Promise<void> {
  for (const { generation, partition, partitions, fromMs, watermarkMs } of coverage) {
    await client.query(
      `INSERT INTO coverage (partition, from_ms, watermark_ms, generation, partitions)
       VALUES ($1, coalesce($2::bigint, (
           SELECT from_ms FROM coverage WHERE generation < $4 AND partition = $1 % partitions
           ORDER BY generation DESC LIMIT 1
         ), $3::bigint + 1), $3, $4, $5)
       ON CONFLICT (generation, partition) DO UPDATE SET
         from_ms = greatest(coverage.from_ms, $2), -- NULL counts for nothing here.
         watermark_ms = greatest(coverage.watermark_ms, $3),
         partitions = $5`,
      [partition, fromMs, watermarkMs, generation, partitions],
    )
  }
}

/** Returns how many were left out, because their numbers are not finite. */
export async function writeAnomalies(
  client: pg.ClientBase,
  { anomalies = [] }: Pick<WriterBatch, 'anomalies'>,
): Promise<number> {
  const rows = anomalies
    .filter(({ value, score }) => Number.isFinite(value) && Number.isFinite(score))
    .map(({ id, tenant, deviceId, metric, detectorId, eventTimeUs, value, score }) => [
      ...[id, tenant, deviceId, metric, detectorId, eventTimeUs, value, score],
    ])
  const columns = `id text, tenant text, device_id text, metric text, detector_id text,
    event_time_us bigint, value float8, score float8`
  await insertJson(client, { table: 'anomaly', columns, conflict: 'DO NOTHING' }, rows)
  return anomalies.length - rows.length
}

interface JsonTarget {
  table: string
  /** Names and types. */
  columns: string
  /** Behind ON CONFLICT. */
  conflict: string
}

/** One parameter however many rows. */
async function insertJson(
  client: pg.ClientBase,
  { table, columns, conflict }: JsonTarget,
  rows: unknown[][],
): Promise<void> {
  if (rows.length === 0) return
  const names = columns.split(',').map((column) => column.trim().split(' ')[0]!)
  const plain = names.map((name) => name.replaceAll('"', ''))
  const objects = rows.map((row) => Object.fromEntries(row.map((value, at) => [plain[at]!, value])))
  const json = JSON.stringify(objects, (_, value: unknown) =>
    typeof value === 'string' ? withoutNul(value) : value,
  )
  await client.query(
    `INSERT INTO ${table} (${names.join(', ')})
     SELECT * FROM json_to_recordset($1) AS written (${columns}) ON CONFLICT ${conflict}`,
    [json],
  )
}

/** Devices whose letters are counted here. */
const COUNTED_MAX = 10_000
/** A device is looked at when so many of its letters came since the last time. */
const CUT_AFTER = DEAD_LETTERS_PER_DEVICE_MAX / 4

/** Keeps the newest DEAD_LETTERS_PER_DEVICE_MAX letters of each device, and CUT_AFTER more. */
export class DeadLetterShelf {
  /** Letters by device since it was last cut. What a rollback took away counts on: no harm. */
  readonly #counts = new Map<string, number>()

  async write(
    client: pg.ClientBase,
    { deadLetters = [] }: Pick<WriterBatch, 'deadLetters'>,
  ): Promise<void> {
    if (deadLetters.length === 0) return
    const rows = deadLetters.map((letter) => [
      ...[letter.partition, letter.offset, letter.tenant, letter.deviceId, letter.receivedAtUs],
      ...[letter.code, letter.detail, letter.payload],
    ])
    const columns = `topic_partition int, topic_offset bigint, tenant text, device_id text,
      received_at_us bigint, code text, detail text, payload text`
    await insertJson(client, { table: 'dead_letter', columns, conflict: 'DO NOTHING' }, rows)
    await this.#cut(client, deadLetters)
  }

  async #cut(client: pg.ClientBase, deadLetters: readonly TopicDeadLetter[]): Promise<void> {
    const counts = this.#counts
    for (const { tenant, deviceId } of deadLetters) {
      const device = JSON.stringify([withoutNul(tenant), withoutNul(deviceId)])
      counts.set(device, (counts.get(device) ?? 0) + 1)
    }
    const isFull = counts.size > COUNTED_MAX
    const full = [...counts].flatMap(([device, count]) =>
      isFull || count >= CUT_AFTER ? [device] : [],
    )
    for (const device of full) {
      await client.query(CUT, [...(JSON.parse(device) as string[]), DEAD_LETTERS_PER_DEVICE_MAX])
      counts.delete(device)
    }
  }
}

const CUT = `DELETE FROM dead_letter WHERE (topic_partition, topic_offset) IN (
  SELECT topic_partition, topic_offset FROM dead_letter WHERE tenant = $1 AND device_id = $2
  ORDER BY received_at_us DESC, topic_partition DESC, topic_offset DESC OFFSET $3)`
