/**
 * What is done when a part of `state.bin` fails its checksum. All of it is derived, but from
 * entries that the log has forgotten, so:
 *
 *   latest values    read anew from the segments
 *   deduplication    every series gets a floor at its highest stored event time: what comes at or
 *                    below it is kept as unverified and resolved when it is read
 *   windows          those that were open, or could still get late readings, are dirty: computed
 *                    from the readings
 *   rules            start anew; whoever keeps the alerts ends those that are open, since nothing
 *                    else would. A condition that still holds fires again as a new episode
 *   detectors        start anew
 *   message ids      are forgotten: a repeat without a time may be stored twice
 */
import type { DirtyRange } from '../stream/stream.ts'
import { LastValues } from './last-values.ts'
import type { RollupCoverage } from './rollup-coverage.ts'
import type { SegmentFiles } from './segment-files.ts'
import type { Segment } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'

/** Of equal times the first write counts: segments are in the order of their offsets (T4). */
export async function rebuildLastValues(
  files: SegmentFiles,
  segments: readonly Segment[],
  directory: SeriesDirectory,
): Promise<LastValues> {
  const lastValues = new LastValues()
  const everything = [{ startUs: -Infinity, endUs: Infinity }]
  const wanted = directory.series().map(({ series }) => ({ series, spans: everything }))
  for (const segment of segments) {
    // What its bucket has frozen is older than what a stream remembers.
    const what = { wanted, isSorted: false, leaveOut: () => undefined }
    await files.readReadings([segment], what, (rows) => {
      for (let row = 0; row < rows.count; row++) {
        const timeUs = rows.timeUs[row]!
        const known = lastValues.get(rows.series[row]!)
        if (known !== undefined && timeUs <= known.timeUs) continue
        lastValues.set(rows.series[row]!, { timeUs, value: rows.value[row]! })
      }
    })
  }
  return lastValues
}

/** Windows whose partials are not final, for every series that has readings. */
export function openWindows(
  coverage: readonly RollupCoverage[],
  highestUs: Float64Array,
  allowedLatenessMs: number,
): DirtyRange[] {
  const known = [...highestUs.entries()].filter(([, timeUs]) => !Number.isNaN(timeUs))
  if (known.length === 0) return []
  const highest = known.reduce((most, [, timeUs]) => Math.max(most, timeUs), -Infinity)
  const toMs = Math.floor(highest / 1000) + 1
  // Nothing was emitted yet: all there is may lie in open windows.
  const ends = coverage.map(({ toMs: endMs, windowMs }) => endMs - windowMs - allowedLatenessMs)
  const fromMs = coverage.length === 0 ? 0 : Math.min(...ends)
  return known.map(([series]) => ({ series, fromMs, toMs }))
}
