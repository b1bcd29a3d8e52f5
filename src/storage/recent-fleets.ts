/**
 * What fleets had in each minute that is not summed up yet: added up of readings as they come, so
 * that a question up to now does not ask ten thousand series for their last hours.
 *
 * Exact, as a fresh reading is one that nobody has said before (FATE_FRESH). A minute of which one
 * came that may be a repeat, or of which something is erased, is not told: its series are asked.
 * Nothing of it is kept over a restart: a fleet is told from the minute on that is behind all that
 * was stored when it was first followed.
 */
import type { ReadingBatch, SeriesDefinition } from '../batch/batch.ts'
import { emptyPartial, subtractSpans, type Span } from '../query/query.ts'
import {
  FATE_DUPLICATE,
  FATE_UNVERIFIED,
  PARTIAL_COUNT,
  PARTIAL_FIRST_TIME_US,
  PARTIAL_LAST_TIME_US,
  PARTIAL_MAX,
  PARTIAL_MEAN,
  PARTIAL_MIN,
  PARTIAL_SQUARES,
  PARTIAL_SUM,
} from '../stream/stream.ts'
import { MINUTE_MS } from './rollup-coverage.ts'
import type { SeriesDirectory } from './series-directory.ts'

/** To ask the series of a smaller fleet takes no time. */
export const FLEET_SERIES_MIN = 16
/** Of one fleet: two days. Of more the older half is forgotten. */
const MINUTES_MAX = 2880
/** Of all fleets, some 200 bytes each. */
const ROWS_MAX = 200_000
const MINUTE_US = MINUTE_MS * 1000

/** Places in a row. The sums are of offsets from the first value, so that they do not cancel. */
const STRIDE = 7
/** NaN: the minute is not told. */
const COUNT = 0
const PIVOT = 1
const OFFSETS = 2
const SQUARES = 3
const MIN = 4
const MAX = 5
const LAST_US = 6

interface Fleet {
  /** From this minute on its rows have all of it. */
  since: number
  rows: Map<number, Float64Array>
  /** Of the last reading: the next is mostly in it too. */
  minute: number
  row: Float64Array
}

export class RecentFleets {
  readonly #directory: SeriesDirectory
  readonly #bySeries: (Fleet | undefined)[] = []
  readonly #byNumber = new Map<number, Fleet>()
  /** Of all readings so far. */
  #highestUs: number
  #rowCount = 0
  /** For readings of minutes that nobody is told. */
  readonly #nowhere = new Float64Array(STRIDE)
  /** Of what it holds: another when something changed. */
  version = 0

  /** `highestUs`: of all readings that are stored. */
  constructor(directory: SeriesDirectory, highestUs: number) {
    this.#directory = directory
    this.#highestUs = highestUs
    this.seriesCame(directory.series())
  }

  /** They are in the directory, and their readings come behind. */
  seriesCame(definitions: readonly SeriesDefinition[]): void {
    for (const { series, kind } of definitions) {
      if (kind !== 'number') continue
      const number = this.#directory.fleetOf(series)
      const members = this.#directory.fleetMembers(number)
      const known = this.#byNumber.get(number)
      if (known !== undefined) this.#bySeries[series] = known
      else if (members.length >= FLEET_SERIES_MIN) this.#follow(number, members)
    }
  }

  #follow(number: number, members: readonly number[]): void {
    const since = this.#behindAll()
    const rows = new Map<number, Float64Array>()
    const fleet: Fleet = { since, rows, minute: NaN, row: this.#nowhere }
    this.#byNumber.set(number, fleet)
    for (const one of members) this.#bySeries[one] = fleet
  }

  #behindAll(): number {
    return Math.floor(this.#highestUs / MINUTE_US) + 1
  }

  /** A frame's readings, erased ones as duplicates. */
  add(batch: ReadingBatch, fates: Uint8Array | undefined): void {
    const { messageCount, eventTimeUs, readingsInMessage, series, value } = batch
    if (messageCount > 0) this.version++
    let reading = 0
    for (let message = 0; message < messageCount; message++) {
      const timeUs = eventTimeUs[message]!
      if (timeUs > this.#highestUs) this.#highestUs = timeUs
      const minute = Math.floor(timeUs / MINUTE_US)
      const end = reading + readingsInMessage[message]!
      for (; reading < end; reading++) {
        const fleet = this.#bySeries[series[reading]!]
        if (fleet === undefined) continue
        if (fates !== undefined && fates[reading] === FATE_DUPLICATE) continue
        if (fleet.minute !== minute) this.#turnTo(fleet, minute)
        const { row } = fleet
        if (fates !== undefined && fates[reading] === FATE_UNVERIFIED) row[COUNT] = NaN
        put(row, timeUs, value[reading]!)
      }
    }
  }

  #turnTo(fleet: Fleet, minute: number): void {
    fleet.row = fleet.rows.get(minute) ?? this.#beginRow(fleet, minute)
    fleet.minute = minute
  }

