/** A file as text, piece by piece: plain, gzip or Zstandard, told apart by the first bytes. */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { WeirError } from '../errors/errors.ts'

export interface ReplayFile {
  /** Size on disk, before decompression. */
  bytesTotal: number
  /** Read from disk so far. */
  bytesRead(): number
  pieces(): AsyncGenerator<string>
}

/** Throws CLI_USAGE_INVALID when there is no such file. */
export async function openReplayFile(path: string): Promise<ReplayFile> {
  const { bytesTotal, magic } = await inspect(path)
  const raw = createReadStream(path, { highWaterMark: 262_144 })
  return { bytesTotal, bytesRead: () => raw.bytesRead, pieces: () => decode(raw, magic, path) }
}

async function inspect(path: string): Promise<{ bytesTotal: number; magic: number }> {
  try {
    const handle = await open(path, 'r')
    try {
      const head = Buffer.alloc(4)
      await handle.read(head, 0, 4, 0)
      return { bytesTotal: (await handle.stat()).size, magic: head.readUInt32LE(0) }
    } finally {
      await handle.close()
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new WeirError('CLI_USAGE_INVALID', `cannot read ${path}: ${reason}`, { cause })
  }
}

/** RFC 1952 §2.3.1 and RFC 8878 §3.1.1, read as little endian. */
const GZIP_MAGIC = 0x8b1f
const ZSTD_MAGIC = 0xfd2fb528

async function* decode(raw: Readable, magic: number, path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  const isGzip = (magic & 0xffff) === GZIP_MAGIC
  const unpack = isGzip ? createGunzip() : magic === ZSTD_MAGIC ? createZstdDecompress() : undefined
  if (unpack !== undefined) {
    raw.once('error', (error) => unpack.destroy(error))
    raw.pipe(unpack)
  }
  try {
    for await (const chunk of unpack ?? raw)
      yield decoder.decode(chunk as Uint8Array, { stream: true })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new WeirError('DATA_FILE_DAMAGED', `${path}: ${reason}`, { cause })
  }
  yield decoder.decode()
}
