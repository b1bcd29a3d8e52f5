/**
 * The months of a question of which the lake has readings. What comes late into such a month is in
 * PostgreSQL until it is moved behind the rest; so is a whole month for the moment between its
 * files' counting and its rows' going. So both places are asked, and an identity that both have is
 * answered once, as the lake has it: that was there first.
 */
import { WeirError } from '../errors/errors.ts'
import { clipSpans, type Span } from '../query/query.ts'
import type { ColdFiles } from './cold-files.ts'
import type { ColdRun } from './cold-tables.ts'
import { monthStartMs } from './month-partitions.ts'
import type { Stretch } from './reading-pages.ts'
import type { Month } from './time-tables.ts'

/** Files that one question reads at once: each is two requests. */
const FILES_AT_ONCE = 8

/** Rows of one series in the order of their times, each time once. */
export interface SeriesRows {
  timeUs: Float64Array
  value: Float64Array
}

/** One series' readings of one month that the lake has. */
export interface ColdPart {
  series: number
  spans: readonly Span[]
  /** In the order in which they count. */
  runs: readonly ColdRun[]
}

export const monthSpan = (month: Month): Span => ({
  startUs: monthStartMs(month) * 1000,
  endUs: monthStartMs(month + 1) * 1000,
})

/**
 * The months of a series that are partly in the lake, as far as they are in the spans, and what is
 * before and between them, so that all parts together are in the order of their times.
 */
export function coldParts(
  series: number,
  spans: readonly Span[],
  runs: readonly ColdRun[],
): { parts: ColdPart[]; fromUs: number } {
  const parts: ColdPart[] = []
  let fromUs = -Infinity
  const byMonth = [...Map.groupBy(runs, ({ file }) => file.month)].toSorted(([a], [b]) => a - b)
  for (const [month, own] of byMonth) {
    const span = monthSpan(month)
    const wanted = clipSpans(span, spans)
    const isWanted = ({ minUs, maxUs }: ColdRun): boolean =>
      wanted.some(({ startUs, endUs }) => minUs < endUs && startUs <= maxUs)
    const read = own.filter(isWanted)
    if (read.length === 0) continue
    const before = clipSpans({ startUs: fromUs, endUs: span.startUs }, spans)
    if (before.length > 0) parts.push({ series, spans: before, runs: [] })
    parts.push({ series, spans: wanted, runs: read })
    fromUs = span.endUs
  }
  return { parts, fromUs }
}

export const stretchesOf = ({ series, spans }: Omit<ColdPart, 'runs'>): Stretch[] =>
  spans.map(({ startUs, endUs }) => ({
    ...{ series, startUs: Math.ceil(startUs), endUs: Math.ceil(endUs) },
  }))

export interface ReadPart {
  part: ColdPart
  /** Of each of its runs; undefined where the file is damaged. */
  read: (SeriesRows | undefined)[]
}

/**
 * Each part's rows in the lake, in the order of the parts, some ahead. `textId` makes numbers of
 * texts. Errors: those of ColdFiles but DATA_FILE_DAMAGED.
 */
export async function* readColdParts(
  files: ColdFiles,
  parts: readonly ColdPart[],
  { isText, textId }: { isText: (series: number) => boolean; textId: (text: string) => number },
): AsyncGenerator<ReadPart> {
  const readRun = async (run: ColdRun, spans: readonly Span[]): Promise<SeriesRows | undefined> => {
    const withTexts = isText(run.series)
    try {
      const span = { startUs: spans[0]!.startUs, endUs: spans.at(-1)!.endUs }
      const { timeUs, value, texts } = await files.rows(run, withTexts, span)
      const rows = within({ timeUs, value }, spans)
      if (!withTexts) return rows
      return { ...rows, value: rows.value.map((place) => textId(texts[place]!)) }
    } catch (error) {
      if ((error as WeirError).code === 'DATA_FILE_DAMAGED') return undefined
      throw error
    }
  }
  const underWay: Promise<ReadPart>[] = []
  let next = 0
  try {
    while (next < parts.length || underWay.length > 0) {
      while (next < parts.length && underWay.length < FILES_AT_ONCE) {
        const part = parts[next++]!
        const reading = Promise.all(part.runs.map((run) => readRun(run, part.spans)))
        underWay.push(reading.then((read) => ({ part, read })))
      }
      yield await underWay.shift()!
    }
  } finally {
    await Promise.allSettled(underWay)
  }
}

/** Rows of a series that are in one of the spans, which are in order. */
function within({ timeUs, value }: SeriesRows, spans: readonly Span[]): SeriesRows {
  const cuts = spans.map(({ startUs, endUs }) => [
    lowerBound(timeUs, startUs),
    lowerBound(timeUs, endUs),
  ])
  const count = cuts.reduce((sum, [from, to]) => sum + to! - from!, 0)
  const joined = (column: Float64Array): Float64Array => {
    const rows = new Float64Array(count)
    let at = 0
    for (const [from, to] of cuts) {
      rows.set(column.subarray(from, to), at)
      at += to! - from!
    }
    return rows
  }
  return { timeUs: joined(timeUs), value: joined(value) }
}

/** The first row at or behind the time. */
function lowerBound(timeUs: Float64Array, wantedUs: number): number {
  let [from, to] = [0, timeUs.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if (timeUs[middle]! < wantedUs) from = middle + 1
    else to = middle
  }
  return from
}

/** What of `rows` no row of `before` has. Both are in the order of their times. */
export function withoutRepeats(rows: SeriesRows, before: Float64Array): SeriesRows {
  const { timeUs, value } = rows
  if (before.length === 0 || timeUs.length === 0) return rows
  const kept: number[] = []
  for (let row = 0, at = 0; row < timeUs.length; row++) {
    while (at < before.length && before[at]! < timeUs[row]!) at++
    if (before[at] !== timeUs[row]) kept.push(row)
  }
  if (kept.length === timeUs.length) return rows
  return {
    timeUs: Float64Array.from(kept, (row) => timeUs[row]!),
    value: Float64Array.from(kept, (row) => value[row]!),
  }
}

/** Of several, each in the order of its times: each time once, the first of them counts. */
export function mergeRows(all: readonly SeriesRows[]): SeriesRows {
  let [merged, ...others] = all
  merged ??= { timeUs: new Float64Array(0), value: new Float64Array(0) }
  for (const one of others) merged = mergeTwo(merged, withoutRepeats(one, merged.timeUs))
  return merged
}

/** They have no time in common. */
function mergeTwo(one: SeriesRows, other: SeriesRows): SeriesRows {
  if (one.timeUs.length === 0) return other
  if (other.timeUs.length === 0) return one
  const count = one.timeUs.length + other.timeUs.length
  const merged = { timeUs: new Float64Array(count), value: new Float64Array(count) }
  let [a, b] = [0, 0]
  for (let row = 0; row < count; row++) {
    const isOne =
      b >= other.timeUs.length || (a < one.timeUs.length && one.timeUs[a]! < other.timeUs[b]!)
    const [from, at] = isOne ? [one, a++] : [other, b++]
    merged.timeUs[row] = from.timeUs[at]!
    merged.value[row] = from.value[at]!
  }
  return merged
}
