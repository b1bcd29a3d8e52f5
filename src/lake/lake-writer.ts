/** The writer of one set: collects, commits, and knows when another has taken its place. */
import { WeirError } from '../errors/errors.ts'
import { CollectedReadings, partitionOf } from './collected-readings.ts'
import { encodeLakeFile } from './lake-file.ts'
import type { ErasedTimes, LakeAccess, LakeBatch, LakeWriter, TopicOffset } from './lake.ts'
import { claimSet, fileKey, furthest, isSetName, listSets } from './manifest.ts'
import { newestManifest, putManifest, type Manifest } from './manifest.ts'
import { countRows, cutFolders, cutRows, type Run, type SortedReadings } from './sorted-readings.ts'
import { announce, sweep } from './sweep.ts'

/** A commit that failed is due again after this. */
const RETRY_MS = 2000
/** Of one file, about 12 MB. */
const FILE_ROWS_MAX = 1 << 22

/**
 * Takes the set and removes what does not count, in as many requests however much there is.
 * Errors: OBJECTS_UNAVAILABLE, OBJECTS_REFUSED, LAKE_FENCED, DATA_FORMAT_NEWER.
 */
export async function openLakeWriter(access: LakeAccess): Promise<LakeWriter> {
  const { objects, set } = access
  if (!isSetName(set)) throw new RangeError(`${set} is no name of a set`)
  const mark = Buffer.from(access.random.bytes(12)).toString('base64url')
  const ours = new Set(access.partitions.map(partitionOf))
  const isOurs = (offset: TopicOffset): boolean => ours.has(partitionOf(offset))
  const others: Manifest[] = []
  for (const other of await listSets(objects)) {
    if (other === set || !(await newestManifest(objects, other)).offsets.some(isOurs)) continue
    // First it ends, then it is read: so nothing is added behind our back.
    others.push(await claimSet(objects, other, { mark }))
  }
  const adopted = others.flatMap(({ offsets }) => offsets.filter(isOurs))
  const claimed = await claimSet(objects, set, { mark, adopted })
  const [manifest] = await sweep(objects, [claimed, ...others])
  const erased = (await access.erased?.()) ?? (() => [])
  return new SetWriter(access, { newest: manifest!, erased })
}

/** What one commit writes, the same at every try. */
interface Round {
  readings: SortedReadings
  rows: number
  pending: { key: string; runs: Run[] }[]
  manifest: Manifest
  isAnnounced: boolean
}

class SetWriter implements LakeWriter {
  readonly #access: LakeAccess
  readonly #erased: ErasedTimes
  #newest: Manifest
  #collected: CollectedReadings
  /** The first reading of `#collected` came then. */
  #sinceMs = 0
  #round: Round | undefined
  #failedMs: number | undefined
  #isFenced = false
  #isCommitting = false

  constructor(access: LakeAccess, of: { newest: Manifest; erased: ErasedTimes }) {
    this.#access = access
    this.#newest = of.newest
    this.#erased = of.erased
    this.#collected = new CollectedReadings(of.erased)
  }

  get offsets(): readonly TopicOffset[] {
    return this.#newest.offsets
  }

  get held(): number {
    return this.#collected.count + (this.#round?.rows ?? 0)
  }

  get hasRoom(): boolean {
    return this.held < this.#access.limits.readingsHeldMax
  }

  get isDue(): boolean {
    if (this.#isCommitting || this.#isFenced) return false
    const { limits, clock } = this.#access
    const nowMs = clock.monotonicMs()
    if (this.#failedMs !== undefined) return nowMs - this.#failedMs >= RETRY_MS
    const { count } = this.#collected
    if (count === 0) return false
    return count >= limits.commitReadings || nowMs - this.#sinceMs >= limits.commitIntervalMs
  }

  append(batch: LakeBatch): number {
    this.#checkFence()
    if (!this.hasRoom) throw new WeirError('LAKE_BACKLOG_FULL', `${this.held} readings are held`)
    if (this.#collected.count === 0) this.#sinceMs = this.#access.clock.monotonicMs()
    const before = this.#collected.count
    this.#collected.add(batch)
    return this.#collected.count - before
  }

  async commit(): Promise<readonly TopicOffset[]> {
    if (this.#isCommitting) throw new RangeError('a commit is under way')
    this.#checkFence()
    this.#isCommitting = true
    try {
      // What failed before, then what came since.
      if (this.#round !== undefined) await this.#finish(this.#round)
      if (this.#collected.count > 0) await this.#finish(this.#begin())
      this.#failedMs = undefined
    } catch (error) {
      this.#failedMs = this.#access.clock.monotonicMs()
      throw error
    } finally {
      this.#isCommitting = false
    }
    return this.offsets
  }

  #checkFence(): void {
    if (this.#isFenced) throw new WeirError('LAKE_FENCED', `another writer has ${this.#newest.set}`)
  }

  /** Freezes what was collected: its files have the same names and rows at every try. */
  #begin(): Round {
    const collected = this.#collected
    // Before anything changes: it may throw.
    const offsets = furthest([...this.#newest.offsets, ...collected.offsets()])
    this.#collected = new CollectedReadings(this.#erased)
    const { set, epoch } = this.#newest
    const version = this.#newest.version + 1
    const readings = collected.sorted()
    const pending: Round['pending'] = []
    for (const [folder, runs] of cutFolders(readings)) {
      for (const part of cutRows(runs, FILE_ROWS_MAX)) {
        const number = pending.length
        pending.push({ key: fileKey(folder, { set, epoch, version, number }), runs: part })
      }
    }
    const manifest = { ...this.#newest, version, offsets, files: [] }
    this.#round = { readings, rows: collected.count, pending, manifest, isAnnounced: false }
    return this.#round
  }

  async #finish(round: Round): Promise<void> {
    const { objects } = this.#access
    const { manifest, pending } = round
    if (!round.isAnnounced) {
      const keys = pending.map(({ key }) => key)
      await announce(objects, manifest, keys)
      round.isAnnounced = true
    }
    for (let next = pending[0]; next !== undefined; next = pending[0]) {
      const { key, runs } = next
      const { bytes } = await encodeLakeFile(round.readings, runs, () => this.#pause())
      await objects.put(key, bytes)
      manifest.files.push({ key, rows: countRows(runs), bytes: bytes.length })
      pending.shift()
    }
    if (!(await putManifest(objects, manifest))) return this.#leave(manifest)
    this.#newest = manifest
    this.#round = undefined
  }

  /** Lets the caller's sockets and heartbeats have their turn. */
  #pause(): Promise<void> {
    return new Promise((resolve) => this.#access.clock.soon(resolve))
  }

  /** Another has the set: it will read these rows again, so our files must not stay. */
  async #leave({ set, files }: Manifest): Promise<never> {
    this.#isFenced = true
    this.#round = undefined
    this.#collected = new CollectedReadings(this.#erased)
    const gone = files.map(({ key }) => this.#access.objects.delete(key))
    // What stays is swept when the set is opened again.
    await Promise.allSettled(gone)
    throw new WeirError('LAKE_FENCED', `another writer has ${set}`)
  }
}
