/**
 * A file of zeroes in the data folder that keeps room for a start on a full disk: SQLite and
 * `ports.json` need some blocks before anything can be answered, be it only that the disk is full.
 * It goes when there is no other room, and comes back when there is.
 */
import { join } from 'node:path'
import type { Clock, Disk } from '../world/world.ts'

/** Shared memory and write-ahead logs of two databases, a migration of a small one, ports. */
const RESERVE_BYTES = 1 << 20
const RETRY_MS = 5000

export class DiskReserve {
  readonly #disk: Disk
  readonly #folder: string
  #cancel: () => void = () => undefined

  constructor(disk: Disk, folder: string) {
    this.#disk = disk
    this.#folder = folder
  }

  get #path(): string {
    return join(this.#folder, 'reserve')
  }

  /** Gives its room to the start that follows, if that has no other. */
  async release(): Promise<void> {
    if ((await this.#disk.freeBytes(this.#folder)) < RESERVE_BYTES) {
      await this.#disk.remove(this.#path)
    }
  }

  /** Makes it anew as soon as there is room for it and as much again. */
  async keep(clock: Clock): Promise<void> {
    const isThere = await this.#take().catch(() => false)
    if (!isThere) this.#cancel = clock.after(RETRY_MS, () => void this.keep(clock))
  }

  close(): void {
    this.#cancel()
  }

  async #take(): Promise<boolean> {
    if (await this.#disk.exists(this.#path)) return true
    if ((await this.#disk.freeBytes(this.#folder)) < 2 * RESERVE_BYTES) return false
    const file = await this.#disk.open(this.#path, 'create')
    try {
      await file.allocate(RESERVE_BYTES)
      return true
    } catch {
      await this.#disk.remove(this.#path)
      return false
    } finally {
      await file.close()
    }
  }
}
