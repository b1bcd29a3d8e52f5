/** Segments as Parquet, written and read by the one DuckDB of the process. */
import type { World } from '../world/world.ts'
import { Duck, type DuckOptions } from './duck.ts'
import { SegmentReader } from './segment-reader.ts'
import { SegmentWriter } from './segment-writer.ts'
import type { SegmentFiles } from './segment-files.ts'

export async function openParquetFiles(
  folder: string,
  world: Pick<World, 'disk' | 'clock'>,
  options: DuckOptions,
): Promise<SegmentFiles> {
  const duck = await Duck.open(options)
  const writer = new SegmentWriter({ folder, duck, ...world })
  const reader = new SegmentReader(folder, duck)
  return {
    writeReadings: (file, sorted) => writer.writeReadings(file, sorted),
    writePartials: (file, rows, offset) => writer.writePartials(file, rows, offset),
    mergeReadings: (file, run) => writer.mergeReadings(file, run),
    mergeRollups: (file, run) => writer.mergeRollups(file, run),
    readReadings: (segments, what, consume) => reader.readReadings(segments, what, consume),
    readPartials: (segments, what, consume) => reader.readPartials(segments, what, consume),
    abandon: () => duck.abandon(),
    close: () => duck.close(),
  }
}
