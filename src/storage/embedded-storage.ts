/**
 * The embedded store, whole in one thread: memory for what was output since the last commit,
 * Parquet segments for the rest, a catalogue that says what counts.
 *
 *   data folder/catalogue.db   SQLite: segments, definitions, events, the commit point
 *              state.bin       the stream's state, shadow-paged
 *              segments/       readings-*.parquet, rollup-*.parquet; without an entry: swept
 *              spill/          DuckDB's temporary files
 */
import { decodeFrame } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import {
  answerReadings,
  answerWindows,
  type Query,
  type QueryLimits,
  type ReadingSource,
  type ReadingView,
} from '../query/query.ts'
import type { Checkpoint, StreamOutput } from '../stream/stream.ts'
import type { World } from '../world/world.ts'
import { Catalogue } from './catalogue.ts'
import { absorb, Committer, type Sealed } from './committer.ts'
import { DirtyRanges } from './dirty-ranges.ts'
import { EventReader } from './event-reader.ts'
import { Generation } from './generation.ts'
import { latestByMetric } from './latest.ts'
import { LAST_VALUES_PREFIX, LastValues } from './last-values.ts'
import { Merger } from './merger.ts'
import { ChunkPool } from './recent-readings.ts'
import { RollupCoverages } from './rollup-coverage.ts'
import { openParquetFiles } from './parquet-files.ts'
import type { SegmentFiles } from './segment-files.ts'
import { SegmentSet } from './segment-set.ts'
import { SeriesDirectory } from './series-directory.ts'
import { StateFile } from './state-file.ts'
import type { Recovered, Storage, StorageStatistics } from './storage.ts'
import { Turns } from './turns.ts'
import { StorageView } from './view.ts'

export interface StorageOptions {
  /** DuckDB's threads and memory. */
  threads: number
  memoryBytes: number
  /** Queries that DuckDB works on at once; more wait. */
  queryConcurrency: number
  limits: QueryLimits
  /** Segments below this are merged, `mergeFanIn` of a size at a time. */
  segmentRows: number
  mergeFanIn: number
  /** Told of a background merge that failed: nothing is lost, it is tried again. */
  onMergeFailure: (cause: unknown) => void
}

const STORAGE_DEFAULTS: StorageOptions = {
  threads: 1,
  memoryBytes: 512 << 20,
  queryConcurrency: 2,
  limits: { rowsMax: 50_000_000, windowsMax: 100_000 },
  segmentRows: 4_000_000,
  mergeFanIn: 8,
  onMergeFailure: () => undefined,
}

interface Parts {
  options: StorageOptions
  files: SegmentFiles
  catalogue: Catalogue
  stateFile: StateFile
  segments: SegmentSet
  committer: Committer
  merger: Merger
  directory: SeriesDirectory
  lastValues: LastValues
}

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
}): Promise<Storage & Query> {
  const settings = { ...STORAGE_DEFAULTS, ...options }
  const { disk, clock } = world
  const segmentsFolder = `${folder}/segments`
  await disk.makeFolder(segmentsFolder)
  await disk.makeFolder(`${folder}/spill`)
  const catalogue = adapters?.catalogue ?? Catalogue.open(`${folder}/catalogue.db`)
  const stateFile = await StateFile.open(disk, `${folder}/state.bin`)
  await disk.syncFolder(folder)
  const known = catalogue.segments()
  await sweep(disk, segmentsFolder, new Set(known.map(({ file }) => file)))
  await sweep(disk, `${folder}/spill`, new Set())
  const files =
    adapters?.files ??
    (await openParquetFiles(
      segmentsFolder,
      { disk, clock },
      {
        threads: settings.threads,
        memoryBytes: settings.memoryBytes,
        concurrency: settings.queryConcurrency,
        temporaryFolder: `${folder}/spill`,
      },
    ))
  // A file that stays behind is swept at the next start.
  const segments = new SegmentSet(known, (file) => {
    disk.remove(`${segmentsFolder}/${file}`).catch(() => undefined)
  })
  const turns = new Turns(clock)
  const directory = new SeriesDirectory()
  directory.add(catalogue.definitions())
  const committer = new Committer({ catalogue, files, stateFile, turns, clock })
  const parts: Parts = {
    ...{ options: settings, files, catalogue, stateFile, segments, directory, committer },
    merger: new Merger({
      ...{ catalogue, segments, files },
      policy: { targetRows: settings.segmentRows, fanIn: settings.mergeFanIn },
      onFailure: settings.onMergeFailure,
    }),
    lastValues: await loadLastValues(committer, stateFile),
  }
  return new EmbeddedStorage(parts)
}

