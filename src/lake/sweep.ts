/**
 * Files that do not count, and how they are found without looking at all those that do.
 *
 * A writer announces the files of a commit before it puts the first of them: they are in
 * `pending/<set>/<epoch>`, where those of the next commit take their place. A process that dies in
 * between leaves files that no manifest lists, and the announcement that names them. Opening a set
 * reads the announcements of all epochs before, and removes what does not count.
 *
 * They stay when that is done: a writer that was taken over may put a file behind the sweep, and
 * die before it can take it back, so the next opening looks again. An epoch that the manifest's
 * history has forgotten is over.
 */
import { eachObject, type Objects } from '../objects/objects.ts'
import { READINGS_FOLDER } from './lake-columns.ts'
import { counts, putManifest, type Manifest } from './manifest.ts'

const PENDING_FOLDER = 'pending'

/** Errors: OBJECTS_UNAVAILABLE, OBJECTS_REFUSED. */
export async function announce(
  objects: Objects,
  { set, epoch }: Pick<Manifest, 'set' | 'epoch'>,
  keys: readonly string[],
): Promise<void> {
  await objects.put(`${PENDING_FOLDER}/${set}/${epoch}`, Buffer.from(JSON.stringify({ keys })))
}

/**
 * Removes the files of these sets that do not count; nobody commits to them meanwhile. Returns
 * their newest manifests. Errors: OBJECTS_UNAVAILABLE, OBJECTS_REFUSED.
 */
export async function sweep(
  objects: Objects,
  claimed: readonly Manifest[],
): Promise<readonly Manifest[]> {
  const old = claimed.filter(({ isSwept }) => !isSwept)
  if (old.length > 0) await sweepAll(objects, old)
  for (const manifest of claimed) await sweepAnnounced(objects, manifest)
  return Promise.all(claimed.map((one) => noteSwept(objects, one)))
}

async function sweepAnnounced(objects: Objects, manifest: Manifest): Promise<void> {
  const { epoch: firstEpoch } = manifest.history[0]!
  for await (const { key } of eachObject(objects, `${PENDING_FOLDER}/${manifest.set}/`)) {
    if (Number(key.split('/').at(-1)) < firstEpoch) {
      await objects.delete(key)
      continue
    }
    const { keys } = JSON.parse(Buffer.from(await objects.get(key)).toString()) as {
      keys: string[]
    }
    const loose = keys.filter((one) => !counts(manifest, one))
    await Promise.all(loose.map((one) => objects.delete(one)))
  }
}

/** For sets whose files of before were not announced: lists all of the lake. */
async function sweepAll(objects: Objects, manifests: readonly Manifest[]): Promise<void> {
  for await (const { key } of eachObject(objects, `${READINGS_FOLDER}/`)) {
    if (manifests.some((manifest) => !counts(manifest, key))) await objects.delete(key)
  }
}

/** In one more version, if need be. Whoever claimed the set meanwhile looks again. */
async function noteSwept(objects: Objects, manifest: Manifest): Promise<Manifest> {
  if (manifest.isSwept) return manifest
  const next = { ...manifest, version: manifest.version + 1, isSwept: true }
  return (await putManifest(objects, next)) ? next : manifest
}
