/**
 * Connections of several threads share an index of the write-ahead log, a mapped file of which
 * SQLite has the file system allocate one byte of each 4096. Where blocks are smaller, the rest is
 * missing: written for the first time on a full disk, it ends the process (SIGBUS). So whoever
 * opened the store writes all of it, before others open it. It is enough for a log of 16 MB.
 *
 * Who closes a file gives up all locks that the process has on it, SQLite's too. So this is closed
 * behind the store.
 */
import type { Disk, DiskFile } from '../world/world.ts'

export class SharedIndex {
  readonly #disk: Disk
  readonly #path: string
  #file: DiskFile | undefined

  /** `path`: of the store. */
  constructor(disk: Disk, path: string) {
    this.#disk = disk
    this.#path = `${path}-shm`
  }

  /** Errors: those of the file system, ENOSPC above all. */
  async allocate(): Promise<void> {
    this.#file = await this.#disk.open(this.#path, 'write')
    const bytes = new Uint8Array(await this.#file.size())
    await this.#file.read(bytes, 0)
    await this.#file.write(bytes, 0)
    await this.#file.sync()
  }

  async close(): Promise<void> {
    await this.#file?.close()
  }
}
