/**
 * A process's way to the simulated disk: operations take time, and from the moment of its death
 * none of them ever comes back. Death may come with any operation, just before or just after it.
 */
import type { Clock, Disk, DiskFile, Random } from '../../src/world/world.ts'

/** ms: most operations are short, a flush is not, and now and then one is very long. */
const SHORT_MS = 0.02
const FLUSH_MS = [0.1, 2] as const
const STALL_MS = [20, 400] as const
const STALL_CHANCE = 0.005

export class SlowDisk implements Disk {
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #random: Random
  readonly #onDeath: () => void
  /** Operations until the process dies by one of them. */
  operationsLeft = Infinity
  isDead = false
  /** Paths whose flush does nothing: a planted bug. */
  unflushed: (path: string) => boolean = () => false

  constructor(parts: { disk: Disk; clock: Clock; random: Random; onDeath: () => void }) {
    this.#disk = parts.disk
    this.#clock = parts.clock
    this.#random = parts.random
    this.#onDeath = parts.onDeath
  }

  async open(path: string, mode: 'read' | 'write' | 'create'): Promise<DiskFile> {
    return new SlowFile(this, await this.perform(() => this.#disk.open(path, mode)), path)
  }

  list(folder: string): Promise<string[]> {
    return this.perform(() => this.#disk.list(folder))
  }

  exists(path: string): Promise<boolean> {
    return this.perform(() => this.#disk.exists(path))
  }

  makeFolder(path: string): Promise<void> {
    return this.perform(() => this.#disk.makeFolder(path))
  }

  syncFolder(path: string): Promise<void> {
    return this.flush(() => this.#disk.syncFolder(path))
  }

  rename(from: string, to: string): Promise<void> {
    return this.perform(() => this.#disk.rename(from, to))
  }

  remove(path: string): Promise<void> {
    return this.perform(() => this.#disk.remove(path))
  }

  freeBytes(path: string): Promise<number> {
    return this.perform(() => this.#disk.freeBytes(path))
  }

  perform<T>(work: () => Promise<T>): Promise<T> {
    return this.#after(SHORT_MS, work)
  }

  flush<T>(work: () => Promise<T>): Promise<T> {
    const [least, most] = this.#random.unit() < STALL_CHANCE ? STALL_MS : FLUSH_MS
    return this.#after(least + this.#random.unit() * (most - least), work)
  }

  /** What was begun before death may still reach the disk; nobody hears of it. */
  async #after<T>(delayMs: number, work: () => Promise<T>): Promise<T> {
    this.operationsLeft--
    const isLast = this.operationsLeft <= 0
    const isDone = !isLast || this.#random.unit() < 0.5
    if (this.isDead) return forever()
    await new Promise<void>((resolve) => this.#clock.after(delayMs, resolve))
    if (this.isDead) return forever()
    const result = isDone ? await work() : undefined
    if (isLast) {
      this.#onDeath()
      return forever()
    }
    return this.isDead ? forever() : (result as T)
  }
}

const forever = (): Promise<never> => new Promise(() => {})

class SlowFile implements DiskFile {
  readonly #disk: SlowDisk
  readonly #file: DiskFile
  readonly #path: string

  constructor(disk: SlowDisk, file: DiskFile, path: string) {
    this.#disk = disk
    this.#file = file
    this.#path = path
  }

  write(data: Uint8Array, position: number): Promise<void> {
    const bytes = data.slice()
    return this.#disk.perform(() => this.#file.write(bytes, position))
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#disk.perform(() => this.#file.read(into, position))
  }

  sync(): Promise<void> {
    if (this.#disk.unflushed(this.#path)) return Promise.resolve()
    return this.#disk.flush(() => this.#file.sync())
  }

  allocate(bytes: number): Promise<void> {
    return this.#disk.flush(() => this.#file.allocate(bytes))
  }

  truncate(bytes: number): Promise<void> {
    return this.#disk.perform(() => this.#file.truncate(bytes))
  }

  size(): Promise<number> {
    return this.#disk.perform(() => this.#file.size())
  }

  close(): Promise<void> {
    return this.#disk.perform(() => this.#file.close())
  }
}
