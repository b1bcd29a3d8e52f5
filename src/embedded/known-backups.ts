/** Backups that this installation made and did not remove: what an erasure does not reach. */
import { join } from 'node:path'
import type { KnownBackup } from '../api/api.ts'
import type { Disk } from '../world/world.ts'

export class KnownBackups {
  readonly #disk: Disk
  readonly #path: string

  constructor(disk: Disk, folder: string) {
    this.#disk = disk
    this.#path = join(folder, 'backups.json')
  }

  /** The oldest first. Errors: what is in the file is no list. */
  async list(): Promise<KnownBackup[]> {
    if (!(await this.#disk.exists(this.#path))) return []
    const file = await this.#disk.open(this.#path, 'read')
    try {
      const bytes = new Uint8Array(await file.size())
      await file.read(bytes, 0)
      return JSON.parse(Buffer.from(bytes).toString()) as KnownBackup[]
    } finally {
      await file.close()
    }
  }

  async add(backup: KnownBackup): Promise<void> {
    await this.#write([...(await this.list()), backup])
  }

  async remove(to: string, names: readonly string[]): Promise<void> {
    const known = await this.list()
    await this.#write(known.filter((one) => one.to !== to || !names.includes(one.name)))
  }

  async #write(known: readonly KnownBackup[]): Promise<void> {
    const temporary = `${this.#path}.tmp`
    const file = await this.#disk.open(temporary, 'create')
    try {
      const bytes = Buffer.from(JSON.stringify(known))
      await file.truncate(0)
      await file.write(bytes, 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await this.#disk.rename(temporary, this.#path)
  }
}