async function sweep(
  disk: World['disk'],
  folder: string,
  known: ReadonlySet<string>,
): Promise<void> {
  for (const file of await disk.list(folder)) {
    if (!known.has(file)) await disk.remove(`${folder}/${file}`)
  }
}

async function loadLastValues(committer: Committer, file: StateFile): Promise<LastValues> {
  const lastValues = new LastValues()
  for (const part of committer.stateParts) {
    if (!part.name.startsWith(LAST_VALUES_PREFIX)) continue
    const { name, bytes } = await file.read(part)
    lastValues.restore(name, bytes)
  }
  return lastValues
}

class EmbeddedStorage implements Storage, Query {
  readonly #parts: Parts
  readonly #dirty: DirtyRanges
  readonly #coverage: RollupCoverages
  readonly #events: EventReader
  readonly #source: ReadingSource
  readonly #pool = new ChunkPool()
  /** Outputs below this are a replay of what is here already (T3). */
  #nextOffset: number
  #current: Generation
  /** Sealed and not yet committed, in the order of their offsets. */
  #sealed: Generation[] = []
  /** A seal whose commit failed; the next takes it along. */
  #failed: Sealed | undefined
  #committing: Promise<void> = Promise.resolve()
  #commits = 0
  #committedAtUs: number
  #committedOffset: number

