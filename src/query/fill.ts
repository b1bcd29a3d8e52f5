/** What stands in steps that hold no reading. */
import { WeirError } from '../errors/errors.ts'
import type { Value } from './query.ts'
import type { StepGrid } from './step-grid.ts'

/** `none`: the step is left out. */
export const FILLS = ['none', 'null', 'zero', 'previous', 'linear'] as const
export type Fill = (typeof FILLS)[number]

type Points = [number, Value | null][]

/** `points` are `[µs, value]` in order. */
export function filled(
  points: Points,
  {
    fill,
    grid,
    startUs,
    endUs,
    pointsMax,
  }: { fill: Fill; grid: StepGrid; startUs: number; endUs: number; pointsMax: number },
): Points {
  if (fill === 'none' || startUs >= endUs) return points
  const byStep = new Map(points.map(([us, value]) => [grid.indexOf(us), value]))
  const [from, to] = [grid.indexOf(startUs), grid.indexOf(endUs - 1)]
  if (to - from + 1 > pointsMax) {
    const detail = `The answer has more than ${pointsMax} steps: narrow it or raise step`
    throw new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: pointsMax } })
  }
  const all: Points = []
  for (let step = from; step <= to; step++) {
    all.push([grid.startUsOf(step), byStep.get(step) ?? (fill === 'zero' ? 0 : null)])
  }
  if (fill === 'previous') takePrevious(all)
  if (fill === 'linear') interpolate(all)
  return all
}

function takePrevious(points: Points): void {
  let previous: Value | null = null
  for (const point of points) {
    previous = point[1] ?? previous
    point[1] = previous
  }
}

/** Between two numbers; before the first and behind the last there is nothing to draw a line to. */
function interpolate(points: Points): void {
  let last: [number, number] | undefined
  let gap: Points = []
  for (const point of points) {
    const [us, value] = point
    if (typeof value !== 'number') {
      gap.push(point)
      continue
    }
    if (last !== undefined) {
      const slope = (value - last[1]) / (us - last[0])
      for (const missing of gap) missing[1] = last[1] + slope * (missing[0] - last[0])
    }
    last = [us, value]
    gap = []
  }
}
