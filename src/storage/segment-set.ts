/** The segments that count, and who reads them: a file goes only after its last reader. */
import type { Tail } from '../parquet/parquet.ts'
import type { Span, Wanted } from '../query/query.ts'

/** One immutable Parquet file, by its catalogue entry. Offsets, series and times are inclusive. */
export interface Segment {
  /**
   * Summaries are rollups of hours and days, made of readings when they are over, and kept: of each
   * series, and of fleets, whose numbers stand for series then (see SeriesDirectory). With them
   * minutes of fleets are made, and kept as long as the stream's windows, which are rollups.
   */
  kind: 'readings' | 'rollup' | 'summary' | 'fleet' | 'minutes'
  /** Name in the segments folder, or key in the object store. */
  file: string
  /** In the object store, as a file of the lake. */
  isCold: boolean
  firstOffset: number
  lastOffset: number
  rows: number
  bytes: number
  minSeries: number
  maxSeries: number
  /** Event times; of a rollup the starts of its windows. */
  minTimeUs: number
  maxTimeUs: number
  /** Some identities may be in another segment too. */
  hasUnverified: boolean
  /** Of readings as reading-columns.ts has them; other files have none. */
  tail: Tail | undefined
  /** CRC32 of the file; undefined until it was first checked, for those of before format 3. */
  crc: number | undefined
}

export const SEGMENT_KINDS: readonly Segment['kind'][] = [
  ...(['readings', 'rollup', 'summary', 'fleet', 'minutes'] as const),
]

/** Whose rows are of fleets, and not of series. */
export const isOfFleets = ({ kind }: Pick<Segment, 'kind'>): boolean =>
  kind === 'fleet' || kind === 'minutes'

/** A stretch of series and event times; the series are inclusive. */
export interface Box extends Span {
  minSeries: number
  maxSeries: number
  /** Of them these; undefined: all. */
  only?: ReadonlySet<number>
  /** Nothing of these series in this span; of windows, none that touches it. */
  without?: { series: ReadonlySet<number>; span: Span }
}

/** Everything. */
export const ANYWHERE: Box = {
  ...{ startUs: -Infinity, endUs: Infinity },
  ...{ minSeries: -Infinity, maxSeries: Infinity },
}

/** Whether a segment may have rows in it. */
export const overlaps = (segment: Segment, box: Box): boolean =>
  segment.minTimeUs < box.endUs &&
  box.startUs <= segment.maxTimeUs &&
  segment.minSeries <= box.maxSeries &&
  box.minSeries <= segment.maxSeries

/** A segment that may hold something wanted. */
export function mayHold(segment: Segment, wanted: readonly Wanted[]): boolean {
  return wanted.some(
    ({ series, spans }) =>
      segment.minSeries <= series &&
      series <= segment.maxSeries &&
      spans.some(({ startUs, endUs }) => segment.minTimeUs < endUs && startUs <= segment.maxTimeUs),
  )
}

const padOffset = (offset: number): string => String(offset).padStart(16, '0')

/** `part` tells the files of one merge, and of merges of the same offsets, apart. */
export const segmentFile = (
  kind: Segment['kind'],
  { first, last, part }: { first: number; last: number; part?: number },
): string => {
  const suffix = part === undefined ? '' : `-${part}`
  return `${kind}-${padOffset(first)}-${padOffset(last)}${suffix}.parquet`
}

const partOf = ({ file }: Segment): number => Number(/-\d+-\d+-(\d+)\./.exec(file)?.[1] ?? -1)

export class SegmentSet {
  #segments: readonly Segment[]
  readonly #readers = new Map<Segment, number>()
  readonly #dropped = new Set<Segment>()
  readonly #aside = new Set<Segment>()
  readonly #removeFile: (segment: Segment) => void
  #nextPart: number

  constructor(segments: readonly Segment[], removeFile: (segment: Segment) => void) {
    this.#segments = inOrder(segments)
    this.#nextPart = segments.reduce((most, one) => Math.max(most, partOf(one)), -1) + 1
    this.#removeFile = removeFile
  }

  /** Of all kinds. */
  all(): readonly Segment[] {
    return this.#segments
  }

  /** In the order of their writes. */
  list(kind: Segment['kind']): Segment[] {
    return this.#segments.filter((segment) => segment.kind === kind)
  }

  /** All that hold windows: of series, and of fleets. */
  rollups(): Segment[] {
    return this.#segments.filter(({ kind }) => kind !== 'readings')
  }

  /** For a file's name; none that is read still has the same. */
  nextPart(): number {
    return this.#nextPart++
  }

  /** Takes a damaged segment out of all answers; true when it counted until now. */
  setAside(segment: Segment): boolean {
    if (!this.#segments.includes(segment) || this.#aside.has(segment)) return false
    this.#aside.add(segment)
    return true
  }

  has(segment: Segment): boolean {
    return this.#segments.includes(segment)
  }

  /** By a segment that counts, or that is still read. */
  isNamed(file: string): boolean {
    return [...this.#segments, ...this.#dropped].some((one) => one.file === file)
  }

  isIntact(segment: Segment): boolean {
    return !this.#aside.has(segment)
  }

  get damagedCount(): number {
    return this.#aside.size
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Called right after the catalogue's transaction, in the same turn. */
  replace(removed: readonly Segment[], added: readonly Segment[]): void {
    this.#segments = inOrder([...this.#segments.filter((one) => !removed.includes(one)), ...added])
    for (const segment of removed) {
      if (this.#readers.has(segment)) this.#dropped.add(segment)
      else this.#removeFile(segment)
    }
  }

  /** Keeps the files until the returned function is called (once). */
  pin(segments: readonly Segment[]): () => void {
    for (const one of segments) this.#readers.set(one, (this.#readers.get(one) ?? 0) + 1)
    return () => segments.forEach((segment) => this.#release(segment))
  }

  #release(segment: Segment): void {
    const left = (this.#readers.get(segment) ?? 1) - 1
    if (left > 0) {
      this.#readers.set(segment, left)
      return
    }
    this.#readers.delete(segment)
    if (this.#dropped.delete(segment)) this.#removeFile(segment)
  }
}

/**
 * Of equal readings the first here counts. Cold files come first: all that there was of a series
 * and a period is moved at once, so that what is on this disk, or moved later, was written later.
 * The offsets of a cold file are those of all that was moved with it: only the last says when.
 */
const inOrder = (segments: readonly Segment[]): Segment[] =>
  segments.toSorted((a, b) => {
    if (a.isCold !== b.isCold) return a.isCold ? -1 : 1
    return a.isCold ? a.lastOffset - b.lastOffset : a.firstOffset - b.firstOffset
  })
