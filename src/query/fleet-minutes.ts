/**
 * What fleets (see FleetHours) had in minutes, as partials without sketches; those in memory have
 * no first and last values.
 */
import type { Span } from './query.ts'

export interface FleetMinutes {
  /** Where there may be some in files. Minutes without one are to be asked of the series. */
  span: Span
  /** Where those do not tell everything; in order and apart. */
  unsure(fleet: number): readonly Span[]
  read(fleets: readonly number[], span: Span, consume: (row: Float64Array) => void): Promise<void>
  /**
   * Of what came since. Returns what of the span they tell, in order and apart: nothing but in the
   * turn in which the look began.
   */
  recent(fleet: number, span: Span, consume: (row: Float64Array) => void): readonly Span[]
}
