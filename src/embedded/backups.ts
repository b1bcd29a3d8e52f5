/** The backup that is being made, in the storage's thread; one at a time. */
import { join } from 'node:path'
import type { BackupStatus } from '../api/api.ts'
import { writeBackup } from '../backup/backup.ts'
import { WeirError } from '../errors/errors.ts'
import type { Objects } from '../objects/objects.ts'
import type { EmbeddedStorage } from '../storage/embedded-storage.ts'
import { BACKUP_FOLDER, onDisk, type BackupSource } from '../storage/backup-source.ts'
import type { World } from '../world/world.ts'
import { openDestination } from './destination.ts'
import { JobStatuses } from './job-statuses.ts'

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
  #source: BackupSource | undefined
  #isRunning = false

  constructor(parts: BackupsParts) {
    this.#parts = parts
    this.#statuses = new JobStatuses(parts.world.random)
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
    void this.#write(to, status).finally(() => this.cancel())
    return this.#statuses.add(status)
  }

  async #write(to: string, status: BackupStatus): Promise<void> {
    const { folder, world } = this.#parts
    try {
      const { files, nextOffset } = this.#source!
      const at = join(folder, BACKUP_FOLDER)
      const control = await onDisk(world.disk, { path: 'control.db', at })
      const objects = await openDestination(to, world, process.env)
      try {
        status.name = await writeBackup({
          ...{ objects, nextOffset, clock: world.clock },
          files: [...files, control],
          progress: (progress) => (status.progress = progress),
        })
      } finally {
        objects.close()
      }
      status.state = 'done'
    } catch (error) {
      const { code = 'OBJECTS_UNAVAILABLE', message } = error as { code?: string; message: string }
      status.problem = { code, detail: message }
      status.state = 'failed'
    }
  }

  status(id: string): BackupStatus | undefined {
    return this.#statuses.get(id)
  }
}
