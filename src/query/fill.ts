/** What stands in steps that hold no reading. */
import { WeirError } from '../errors/errors.ts'
import type { Value } from './query.ts'
import type { StepGrid } from './step-grid.ts'

/** `none`: the step is left out. */
export const FILLS = ['none', 'null', 'zero', 'previous', 'linear'] as const
export type Fill = (typeof FILLS)[number]

type Points = [number, Value | null][]
/** Undefined: nothing stands there yet. A step with readings may have null, which stays. */
type Steps = [number, Value | null | undefined][]

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
  const all: Steps = []
  for (let step = from; step <= to; step++) all.push([grid.startUsOf(step), byStep.get(step)])
  if (fill === 'previous') takePrevious(all)
  if (fill === 'linear') interpolate(all)
  const rest = fill === 'zero' ? zeroOf(points) : null
  return all.map(([us, value]) => [us, value === undefined ? rest : value])
}

/** In the kind of the other values; texts have none. */
function zeroOf(points: Points): Value | null {
  const [, known] = points.find(([, value]) => value !== null) ?? []
  if (typeof known === 'string') return null
  return typeof known === 'boolean' ? false : 0
}

function takePrevious(steps: Steps): void {
  let previous: Value | null | undefined
  for (const step of steps) {
    if (step[1] === undefined) step[1] = previous
    previous = step[1] ?? previous
  }
}

/** Between two numbers; before the first and behind the last there is nothing to draw a line to. */
function interpolate(steps: Steps): void {
  let last: [number, number] | undefined
  let gap: Steps = []
  for (const step of steps) {
    const [us, value] = step
    if (value === undefined) gap.push(step)
    if (typeof value !== 'number') continue
    if (last !== undefined) {
      const slope = (value - last[1]) / (us - last[0])
      for (const missing of gap) missing[1] = last[1] + slope * (missing[0] - last[0])
    }
    last = [us, value]
    gap = []
  }
}
