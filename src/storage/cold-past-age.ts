/** Files of the object store of which no series is to be kept any longer. */
import type { Clock } from '../world/world.ts'
import type { AgingPolicy } from './ager.ts'
import { planExpiry } from './aging-plan.ts'
import type { ColdFiles } from './cold-files.ts'
import type { Segment, SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'

export interface PastAgeParts {
  policy: Pick<AgingPolicy, 'agesOf'>
  segments: SegmentSet
  directory: SeriesDirectory
  cold: ColdFiles
  clock: Clock
}

export function coldPastAge({ policy, segments, directory, cold, clock }: PastAgeParts): Segment[] {
  const ages = new Map(directory.series().map((one) => [one.series, policy.agesOf(one)]))
  return planExpiry(segments.list('readings'), {
    nowUs: clock.nowUs(),
    seriesOf: (segment) => cold.seriesOf(segment),
    coldUs: (series) => ages.get(series)?.coldUs ?? Infinity,
  })
}
