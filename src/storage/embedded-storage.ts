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
import type { Objects } from '../objects/objects.ts'
import type { Query, ReadingScan, ReadingView } from '../query/query.ts'
import type { Checkpoint, DirtyRange, StreamOutput } from '../stream/stream.ts'
import type { Clock, Disk } from '../world/world.ts'
import { takeSnapshot, type BackupSource } from './backup-source.ts'
import type { Catalogue } from './catalogue.ts'
import { absorb, Committer, type Sealed } from './committer.ts'
import type { DefinitionFile } from './definition-file.ts'
import { DirtyRanges } from './dirty-ranges.ts'
import type { Eraser } from './eraser.ts'
import { AnswerCache } from './answer-cache.ts'
import { ErasureWork, openSpans, uncertainSpans } from './erasure-work.ts'
import { EventReader } from './event-reader.ts'
import type { FrozenRanges } from './frozen-ranges.ts'
import { Generation, readingsOf } from './generation.ts'
import type { LastValues } from './last-values.ts'
import type { LateRanges } from './late-ranges.ts'
import { openWindows } from './lost-state.ts'
import { openView } from './open-view.ts'
import { Merger } from './merger.ts'
import type { RecentFleets } from './recent-fleets.ts'
import { ChunkPool } from './recent-readings.ts'
import type { RollupCoverages } from './rollup-coverage.ts'
import { fileStatistics, reportStorage, type StorageReport } from './report.ts'
import { Questions } from './questions.ts'
import { Scrubber } from './scrubber.ts'
import { SegmentChecks } from './segment-checks.ts'
import type { SegmentFiles } from './segment-files.ts'
import type { Segment, SegmentSet } from './segment-set.ts'
import { SeriesDirectory } from './series-directory.ts'
import { sqlFiles, type ColdPaths, type SqlFiles, type SqlQuestion } from './sql-files.ts'
import type { StorageOptions } from './storage-options.ts'
import { StateFile } from './state-file.ts'
import { isLastValues, loadState } from './state-loader.ts'
import type { Recovered, Storage, StorageStatistics } from './storage.ts'
import type { Pace } from './turns.ts'
import type { Summariser } from './summariser.ts'
import type { Tombstones } from './tombstones.ts'
import { verifySegments } from './verify.ts'

/** What becomes due by time alone, without a commit behind it. */
const LOOK_MS = 3_600_000

export interface StorageParts {
  options: StorageOptions
  clock: Clock
  disk: Disk
  files: SegmentFiles
  catalogue: Catalogue
  stateFile: StateFile
  definitions: DefinitionFile
  segments: SegmentSet
  committer: Committer
  pace: Pace
  checks: SegmentChecks
  coverage: RollupCoverages
  late: LateRanges
  recentFleets: RecentFleets
  summariser: Summariser
  merger: Merger
  scrubber: Scrubber
  directory: SeriesDirectory
  lastValues: LastValues
  tombstones: Tombstones
  eraser: Eraser
  frozen: FrozenRanges
  /** Cold files past their age, which their bucket may have expired. */
  pastAge: () => readonly Segment[]
  /** Removes files that nothing names; only once a commit has shown that the catalogue is right. */
  sweep: () => Promise<void>
}

export class EmbeddedStorage implements Storage, Query, ReadingScan {
  readonly #parts: StorageParts
  readonly #dirty: DirtyRanges
  readonly #coverage: RollupCoverages
  readonly #events: EventReader
  readonly #questions: Questions
  readonly #answers: AnswerCache
  readonly #erasures: ErasureWork
  readonly #pool = new ChunkPool()
  readonly #stopLooking: () => void
  /** Outputs below this are a replay of what is here already (T3). */
  #nextOffset: number
  /** What was there at the start, and what was said to come: `completeness` is between them. */
  readonly #recoveredOffset: number
  #expectedOffset: number
  #current: Generation
  /** Sealed and not yet committed, in the order of their offsets. */
  #sealed: Generation[] = []
  /** A seal whose commit failed; the next takes it along. */
  #failed: Sealed | undefined
  /** Of the last checkpoint that was handed over, committed or not. */
  #sealedOffset = -1
  #committing: Promise<void> = Promise.resolve()
  #commits = 0
  #committedAtUs: number
  #committedOffset: number

