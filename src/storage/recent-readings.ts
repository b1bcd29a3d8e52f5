/**
 * Readings that no segment holds yet: columns in chunks that only grow, so a query may keep
 * reading rows below the count it saw. `previous` chains the rows of a series from the newest
 * arrived to the oldest, so that one series is walked without a scan. No object exists per reading.
 */
import type { ReadingBatch } from '../batch/batch.ts'
import { sortByTime } from '../query/query.ts'
import { FATE_DUPLICATE, FATE_UNVERIFIED } from '../stream/stream.ts'

/** A chunk is 1.5 MB: small for an idle instance, and rarely changed at full speed. */
const CHUNK_BITS = 16
const CHUNK_ROWS = 1 << CHUNK_BITS
const CHUNK_MASK = CHUNK_ROWS - 1
const NO_ROW = -1

interface Chunk {
  series: Uint32Array
  timeUs: Float64Array
  value: Float64Array
  previous: Int32Array
}

const createChunk = (): Chunk => ({
  series: new Uint32Array(CHUNK_ROWS),
  timeUs: new Float64Array(CHUNK_ROWS),
  value: new Float64Array(CHUNK_ROWS),
  previous: new Int32Array(CHUNK_ROWS),
})

/**
 * Chunks that are used again. At full speed a generation is a hundred megabytes, and what is
 * allocated outside of the heap makes the collector run for its sake.
 */
export class ChunkPool {
  readonly #free: Chunk[] = []

  take(): Chunk {
    return this.#free.pop() ?? createChunk()
  }

  /** Keeps no more than these, so that a busy hour's memory is not held through the night. */
  giveBack(chunks: readonly Chunk[]): void {
    this.#free.push(...chunks)
    this.#free.splice(chunks.length)
  }
}

/**
 * Rows sorted by series, then event time; identities are unique. Columns may have room for more.
 */
export interface SortedReadings {
  count: number
  series: Int32Array
  timeUs: Float64Array
  value: Float64Array
}

export class RecentReadings {
  readonly #pool: ChunkPool
  #chunks: Chunk[] = []
  /** By series: its newest row. */
  #newest = new Int32Array(1024).fill(NO_ROW)
  count = 0
  seriesMax = -1
  minTimeUs = Infinity
  maxTimeUs = -Infinity
  /** Some identity may be in a segment already; whoever reads both must look. */
  hasUnverified = false

  constructor(pool: ChunkPool) {
    this.#pool = pool
  }

  /** Gives its memory back: nobody may look at it any more. */
  release(): void {
    this.#pool.giveBack(this.#chunks)
    this.#chunks = []
    this.#newest.fill(NO_ROW)
    this.count = 0
  }

  /** Appends a frame's readings but for duplicates. */
  append(batch: ReadingBatch, fates: Uint8Array | undefined): void {
    const { messageCount, eventTimeUs, readingsInMessage, series, value } = batch
    // A tick needs no room.
    if (messageCount === 0) return
    let row = this.count
    let chunk = this.#chunkFor(row)
    let reading = 0
    for (let message = 0; message < messageCount; message++) {
      const time = eventTimeUs[message]!
      const end = reading + readingsInMessage[message]!
      if (time < this.minTimeUs) this.minTimeUs = time
      if (time > this.maxTimeUs) this.maxTimeUs = time
      for (; reading < end; reading++) {
        if (fates !== undefined) {
          const fate = fates[reading]!
          if (fate === FATE_DUPLICATE) continue
          if (fate === FATE_UNVERIFIED) this.hasUnverified = true
        }
        const at = row & CHUNK_MASK
        if (at === 0) chunk = this.#chunkFor(row)
        const id = series[reading]!
        if (id > this.seriesMax) this.#noteSeries(id)
        chunk.series[at] = id
        chunk.timeUs[at] = time
        chunk.value[at] = value[reading]!
        chunk.previous[at] = this.#newest[id]!
        this.#newest[id] = row++
      }
    }
    this.count = row
  }

  #chunkFor(row: number): Chunk {
    const index = row >>> CHUNK_BITS
    return (this.#chunks[index] ??= this.#pool.take())
  }

