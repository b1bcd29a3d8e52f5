/** What is asked of events, and told: anomalies and dead letters. */
export interface EventsFilter {
  tenant: string
  deviceId: string | undefined
  /** At most 1,000. Newest first. */
  limit: number
}

export interface DeadLetterRow {
  id: string
  device_id: string
  received_at: number
  code: string
  detail: string
  payload: string
}

export interface AnomalyRow {
  id: string
  device_id: string
  metric: string
  detector_id: string
  ts: number
  value: number
  score: number
}
