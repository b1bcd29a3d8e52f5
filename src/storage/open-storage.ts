/**
 * Puts the embedded store together: opens the folder, clears what never counted, loads what does.
 */
import type { Query, ReadingScan } from '../query/query.ts'
import type { Disk, World } from '../world/world.ts'
import { Catalogue } from './catalogue.ts'
import { Committer } from './committer.ts'
import type { DuckOptions } from './duck.ts'
import { EmbeddedStorage, type StorageParts } from './embedded-storage.ts'
import { rebuildLastValues } from './lost-state.ts'
import { Merger } from './merger.ts'
import { openParquetFiles } from './parquet-files.ts'
import { Scrubber } from './scrubber.ts'
import { SegmentChecks } from './segment-checks.ts'
import type { SegmentFiles } from './segment-files.ts'
import { SegmentSet, type Segment } from './segment-set.ts'
import { SeriesDirectory } from './series-directory.ts'
import { STORAGE_DEFAULTS, type StorageOptions } from './storage-options.ts'
import { StateFile } from './state-file.ts'
import { loadLastValues } from './state-loader.ts'
import type { Storage } from './storage.ts'
import { strayFiles } from './stray-files.ts'
import { Pace, Turns } from './turns.ts'

/** Opens or creates a folder. Errors: DATA_FORMAT_NEWER, DATA_FILE_DAMAGED. */
export async function openStorage({
  folder,
  world,
  options,
  adapters,
}: {
  folder: string
  world: Pick<World, 'disk' | 'clock'>
  options?: Partial<StorageOptions>
  /** Instead of Parquet on the real disk and SQLite in the folder. */
  adapters?: { files: SegmentFiles; catalogue: Catalogue }
}): Promise<Storage & Query & ReadingScan> {
  const settings = { ...STORAGE_DEFAULTS, ...options }
  const { disk, clock } = world
  const segmentsFolder = `${folder}/segments`
  await disk.makeFolder(segmentsFolder)
  await disk.makeFolder(`${folder}/spill`)
  const stray = await disk.list(segmentsFolder)
  const mustExist = stray.some((file) => file.endsWith('.parquet'))
  const catalogue = adapters?.catalogue ?? Catalogue.open(`${folder}/catalogue.db`, { mustExist })
  catalogue.events.onDamage = settings.listener.eventDamaged
  const stateFile = await StateFile.open(disk, `${folder}/state.bin`)
  await disk.syncFolder(folder)
  const known = catalogue.segments()
  for (const file of stray.filter((one) => one.endsWith('.tmp'))) {
    await disk.remove(`${segmentsFolder}/${file}`)
  }
  await clearSpill(disk, `${folder}/spill`)
  const pace = new Pace()
  const files =
    adapters?.files ??
    (await openParquetFiles(segmentsFolder, { disk, clock, pace }, duckOptions(folder, settings)))
  // A file that stays behind is swept at the next start.
  const segments = new SegmentSet(known, (file) => {
    disk.remove(`${segmentsFolder}/${file}`).catch(() => undefined)
  })
  const { listener } = settings
  const checks = new SegmentChecks({
    ...{ folder: segmentsFolder, disk, catalogue, segments },
    damaged: listener.segmentDamaged,
  })
  const turns = new Turns(clock, pace)
  const directory = new SeriesDirectory()
  directory.add(catalogue.definitions())
  const committer = new Committer({ catalogue, files, stateFile, turns, clock })
  const isIntact = (segment: Segment): boolean => segments.isIntact(segment)
  const saved = await loadLastValues(committer, stateFile)
  if (saved === undefined) await checks.ensure(segments.list('readings'))
  const parts: StorageParts = {
    ...{ options: settings, files, catalogue, stateFile, segments, directory },
    ...{ committer, checks, pace, clock },
    merger: new Merger({
      ...{ catalogue, segments, files, checks, clock },
      policy: { segmentRows: settings.segmentRows, fanIn: settings.mergeFanIn, isIntact },
      onFailure: listener.mergeFailed,
    }),
    scrubber: new Scrubber({ clock, segments, checks, pace: settings.scrub }),
    lastValues:
      saved ??
      (await rebuildLastValues(files, segments.list('readings').filter(isIntact), directory)),
    sweep: strayFiles({ disk, folder: segmentsFolder, files: stray, segments }),
  }
  return new EmbeddedStorage(parts)
}

/** What DuckDB had not room for in a process before this one. */
async function clearSpill(disk: Disk, folder: string): Promise<void> {
  for (const file of await disk.list(folder)) await disk.remove(`${folder}/${file}`)
}

const duckOptions = (folder: string, settings: StorageOptions): DuckOptions => ({
  threads: settings.threads,
  memoryBytes: settings.memoryBytes,
  concurrency: settings.queryConcurrency,
  temporaryFolder: `${folder}/spill`,
})
