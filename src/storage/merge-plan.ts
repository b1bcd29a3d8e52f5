/**
 * Which segments to merge, and how what comes of it is cut.
 *
 * What one commit or merge wrote of one period is a *layer*: some segments of the same offsets,
 * apart by their series. In the period that is not over, layers are merged by their size, so that a
 * reading is rewritten once per size, and an instance of low rate keeps about `fanIn` layers of
 * each of a few sizes. When a period is over, its layers become one; what is late then is again
 * merged by its size, and with the one when that grows by an eighth.
 *
 * Of two readings of one identity the lower offset wins (T4), which nothing but a segment's offsets
 * can tell. So a merge takes all segments that lie between its own: of its outputs none has rows of
 * a period and series on both sides of another segment's.
 */
import { isClosed, periodOf, periodsBetween } from './periods.ts'
import { ANYWHERE, overlaps, type Box, type Segment } from './segment-set.ts'

export interface MergePolicy {
  nowUs: number
  /** About so many rows go into a file, where there are more. */
  segmentRows: number
  /** Layers of one size that become one of the next. */
  fanIn: number
  /** Those that are set aside merge with nobody, and nobody merges across them. */
  isIntact: (segment: Segment) => boolean
}

export interface MergeOutput {
  box: Box
  firstOffset: number
  lastOffset: number
  /** In the order of their offsets. */
  sources: Segment[]
  /** No other segment may hold an identity of it. */
  isWhole: boolean
}

export interface Merge {
  sources: Segment[]
  outputs: MergeOutput[]
}

/** Layers that one merge reads at once: each takes some megabytes. */
const LAYERS_MAX = 64
/** A layer of so many full files is left alone while its period goes on. */
const OPEN_FILES_MAX = 8
/** What is late is merged with the rest of its period from this share on. */
const LATE_SHARE = 1 / 8

/** The merge to make next; undefined when none is due. `segments` are readings. */
export function planMerge(segments: readonly Segment[], policy: MergePolicy): Merge | undefined {
  return dueMerges(segments, policy).next().value ?? undefined
}

/** Segments that wait to be merged. */
export function mergeDebt(segments: readonly Segment[], policy: MergePolicy): number {
  const sources = [...dueMerges(segments, policy)].flatMap((merge) => merge.sources)
  return new Set(sources).size
}

function* dueMerges(segments: readonly Segment[], policy: MergePolicy): Generator<Merge, void> {
  for (const sources of dueSources(segments, policy)) {
    const merge = completeMerge(sources, segments, policy)
    if (merge !== undefined) yield merge
  }
}

/** The smallest and youngest first: they are many soon. */
function* dueSources(segments: readonly Segment[], policy: MergePolicy): Generator<Segment[]> {
  for (const intact of intactStretches(segments, policy)) {
    const { open, closed, crossing } = byPeriod(intact, policy)
    const rowsMax = policy.segmentRows * OPEN_FILES_MAX
    const isIn = ({ rows }: Layer): boolean => rows < rowsMax
    for (const run of dueRuns(layersOf(open), { ...policy, isIn })) {
      yield segmentsOf(cutAtTarget(run, rowsMax))
    }
    for (const one of crossing) yield [one]
    for (const own of closed) {
      const due = dueLayers(layersOf(own), policy)
      if (due.length > 1) yield segmentsOf(due.slice(0, LAYERS_MAX))
    }
  }
}

/** Longest stretches of intact segments, in the order of their offsets. */
function intactStretches(segments: readonly Segment[], policy: MergePolicy): Segment[][] {
  const damaged = segments.filter((segment) => !policy.isIntact(segment) && !segment.isCold)
  const stretchOf = (segment: Segment): number =>
    damaged.filter(({ firstOffset }) => firstOffset <= segment.firstOffset).length
  const intact = segments.filter((segment) => policy.isIntact(segment) && !segment.isCold)
  return [...Map.groupBy(intact, stretchOf).values()]
}

function byPeriod(
  segments: readonly Segment[],
  { nowUs }: MergePolicy,
): { open: Segment[]; crossing: Segment[]; closed: Segment[][] } {
  const open: Segment[] = []
  const crossing: Segment[] = []
  const closed = new Map<number, Segment[]>()
  for (const segment of segments) {
    const period = periodOf(segment.maxTimeUs, nowUs)
    if (!isClosed(period, nowUs)) open.push(segment)
    else if (segment.minTimeUs < period.startUs) crossing.push(segment)
    else closed.set(period.startUs, [...(closed.get(period.startUs) ?? []), segment])
  }
  return { open, crossing, closed: [...closed.values()] }
}

/** What was written at once, in the order of its offsets. */
interface Layer {
  rows: number
  segments: Segment[]
}

function layersOf(segments: readonly Segment[]): Layer[] {
  const offsets = ({ firstOffset, lastOffset }: Segment): string => `${firstOffset}-${lastOffset}`
  return [...Map.groupBy(segments, offsets).values()].map((own) => ({
    segments: own,
    rows: own.reduce((sum, { rows }) => sum + rows, 0),
  }))
}

const segmentsOf = (layers: readonly Layer[]): Segment[] => layers.flatMap((one) => one.segments)

/** All layers of a closed period, or those that are many of one size. */
function dueLayers(layers: readonly Layer[], policy: MergePolicy): readonly Layer[] {
  const rows = layers.reduce((sum, layer) => sum + layer.rows, 0)
  const largest = layers.reduce((most, layer) => Math.max(most, layer.rows), 0)
  const bySize = dueRuns(layers, { ...policy, isIn: () => true })
  const isDue = rows - largest >= largest * LATE_SHARE
  if (isDue && (layers.length <= LAYERS_MAX || bySize.length === 0)) return layers
  return bySize[0] ?? []
}

