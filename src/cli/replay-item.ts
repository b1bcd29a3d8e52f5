/**
 * What a replay moves: one message as text, ready for its door, or a line that cannot become one.
 */
export interface ReplayMessage {
  kind: 'message'
  /** Line of the file, from 1. */
  line: number
  /** '' when it names none; the server then says so. */
  deviceId: string
  readings: number
  text: string
}

export interface ReplayRefusal {
  kind: 'refusal'
  line: number
  code: string
  detail: string
}

export type ReplayItem = ReplayMessage | ReplayRefusal

export type ReplayFormat = 'line' | 'csv' | 'ndjson'
