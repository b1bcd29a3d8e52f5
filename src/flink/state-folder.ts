/**
 * The folder in which a job keeps its checkpoints, and its savepoints, as we read it: Flink writes
 *
 *   <checkpoints>/<job>/chk-<number>/_metadata
 *   <savepoints>/savepoint-<six letters of the job>-<random>/_metadata
 *
 * and `_metadata` last, so what has it is complete. The JobManager forgets jobs when it ends, and
 * names do not say which job was the last; so we write a record of each beside them.
 */
import { WeirError } from '../errors/errors.ts'
import { eachObject, type Objects } from '../objects/objects.ts'
import type { Disk } from '../world/world.ts'
import type { JobParameters } from './state-layout.ts'

/** Files below one folder; paths are relative, with `/`. */
export interface StateFolder {
  /** Of all files that end with one of these. Missing folders have none. */
  find(endings: readonly string[]): Promise<string[]>
  read(path: string): Promise<Uint8Array>
  write(path: string, bytes: Uint8Array): Promise<void>
}

/** What we write down of a job that was submitted. */
export interface JobRecord {
  job: string
  submittedMs: number
  parameters: JobParameters
  /** When somebody ended it who meant it. */
  endedMs?: number
}

const RECORD = /^jobs\/(\d{15})-[0-9a-f]{32}\.json$/
const METADATA = '/_metadata'
/** Of a job's folder, nothing lies deeper that we look for. */
const DEPTH_MAX = 3

/** Of the job that was submitted last. */
export async function lastRecord(folder: StateFolder): Promise<JobRecord | undefined> {
  const path = (await recordPaths(folder)).at(-1)
  return path === undefined ? undefined : readRecord(folder, path)
}

/** Oldest first. */
async function recordPaths(folder: StateFolder): Promise<string[]> {
  return (await folder.find(['.json'])).filter((path) => RECORD.test(path)).sort()
}

async function readRecord(folder: StateFolder, path: string): Promise<JobRecord> {
  return JSON.parse(Buffer.from(await folder.read(path)).toString()) as JobRecord
}

/** Takes the place of an earlier record of the job. */
export async function writeRecord(folder: StateFolder, record: JobRecord): Promise<void> {
  const order = String(record.submittedMs).padStart(15, '0')
  const bytes = Buffer.from(JSON.stringify(record))
  await folder.write(`jobs/${order}-${record.job}.json`, bytes)
}

/** Of the last job that has state, the newest, relative to its folder. */
export interface SavedState {
  /** Of checkpoints, or of savepoints. */
  of: 'checkpoints' | 'savepoints'
  path: string
  record: JobRecord
}

export async function newestState(
  checkpoints: StateFolder,
  savepoints: StateFolder,
): Promise<SavedState | undefined> {
  const [saved, savedApart] = [
    await checkpoints.find([METADATA]),
    await savepoints.find([METADATA]),
  ]
  for (const path of (await recordPaths(checkpoints)).reverse()) {
    const record = await readRecord(checkpoints, path)
    const checkpoint = newestCheckpoint(saved, record.job)
    if (checkpoint !== undefined) return { of: 'checkpoints', path: checkpoint, record }
    // A job that ended with a savepoint has no checkpoint any more.
    const savepoint = savedApart.find((one) =>
      one.startsWith(`savepoint-${record.job.slice(0, 6)}-`),
    )
    if (savepoint === undefined) continue
    return { of: 'savepoints', path: savepoint.slice(0, -METADATA.length), record }
  }
  return undefined
}

function newestCheckpoint(paths: readonly string[], job: string): string | undefined {
  const numbers = paths.flatMap((path) => {
    const [, of, number] = /^([0-9a-f]{32})\/chk-(\d+)\/_metadata$/.exec(path) ?? []
    return of === job ? [Number(number)] : []
  })
  return numbers.length === 0 ? undefined : `${job}/chk-${Math.max(...numbers)}`
}

/** Errors: CONFIG_VALUE_INVALID for an address that we cannot read, although Flink might. */
export function openStateFolder(
  address: string,
  { disk, bucketOf }: { disk: Disk; bucketOf: (bucket: string) => Objects },
): StateFolder {
  const [, scheme, rest = ''] = /^(file|s3):\/\/(.+)$/.exec(address) ?? []
  if (scheme === 'file') return diskFolder(disk, rest.replace(/\/+$/, ''))
  if (scheme === 's3') {
    const [bucket = '', ...path] = rest.split('/')
    return bucketFolder(bucketOf(bucket), path.map((part) => `${part}/`).join(''))
  }
  throw new WeirError('CONFIG_VALUE_INVALID', `${address} is no address as file:///… or s3://…`)
}

function diskFolder(disk: Disk, root: string): StateFolder {
  async function* walk(folder: string, depth: number): AsyncGenerator<string> {
    // What is a file, or not there, has none below it.
    for (const name of await disk.list(folder).catch(() => [])) {
      const path = `${folder}/${name}`
      yield path.slice(root.length + 1)
      if (depth < DEPTH_MAX) yield* walk(path, depth + 1)
    }
  }
  return {
    async find(endings) {
      const found: string[] = []
      for await (const path of walk(root, 1)) {
        if (endings.some((ending) => path.endsWith(ending))) found.push(path)
      }
      return found
    },
    async read(path) {
      const file = await disk.open(`${root}/${path}`, 'read')
      try {
        const bytes = new Uint8Array(await file.size())
        await file.read(bytes, 0)
        return bytes
      } finally {
        await file.close()
      }
    },
    async write(path, bytes) {
      const folder = `${root}/${path.slice(0, path.lastIndexOf('/'))}`
      await disk.makeFolder(folder)
      // Whole or not at all: half of a record would be in the way of all that look for state.
      const temporary = `${root}/${path}.tmp`
      const file = await disk.open(temporary, 'create')
      try {
        await file.write(bytes, 0)
        await file.sync()
      } finally {
        await file.close()
      }
      await disk.rename(temporary, `${root}/${path}`)
      await disk.syncFolder(folder)
    },
  }
}

function bucketFolder(objects: Objects, prefix: string): StateFolder {
  return {
    async find(endings) {
      const found: string[] = []
      for await (const { key } of eachObject(objects, prefix)) {
        if (endings.some((ending) => key.endsWith(ending))) found.push(key.slice(prefix.length))
      }
      return found
    },
    read: (path) => objects.get(`${prefix}${path}`),
    write: (path, bytes) => objects.put(`${prefix}${path}`, bytes),
  }
}
