/**
 * Puts the embedded store together: opens the folder, clears what never counted, loads what does.
 */
import type { Disk, World } from '../world/world.ts'
import { Ager, hotUsOf } from './ager.ts'
import { WeirError } from '../errors/errors.ts'
import { Catalogue } from './catalogue.ts'
import { ColdFiles } from './cold-files.ts'
import { coldPastAge, type PastAgeParts } from './cold-past-age.ts'
import { Committer } from './committer.ts'
import { DEFINITION_FILE, DefinitionFile } from './definition-file.ts'
import type { DuckOptions } from './duck.ts'
import { EmbeddedStorage, type StorageParts } from './embedded-storage.ts'
import { rebuildLastValues } from './lost-state.ts'
import { Eraser, type EraserParts } from './eraser.ts'
import { FrozenRanges } from './frozen-ranges.ts'
import { Merger } from './merger.ts'
import { openParquetFiles } from './parquet-files.ts'
import { LateRanges } from './late-ranges.ts'
import { RecentFleets } from './recent-fleets.ts'
import { RollupCoverages } from './rollup-coverage.ts'
import { Scrubber } from './scrubber.ts'
import { SegmentChecks } from './segment-checks.ts'
import { NO_COLD_FILES, type ColdReader, type SegmentFiles } from './segment-files.ts'
import { SegmentSet, type Segment } from './segment-set.ts'
import { SeriesDirectory } from './series-directory.ts'
import { STORAGE_DEFAULTS, type StorageOptions } from './storage-options.ts'
import { StateFile } from './state-file.ts'
import { Steadiness } from './steadiness.ts'
import { loadLastValues } from './state-loader.ts'
import { strayFiles } from './stray-files.ts'
import { Summariser, type SummariserParts } from './summariser.ts'
import { Tombstones } from './tombstones.ts'
import { Pace, Turns } from './turns.ts'

interface OpenParts {
  folder: string
  world: Pick<World, 'disk' | 'clock'>
  options?: Partial<StorageOptions>
  /** Instead of Parquet on the real disk and SQLite in the folder. */
  adapters?: { files: (cold: ColdReader) => SegmentFiles; catalogue: Catalogue }
}

/** Opens or creates a folder. Errors: DATA_FORMAT_NEWER, DATA_FILE_DAMAGED. */
export async function openStorage(parts: OpenParts): Promise<EmbeddedStorage> {
  try {
    return await open(parts)
  } catch (error) {
    const { code, message } = error as WeirError
    const isCatalogue = code === 'DATA_FILE_DAMAGED' && message.startsWith(`${parts.folder}/cata`)
    if (!isCatalogue) throw error
    throw new WeirError(code, `${message}; weir storage repair makes it again`, { cause: error })
  }
}

async function open({ folder, world, options, adapters }: OpenParts): Promise<EmbeddedStorage> {
  const settings = { ...STORAGE_DEFAULTS, ...options }
  const { disk, clock } = world
  const segmentsFolder = `${folder}/segments`
  await disk.makeFolder(segmentsFolder)
  await disk.makeFolder(`${folder}/spill`)
  const stray = await disk.list(segmentsFolder)
  const mustExist = stray.some((file) => file.endsWith('.parquet') || file === DEFINITION_FILE)
  const catalogue = adapters?.catalogue ?? Catalogue.open(`${folder}/catalogue.db`, { mustExist })
  catalogue.events.onDamage = settings.listener.eventDamaged
  const stateFile = await StateFile.open(disk, `${folder}/state.bin`)
  await disk.syncFolder(folder)
  const known = catalogue.segments()
  await removeLeftovers(disk, folder, stray)
  const pace = new Pace()
  const directory = new SeriesDirectory()
  const named = catalogue.definitions()
  directory.add(named)
  const erasures = catalogue.erasures.all()
  const definitions = await DefinitionFile.open(disk, segmentsFolder, { ...named, erasures })
  const cold = openColdFiles(settings, catalogue, directory)
  const reader = cold ?? NO_COLD_FILES
  const duck = { options: duckOptions(folder, settings), cold: reader }
  const files =
    adapters?.files(reader) ?? (await openParquetFiles(segmentsFolder, { disk, clock, pace }, duck))
  // A file that stays behind is swept at the next start, or look at what is due for its age.
  const segments = new SegmentSet(known, ({ file, isCold }) => {
    const gone = isCold
      ? cold?.delete(file).then(() => catalogue.coldIsGone(file))
      : disk.remove(`${segmentsFolder}/${file}`)
    gone?.catch(() => undefined)
  })
  const { listener } = settings
  const checks = new SegmentChecks({
    ...{ folder: segmentsFolder, disk, catalogue, segments },
    damaged: listener.segmentDamaged,
  })
  const turns = new Turns(clock, pace)
  const coverage = new RollupCoverages(catalogue.coverage())
  const committer = new Committer({
    ...{ catalogue, files, stateFile, turns, clock, definitions },
  })
  const isIntact = (segment: Segment): boolean => segments.isIntact(segment)
  const saved = catalogue.isStateLost ? undefined : await loadLastValues(committer, stateFile)
  if (saved === undefined) await checks.ensure(segments.list('readings'))
  const tombstones = new Tombstones(directory, erasures)
  const recentFleets = followFleets(directory, known)
  const own = { catalogue, segments, files, checks, cold, directory, tombstones, clock, pace }
  const shared = { ...own, recentFleets }
  const parts: StorageParts = {
    ...{ options: settings, files, catalogue, stateFile, definitions, segments, directory },
    ...{ committer, checks, pace, clock, disk, coverage },
    ...openMerger(settings, shared),
    recentFleets,
    frozen: new FrozenRanges({ segments, directory, cold, objects: settings.aging?.objects }),
    pastAge: () => pastAge(settings, { ...shared, cold }),
    scrubber: new Scrubber({ clock, segments, checks, pace: settings.scrub }),
    tombstones,
    eraser: new Eraser({
      ...shared,
      removeFile: (file) => disk.remove(`${segmentsFolder}/${file}`),
    }),
    lastValues:
      saved ??
      (await rebuildLastValues(files, segments.list('readings').filter(isIntact), directory)),
    sweep: strayFiles({ disk, folder: segmentsFolder, files: stray, segments }),
  }
  return new EmbeddedStorage(parts)
}

