/** Which tier a segment is of, and from when on a series' readings are kept: by the time it is. */
import type { Clock } from '../world/world.ts'
import type { Ages } from './aging-plan.ts'
import type { Catalogue } from './catalogue.ts'
import type { Segment } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import type { AgingOptions } from './storage-options.ts'

export interface Tiers {
  tierOf: (segment: Segment) => 'hot' | 'warm' | 'cold'
  /** µs. What is older is no longer shown, whether it is gone or not. */
  keptFromUs: (series: number) => number
}

/** Without ages all readings are hot, and kept. */
export function tiersNow(
  { aging }: { aging: AgingOptions | undefined },
  {
    clock,
    catalogue,
    directory,
  }: { clock: Clock; catalogue: Catalogue; directory: SeriesDirectory },
): Tiers {
  const nowUs = clock.nowUs()
  const exportedUs = aging?.isExportedFirst === true ? catalogue.exportedBeforeUs : Infinity
  const agesOf = (series: number): Ages | undefined => {
    const definition = directory.get(series)
    return definition === undefined ? undefined : aging?.agesOf(definition)
  }
  return {
    keptFromUs: (series) => Math.min(nowUs - (agesOf(series)?.coldUs ?? Infinity), exportedUs),
    tierOf({ isCold, minSeries, maxTimeUs }) {
      if (isCold) return 'cold'
      return nowUs - maxTimeUs < (agesOf(minSeries)?.hotUs ?? Infinity) ? 'hot' : 'warm'
    },
  }
}
