/** Anomalies and dead letters, newest first. */
import type { AnomalyRow, DeadLetterRow, EventsFilter } from '../query/query.ts'
import type { Ask, Row } from './query-database.ts'
import { notErased } from './tombstones.ts'

const ROWS_MAX = 1000
/** Between the partition and the offset that the id of a dead letter is made of. */
export const LETTER_ID_SEPARATOR = '-'

function newest<T extends Row>(
  ask: Ask,
  { table, time, order }: { table: string; time: string; order: string },
  { tenant, deviceId, limit }: EventsFilter,
): Promise<T[]> {
  const values = [tenant, Math.max(0, Math.min(limit, ROWS_MAX))]
  const ofDevice = deviceId === undefined ? '' : 'AND device_id = $3'
  return ask<T>(
    `SELECT * FROM ${table} WHERE tenant = $1 ${ofDevice} AND ${notErased(table, time)}
     ORDER BY ${order} LIMIT $2`,
    deviceId === undefined ? values : [...values, deviceId],
  )
}

interface Anomaly extends Row {
  id: string
  device_id: string
  metric: string
  detector_id: string
  event_time_us: number
  value: number
  score: number
}

export async function readAnomalies(ask: Ask, filter: EventsFilter): Promise<AnomalyRow[]> {
  const from = { table: 'anomaly', time: 'event_time_us', order: 'event_time_us DESC, id' }
  const rows = await newest<Anomaly>(ask, from, filter)
  return rows.map((row) => ({
    id: row.id,
    device_id: row.device_id,
    metric: row.metric,
    detector_id: row.detector_id,
    ts: row.event_time_us / 1000,
    value: row.value,
    score: row.score,
  }))
}

interface Letter extends Row {
  topic_partition: number
  topic_offset: number
  device_id: string
  received_at_us: number
  code: string
  detail: string
  payload: string
}

/** Partitions know no order among each other, so the time of receipt comes first. */
export async function readDeadLetters(ask: Ask, filter: EventsFilter): Promise<DeadLetterRow[]> {
  const order = 'received_at_us DESC, topic_partition DESC, topic_offset DESC'
  const from = { table: 'dead_letter', time: 'received_at_us', order }
  const rows = await newest<Letter>(ask, from, filter)
  return rows.map((row) => ({
    id: [row.topic_partition, row.topic_offset].join(LETTER_ID_SEPARATOR),
    device_id: row.device_id,
    received_at: row.received_at_us / 1000,
    code: row.code,
    detail: row.detail,
    payload: row.payload,
  }))
}
