/**
 * `state.bin`: the stream's state as named parts. A part is never overwritten: its new version goes
 * to a place that no committed part occupies, and the catalogue's manifest, in the one transaction
 * of a commit, says where the current version lies. A crash in mid-write leaves the old one whole.
 *
 * Parts are compressed: chunks of state are sized for many series, and most installations have few.
 */
import { constants, crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'
import type { Disk, DiskFile } from '../world/world.ts'

/** Where a part lies in the file, in bytes. */
export interface StatePart {
  name: string
  position: number
  length: number
  crc: number
  /** Without compression; 0 when it is stored as it is. */
  plainLength: number
}

export interface NamedBytes {
  name: string
  bytes: Uint8Array<ArrayBuffer>
}

/** Parts start at multiples of a disk's block, so that a torn block belongs to one part only. */
const BLOCK_BYTES = 4096

const endOf = ({ position, length }: { position: number; length: number }): number =>
  position + Math.ceil(length / BLOCK_BYTES) * BLOCK_BYTES

const FLUSH_BYTES = 2 << 20
/** Fast: 2 ms for a chunk of a megabyte. */
const ZSTD_LEVEL = 1

/** What is stored of a part: compressed, unless that gains nothing. */
function pack(bytes: Uint8Array<ArrayBuffer>): { stored: Uint8Array; plainLength: number } {
  const compressed = zstdCompressSync(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL },
    chunkSize: Math.max(64, bytes.length >> 1),
  })
  return compressed.length < bytes.length
    ? { stored: compressed, plainLength: bytes.length }
    : { stored: bytes, plainLength: 0 }
}

export class StateFile {
  readonly #file: DiskFile
  readonly #path: string

  private constructor(path: string, file: DiskFile) {
    this.#path = path
    this.#file = file
  }

  static async open(disk: Disk, path: string): Promise<StateFile> {
    return new StateFile(path, await disk.open(path, 'create'))
  }

  /**
   * Writes new versions beside the current ones and makes them durable. Returns the manifest that
   * counts once the caller has committed it; until then the current one does.
   */
  async write(current: readonly StatePart[], parts: readonly NamedBytes[]): Promise<StatePart[]> {
    if (parts.length === 0) return [...current]
    const manifest = new Map(current.map((part) => [part.name, part]))
    const occupied = [...current]
    let unflushed = 0
    for (const { name, bytes } of parts) {
      const { stored, plainLength } = pack(bytes)
      const position = findGap(occupied, stored.length)
      const part = { name, position, length: stored.length, crc: crc32(stored), plainLength }
      occupied.push(part)
      manifest.set(name, part)
      await this.#file.write(stored, position)
      unflushed += stored.length
      // In pieces, so that the log's flushes never queue behind the whole state.
      if (unflushed < FLUSH_BYTES) continue
      await this.#file.sync()
      unflushed = 0
    }
    await this.#file.sync()
    return [...manifest.values()]
  }

  /** Errors: DATA_FILE_DAMAGED when a checksum does not match. */
  async read(part: StatePart): Promise<NamedBytes> {
    const bytes = new Uint8Array(part.length)
    const count = await this.#file.read(bytes, part.position)
    if (count === part.length && crc32(bytes) === part.crc) {
      return { name: part.name, bytes: part.plainLength === 0 ? bytes : unpack(bytes, part) }
    }
    throw new WeirError(
      'DATA_FILE_DAMAGED',
      `${this.#path}: the state part ${part.name} at byte ${part.position} fails its checksum`,
    )
  }

  size(): Promise<number> {
    return this.#file.size()
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** At the start of its own memory, as what was never compressed is. */
function unpack(stored: Uint8Array, { plainLength }: StatePart): Uint8Array<ArrayBuffer> {
  return new Uint8Array(zstdDecompressSync(stored, { chunkSize: Math.max(64, plainLength) }))
}

/** The first place where `length` bytes touch no occupied part. */
function findGap(occupied: readonly StatePart[], length: number): number {
  const inOrder = [...occupied].toSorted((a, b) => a.position - b.position)
  let position = 0
  for (const part of inOrder) {
    if (endOf({ position, length }) <= part.position) return position
    position = Math.max(position, endOf(part))
  }
  return position
}