  #noteSeries(series: number): void {
    this.seriesMax = series
    if (series < this.#newest.length) return
    const grown = new Int32Array(2 ** Math.ceil(Math.log2(series + 1))).fill(NO_ROW)
    grown.set(this.#newest)
    this.#newest = grown
  }

  /** Calls back for each row below `limit` of one series, newest arrived first. */
  walk(series: number, limit: number, visit: (timeUs: number, value: number) => void): void {
    let row = series < this.#newest.length ? this.#newest[series]! : NO_ROW
    while (row !== NO_ROW) {
      const chunk = this.#chunks[row >>> CHUNK_BITS]!
      const at = row & CHUNK_MASK
      if (row < limit) visit(chunk.timeUs[at]!, chunk.value[at]!)
      row = chunk.previous[at]!
    }
  }

  /** Calls back for each chunk in use, offering to stop after each. */
  *eachChunk(visit: (chunk: Readonly<Chunk>, rows: number) => void): Generator<void, void> {
    for (let from = 0; from < this.count; from += CHUNK_ROWS) {
      visit(this.#chunks[from >>> CHUNK_BITS]!, Math.min(CHUNK_ROWS, this.count - from))
      yield
    }
  }
}

/** Room for one sort at a time, used again by the next. */
export class SortRoom {
  #columns: Omit<SortedReadings, 'count'> | undefined

  columns(rows: number): Omit<SortedReadings, 'count'> {
    const held = this.#columns?.series.length ?? 0
    if (this.#columns === undefined || held < rows || held > 4 * rows + CHUNK_ROWS) {
      this.#columns = {
        series: new Int32Array(rows),
        timeUs: new Float64Array(rows),
        value: new Float64Array(rows),
      }
    }
    return this.#columns
  }
}

/**
 * Counting sort by series, stable, then by time within each series; of equal identities the first
 * arrived stays (T4). `parts` are in the order of their offsets. The result is in `room`.
 */
export function* sortReadings(
  parts: readonly RecentReadings[],
  room: SortRoom,
): Generator<void, SortedReadings> {
  const total = parts.reduce((sum, part) => sum + part.count, 0)
  const seriesMax = parts.reduce((max, part) => Math.max(max, part.seriesMax), -1)
  // starts[s + 1] counts series s; after the sum starts[s] is where its run begins.
  const starts = new Uint32Array(seriesMax + 2)
  for (const part of parts) {
    yield* part.eachChunk(({ series }, rows) => {
      for (let row = 0; row < rows; row++) starts[series[row]! + 1]!++
    })
  }
  for (let series = 0; series <= seriesMax; series++) starts[series + 1]! += starts[series]!
  const columns = room.columns(total)
  const { timeUs, value } = columns
  const next = starts.slice()
  for (const part of parts) {
    yield* part.eachChunk((chunk, rows) => {
      for (let row = 0; row < rows; row++) {
        const at = next[chunk.series[row]!]!++
        timeUs[at] = chunk.timeUs[row]!
        value[at] = chunk.value[row]!
      }
    })
  }
  return yield* settleRuns(starts, columns)
}

/** Rows between two offers to stop; about a third of a millisecond. */
const SETTLE_ROWS = 1 << 15

/** Sorts each run by time, drops repeated identities, and names the series of every row left. */
function* settleRuns(
  starts: Uint32Array,
  { series, timeUs, value }: Omit<SortedReadings, 'count'>,
): Generator<void, SortedReadings> {
  let count = 0
  let offered = 0
  for (let id = 0; id + 1 < starts.length; id++) {
    const from = starts[id]!
    const to = starts[id + 1]!
    if (from === to) continue
    sortByTime(timeUs, value, { from, to })
    const runStart = count
    for (let row = from; row < to; row++) {
      if (count > runStart && timeUs[row] === timeUs[count - 1]) continue
      timeUs[count] = timeUs[row]!
      value[count] = value[row]!
      series[count++] = id
    }
    if (to - offered < SETTLE_ROWS) continue
    offered = to
    yield
  }
  return { count, series, timeUs, value }
}