/** Errors: CONFIG_VALUE_INVALID when files are there, and nothing says where. */
function openColdFiles(
  { aging }: StorageOptions,
  catalogue: Catalogue,
  directory: SeriesDirectory,
): ColdFiles | undefined {
  if (aging === undefined) return undefined
  return new ColdFiles({
    objects: aging.objects,
    runs: (file) => catalogue.cold.runs(file),
    textId: (text) => directory.textId(text),
    isText: (series) => directory.isText(series),
  })
}

function followFleets(directory: SeriesDirectory, segments: readonly Segment[]): RecentFleets {
  const readings = segments.filter(({ kind }) => kind === 'readings')
  const highestUs = readings.reduce((most, one) => Math.max(most, one.maxTimeUs), -Infinity)
  return new RecentFleets(directory, highestUs)
}

function pastAge(
  { aging }: StorageOptions,
  {
    cold,
    ...parts
  }: Omit<PastAgeParts, 'policy' | 'cold'> & { cold: ColdFiles | undefined; catalogue: Catalogue },
): Segment[] {
  if (aging === undefined || cold === undefined) return []
  const old = coldPastAge({ ...parts, cold, policy: aging })
  if (!aging.isExportedFirst) return old
  const exportedUs = parts.catalogue.exportedBeforeUs
  return old.filter(({ maxTimeUs }) => maxTimeUs < exportedUs)
}

/** With what it does when there is nothing to merge. */
function openMerger(
  settings: StorageOptions,
  parts: Omit<EraserParts, 'removeFile'> & Pick<SummariserParts, 'tombstones' | 'recentFleets'>,
): Pick<StorageParts, 'merger' | 'late' | 'summariser'> {
  const { segmentRows, mergeFanIn: fanIn, listener, allowedLatenessMs, aging } = settings
  const { segments, catalogue, directory, clock } = parts
  const late = new LateRanges(catalogue.summaries.late())
  const failed = listener.mergeFailed
  const hotUs = (): number => (aging === undefined ? Infinity : hotUsOf(aging, directory))
  const minutesFromMs = (): number => (clock.nowUs() - hotUs()) / 1000
  const how = { late, failed, allowedLatenessMs, minutesFromMs }
  const summariser = new Summariser({ ...parts, ...how })
  const merger = new Merger({
    ...parts,
    policy: { segmentRows, fanIn, isIntact: (segment) => segments.isIntact(segment) },
    onFailure: listener.mergeFailed,
    summariser,
    ager: openAger(settings, parts),
  })
  return { merger, late, summariser }
}

function openAger(
  { aging, listener, mergeFanIn }: StorageOptions,
  parts: Omit<EraserParts, 'removeFile'>,
): Ager | undefined {
  const { cold, catalogue, clock } = parts
  if (aging === undefined || cold === undefined) return undefined
  return new Ager({
    ...{ ...parts, cold, policy: aging, intervalMs: aging.intervalMs, fanIn: mergeFanIn },
    ...{ tell: listener.aged, failed: listener.agingFailed },
    steadiness: new Steadiness(clock, catalogue.committedAtUs),
  })
}

/** Of a process before this one: files that it began, and what DuckDB had not room for. */
async function removeLeftovers(
  disk: Disk,
  folder: string,
  segmentFiles: readonly string[],
): Promise<void> {
  for (const file of segmentFiles.filter((one) => one.endsWith('.tmp'))) {
    await disk.remove(`${folder}/segments/${file}`)
  }
  for (const file of await disk.list(`${folder}/spill`)) {
    await disk.remove(`${folder}/spill/${file}`)
  }
}

const duckOptions = (folder: string, settings: StorageOptions): DuckOptions => ({
  threads: settings.threads,
  memoryBytes: settings.memoryBytes,
  concurrency: settings.queryConcurrency,
  temporaryFolder: `${folder}/spill`,
})
