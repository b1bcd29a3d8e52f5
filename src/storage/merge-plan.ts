/**
 * Which segments to merge: size-tiered, so that a reading is rewritten once per tier and a low-rate
 * instance keeps about `fanIn` files of each of a few sizes. Only neighbours in offset order merge,
 * so that a segment's place still says who wins (T4).
 */
import type { Segment } from './segment-set.ts'

export interface MergePolicy {
  /** Rows from which a segment is left alone. */
  targetRows: number
  /** Segments of one tier that become one of the next. */
  fanIn: number
  /** Those that are set aside merge with nobody, and nobody merges across them. */
  isIntact: (segment: Segment) => boolean
}

/** The run to merge next, the smallest tier first; empty when none is due. */
export function planMerge(segments: readonly Segment[], policy: MergePolicy): Segment[] {
  return dueRuns(segments, policy)[0] ?? []
}

/** Undersized segments that wait to be merged. */
export function mergeDebt(segments: readonly Segment[], policy: MergePolicy): number {
  return new Set(dueRuns(segments, policy).flat()).size
}

function dueRuns(segments: readonly Segment[], policy: MergePolicy): Segment[][] {
  const tierOf = ({ rows }: Segment): number =>
    Math.floor(Math.log(Math.max(1, rows)) / Math.log(policy.fanIn))
  const small = segments.filter(({ rows }) => rows < policy.targetRows)
  const tiers = [...new Set(small.map(tierOf))].toSorted((a, b) => a - b)
  return tiers.flatMap((tier) => {
    const isIn = (segment: Segment): boolean =>
      policy.isIntact(segment) && segment.rows < policy.targetRows && tierOf(segment) <= tier
    return runsOf(segments, isIn)
      .filter((run) => run.filter((segment) => tierOf(segment) === tier).length >= policy.fanIn)
      .map((run) => cutAtTarget(run, policy.targetRows))
  })
}

/** Longest runs of neighbours that satisfy the condition. */
function runsOf(segments: readonly Segment[], isIn: (segment: Segment) => boolean): Segment[][] {
  const runs: Segment[][] = [[]]
  for (const segment of segments) {
    if (isIn(segment)) runs.at(-1)!.push(segment)
    else if (runs.at(-1)!.length > 0) runs.push([])
  }
  return runs.filter((run) => run.length > 1)
}

/** The oldest of the run, until they reach the target. */
function cutAtTarget(run: readonly Segment[], targetRows: number): Segment[] {
  const cut: Segment[] = []
  let rows = 0
  for (const segment of run) {
    if (rows >= targetRows) break
    cut.push(segment)
    rows += segment.rows
  }
  return cut
}
