/** The files of commits, found by what their names say. */
import { eachObject, type Objects } from '../objects/objects.ts'
import { folderOf, READINGS_FOLDER } from './lake-columns.ts'
import type { TopicOffset } from './lake.ts'
import { commitOf, listSets, newestManifest } from './manifest.ts'

/** What all commits of a set up to a version hold. */
export interface CommittedSet {
  set: string
  version: number
  offsets: readonly TopicOffset[]
}

/** Of now; what comes later has higher versions. Errors: OBJECTS_UNAVAILABLE, OBJECTS_REFUSED. */
export async function committedSets(objects: Objects): Promise<CommittedSet[]> {
  const sets: CommittedSet[] = []
  for (const set of await listSets(objects)) {
    const { version, offsets } = await newestManifest(objects, set)
    sets.push({ set, version, offsets })
  }
  return sets
}

/**
 * Files of commits below one type's folder, month by month; `month` is 12 × year + month of the
 * year from 0. Files that are of no commit are left out. Errors: OBJECTS_UNAVAILABLE,
 * OBJECTS_REFUSED.
 */
export async function* commitFiles(
  objects: Objects,
  { tenant, deviceType }: { tenant: string; deviceType: string },
): AsyncGenerator<{ key: string; month: number; set: string; version: number }> {
  const folder = `${READINGS_FOLDER}/${folderOf('tenant', tenant)}/${folderOf('type', deviceType)}/`
  for await (const { key } of eachObject(objects, folder)) {
    const commit = commitOf(key)
    const { year, month } = /\/year=(?<year>\d+)\/month=(?<month>\d+)\//.exec(key)?.groups ?? {}
    if (commit === undefined || year === undefined) continue
    yield { key, month: Number(year) * 12 + Number(month) - 1, ...commit }
  }
}
