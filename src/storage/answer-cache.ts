/**
 * Answers of the embedded store, kept until something comes that could change them.
 *
 *   question ──▶ kept? ──▶ under way? ──▶ begun ──▶ computed ──▶ kept
 *                               ▲           │
 *             output, erasure ──┴─ whatever lies in its series and span ends it
 *
 * E1 Never a stale answer: what is kept, or joined while it is computed, equals what the store
 *    would compute now. An answer is watched from before its look at the store, in the turn in
 *    which something changes: a reading, a partial, a range that is dirty, a series that is new, an
 *    erasure, each for its series and time. (What is summed up meanwhile may tell a sum in another
 *    last bit, and a quantile within the error that `meta` says. And what went to the archive of a
 *    bucket since is still in it: that is true.)
 * E2 Nothing that goes by time alone is kept longer than that: retention hides what grows too old.
 * E3 Only whole answers are kept, and none is given while the store itself is not whole.
 * E4 What it holds is bounded in bytes; what was used least recently makes room.
 *
 * What a reading costs here is one look into a table, unless its series is watched.
 */
import type { ReadingBatch, SeriesDefinition } from '../batch/batch.ts'
import { Flights, type GroupsAnswer, type ReadingsAnswer, type Span } from '../query/query.ts'
import type { WindowsAnswer } from '../query/query.ts'
import {
  FATE_DUPLICATE,
  PARTIAL_SERIES,
  PARTIAL_START_MS,
  PARTIAL_STRIDE,
} from '../stream/stream.ts'
import { answerBytes, Watch, type Watched } from './answer-watch.ts'

export type AnyAnswer = ReadingsAnswer | WindowsAnswer | GroupsAnswer

/** What an answer is about, and how to compute it. */
export interface Asked<A extends AnyAnswer> extends Span {
  key: string
  tenant: string
  metric: string
  /** Undefined: of many. */
  deviceId: string | undefined
  series: readonly SeriesDefinition[]
  /** From then on the store would hide some of it, µs. */
  untilUs: number
  compute: (signal: AbortSignal) => Promise<A>
}

export interface AnswerCacheParts {
  bytesMax: number
  nowUs: () => number
  /** False while a restart replays the log. */
  isWhole: () => boolean
  /** Changes when one more is found. */
  damagedCount: () => number
}

interface Entry extends Watched {
  key: string
  untilUs: number
  damaged: number
  answer: AnyAnswer | undefined
  bytes: number
}

export class AnswerCache {
  hits = 0
  misses = 0
  bytes = 0
  readonly #parts: AnswerCacheParts
  readonly #watch = new Watch<Entry>()
  readonly #flights = new Flights<Entry>()
  /** By use: what was used least recently is first. */
  readonly #kept = new Map<string, Entry>()

  constructor(parts: AnswerCacheParts) {
    this.#parts = parts
  }

  /** Errors: those of `compute`, the signal's reason. */
  async ask<A extends AnyAnswer>(asked: Asked<A>, signal: AbortSignal | undefined): Promise<A> {
    const known = this.#find(asked.key)
    if (known !== undefined) {
      this.hits++
      // The key says which kind of answer it is.
      return { ...known, meta: { ...known.meta, cached: true } } as A
    }
    this.misses++
    const { key, tenant, metric, deviceId, startUs, endUs, untilUs } = asked
    const entry: Entry = {
      ...{ key, tenant, metric, deviceId, startUs, endUs, untilUs, answer: undefined, bytes: 0 },
      series: new Set(asked.series.map(({ series }) => series)),
      ...{ damaged: this.#parts.damagedCount(), isStale: false },
    }
    return this.#flights.ask(key, {
      mark: entry,
      mayJoin: (begun) => !begun.isStale && this.#isGood(begun),
      start: (ending) => this.#compute(entry, () => asked.compute(ending)),
      signal,
    })
  }

  #find(key: string): AnyAnswer | undefined {
    const entry = this.#kept.get(key)
    if (entry === undefined || !this.#isGood(entry)) return undefined
    this.#kept.delete(key)
    this.#kept.set(key, entry)
    return entry.answer
  }

  #isGood({ untilUs, damaged }: Entry): boolean {
    const { isWhole, nowUs, damagedCount } = this.#parts
    return isWhole() && nowUs() < untilUs && damaged === damagedCount()
  }

  async #compute<A extends AnyAnswer>(entry: Entry, compute: () => Promise<A>): Promise<A> {
    for (const one of this.#watch.add(entry)) this.#forget(one)
    try {
      const answer = await compute()
      this.#keep(entry, answer)
      return answer
    } finally {
      if (this.#kept.get(entry.key) !== entry) this.#forget(entry)
    }
  }

  #keep(entry: Entry, answer: AnyAnswer): void {
    const { bytesMax } = this.#parts
    const bytes = answerBytes(answer) + 2 * entry.key.length + entry.series.size * SERIES_BYTES
    const isWhole = answer.meta.completeness === 1 && this.#isGood(entry)
    if (entry.isStale || !isWhole || bytes > bytesMax / ANSWERS_MIN) return
    const before = this.#kept.get(entry.key)
    if (before !== undefined) this.#forget(before)
    this.#kept.set(entry.key, Object.assign(entry, { answer, bytes }))
    this.bytes += bytes
    for (const oldest of this.#kept.values()) {
      if (this.bytes <= bytesMax) break
      this.#forget(oldest)
    }
  }

  #forget(entry: Entry): void {
    entry.isStale = true
    this.#watch.remove(entry)
    if (this.#kept.get(entry.key) !== entry) return
    this.#kept.delete(entry.key)
    this.bytes -= entry.bytes
  }

  /** Of a frame, with what is a duplicate. */
  readingsCame(batch: ReadingBatch, fates: Uint8Array | undefined): void {
    if (this.#watch.isEmpty) return
    const { messageCount, eventTimeUs, readingsInMessage, series } = batch
    let reading = 0
    for (let message = 0; message < messageCount; message++) {
      const timeUs = eventTimeUs[message]!
      const end = reading + readingsInMessage[message]!
      for (; reading < end; reading++) {
        if (!this.#watch.isWatched(series[reading]!)) continue
        if (fates?.[reading] !== FATE_DUPLICATE) this.#changed(series[reading]!, timeUs, timeUs)
      }
    }
  }

  /** Rows of PARTIAL_* places. */
  partialsCame(rows: Float64Array): void {
    if (this.#watch.isEmpty) return
    for (let at = 0; at < rows.length; at += PARTIAL_STRIDE) {
      const startUs = rows[at + PARTIAL_START_MS]! * 1000
      this.#changed(rows[at + PARTIAL_SERIES]!, startUs, startUs)
    }
  }

  spanChanged(series: number, { startUs, endUs }: Span): void {
    this.#changed(series, startUs, endUs - 1)
  }

  seriesCame(definitions: readonly SeriesDefinition[]): void {
    for (const definition of definitions) {
      for (const entry of this.#watch.concernedBy(definition)) this.#forget(entry)
    }
  }

  #changed(series: number, fromUs: number, toUs: number): void {
    for (const entry of this.#watch.touchedBy(series, fromUs, toUs)) this.#forget(entry)
  }
}

/** In a set. */
const SERIES_BYTES = 40
/** One answer alone must not push out all the others. */
const ANSWERS_MIN = 4