  #beginRow(fleet: Fleet, minute: number): Float64Array {
    if (fleet.rows.size === MINUTES_MAX || this.#rowCount === ROWS_MAX) {
      const minutes = [...fleet.rows.keys()].toSorted((a, b) => a - b)
      this.#forget(fleet, minutes[Math.ceil(minutes.length / 2)] ?? this.#behindAll())
    }
    if (minute < fleet.since) return this.#nowhere
    const row = new Float64Array(STRIDE)
    fleet.rows.set(minute, row)
    this.#rowCount++
    return row
  }

  /** It is told from this minute on. */
  #forget(fleet: Fleet, since: number): void {
    if (since <= fleet.since) return
    fleet.since = since
    fleet.minute = NaN
    for (const minute of fleet.rows.keys()) {
      if (minute < since && fleet.rows.delete(minute)) this.#rowCount--
    }
    this.version++
  }

  /** Nobody is told any more of what this series had then: it is erased. */
  erase(series: number, { startUs, endUs }: Span): void {
    this.version++
    for (const [minute, row] of this.#bySeries[series]?.rows ?? []) {
      const fromUs = minute * MINUTE_US
      if (fromUs < endUs && startUs < fromUs + MINUTE_US) row.fill(NaN)
    }
  }

  /** It is summed up: files tell. */
  forgetBefore(timeMs: number): void {
    for (const fleet of this.#byNumber.values()) this.#forget(fleet, timeMs / MINUTE_MS)
  }

  /**
   * Calls back with the minutes of a fleet (PARTIAL_* places, without first and last values) that
   * are in the span with all that they have. Returns what of the span is told so.
   */
  read(fleet: number, span: Span, consume: (row: Float64Array) => void): Span[] {
    const known = this.#byNumber.get(fleet)
    if (known === undefined) return []
    const { since, rows } = known
    const firstUs = Math.ceil(span.startUs / MINUTE_US) * MINUTE_US
    const told = { startUs: Math.max(firstUs, since * MINUTE_US), endUs: span.endUs }
    const others: Span[] = []
    for (const [minute, row] of rows) {
      const startUs = minute * MINUTE_US
      const endUs = startUs + MINUTE_US
      if (startUs < told.startUs || startUs >= told.endUs) continue
      const isWhole = endUs <= told.endUs || row[LAST_US]! < told.endUs
      if (isWhole && row[COUNT]! > 0) consume(partialOf(row, { fleet, startMs: startUs / 1000 }))
      else others.push({ startUs, endUs })
    }
    return subtractSpans(
      told,
      others.toSorted((a, b) => a.startUs - b.startUs),
    )
  }
}

function put(row: Float64Array, timeUs: number, value: number): void {
  const count = ++row[COUNT]!
  if (count === 1) {
    row[PIVOT] = value
    row[MIN] = value
    row[MAX] = value
    row[LAST_US] = timeUs
    return
  }
  const offset = value - row[PIVOT]!
  row[OFFSETS]! += offset
  row[SQUARES]! += offset * offset
  if (value < row[MIN]!) row[MIN] = value
  if (value > row[MAX]!) row[MAX] = value
  if (timeUs > row[LAST_US]!) row[LAST_US] = timeUs
}

function partialOf(
  row: Float64Array,
  { fleet, startMs }: { fleet: number; startMs: number },
): Float64Array {
  const count = row[COUNT]!
  const offsets = row[OFFSETS]!
  const partial = emptyPartial({ series: fleet, windowMs: MINUTE_MS, startMs })
  partial[PARTIAL_COUNT] = count
  partial[PARTIAL_SUM] = count * row[PIVOT]! + offsets
  partial[PARTIAL_MIN] = row[MIN]!
  partial[PARTIAL_MAX] = row[MAX]!
  partial[PARTIAL_MEAN] = row[PIVOT]! + offsets / count
  partial[PARTIAL_SQUARES] = Math.max(0, row[SQUARES]! - (offsets * offsets) / count)
  partial[PARTIAL_FIRST_TIME_US] = startMs * 1000
  partial[PARTIAL_LAST_TIME_US] = row[LAST_US]!
  return partial
}
