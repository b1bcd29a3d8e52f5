/** The backup that is being made, in the storage's thread; one at a time. */
import { join } from 'node:path'
import type { BackupStatus } from '../api/api.ts'
import { writeBackup } from '../backup/backup.ts'
import { pruneBackups, type Pruned } from '../backup/prune-backups.ts'
import { WeirError } from '../errors/errors.ts'
import type { Objects } from '../objects/objects.ts'
import type { EmbeddedStorage } from '../storage/embedded-storage.ts'
import { BACKUP_FOLDER, onDisk, type BackupSource } from '../storage/backup-source.ts'
import type { World } from '../world/world.ts'
import { openDestination } from './destination.ts'
import { JobStatuses } from './job-statuses.ts'
import { KnownBackups } from './known-backups.ts'

export interface BackupsParts {
  folder: string
  storage: EmbeddedStorage
  /** Where cold files are files of the folder; undefined: they are in a bucket, and stay there. */
  coldFolder: Objects | undefined
  world: Pick<World, 'disk' | 'random' | 'clock'>
}

export class Backups {
  readonly #parts: BackupsParts
  readonly #statuses: JobStatuses<BackupStatus>
  readonly known: KnownBackups
  #source: BackupSource | undefined
  #isRunning = false

  constructor(parts: BackupsParts) {
    this.#parts = parts
    this.#statuses = new JobStatuses(parts.world.random)
    this.known = new KnownBackups(parts.world.disk, parts.folder)
  }

  /**
   * Takes the files as they are now, and says into which folder the registry's copy belongs. run()
   * or cancel() must follow. Errors: BACKUP_RUNNING, API_PARAMETER_INVALID.
   */
  async begin(to: string): Promise<string> {
    if (this.#isRunning) throw new WeirError('BACKUP_RUNNING')
    const { folder, storage, coldFolder, world } = this.#parts
    this.#isRunning = true
    try {
      // Where it goes is checked before anything is copied.
      const objects = await openDestination(to, world, process.env)
      objects.close()
      this.#source = await storage.snapshot(folder, coldFolder)
      return join(folder, BACKUP_FOLDER)
    } catch (error) {
      this.#isRunning = false
      throw error
    }
  }

  async cancel(): Promise<void> {
    await this.#source?.release()
    this.#source = undefined
    this.#isRunning = false
  }

  /** Returns its id at once. */
  run(to: string): string {
    const status: BackupStatus = {
      ...{ state: 'running', name: undefined, problem: undefined, progress: undefined },
    }
    void this.#write(to, status).then(async (end) => {
      // Whoever hears that it is over may begin the next.
      await this.cancel()
      Object.assign(status, end)
    })
    return this.#statuses.add(status)
  }

  async #write(to: string, status: BackupStatus): Promise<Partial<BackupStatus>> {
    const { folder, world } = this.#parts
    try {
      const { files, nextOffset } = this.#source!
      const at = join(folder, BACKUP_FOLDER)
      const control = await onDisk(world.disk, { path: 'control.db', at })
      const objects = await openDestination(to, world, process.env)
      try {
        const name = await writeBackup({
          ...{ objects, nextOffset, clock: world.clock },
          files: [...files, control],
          progress: (progress) => (status.progress = progress),
        })
        await this.known.add({ to, name })
        return { name, state: 'done' }
      } finally {
        objects.close()
      }
    } catch (error) {
      const { code = 'OBJECTS_UNAVAILABLE', message } = error as { code?: string; message: string }
      return { problem: { code, detail: message }, state: 'failed' }
    }
  }

  /**
   * The newest `keep` of a place stay. Errors: BACKUP_RUNNING, API_PARAMETER_INVALID,
   * BACKUP_DAMAGED, those of the store.
   */
  async prune(to: string, keep: number): Promise<Pruned> {
    if (this.#isRunning) throw new WeirError('BACKUP_RUNNING')
    this.#isRunning = true
    try {
      const objects = await openDestination(to, this.#parts.world, process.env)
      try {
        const pruned = await pruneBackups(objects, keep)
        await this.known.remove(to, pruned.removed)
        return pruned
      } finally {
        objects.close()
      }
    } finally {
      this.#isRunning = false
    }
  }

  status(id: string): BackupStatus | undefined {
    return this.#statuses.get(id)
  }
}
