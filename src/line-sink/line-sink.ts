/**
 * A copy of the readings in a time series database that takes InfluxDB's line protocol over HTTP:
 * InfluxDB 1, 2 and 3, QuestDB, VictoriaMetrics. The stream has taken duplicates out already.
 *
 * K1 write() resolves once the target acknowledged every line that it takes. Offsets may move then.
 * K2 Written again, whole or in part, in the same order, a batch leads to the same contents.
 * K3 A line that the target refuses holds up no other: it is found by halving, counted, reported.
 * K4 Every reading of a batch is counted once: written, refused, or unsupported.
 * K5 Requests are bounded by bytes, tries by time; writes are done one after another.
 * K6 No error, reason or example contains a password or token.
 *
 * **The last write wins here.** Weir's own storage keeps the first reading of a series and event
 * time. InfluxDB overwrites a field, and so does QuestDB a row whose table has DEDUP UPSERT KEYS:
 * the sink makes tables with them. VictoriaMetrics keeps repeats unless it runs with
 * `-dedup.minScrapeInterval=1ms`, and then the largest value of a millisecond; it tells nobody
 * which lines it left out, and acknowledges up to a second before its disk has them.
 *
 * **Layout.** The measurement is the dimension `measurement`, or else the device type; tags are
 * tenant, device_id and the other dimensions; each metric is a field, and what a device sends at
 * one time is one line. QuestDB replaces whole rows: of a second message with the same time but
 * other metrics only the second would stay. So there a row is one reading: symbols tenant,
 * device_id, metric, kind and the dimensions are the keys, besides the time, and `value` (booleans
 * 0 or 1) and `text_value` hold what was read, as in PostgreSQL.
 *
 * Names of tags and fields that mean something to a target (`tenant`, `time`, …) get a "_" behind.
 * A dimension without a value is no tag. docs/sinks.md has all of it.
 */
import type { SeriesName } from '../batch/batch.ts'
import type { Clock, Random } from '../world/world.ts'

export type SinkKind = 'influxdb1' | 'influxdb2' | 'influxdb3' | 'questdb' | 'victoriametrics'

/** Columns of readings, as a writer gets them; only the first `count` rows count. */
export interface SinkBatch {
  /** By the index that stands in `series`. What is known of an object is kept while it lives. */
  names: readonly SeriesName[]
  count: number
  series: Uint32Array
  /** Integers. */
  timeUs: Float64Array
  /** Booleans 0 or 1, texts 0. */
  value: Float64Array
  /** The value of a text; undefined where the row is none, or when there are no texts at all. */
  texts: readonly (string | undefined)[] | undefined
}

/** What became of the readings of one batch. */
export interface SinkReport {
  written: number
  /** The target or its line protocol does not take them; the same again is refused again. */
  refused: number
  /** Texts, where the target has none (VictoriaMetrics). */
  unsupported: number
  /** Why, for the first REFUSALS_MAX. */
  refusals: Refusal[]
}

export interface Refusal {
  reason: string
  /** The line, cut. */
  line: string
}

export const REFUSALS_MAX = 10

export interface LineSinkOptions {
  kind: SinkKind
  /** `http://host:port`, and a path where a proxy wants one; no user in it. */
  url: string
  /** Database of InfluxDB 1 and 3, bucket of InfluxDB 2; the others have none. */
  database?: string
  /** InfluxDB 2. */
  organization?: string
  /** Instead of user and password; InfluxDB 1 knows none. */
  token?: string
  username?: string
  password?: string
  /** Default false: on one machine the CPU is worth more. */
  isGzipped?: boolean
  /** Bytes of lines in a request; 64 KiB to 16 MiB, default 1 MiB. */
  requestBytesMax?: number
  /** One request with its answer, ms; default 30,000. */
  requestTimeoutMs?: number
  /** How long a request is tried before SINK_UNAVAILABLE, ms; default 60,000. */
  retryForMs?: number
  clock: Clock
  random: Random
}

export interface LineSink {
  /**
   * After an error part of the batch may be there: write it again (K2).
   * Errors: SINK_UNAVAILABLE, SINK_REFUSED (credentials, database or address are wrong).
   */
  write(batch: SinkBatch): Promise<SinkReport>
  /** What is under way ends with SINK_UNAVAILABLE. May be called again. */
  close(): Promise<void>
}