  constructor(parts: Parts) {
    const { catalogue, directory } = parts
    this.#parts = parts
    this.#dirty = new DirtyRanges(catalogue.dirtyRanges())
    this.#coverage = new RollupCoverages(catalogue.coverage())
    this.#committedOffset = catalogue.coveredOffset
    this.#committedAtUs = catalogue.committedAtUs
    this.#nextOffset = this.#committedOffset + 1
    this.#current = new Generation(this.#nextOffset, this.#pool)
    this.#events = new EventReader(catalogue.events, () => this.#generations())
    this.#source = {
      series: (tenant, deviceId, metric) =>
        directory.ofDevice(tenant, deviceId).filter((one) => one.metric === metric),
      text: (id) => directory.text(id),
      view: () => this.#view(),
    }
  }

  async recover(): Promise<Recovered> {
    const { committer, stateFile, directory } = this.#parts
    const state: Recovered['state'] = []
    for (const part of committer.stateParts) {
      if (!part.name.startsWith(LAST_VALUES_PREFIX)) state.push(await stateFile.read(part))
    }
    return { nextOffset: this.#nextOffset, state, definitions: directory.all() }
  }

  output(output: StreamOutput): void {
    if (output.offset < this.#nextOffset) return
    this.#nextOffset = output.offset + 1
    const { readings, partials, events, definitions } = this.#current
    const batch = decodeFrame(output.frame)
    readings.append(batch, output.fates)
    this.#parts.lastValues.update(batch, output.fates)
    if (batch.definitions !== undefined) {
      const added = this.#parts.directory.add(batch.definitions)
      definitions.series.push(...added.series)
      definitions.texts.push(...added.texts)
    }
    if (batch.deadLetters !== undefined) events.addDeadLetters(output.offset, batch.deadLetters)
    if (output.partials !== undefined) {
      partials.append(output.partials)
      this.#coverage.note(output.partials)
    }
    for (const event of output.ruleEvents) events.addRuleEvent(event)
    for (const event of output.anomalies) events.addAnomaly(event)
    for (const range of output.dirty) this.#dirty.add(range)
  }

  /** Errors: STORAGE_COMMIT_FAILED; nothing is lost then, and the next commit takes it along. */
  commit(checkpoint: Checkpoint): Promise<void> {
    if (checkpoint.offset <= this.#committedOffset) return this.#committing
    const sealed = this.#seal(checkpoint)
    const done = this.#committing.then(() => this.#write(sealed))
    this.#committing = done.catch(() => undefined)
    return done
  }

  /** Everything output so far, in this turn; what comes next goes to a fresh generation. */
  #seal({ offset, parts }: Checkpoint): Sealed {
    const generation = this.#current
    this.#current = new Generation(this.#nextOffset, this.#pool)
    this.#sealed.push(generation)
    const named = [...parts, ...this.#parts.lastValues.takeChanged()]
    return {
      offset,
      generations: [generation],
      parts: new Map(named.map((part) => [part.name, part])),
      dirty: this.#dirty.takeChanged(),
      coverage: this.#coverage.list(),
    }
  }

  async #write(latest: Sealed): Promise<void> {
    const { committer, segments, merger } = this.#parts
    const sealed = this.#failed === undefined ? latest : absorb(this.#failed, latest)
    try {
      const committed = await committer.commit(sealed)
      // In one turn, so that no query sees a reading twice or not at all (T3).
      segments.replace([], committed.segments)
      this.#sealed = this.#sealed.filter((one) => !sealed.generations.includes(one))
      for (const generation of sealed.generations) generation.retire()
      this.#failed = undefined
      this.#commits++
      this.#committedAtUs = committed.committedAtUs
      this.#committedOffset = sealed.offset
    } catch (cause) {
      this.#failed = sealed
      throw new WeirError('STORAGE_COMMIT_FAILED', String(cause), { cause })
    }
    merger.start()
  }

  #generations(): Generation[] {
    return [...this.#sealed, this.#current]
  }

  #view(): ReadingView {
    const { segments, files, options } = this.#parts
    const readings = segments.list('readings')
    const rollups = segments.list('rollup')
    const generations = this.#generations()
    const unpin = [segments.pin([...readings, ...rollups]), ...generations.map((one) => one.pin())]
    return new StorageView({
      generations,
      ...{ segments: readings, rollups, files },
      dirty: this.#dirty,
      coverage: this.#coverage.list(),
      rowsMax: options.limits.rowsMax,
      release: () => unpin.forEach((release) => release()),
    })
  }

  statistics(): StorageStatistics {
    const { segments, merger, directory } = this.#parts
    const readings = segments.list('readings')
    return {
      readingsInMemory: this.#generations().reduce((sum, one) => sum + one.readings.count, 0),
      readingsStored: readings.reduce((sum, { rows }) => sum + rows, 0),
      segmentCount: readings.length + segments.list('rollup').length,
      mergeDebt: merger.debt,
      bytesOnDisk: segments.bytes,
      commits: this.#commits,
      lastCommitAtUs: this.#committedAtUs,
      lastCommitOffset: this.#committedOffset,
      deadLetters: this.#events.deadLetterCount(),
      seriesCount: directory.seriesCount,
    }
  }

  readings(question: Parameters<Query['readings']>[0]): ReturnType<Query['readings']> {
    return answerReadings(this.#source, question)
  }

  windows(question: Parameters<Query['windows']>[0]): ReturnType<Query['windows']> {
    return answerWindows(this.#source, question, this.#parts.options.limits)
  }

  async latest(tenant: string, deviceId: string): ReturnType<Query['latest']> {
    const { directory, lastValues } = this.#parts
    return latestByMetric(directory, lastValues, directory.ofDevice(tenant, deviceId))
  }

  async alerts(filter: Parameters<Query['alerts']>[0]): ReturnType<Query['alerts']> {
    return this.#events.alerts(filter)
  }

  async anomalies(filter: Parameters<Query['anomalies']>[0]): ReturnType<Query['anomalies']> {
    return this.#events.anomalies(filter)
  }

  async deadLetters(filter: Parameters<Query['deadLetters']>[0]): ReturnType<Query['deadLetters']> {
    return this.#events.deadLetters(filter)
  }

  /** Ends a commit or a query under way. What is not committed stays in the log and is replayed. */
  async close(): Promise<void> {
    this.#parts.files.abandon()
    await this.#committing
    await this.#parts.merger.close()
    this.#parts.files.close()
    await this.#parts.stateFile.close()
    this.#parts.catalogue.close()
  }
}
