/**
 * Which messages of a partition were taken, by their sources: offsets of the telemetry topic.
 *
 * The readings topic has them in any order, since several writers share a partition, and again from
 * a checkpoint on when they began again. So the sources that were taken are a set:
 *
 *   0 ────────────── lowSource ──■■■■■■■─■■■■■■■■■■■──■■■■─■■■──── next ───▶
 *    all count as taken           taken, and gaps in between
 *
 * Gaps are for good, mostly: ticks (one a second and gateway), repeats, dead letters. They would
 * become ever more, so old ones are **closed**: lowSource rises above them. What came for a closed
 * gap would be taken for a repeat, and lost. So the question is how old is old enough, and the
 * answer must not depend on how long anything was away.
 *
 * T1 add() is true once for each source, if the writers do as E2 says.
 * T2 Nothing is lost unless a writer that had something to write was silent for `lagMsMax` of
 *    *running time* while others wrote. Running time is that of the entries' own timestamps, and
 *    passes only while sources come that are higher than all before: not in an outage, however
 *    long, and not while a stretch is repeated, however long. A step of it counts `lagMsMax / 90`
 *    at most.
 * T3 Whatever comes from below makes the gaps beside and above it young again. So restarts may
 *    follow one another, reach back as far as they like, and leave the same gap open each time.
 * T4 Memory is bounded by `chunksMax`. What does not fit is forgotten from below, and *not* closed:
 *    what comes there is taken, perhaps once more, and counted as `uncertain`. Twice is better than
 *    lost.
 * T5 parse(encode()) goes on as if nothing had happened.
 *
 * **A quarter of an hour** has to be above what keeps a writer of Flink silent without ending the
 * job: a checkpoint passes through all of them, within its interval and its timeout (10 min unless
 * set), so the two must be shorter together; Kafka's producer gives up after 2 min, a lost process
 * is found after 1. It is also what a commit carries along: 900 gaps for each gateway (measured in
 * docs/lake.md). **Memory**: 1,024 chunks are
 * 33 million sources and 4 MiB, a quarter of an hour at 37,000 messages a second in one partition.
 *
 * Text: base64url of zstd of varints. lowSource; the end of what was forgotten, as what it is above
 * lowSource; the highest timestamp, ms; marks: how many, and of each its age, ms, and its source
 * above lowSource; then the runs from lowSource on, each as 2 (length - 1), plus 1 where the gap
 * before it is not one source long, which then follows.
 */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { OffsetSet } from './offset-set.ts'

export interface TakenLimits {
  lagMsMax: number
  chunksMax: number
}

const LIMITS: TakenLimits = { lagMsMax: 15 * 60_000, chunksMax: 1024 }
/** Gaps are closed when they are this much older, in parts of `lagMsMax`, at the latest. */
const MARKS = 8
/** Of `lagMsMax`: of a quarter of an hour ten seconds. */
const STEPS_MIN = 90

/** Since `runMs` nothing came that is below `source`, nor could anything have. */
interface Mark {
  runMs: number
  source: number
}

export class TakenSources {
  readonly #limits: TakenLimits
  readonly #taken = new OffsetSet()
  #lowSource: number
  /** One more than the highest. */
  #next: number
  /** Between lowSource and here not all that was taken is known. */
  #forgottenEnd = 0
  /** Since it was made, or parsed. */
  #runMs = 0
  #newestMs = 0
  /** Sources and times ascend. */
  #marks: Mark[] = []
  /** Sources that were taken and may have been there before. */
  uncertain = 0

  /** All below `lowSource` were taken. */
  constructor(lowSource = 0, limits = LIMITS) {
    this.#limits = limits
    this.#lowSource = lowSource
    this.#next = lowSource
  }

  get lowSource(): number {
    return this.#lowSource
  }

  has(source: number): boolean {
    return source < this.#lowSource || this.#taken.has(source)
  }

