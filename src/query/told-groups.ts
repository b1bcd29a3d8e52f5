/** What another engine over the lake tells of a question. */
import type { Span } from './query.ts'

/** What another engine over the lake did for an answer, where it was asked. */
export interface EngineMeta {
  /** 'trino' or 'athena'. */
  kind: string
  /** That it summed up. 0 where it failed: then the answer is from elsewhere. */
  readings: number
  statements: number
  duration_ms: number
  /** The code of the error. */
  failed?: string
}

/** What is known of a question about many devices before any series is looked at. */
export interface ToldGroups {
  /** Of all series asked for there is nothing more to know of these; in order and apart. */
  spans: readonly Span[]
  /** Rows of PARTIAL_* places, each within one step; of their ends and series they say nothing. */
  partials: readonly { group: string; row: Float64Array }[]
  /** That were asked for. */
  series: number
  isBoolean: boolean
  filesRead: number
  engine: EngineMeta
}
