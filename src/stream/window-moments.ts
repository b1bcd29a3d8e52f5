/** What rules ask of a window: running in a device's cells, or closed in a partial. */
import type { Aggregate } from '../pipeline/pipeline.ts'

/** A window's moments; `squares` are centred. */
export interface Moments {
  count: number
  sum: number
  mean: number
  squares: number
  min: number
  max: number
  first: number
  firstUs: number
  last: number
  lastUs: number
}

/** NaN where the window has too few readings for it. */
export function aggregateOf(of: Aggregate, moments: Moments): number {
  switch (of) {
    case 'avg':
      return moments.mean
    case 'stddev':
      return moments.count < 2 ? NaN : Math.sqrt(moments.squares / (moments.count - 1))
    case 'rate': {
      const passedUs = moments.lastUs - moments.firstUs
      return passedUs > 0 ? (moments.last - moments.first) / (passedUs / 1e6) : NaN
    }
    default:
      return moments[of]
  }
}
