/** Segments as Parquet: readings written and read by ourselves, rollups by the one DuckDB. */
import type { World } from '../world/world.ts'
import { Duck, type DuckOptions } from './duck.ts'
import { OldReadings } from './old-readings.ts'
import { ReadingFiles } from './reading-files.ts'
import { RollupFiles } from './rollup-files.ts'
import type { ColdReader, SegmentFiles } from './segment-files.ts'
import type { Pace } from './turns.ts'

export async function openParquetFiles(
  folder: string,
  world: Pick<World, 'disk' | 'clock'> & { pace: Pace },
  { options, cold }: { options: DuckOptions; cold: ColdReader },
): Promise<SegmentFiles> {
  const duck = await Duck.open(options)
  const readings = new ReadingFiles({
    ...{ folder, ...world, concurrency: options.concurrency },
    ...{ old: new OldReadings(folder, duck), cold },
    throwIfAbandoned: () => duck.throwIfAbandoned(),
  })
  const rollups = new RollupFiles({ folder, duck, ...world })
  return {
    writeReadings: (file, sorted) => readings.write(file, sorted),
    writePartials: (file, rows, also) => rollups.write(file, rows, also),
    mergeReadings: (file, run, box) => readings.merge(file, run, box),
    mergeRollups: (file, run, box) => rollups.merge(file, run, box),
    readReadings: (segments, what, consume) => readings.read(segments, what, consume),
    seriesOf: (segment) => readings.seriesOf(segment),
    readPartials: (segments, what, consume) => rollups.read(segments, what, consume),
    abandon: () => duck.abandon(),
    close: () => duck.close(),
  }
}
