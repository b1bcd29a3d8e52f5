/**
 * The lake has readings twice for a while: as commits wrote them, minutes behind the devices, and
 * sorted, as they left PostgreSQL. When a month has left, the files of its commits go, so that any
 * tool finds each reading once.
 *
 *   the newest commits ─▶ PostgreSQL has all that they hold? ─▶ the month has left? ─▶ delete
 *
 * In this order: what a commit of then holds was in PostgreSQL before the month was looked for, so
 * when it is not there it has moved, or was too old to be kept. Commits behind those stay.
 */
import { committedSets, commitFiles, type CommittedSet } from '../lake/lake.ts'
import type { Objects } from '../objects/objects.ts'
import type { Ager, LakeFolder, StoredOffset } from '../postgres/ager.ts'

/** Three times as many with all escaped, which is below what a folder's name may have. */
const NAME_BYTES_MAX = 64

export interface MovedCommitsParts {
  objects: Objects
  /** Of all stores. */
  agers: readonly Ager[]
  /** Of the topics that the lake is written from. */
  isReadingsTopic: (topic: string) => boolean
  isClosing: () => boolean
}

/**
 * Returns how many files went. Errors: STORAGE_UNAVAILABLE, OBJECTS_UNAVAILABLE, OBJECTS_REFUSED.
 */
export async function removeMovedCommits(parts: MovedCommitsParts): Promise<number> {
  const { objects, agers, isReadingsTopic, isClosing } = parts
  const sets = await committedSets(objects)
  if (sets.length === 0) return 0
  const stored = await Promise.all(agers.map((ager) => ager.offsets()))
  const wanted = sets
    .flatMap(({ offsets }) => offsets)
    .filter(({ topic }) => isReadingsTopic(topic))
  if (!stored.every((offsets) => hasAll(offsets, wanted))) return 0
  const versions = new Map(sets.map(({ set, version }) => [set, version]))
  const folders = (await Promise.all(agers.map((ager) => ager.folders()))).flat()
  let removed = 0
  for (const folder of distinct(folders).filter(hasOwnName)) {
    const left = new Map<number, boolean>()
    for await (const { key, month, set, version } of commitFiles(objects, folder)) {
      if (isClosing()) return removed
      if (version > (versions.get(set) ?? -1)) continue
      if (!left.has(month)) {
        const all = await Promise.all(agers.map((ager) => ager.hasLeft(folder, month)))
        left.set(month, all.every(Boolean))
      }
      if (left.get(month) !== true) continue
      await objects.delete(key)
      removed++
    }
  }
  return removed
}

function hasAll(stored: readonly StoredOffset[], wanted: CommittedSet['offsets']): boolean {
  const next = new Map(stored.map((one) => [`${one.topic}/${one.partition}`, one.nextOffset]))
  return wanted.every(
    ({ topic, partition, nextOffset }) => (next.get(`${topic}/${partition}`) ?? 0) >= nextOffset,
  )
}

/** Names of folders are cut when they are too long, and several may have one then. */
const hasOwnName = ({ tenant, deviceType }: LakeFolder): boolean =>
  [tenant, deviceType].every((name) => Buffer.byteLength(name) <= NAME_BYTES_MAX)

/** Several stores have the same. */
const distinct = <T extends object>(all: readonly T[]): T[] => [
  ...new Map(all.map((one) => [JSON.stringify(one), one])).values(),
]
