/**
 * InfluxDB line protocol (https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol):
 *
 *   measurement[,tag=value…] field=value[,field=value…] [timestamp]
 *
 *   escapes   `\,` and `\ ` everywhere outside quotes, `\=` in tags and field keys; `\"` and `\\`
 *             within quotes. Any other backslash is itself, as in InfluxDB.
 *   values    1 1.5 -2e3 (float) | 1i (integer) | 1u (unsigned) | t T true True TRUE f … | "text"
 *
 * Blank lines and comments (#) are skipped; lines end with LF or CR LF; a quoted text may contain
 * line ends. One bad line spoils no other.
 *
 * L1 Every line with content is handed to `visit` or to `fail`, once, in order; nothing vanishes.
 * L2 Any bytes are either understood or refused by a code and a sentence; nothing is thrown.
 * L3 No number is changed: integers beyond 2^53 − 1 are refused, and floats are the nearest double.
 * L4 Memory is bounded by LINE_BYTES_MAX, TAGS_MAX, FIELDS_MAX and the cache of texts.
 *
 * Where senders and servers differ: an empty tag value drops the tag (TSBS and old Telegraf write
 * them); of a field written twice the last counts; a tag written twice is refused, as by InfluxDB,
 * since it would decide which series is meant.
 */
import type { ErrorCode } from '../errors/errors.ts'
import { LineReader } from './line-reader.ts'
import { TextCache } from './text-cache.ts'

export { LINE_BYTES_MAX } from './line-cursor.ts'
export { FIELDS_MAX, TAGS_MAX } from './line-reader.ts'

export type Precision = 'ns' | 'us' | 'ms' | 's' | 'm' | 'h'

/** One line. Reused: valid during the call. Arrays may be longer than their counts. */
export interface Line {
  /** Counts the lines with content, good and bad, from 0. */
  index: number
  measurement: string
  tagCount: number
  tagKeys: string[]
  tagValues: string[]
  fieldCount: number
  fieldKeys: string[]
  fieldValues: (number | boolean | string)[]
  /**
   * Integer µs since 1970, nanoseconds rounded down; undefined when the line has no timestamp.
   * Exact up to 2^53 µs (the year 2255), behind it the nearest double, up to the end of 64-bit
   * nanoseconds.
   */
  timeUs: number | undefined
  /** The line's bytes are [start, end), without its end of line. */
  start: number
  end: number
}

/**
 * Codes: LINE_SYNTAX_INVALID, TELEMETRY_INTEGER_TOO_LARGE, TELEMETRY_VALUE_NOT_FINITE,
 * TELEMETRY_LIMIT_EXCEEDED, TIME_FORMAT_INVALID. `detail` is a sentence with the column;
 * `lineBytes` is a view of the input.
 */
export type LineFailure = (
  index: number,
  code: ErrorCode,
  detail: string,
  lineBytes: Uint8Array,
) => void

/** Shared by all calls: it holds texts by their bytes and can only save work, never change it. */
const texts = new TextCache()

/** Calls `visit` or `fail` for each line of `bytes`, in order. */
export function parseLines(
  bytes: Uint8Array,
  precision: Precision,
  visit: (line: Line) => void,
  fail: LineFailure,
): void {
  const reader = new LineReader(bytes, precision, texts)
  const { line } = reader
  while (reader.findLine()) {
    if (reader.readLine()) visit(line)
    else
      fail(
        line.index,
        reader.failureCode,
        reader.failureDetail,
        bytes.subarray(line.start, line.end),
      )
  }
}
