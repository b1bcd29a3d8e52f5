/** A data folder in one small file, with the answers that were got from it when it was made. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'

export interface PackedFolder {
  /** The commit that made it. */
  commit: string
  /** By path in the folder, base64. */
  files: Record<string, string>
  answers: unknown
}

export function pack(folder: string, of: Omit<PackedFolder, 'files'>): Uint8Array {
  const paths = readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => statSync(path).isFile())
  const files = Object.fromEntries(
    paths.toSorted().map((path) => [relative(folder, path), readFileSync(path).toString('base64')]),
  )
  return zstdCompressSync(JSON.stringify({ ...of, files }))
}

export function unpack(file: string, folder: string): PackedFolder {
  const packed = JSON.parse(zstdDecompressSync(readFileSync(file)).toString()) as PackedFolder
  for (const [path, content] of Object.entries(packed.files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), Buffer.from(content, 'base64'))
  }
  return packed
}
