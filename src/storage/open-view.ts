/** Opens a look at everything output so far; whoever has it calls its release(). */
import type { ReadingView } from '../query/query.ts'
import type { Clock } from '../world/world.ts'
import type { Catalogue } from './catalogue.ts'
import type { Generation } from './generation.ts'
import type { LateRanges } from './late-ranges.ts'
import { coveredByAny, type RollupCoverage } from './rollup-coverage.ts'
import type { Segment, SegmentSet } from './segment-set.ts'
import type { StorageOptions } from './storage-options.ts'
import { tiersNow } from './tiers.ts'
import { StorageView, type ViewParts } from './view.ts'

type Given = 'files' | 'checks' | 'directory' | 'tombstones' | 'recentFleets'

export interface OpenViewParts extends Pick<ViewParts, Given> {
  options: Pick<StorageOptions, 'aging'>
  clock: Clock
  segments: SegmentSet
  catalogue: Catalogue
  late: LateRanges
}

/** What of a look is not in files, and how much it may read. */
export type OpenViewLook = Pick<ViewParts, 'dirty' | 'completeness' | 'rowsMax' | 'signal'> & {
  generations: readonly Generation[]
  /** Of the stream's windows. */
  coverage: readonly RollupCoverage[]
}

export function openView(parts: OpenViewParts, look: OpenViewLook): ReadingView {
  const { segments, files, checks, catalogue, late, directory, tombstones } = parts
  const { recentFleets } = parts
  const readings = segments.list('readings')
  const { rollupsFromUs, summaries } = catalogue
  const { summedUp } = summaries
  const rollups = segments.rollups()
  const isIntact = (segment: Segment): boolean => segments.isIntact(segment)
  const pinned = segments.pin([...readings, ...rollups])
  const unpin = [pinned, ...look.generations.map((one) => one.pin())]
  return new StorageView({
    ...look,
    ...{ segments: readings, rollups: rollups.filter(isIntact), files, checks, isIntact },
    damagedRollups: rollups.filter((segment) => !isIntact(segment)),
    ...{ late: late.look(), recentFleets, directory, tombstones, summedUp, rollupsFromUs },
    coverage: coveredByAny(look.coverage, summedUp),
    ...tiersNow(parts.options, parts),
    release: () => unpin.forEach((one) => one()),
  })
}