  /** False when it was there before. The timestamp is that of the entry. */
  add(source: number, timestampMs: number): boolean {
    const isFresh = !this.has(source)
    if (isFresh) {
      if (source < this.#forgottenEnd) this.uncertain++
      this.#take(source)
    }
    if (source >= this.#next) this.#advance(source, timestampMs)
    else this.#rejuvenate(source)
    return isFresh
  }

  #take(source: number): void {
    this.#taken.add(source)
    while (this.#taken.chunks > this.#limits.chunksMax) {
      this.#forgottenEnd = Math.max(this.#forgottenEnd, this.#taken.dropLowest())
    }
  }

  #advance(source: number, timestampMs: number): void {
    const { lagMsMax } = this.#limits
    const stepMs = Math.min(Math.max(0, timestampMs - this.#newestMs), lagMsMax / STEPS_MIN)
    this.#runMs += stepMs
    this.#newestMs = Math.max(timestampMs, this.#newestMs)
    this.#next = source + 1
    const marks = this.#marks
    const last = marks.at(-1)
    if (last === undefined || this.#runMs - last.runMs >= lagMsMax / MARKS) {
      marks.push({ runMs: this.#runMs, source: this.#next })
    }
    while (marks.length > 0 && this.#runMs - marks[0]!.runMs >= lagMsMax) {
      this.#close(marks.shift()!.source)
    }
  }

  #close(below: number): void {
    if (below <= this.#lowSource) return
    this.#lowSource = below
    this.#taken.dropBelow(below)
    if (this.#forgottenEnd <= below) this.#forgottenEnd = 0
  }

  /**
   * Gaps above it, that is, and the one right below: where the others began again somebody may
   * still have nothing to show.
   */
  #rejuvenate(source: number): void {
    const marks = this.#marks
    if (marks.length === 0 || marks.at(-1)!.source <= source) return
    const end = Math.max(this.#lowSource, this.#taken.before(source) + 1)
    // The oldest of those above says all that the others can say now.
    while (marks.length > 1 && marks.at(-2)!.source >= end) marks.pop()
    marks.at(-1)!.source = end
  }

  encode(): string {
    const low = this.#lowSource
    const numbers = [low, Math.max(0, this.#forgottenEnd - low), this.#newestMs]
    numbers.push(this.#marks.length)
    for (const { runMs, source } of this.#marks) {
      numbers.push(Math.round(this.#runMs - runMs), Math.max(0, source - low))
    }
    let end = low
    for (const run of this.#taken.runs(low)) {
      const gap = run.start - end
      numbers.push(2 * (run.end - run.start - 1) + (gap === 1 ? 0 : 1))
      if (gap !== 1) numbers.push(gap)
      end = run.end
    }
    return zstdCompressSync(encodeVarints(numbers)).toString('base64url')
  }

  /** Of what encode() gave, under the same limits. */
  static parse(text: string, limits = LIMITS): TakenSources {
    const numbers = decodeVarints(zstdDecompressSync(Buffer.from(text, 'base64url')))
    let at = 0
    const next = (): number => numbers[at++]!
    const low = next()
    const parsed = new TakenSources(low, limits)
    const forgotten = next()
    if (forgotten > 0) parsed.#forgottenEnd = low + forgotten
    parsed.#newestMs = next()
    for (let marks = next(); marks > 0; marks--) {
      parsed.#marks.push({ runMs: -next(), source: low + next() })
    }
    let end = low
    while (at < numbers.length) {
      const head = next()
      const start = end + (head % 2 === 0 ? 1 : next())
      end = start + Math.floor(head / 2) + 1
      parsed.#taken.addRun({ start, end })
    }
    parsed.#next = end
    return parsed
  }
}

/** Of whole numbers below 2 ^ 53: seven bits a byte, the lowest first. */
function encodeVarints(numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(numbers.length * 8)
  let at = 0
  for (let rest of numbers) {
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes[at++] = (rest % 0x80) | 0x80
    bytes[at++] = rest
  }
  return bytes.subarray(0, at)
}

function decodeVarints(bytes: Uint8Array): number[] {
  const numbers: number[] = []
  let [number, scale] = [0, 1]
  for (const byte of bytes) {
    number += (byte & 0x7f) * scale
    scale *= 0x80
    if (byte >= 0x80) continue
    numbers.push(number)
    number = 0
    scale = 1
  }
  return numbers
}
