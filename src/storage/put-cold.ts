/** A file of the object store, from its rows to what the catalogue needs to count it. */
import type { Clock } from '../world/world.ts'
import type { Catalogue } from './catalogue.ts'
import type { ColdFiles, ColdReadings } from './cold-files.ts'
import type { ColdRuns, ColdSegment } from './cold-tables.ts'
import { segmentFile, type Segment, type SegmentSet } from './segment-set.ts'
import { Turns, type Pace } from './turns.ts'

export interface PutColdParts {
  catalogue: Catalogue
  segments: SegmentSet
  cold: ColdFiles
  clock: Clock
  pace: Pace
}

type Label = Pick<Segment, 'firstOffset' | 'lastOffset' | 'hasUnverified'>

/**
 * Names the file in the catalogue, then puts it: what a crash leaves there is found by the name. It
 * counts by the caller's transaction. Errors: OBJECTS_UNAVAILABLE, OBJECTS_REFUSED.
 */
export async function putCold(
  { catalogue, segments, cold, clock, pace }: PutColdParts,
  readings: ColdReadings,
  { folder, label }: { folder: string; label: Label },
): Promise<{ segment: ColdSegment; runs: ColdRuns }> {
  const { firstOffset: first, lastOffset: last } = label
  const name = segmentFile('readings', { first, last, part: segments.nextPart() })
  const file = `${folder}/${name}`
  catalogue.coldMayBeThere(file)
  const turns = new Turns(clock, pace)
  const { written, runs } = await cold.put(file, readings, () => turns.yield())
  const segment: ColdSegment = { kind: 'readings', file, ...label, ...written, isCold: true }
  await cold.putManifest(segment, runs)
  return { segment, runs }
}
