/**
 * Whether a segment's file is still what was written. Parquet as DuckDB writes it has no checksums
 * of its own, and a flipped bit in a value reads as another value; so the catalogue holds the CRC32
 * of each file, and a file is read whole before its rows first count after a start, before it is
 * merged, and now and then in the background.
 *
 * One that is damaged or missing is set aside: it stays where it is, is neither read nor merged,
 * and answers that would need it say how much is missing. Put back from a backup, it counts again
 * from the next start on. What rollups held is computed from the readings instead.
 */
import type { Disk } from '../world/world.ts'
import type { Catalogue } from './catalogue.ts'
import { fileChecksum, type FileChecksum } from './file-checksum.ts'
import type { Segment, SegmentSet } from './segment-set.ts'

export interface DamagedSegment {
  file: string
  problem: string
  readings: number
}

export interface SegmentChecksParts {
  folder: string
  disk: Disk
  catalogue: Catalogue
  segments: SegmentSet
  /** Told once of each. */
  damaged: (segment: DamagedSegment) => void
}

export class SegmentChecks {
  readonly #parts: SegmentChecksParts
  /** Under way or done since the start. */
  readonly #checks = new WeakMap<Segment, Promise<void>>()

  readonly #problems = new WeakMap<Segment, string>()

  constructor(parts: SegmentChecksParts) {
    this.#parts = parts
  }

  /** Of one that is set aside. */
  problemOf(segment: Segment): string {
    return this.#problems.get(segment) ?? 'it is damaged'
  }

  /** This process wrote them just now. */
  trust(segments: readonly Segment[]): void {
    for (const segment of segments) this.#checks.set(segment, Promise.resolve())
  }

  /** Checks those that were not checked since the start. The caller has pinned them. */
  async ensure(segments: readonly Segment[]): Promise<void> {
    // Files in the object store carry checksums in their pages.
    for (const segment of segments.filter(({ isCold }) => !isCold))
      await (this.#checks.get(segment) ?? this.check(segment))
  }

  /** Checks one, whatever is known of it. */
  check(segment: Segment, pace?: (bytes: number) => Promise<void>): Promise<void> {
    const checked = this.#check(segment, pace)
    this.#checks.set(segment, checked)
    // A passing problem, such as too many open files, is no answer: it is asked again.
    checked.catch(() => this.#checks.delete(segment))
    return checked
  }

  async #check(segment: Segment, pace?: (bytes: number) => Promise<void>): Promise<void> {
    const { folder, disk, segments, catalogue, damaged } = this.#parts
    const found = await fileChecksum(disk, `${folder}/${segment.file}`, pace).catch(unreadable)
    const problem = typeof found === 'string' ? found : difference(segment, found)
    if (problem !== undefined) {
      this.#problems.set(segment, problem)
      if (segments.setAside(segment)) {
        damaged({ file: segment.file, problem, readings: segment.rows })
      }
    } else if (segment.crc === undefined && typeof found !== 'string') {
      // Of before format 2: what it is now is what it will have to be.
      segment.crc = found.crc
      catalogue.setFileChecksum(segment)
    }
  }
}

/** What the disk says of a file that is gone, or of a sector that cannot be read. */
function unreadable(error: unknown): string {
  const { code } = error as { code?: string }
  if (code === 'ENOENT') return 'the file is missing'
  if (code === 'EIO') return 'the disk cannot read it'
  throw error
}

function difference(segment: Segment, { bytes, crc }: FileChecksum): string | undefined {
  if (bytes !== segment.bytes) return `it has ${bytes} bytes, not ${segment.bytes}`
  if (segment.crc === undefined || segment.crc === crc) return undefined
  return 'its checksum differs from what was written'
}
