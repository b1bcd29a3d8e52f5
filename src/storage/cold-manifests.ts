/**
 * Beside each cold file `_manifest-….json`, which says what the catalogue knows of it: tools that
 * read the folders pass over names that begin with `_`. Put before the file counts, and deleted
 * behind it; a lost catalogue is made again from them.
 */
import { WeirError } from '../errors/errors.ts'
import { eachObject, type Objects } from '../objects/objects.ts'
import { decodeRuns, encodeRuns, type ColdRuns, type ColdSegment } from './cold-tables.ts'

const FORMAT = 1
const ALL = 'readings/'
const MANIFEST = /\/_manifest-[^/]+\.json$/

interface Manifest {
  format: typeof FORMAT
  segment: ColdSegment
  /** i32 series, then i32 rows, through zstd, base64. */
  runs: string
}

export function manifestOf(file: string): string {
  const at = file.lastIndexOf('/') + 1
  return `${file.slice(0, at)}_manifest-${file.slice(at).replace(/\.parquet$/, '')}.json`
}

export async function putManifest(
  objects: Objects,
  segment: ColdSegment,
  runs: ColdRuns,
): Promise<void> {
  const encoded = Buffer.from(encodeRuns(runs)).toString('base64')
  const manifest: Manifest = { format: FORMAT, segment, runs: encoded }
  await objects.put(manifestOf(segment.file), Buffer.from(JSON.stringify(manifest)))
}

/** Files without one, as versions before it put them, get one. Errors: OBJECTS_UNAVAILABLE. */
export async function putMissing(
  objects: Objects,
  segments: readonly ColdSegment[],
  runsOf: (file: string) => ColdRuns,
): Promise<void> {
  if (segments.length === 0) return
  const found = new Set<string>()
  for await (const { key } of eachObject(objects, ALL)) if (MANIFEST.test(key)) found.add(key)
  for (const segment of segments) {
    if (found.has(manifestOf(segment.file))) continue
    await putManifest(objects, segment, runsOf(segment.file))
  }
}

export interface FoundManifest {
  segment: ColdSegment
  runs: ColdRuns
}

/**
 * Of all files that are there; `alone` are files without a manifest. Errors: OBJECTS_UNAVAILABLE,
 * OBJECT_FROZEN, DATA_FORMAT_NEWER, DATA_FILE_DAMAGED.
 */
export async function readManifests(
  objects: Objects,
): Promise<{ found: FoundManifest[]; alone: string[] }> {
  const files = new Map<string, number>()
  const manifests: string[] = []
  for await (const { key, bytes } of eachObject(objects, ALL)) {
    if (MANIFEST.test(key)) manifests.push(key)
    else if (key.endsWith('.parquet')) files.set(key, bytes)
  }
  const found: FoundManifest[] = []
  for (const key of manifests) {
    const one = await readManifest(objects, key)
    // The file goes before its manifest, and is put before it.
    if (files.get(one.segment.file) === one.segment.bytes) found.push(one)
  }
  const told = new Set(found.map(({ segment }) => segment.file))
  return { found, alone: [...files.keys()].filter((file) => !told.has(file)) }
}

async function readManifest(objects: Objects, key: string): Promise<FoundManifest> {
  const bytes = Buffer.from(await objects.get(key))
  try {
    const manifest = JSON.parse(bytes.toString()) as Manifest
    if (manifest.format > FORMAT)
      throw new WeirError('DATA_FORMAT_NEWER', `${key} has format ${manifest.format}`)
    return { segment: manifest.segment, runs: decodeRuns(Buffer.from(manifest.runs, 'base64')) }
  } catch (cause) {
    if (cause instanceof WeirError) throw cause
    throw new WeirError('DATA_FILE_DAMAGED', `${key}: ${String(cause)}`, { cause })
  }
}