/** Runs of neighbours with at least `fanIn` of one size, the smallest size first. */
function dueRuns(
  layers: readonly Layer[],
  { fanIn, isIn }: { fanIn: number; isIn: (layer: Layer) => boolean },
): Layer[][] {
  const sizeOf = ({ rows }: Layer): number =>
    Math.floor(Math.log(Math.max(1, rows)) / Math.log(fanIn))
  const sizes = [...new Set(layers.filter(isIn).map(sizeOf))].toSorted((a, b) => a - b)
  return sizes.flatMap((size) =>
    runsOf(layers, (layer) => isIn(layer) && sizeOf(layer) <= size).filter(
      (run) => run.filter((layer) => sizeOf(layer) === size).length >= fanIn,
    ),
  )
}

/** Longest runs of neighbours that satisfy the condition. */
function runsOf(layers: readonly Layer[], isIn: (layer: Layer) => boolean): Layer[][] {
  const runs: Layer[][] = [[]]
  for (const layer of layers) {
    if (isIn(layer)) runs.at(-1)!.push(layer)
    else if (runs.at(-1)!.length > 0) runs.push([])
  }
  return runs.filter((run) => run.length > 1)
}

/** The oldest of the run, until they reach the target. */
function cutAtTarget(run: readonly Layer[], rowsMax: number): Layer[] {
  const cut: Layer[] = []
  let rows = 0
  for (const layer of run) {
    if (rows >= rowsMax || cut.length === LAYERS_MAX) break
    cut.push(layer)
    rows += layer.rows
  }
  return cut
}

/** With what lies between the sources; undefined when that is damaged or too much. */
function completeMerge(
  due: readonly Segment[],
  segments: readonly Segment[],
  policy: MergePolicy,
): Merge | undefined {
  let sources = inOrder(due)
  for (;;) {
    const outputs = outputsOf(sources, policy)
    // What is cold was written before all that is here: it comes first whatever is merged.
    const between = segments.filter(
      (one) =>
        !one.isCold && !sources.includes(one) && outputs.some((output) => liesBetween(one, output)),
    )
    if (between.length === 0) return { sources, outputs: withWholeness(outputs, segments, sources) }
    sources = inOrder([...sources, ...between])
    const isPossible = between.every((one) => policy.isIntact(one))
    if (!isPossible || sources.length > due.length + LAYERS_MAX) return undefined
  }
}

const inOrder = (segments: readonly Segment[]): Segment[] =>
  segments.toSorted((a, b) => a.firstOffset - b.firstOffset)

const liesBetween = (segment: Segment, { box, firstOffset, lastOffset }: MergeOutput): boolean =>
  segment.lastOffset >= firstOffset && segment.firstOffset <= lastOffset && overlaps(segment, box)

/** One or more of each period that the sources have rows in. */
function outputsOf(sources: readonly Segment[], { nowUs, segmentRows }: MergePolicy) {
  const firstUs = sources.reduce((least, one) => Math.min(least, one.minTimeUs), Infinity)
  const lastUs = sources.reduce((most, one) => Math.max(most, one.maxTimeUs), -Infinity)
  return periodsBetween(firstUs, lastUs, nowUs).flatMap((period): MergeOutput[] => {
    const own = sources.filter((source) => overlaps(source, { ...ANYWHERE, ...period }))
    if (own.length === 0) return []
    const firstOffset = own.reduce((least, one) => Math.min(least, one.firstOffset), Infinity)
    const lastOffset = own.reduce((most, one) => Math.max(most, one.lastOffset), -Infinity)
    return rangesOf(own, segmentRows).map(({ minSeries, maxSeries }) => {
      const box = { ...period, minSeries, maxSeries }
      const inBox = own.filter((source) => overlaps(source, box))
      return { box, firstOffset, lastOffset, sources: inBox, isWhole: false }
    })
  })
}

/**
 * Ranges of series with about `segmentRows` rows each. Their width is a power of two, so that those
 * of different days lie upon each other.
 */
function rangesOf(sources: readonly Segment[], segmentRows: number) {
  const rows = sources.reduce((sum, one) => sum + one.rows, 0)
  const minSeries = sources.reduce((least, one) => Math.min(least, one.minSeries), Infinity)
  const maxSeries = sources.reduce((most, one) => Math.max(most, one.maxSeries), 0)
  if (rows <= segmentRows * 2) return [{ minSeries, maxSeries }]
  const ideal = (maxSeries + 1 - minSeries) / (rows / segmentRows)
  const width = 2 ** Math.max(0, Math.floor(Math.log2(ideal)))
  const ranges = []
  for (let from = Math.floor(minSeries / width) * width; from <= maxSeries; from += width) {
    ranges.push({
      minSeries: Math.max(from, minSeries),
      maxSeries: Math.min(from + width - 1, maxSeries),
    })
  }
  return ranges
}

function withWholeness(
  outputs: readonly MergeOutput[],
  segments: readonly Segment[],
  sources: readonly Segment[],
): MergeOutput[] {
  const others = segments.filter((one) => !sources.includes(one))
  return outputs.map((output) => ({
    ...output,
    isWhole: !others.some((one) => overlaps(one, output.box)),
  }))
}
