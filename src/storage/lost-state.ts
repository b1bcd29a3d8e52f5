/**
 * What is done when a part of `state.bin` fails its checksum. All of it is derived, but from
 * entries that the log has forgotten, so:
 *
 *   latest values    read anew from the segments
 *   deduplication    every series gets a floor at its highest stored event time: what comes at or
 *                    below it is kept as unverified and resolved when it is read
 *   windows          those that were open, or could still get late readings, are dirty: computed
 *                    from the readings
 *   rules            start anew; episodes that were open end, since nothing else would end them.
 *                    A condition that still holds fires again as a new episode
 *   detectors        start anew
 *   message ids      are forgotten: a repeat without a time may be stored twice
 */
import type { DirtyRange } from '../stream/stream.ts'
import type { Duck } from './duck.ts'
import { columnItems, quote } from './duck.ts'
import { LastValues } from './last-values.ts'
import type { RollupCoverage } from './rollup-coverage.ts'
import type { Segment } from './segment-set.ts'

/** Of equal times the first write counts: file names sort as offsets do (T4). */
export async function rebuildLastValues(
  duck: Duck,
  folder: string,
  segments: readonly Segment[],
): Promise<LastValues> {
  const lastValues = new LastValues()
  if (segments.length === 0) return lastValues
  const files = segments.map(({ file }) => quote(`${folder}/${file}`)).join()
  const sql = `SELECT DISTINCT ON (series) series, CAST(time AS DOUBLE), value
    FROM read_parquet([${files}], filename = true) ORDER BY series, time DESC, filename`
  await duck.read(sql, (chunk) => {
    const series = columnItems<Int32Array>(chunk, 0)
    const timeUs = columnItems<Float64Array>(chunk, 1)
    const value = columnItems<Float64Array>(chunk, 2)
    for (let row = 0; row < chunk.rowCount; row++) {
      lastValues.set(series[row]!, { timeUs: timeUs[row]!, value: value[row]! })
    }
  })
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