  constructor(parts: StorageParts) {
    const { catalogue } = parts
    this.#parts = parts
    this.#dirty = new DirtyRanges(catalogue.dirtyRanges())
    this.#coverage = parts.coverage
    this.#committedOffset = catalogue.coveredOffset
    this.#committedAtUs = catalogue.committedAtUs
    this.#nextOffset = this.#committedOffset + 1
    this.#recoveredOffset = this.#nextOffset
    this.#expectedOffset = this.#nextOffset
    this.#current = new Generation(this.#nextOffset, this.#pool)
    this.#stopLooking = parts.clock.every(LOOK_MS, () => parts.merger.start())
    this.#events = new EventReader(catalogue.events, () => this.#generations())
    const { segments, clock, options } = parts
    this.#answers = new AnswerCache({
      ...{ bytesMax: options.answersBytesMax, nowUs: () => clock.nowUs() },
      ...{ isWhole: () => this.#completeness === 1, damagedCount: () => segments.damagedCount },
    })
    const shared = { ...parts, answers: this.#answers }
    this.#erasures = new ErasureWork({ ...shared, view: () => this.#view(Infinity) })
    this.#questions = new Questions({
      ...{ ...shared, view: (...how) => this.#view(...how) },
      generations: () => this.#generations(),
    })
  }

  async recover(): Promise<Recovered> {
    const { committer, stateFile, directory } = this.#parts
    const recovered = { nextOffset: this.#nextOffset, definitions: directory.all() }
    if (this.#parts.catalogue.isStateLost) {
      const floors = this.#loseState('the catalogue was made again, which said where it is')
      return { ...recovered, state: [], floors }
    }
    try {
      return { ...recovered, state: await loadState(committer, stateFile), floors: undefined }
    } catch (error) {
      if (!(error instanceof WeirError) || error.code !== 'DATA_FILE_DAMAGED') throw error
      return { ...recovered, state: [], floors: this.#loseState(error.message) }
    }
  }

  /** See `lost-state.ts`. Returns the floors. */
  #loseState(problem: string): Float64Array {
    const { committer, lastValues, options } = this.#parts
    options.listener.stateLost(problem)
    committer.forgetParts((name) => !isLastValues(name))
    const floors = lastValues.highestTimes()
    const { allowedLatenessMs } = options
    for (const range of openWindows(this.#coverage.list(), floors, allowedLatenessMs)) {
      this.#addDirty(range)
    }
    return floors
  }

  output(output: StreamOutput): void {
    if (output.offset < this.#nextOffset) return
    this.#nextOffset = output.offset + 1
    const { readings, partials, events, definitions } = this.#current
    const { tombstones, recentFleets } = this.#parts
    const batch = decodeFrame(output.frame)
    if (batch.definitions !== undefined) {
      const added = this.#parts.directory.add(batch.definitions)
      definitions.series.push(...added.series)
      this.#answers.seriesCame(added.series)
      recentFleets.seriesCame(added.series)
      definitions.texts.push(...added.texts)
    }
    const fates = tombstones.fates(batch, output.fates)
    readings.append(batch, fates)
    this.#answers.readingsCame(batch, fates)
    this.#parts.pace.arrive(batch.readingCount)
    this.#parts.lastValues.update(batch, fates)
    recentFleets.add(batch, fates)
    const letters = batch.deadLetters?.filter(
      ({ tenant, deviceId, receivedAtUs }) => !tombstones.isErased(tenant, deviceId, receivedAtUs),
    )
    if (letters !== undefined) events.addDeadLetters(output.offset, letters)
    if (output.partials !== undefined) {
      partials.append(tombstones.partials(output.partials))
      this.#answers.partialsCame(output.partials)
    }
    this.#coverage.note(output)
    for (const event of output.anomalies) {
      const { tenant, deviceId, eventTimeUs } = event
      if (!tombstones.isErased(tenant, deviceId, eventTimeUs)) events.addAnomaly(event)
    }
    for (const range of output.dirty) this.#addDirty(range)
  }

  #addDirty(range: DirtyRange): void {
    this.#dirty.add(range)
    const span = { startUs: range.fromMs * 1000, endUs: range.toMs * 1000 }
    this.#parts.late.add(range.series, span)
    this.#answers.spanChanged(range.series, span)
  }

  expect(nextOffset: number): void {
    this.#expectedOffset = Math.max(this.#expectedOffset, nextOffset)
  }

  /** 1, or the share of the expected entries that is here, in thousandths. */
  get #completeness(): number {
    if (this.#nextOffset >= this.#expectedOffset) return 1
    const here = this.#nextOffset - this.#recoveredOffset
    const expected = this.#expectedOffset - this.#recoveredOffset
    return Math.floor((here / expected) * 1000) / 1000
  }

  /** Errors: STORAGE_COMMIT_FAILED; nothing is lost then, and the next commit takes it along. */
  commit(checkpoint: Checkpoint): Promise<void> {
    if (checkpoint.offset <= this.#committedOffset) return this.#committing
    // Tried again: what was output since is none of its state, and must not be sealed under it.
    const sealed = checkpoint.offset > this.#sealedOffset ? this.#seal(checkpoint) : undefined
    const done = this.#committing.then(() => this.#write(sealed))
    this.#committing = done.catch(() => undefined)
    return done
  }

  /** Everything output so far, in this turn; what comes next goes to a fresh generation. */
  #seal({ offset, parts }: Checkpoint): Sealed {
    const generation = this.#current
    this.#sealedOffset = offset
    this.#current = new Generation(this.#nextOffset, this.#pool)
    this.#sealed.push(generation)
    const named = [...parts, ...this.#parts.lastValues.takeChanged()]
    return {
      offset,
      generations: [generation],
      parts: new Map(named.map((part) => [part.name, part])),
      dirty: this.#dirty.takeChanged(),
      ...this.#parts.late.seal(),
      coverage: this.#coverage.list(),
    }
  }

  /** What was sealed last, and with it what failed before. */
  async #write(latest: Sealed | undefined): Promise<void> {
    const { committer, segments, merger, checks, pace, sweep } = this.#parts
    const sealed = this.#failed && latest ? absorb(this.#failed, latest) : (this.#failed ?? latest)
    if (sealed === undefined) return
    const count = readingsOf(sealed.generations)
    pace.begin(count, readingsOf(this.#generations()) - count)
    try {
      const committed = await committer.commit(sealed)
      // In one turn, so that no query sees a reading twice or not at all (T3).
      checks.trust(committed.segments)
      segments.replace([], committed.segments)
      this.#sealed = this.#sealed.filter((one) => !sealed.generations.includes(one))
      for (const generation of sealed.generations) generation.retire()
      for (const late of sealed.lateSealed) this.#parts.late.commit(late)
      this.#failed = undefined
      this.#commits++
      this.#committedAtUs = committed.committedAtUs
      this.#committedOffset = sealed.offset
    } catch (cause) {
      this.#failed = sealed
      throw new WeirError('STORAGE_COMMIT_FAILED', String(cause), { cause })
    }
    // What stays behind is swept at the next start.
    await sweep().catch(() => undefined)
    merger.start()
  }

  #generations(): Generation[] {
    return [...this.#sealed, this.#current]
  }

  #view(rowsMax: number, signal?: AbortSignal): ReadingView {
    return openView(this.#parts, {
      ...{ generations: this.#generations(), dirty: this.#dirty },
      ...{ coverage: this.#coverage.list(), completeness: this.#completeness, rowsMax, signal },
    })
  }

  async confirmExported(beforeUs: number): Promise<void> {
    this.#parts.catalogue.confirmExported(beforeUs)
  }

  /** What a backup reads; its release() must be called. */
  snapshot(folder: string, coldFolder: Objects | undefined): Promise<BackupSource> {
    const { catalogue, segments, disk } = this.#parts
    const taken = this.#committing.then(async () => {
      const release = await this.#parts.merger.hold()
      return takeSnapshot({ folder, disk, catalogue, segments, coldFolder }).finally(release)
    })
    // A commit that comes meanwhile waits: it would change what is copied.
    this.#committing = taken.then(
      () => undefined,
      () => undefined,
    )
    return taken
  }

  get frozen(): FrozenRanges {
    return this.#parts.frozen
  }

  get erasures(): ErasureWork {
    return this.#erasures
  }

  /** What is in segments, for SQL; `release()` must be called. `folder` is the data folder. */
  sqlFiles(folder: string, coldPaths: ColdPaths, question: SqlQuestion): Promise<SqlFiles> {
    const erased = () => openSpans(this.#parts)
    const dirty = () => uncertainSpans(this.#dirty, this.#parts)
    return sqlFiles({ ...this.#parts, folder, coldPaths, erased, dirty }, question)
  }

  readonly isNamed = (file: string): boolean => this.#parts.segments.isNamed(file)

  settle(): Promise<void> {
    return this.#parts.merger.settle()
  }

  /** Reads everything again. */
  verify(progress: Parameters<typeof verifySegments>[1]): Promise<void> {
    const { options } = this.#parts
    return verifySegments({ ...this.#parts, objects: options.aging?.objects }, progress)
  }

  /** `folder` is on the disk that fills. */
  report(folder: string): Promise<StorageReport> {
    const { aging } = this.#parts.options
    return reportStorage(this.#parts, { folder, statistics: this.statistics(), aging })
  }

  statistics(): StorageStatistics {
    return {
      ...fileStatistics(this.#parts),
      readingsInMemory: readingsOf(this.#generations()),
      commits: this.#commits,
      lastCommitAtUs: this.#committedAtUs,
      lastCommitOffset: this.#committedOffset,
      deadLetters: this.#events.deadLetterCount(),
      answers: this.#answers,
      seriesCount: this.#parts.directory.seriesCount,
    }
  }

  readings(...asked: Parameters<Query['readings']>): ReturnType<Query['readings']> {
    return this.#questions.readings(...asked)
  }

  windows(...asked: Parameters<Query['windows']>): ReturnType<Query['windows']> {
    return this.#questions.windows(...asked)
  }

  groups(...asked: Parameters<Query['groups']>): ReturnType<Query['groups']> {
    return this.#questions.groups(...asked)
  }

  scan(...asked: Parameters<ReadingScan['scan']>): ReturnType<ReadingScan['scan']> {
    return this.#questions.scan(...asked)
  }

  latest(...asked: Parameters<Query['latest']>): ReturnType<Query['latest']> {
    return this.#questions.latest(...asked)
  }

  latestOfMetric(
    question: Parameters<Query['latestOfMetric']>[0],
  ): ReturnType<Query['latestOfMetric']> {
    return this.#questions.latestOfMetric(question)
  }

  async anomalies(filter: Parameters<Query['anomalies']>[0]): ReturnType<Query['anomalies']> {
    return this.#events.anomalies(filter)
  }

  async deadLetters(filter: Parameters<Query['deadLetters']>[0]): ReturnType<Query['deadLetters']> {
    return this.#events.deadLetters(filter)
  }

  async completeness(): Promise<number> {
    return this.#completeness
  }

  /** Ends a commit or a query under way. What is not committed stays in the log and is replayed. */
  async close(): Promise<void> {
    this.#stopLooking()
    this.#parts.files.abandon()
    await this.#parts.scrubber.close()
    await this.#committing
    await this.#parts.merger.close()
    this.#parts.files.close()
    await this.#parts.stateFile.close()
    await this.#parts.definitions.close()
    this.#parts.catalogue.close()
  }
}
