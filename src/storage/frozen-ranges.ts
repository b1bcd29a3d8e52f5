/** Cold files of a span in the archive of their bucket: which they are, and asking for them. */
import { WeirError } from '../errors/errors.ts'
import type { ArchivedState, ArchiveRule, ObjectArchive, Objects } from '../objects/objects.ts'
import type { Span } from '../query/query.ts'
import type { ColdFiles } from './cold-files.ts'
import { ANYWHERE, overlaps, type Segment, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'

/** Requests to the bucket at once. */
const AT_ONCE = 8
/** Files of one call: a request each, and one more for those that are asked for. */
const FILES_MAX = 10_000
/** All cold files are below it. */
const READINGS_PREFIX = 'readings/'

export interface FrozenQuestion extends Span {
  /** Only files that hold something of it. */
  deviceId?: string | undefined
  deviceType?: string | undefined
}

/** Files that hold some of it, and what they are to the bucket. */
export interface FrozenStatus {
  readable: { files: number; bytes: number }
  frozen: { files: number; bytes: number }
  thawing: { files: number; bytes: number }
  /** Not there. */
  missing: { files: number; bytes: number }
}

export interface FrozenParts {
  objects: Objects | undefined
  segments: SegmentSet
  directory: SeriesDirectory
  cold: ColdFiles | undefined
}

export class FrozenRanges {
  readonly #parts: FrozenParts

  constructor(parts: FrozenParts) {
    this.#parts = parts
  }

  /** Errors: ARCHIVE_ABSENT. */
  #archive(): ObjectArchive {
    const archive = this.#parts.objects?.archive
    if (archive === undefined) throw new WeirError('ARCHIVE_ABSENT')
    return archive
  }

  /** Errors: ARCHIVE_ABSENT, OBJECTS_UNAVAILABLE, OBJECTS_REFUSED. */
  rule = async (): Promise<ArchiveRule | undefined> => this.#archive().rule(READINGS_PREFIX)

  /** Errors: ARCHIVE_ABSENT, OBJECTS_UNAVAILABLE, OBJECTS_REFUSED. */
  setRule = async (rule: ArchiveRule): Promise<void> =>
    this.#archive().setRule(READINGS_PREFIX, rule)

  /** Errors: ARCHIVE_ABSENT, QUERY_LIMIT_EXCEEDED, OBJECTS_UNAVAILABLE, OBJECTS_REFUSED. */
  status(question: FrozenQuestion): Promise<FrozenStatus> {
    return this.#look(question, async (_, state) => state)
  }

  /**
   * Asks for what is frozen, to be readable for so many days once it is back; what was asked for
   * already is left. Errors: as status().
   */
  restore(question: FrozenQuestion, days: number): Promise<FrozenStatus> {
    const archive = this.#archive()
    return this.#look(question, async (file, state) => {
      if (state !== 'frozen') return state
      await archive.restore(file, days)
      return archive.stateOf(file)
    })
  }

  async #look(
    question: FrozenQuestion,
    deal: (file: string, state: ArchivedState | undefined) => Promise<ArchivedState | undefined>,
  ): Promise<FrozenStatus> {
    const archive = this.#archive()
    const files = this.#filesOf(question)
    const nothing = () => ({ files: 0, bytes: 0 })
    const status: FrozenStatus = {
      ...{ readable: nothing(), frozen: nothing(), thawing: nothing(), missing: nothing() },
    }
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < files.length) {
        const { file, bytes } = files[next++]!
        const counts = status[(await deal(file, await archive.stateOf(file))) ?? 'missing']
        counts.files++
        counts.bytes += bytes
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, lane))
    return status
  }

  #filesOf({ startUs, endUs, deviceId, deviceType }: FrozenQuestion): Segment[] {
    const { segments, directory, cold } = this.#parts
    const box = { ...ANYWHERE, startUs, endUs }
    const isAsked = (series: number): boolean => {
      const known = directory.get(series)
      return (
        known !== undefined &&
        (deviceId === undefined || known.deviceId === deviceId) &&
        (deviceType === undefined || known.deviceType === deviceType)
      )
    }
    const files = segments
      .list('readings')
      .filter((one) => one.isCold && overlaps(one, box))
      .filter((one) => [...(cold?.seriesOf(one) ?? [])].some(isAsked))
    if (files.length <= FILES_MAX) return files
    const detail = `${files.length} files of the object store, more than ${FILES_MAX}: narrow it`
    throw new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: FILES_MAX } })
  }
}
