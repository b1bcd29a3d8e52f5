/**
 * The manifest of a set: a chain of versions 1, 2, 3, …, each put only where none was.
 *
 * A version belongs to the epoch that put it, and a file names epoch and version, so that from the
 * newest manifest alone it is seen whether a file counts.
 */
import { WeirError } from '../errors/errors.ts'
import type { Objects } from '../objects/objects.ts'
import { partitionOf } from './collected-readings.ts'
import type { TopicOffset } from './lake.ts'

/**
 * Before 2 nobody announced files (`sweep.ts`). Before 3 no offset had `taken`, and who knows of
 * none would take what a stream repeats for new.
 */
const FORMAT = 3
const MANIFEST_FOLDER = 'manifest'
const VERSION_DIGITS = 12
/** Older files have been swept, or count. */
const HISTORY_MAX = 100
/** Others may open the same set at once, some of them again and again. */
const CLAIMS_MAX = 20

export interface Manifest {
  format: typeof FORMAT
  set: string
  version: number
  epoch: number
  /** By chance: whose it is, when the answer to a put was lost. */
  mark: string
  offsets: TopicOffset[]
  files: { key: string; rows: number; bytes: number }[]
  /** From which version on which epoch has the set. */
  history: { epoch: number; from: number }[]
  /** All files that do not count were announced, so that nobody need look for others. */
  isSwept: boolean
}

export const isSetName = (set: string): boolean => /^[a-z0-9_]{1,64}$/.test(set)

const keyOf = (set: string, version: number): string =>
  `${MANIFEST_FOLDER}/${set}/${String(version).padStart(VERSION_DIGITS, '0')}`

export const fileKey = (
  folder: string,
  { set, epoch, version, number }: { set: string; epoch: number; version: number; number: number },
): string => `${folder}/${set}-${epoch}-${version}-${number}.parquet`

const FILE = /\/(?<set>[a-z0-9_]+)-(?<epoch>\d+)-(?<version>\d+)-\d+\.parquet$/

const encode = (manifest: Manifest): Buffer => Buffer.from(JSON.stringify(manifest))

/** Errors: OBJECT_MISSING, DATA_FORMAT_NEWER. */
async function readManifest(objects: Objects, set: string, version: number): Promise<Manifest> {
  const key = keyOf(set, version)
  const manifest = JSON.parse(Buffer.from(await objects.get(key)).toString()) as Manifest
  if (manifest.format > FORMAT)
    throw new WeirError('DATA_FORMAT_NEWER', `${key} has format ${manifest.format}`)
  return { ...manifest, isSwept: manifest.isSwept ?? false }
}

/** False when another's is there. After OBJECTS_UNAVAILABLE it can be called again. */
export async function putManifest(objects: Objects, manifest: Manifest): Promise<boolean> {
  const key = keyOf(manifest.set, manifest.version)
  const bytes = encode(manifest)
  try {
    await objects.put(key, bytes, { ifAbsent: true })
    return true
  } catch (error) {
    if ((error as WeirError).code !== 'OBJECT_EXISTS') throw error
    // It is ours, if only the answer was lost.
    return Buffer.compare(await objects.get(key), bytes) === 0
  }
}

/** Of how many versions: by doubling, then halving, since they have no gaps. */
async function newestVersion(objects: Objects, set: string): Promise<number> {
  const isThere = async (version: number): Promise<boolean> =>
    (await objects.head(keyOf(set, version))) !== undefined
  let [there, step] = [0, 1]
  while (await isThere(there + step)) {
    there += step
    step *= 2
  }
  for (let absent = there + step; absent - there > 1;) {
    const middle = Math.floor((there + absent) / 2)
    if (await isThere(middle)) there = middle
    else absent = middle
  }
  return there
}

/**
 * Takes a set: from now on the epochs before it commit no more. `adopted` are offsets of other sets
 * that stand for partitions of this one; of each partition the furthest counts.
 */
export async function claimSet(
  objects: Objects,
  set: string,
  how: { mark: string; adopted?: readonly TopicOffset[] },
): Promise<Manifest> {
  for (let claims = 0; claims < CLAIMS_MAX; claims++) {
    const newest = await newestVersion(objects, set)
    const before = newest === 0 ? undefined : await readManifest(objects, set, newest)
    const version = newest + 1
    const epoch = (before?.epoch ?? 0) + 1
    const history = [...(before?.history ?? []), { epoch, from: version }].slice(-HISTORY_MAX)
    const offsets = furthest([...(before?.offsets ?? []), ...(how.adopted ?? [])])
    const isSwept = before?.isSwept ?? true
    const claim = { set, version, epoch, mark: how.mark, offsets, files: [], history, isSwept }
    const manifest: Manifest = { format: FORMAT, ...claim }
    if (await putManifest(objects, manifest)) return manifest
  }
  throw new WeirError('LAKE_FENCED', `the set ${set} is opened by others all the time`)
}

export function furthest(offsets: readonly TopicOffset[]): TopicOffset[] {
  const of = new Map<string, TopicOffset>()
  for (const offset of offsets) {
    const known = of.get(partitionOf(offset))
    if (known === undefined || known.nextOffset < offset.nextOffset)
      of.set(partitionOf(offset), offset)
  }
  return [...of.values()]
}

/** Sets that have a manifest. */
export async function listSets(objects: Objects): Promise<string[]> {
  const sets: string[] = []
  for (let after = `${MANIFEST_FOLDER}/`; ;) {
    const [next] = await objects.list(`${MANIFEST_FOLDER}/`, { after, limit: 1 })
    const set = next?.key.split('/')[1]
    if (set === undefined) return sets
    sets.push(set)
    // Behind all its versions: they begin with a digit.
    after = `${MANIFEST_FOLDER}/${set}/~`
  }
}

/** The newest manifest of a set that `listSets` named. */
export async function newestManifest(objects: Objects, set: string): Promise<Manifest> {
  return readManifest(objects, set, await newestVersion(objects, set))
}

/** Of which commit a file is; undefined for files that no commit put. */
export function commitOf(key: string): { set: string; version: number } | undefined {
  const groups = FILE.exec(key)?.groups
  return groups && { set: groups['set']!, version: Number(groups['version']) }
}

/** Whether a file that a writer of this set put is one of a commit. */
export function counts({ set, history, version: newest }: Manifest, key: string): boolean {
  const { set: of, ...numbers } = FILE.exec(key)?.groups ?? {}
  if (of !== set) return true
  const [epoch, version] = [Number(numbers['epoch']), Number(numbers['version'])]
  const owner = history.findLast(({ from }) => from <= version)
  // It is older than what is remembered.
  if (owner === undefined) return epoch < history[0]!.epoch
  return version <= newest && owner.epoch === epoch
}
