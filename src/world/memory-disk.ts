/**
 * A simulated disk, as unkind as POSIX allows: until a file is synced a power cut may keep any of
 * its written sectors and forget the others; until a folder is synced it may forget any creation,
 * rename or removal in it. A failed sync drops what it should have written, while reads still
 * show it from the cache, as Linux does. Everything is decided by a seed, so a failure replays.
 *
 * Not simulated: latency, permissions, links, open files that were removed losing their space.
 */
import { dirname } from 'node:path'
import type { Disk, DiskFile, Random } from './world.ts'

/** What a real disk writes whole or not at all. */
const SECTOR_BYTES = 512

export interface MemoryDisk extends Disk {
  /**
   * Power cut: unsynced changes are kept or lost by chance. Returns the disk as it is found after
   * it, without faults; everything done through this one or its open files fails from now on.
   */
  crash(): MemoryDisk
  /**
   * The end of the process, `kill -9`: the kernel keeps all that was written, synced or not.
   * Everything done through this one or its open files fails from now on.
   */
  kill(): MemoryDisk
  /** `allocated`: even writes into space that a file already has fail, as when copying on write. */
  setFull(how: 'no' | 'growth' | 'allocated'): void
  /** The next sync of a file whose path contains `pathPart` throws EIO and loses its data. */
  failNextSync(pathPart?: string): void
  flipBit(path: string, position: number, bit?: number): void
  /** Syncs of files since the start. */
  readonly syncCount: number
}

/** A change that a power cut may still undo. */
type PendingWrite = { position: number; bytes: Uint8Array } | { size: number }

/** A file's contents, apart from its name. */
interface Content {
  cached: Uint8Array
  durable: Uint8Array
  pending: PendingWrite[]
}

/** Names and what they stand for; a folder is `'folder'`. */
type Names = Map<string, Content | 'folder'>

interface FolderChange {
  folder: string
  apply(names: Names): void
}

/** Deterministic randomness (mulberry32, Tommy Ettinger 2017). Not for secrets. */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0
  const unit = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { unit, bytes: (count) => Uint8Array.from({ length: count }, () => unit() * 256) }
}

/** An error as `node:fs` throws it. */
const systemError = (code: string, path: string): Error =>
  Object.assign(new Error(`${code}: ${path}`), { code })

const resized = (bytes: Uint8Array, size: number): Uint8Array => {
  if (bytes.length === size) return bytes
  const copy = new Uint8Array(size)
  copy.set(bytes.subarray(0, size))
  return copy
}

/** `content` with the write in it: the same array, or a longer copy if the write needs it. */
function written(content: Uint8Array, bytes: Uint8Array, position: number): Uint8Array {
  const grown = resized(content, Math.max(content.length, position + bytes.length))
  grown.set(bytes, position)
  return grown
}

export function createMemoryDisk(options: { seed: number; capacityBytes?: number }): MemoryDisk {
  const names: Names = new Map([['/', 'folder']])
  return new SimulatedDisk(
    createSeededRandom(options.seed),
    options.capacityBytes ?? 1 << 30,
    names,
  )
}

class SimulatedDisk implements MemoryDisk {
  readonly random: Random
  readonly #capacityBytes: number
  readonly #names: Names
  readonly #durableNames: Names
  #folderChanges: FolderChange[] = []
  #full: 'no' | 'growth' | 'allocated' = 'no'
  #failing: string | undefined
  isDead = false
  syncCount = 0

  constructor(random: Random, capacityBytes: number, durableNames: Names) {
    this.random = random
    this.#capacityBytes = capacityBytes
    this.#durableNames = durableNames
    this.#names = new Map(durableNames)
  }

  /**
   * Does something after letting others run, a few turns by chance, as real input and output
   * would. A power cut comes before or after it, never between it and the check.
   */
  async perform<T>(action: () => T): Promise<T> {
    for (let turns = Math.floor(this.random.unit() * 4); turns >= 0; turns--)
      await Promise.resolve()
    if (this.isDead) throw systemError('EIO', 'the power was cut')
    return action()
  }

  open(path: string, mode: 'read' | 'write' | 'create'): Promise<DiskFile> {
    return this.perform(() => {
      let content = this.#names.get(path)
      if (content === 'folder') throw systemError('EISDIR', path)
      if (content === undefined) {
        if (mode !== 'create' || !this.#names.has(dirname(path))) throw systemError('ENOENT', path)
        const created: Content = {
          cached: new Uint8Array(0),
          durable: new Uint8Array(0),
          pending: [],
        }
        this.#change(dirname(path), (names) => names.set(path, created))
        content = created
      }
      return new SimulatedFile(this, content, { path, isWritable: mode !== 'read' })
    })
  }

  list(folder: string): Promise<string[]> {
    return this.perform(() => {
      if (this.#names.get(folder) !== 'folder') throw systemError('ENOENT', folder)
      const inside = [...this.#names.keys()].filter(
        (path) => path !== '/' && dirname(path) === folder,
      )
      return inside.map((path) => path.slice(folder === '/' ? 1 : folder.length + 1)).toSorted()
    })
  }

  exists(path: string): Promise<boolean> {
    return this.perform(() => this.#names.has(path))
  }

  makeFolder(path: string): Promise<void> {
    return this.perform(() => {
      const missing: string[] = []
      for (let at = path; !this.#names.has(at); at = dirname(at)) missing.unshift(at)
      for (const folder of missing)
        this.#change(dirname(folder), (names) => names.set(folder, 'folder'))
    })
  }

  syncFolder(path: string): Promise<void> {
    return this.perform(() => {
      if (this.#names.get(path) !== 'folder') throw systemError('ENOENT', path)
      const isHere = (change: FolderChange): boolean => change.folder === path
      for (const change of this.#folderChanges.filter(isHere)) change.apply(this.#durableNames)
      this.#folderChanges = this.#folderChanges.filter((change) => !isHere(change))
    })
  }

  /** Within one folder, like every rename that must be atomic. */
  rename(from: string, to: string): Promise<void> {
    return this.perform(() => {
      const content = this.#names.get(from)
      if (content === undefined) throw systemError('ENOENT', from)
      if (dirname(from) !== dirname(to)) throw systemError('EXDEV', to)
      this.#change(dirname(to), (names) => {
        if (names.delete(from)) names.set(to, content)
      })
    })
  }

  remove(path: string): Promise<void> {
    return this.perform(() => {
      if (this.#names.has(path)) this.#change(dirname(path), (names) => names.delete(path))
    })
  }

  freeBytes(): Promise<number> {
    return this.perform(() => this.bytesLeft)
  }

  get bytesLeft(): number {
    if (this.#full !== 'no') return 0
    let used = 0
    for (const content of this.#names.values())
      used += content === 'folder' ? 0 : content.cached.length
    return Math.max(0, this.#capacityBytes - used)
  }

  get isFullForAllocated(): boolean {
    return this.#full === 'allocated'
  }

  setFull(how: 'no' | 'growth' | 'allocated'): void {
    this.#full = how
  }

  failNextSync(pathPart = ''): void {
    this.#failing = pathPart
  }

  /** True once for each failNextSync(), for a file that now has such a name. */
  takesFailure(content: Content): boolean {
    const failing = this.#failing
    if (failing === undefined) return false
    const names = [...this.#names].filter(([, named]) => named === content)
    const fails = names.some(([path]) => path.includes(failing))
    if (fails) this.#failing = undefined
    return fails
  }

  flipBit(path: string, position: number, bit = 0): void {
    const content = this.#names.get(path)
    if (content === undefined || content === 'folder') throw systemError('ENOENT', path)
    if (position >= content.cached.length) throw new RangeError(`${path} ends before ${position}`)
    content.cached[position]! ^= 1 << bit
    if (position < content.durable.length) content.durable[position]! ^= 1 << bit
  }

  crash(): MemoryDisk {
    this.isDead = true
    for (const change of this.#folderChanges)
      if (this.random.unit() < 0.5) change.apply(this.#durableNames)
    // A file is gone with its folder.
    for (const path of [...this.#durableNames.keys()].toSorted())
      if (!this.#durableNames.has(dirname(path))) this.#durableNames.delete(path)
    const found = [...this.#durableNames].map(([path, content]) => {
      return [path, content === 'folder' ? content : this.#torn(content)] as const
    })
    return new SimulatedDisk(this.random, this.#capacityBytes, new Map(found))
  }

  kill(): MemoryDisk {
    this.isDead = true
    const next = new SimulatedDisk(this.random, this.#capacityBytes, this.#durableNames)
    for (const change of this.#folderChanges) change.apply(next.#names)
    next.#folderChanges = this.#folderChanges
    next.#full = this.#full
    next.#failing = this.#failing
    return next
  }

  #change(folder: string, apply: (names: Names) => void): void {
    apply(this.#names)
    this.#folderChanges.push({ folder, apply })
  }

  /** What is left of a file: all, nothing, or each sector by chance of what was not synced. */
  #torn(content: Content): Content {
    const mood = this.random.unit()
    const keeps = (): boolean => mood < 0.2 || (mood < 0.8 && this.random.unit() < 0.5)
    let { durable } = content
    for (const change of content.pending) {
      if ('size' in change) {
        if (keeps()) durable = resized(durable, change.size)
        continue
      }
      const { position, bytes } = change
      for (let at = 0; at < bytes.length;) {
        const end = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES))
        if (keeps()) durable = written(durable, bytes.subarray(at, end), position + at)
        at = end
      }
    }
    return { cached: durable.slice(), durable, pending: [] }
  }
}

class SimulatedFile implements DiskFile {
  readonly #disk: SimulatedDisk
  readonly #content: Content
  readonly #path: string
  readonly #isWritable: boolean
  #isClosed = false

  constructor(
    disk: SimulatedDisk,
    content: Content,
    settings: { path: string; isWritable: boolean },
  ) {
    this.#disk = disk
    this.#content = content
    this.#path = settings.path
    this.#isWritable = settings.isWritable
  }

  write(data: Uint8Array, position: number): Promise<void> {
    // The kernel may read the buffer at any time until this resolves; at once is one of them.
    const bytes = data.slice()
    return this.#perform('writing', () => {
      const { length } = this.#content.cached
      const growth = Math.max(0, position + bytes.length - length)
      const isFull = growth > this.#disk.bytesLeft || this.#disk.isFullForAllocated
      if (!isFull || bytes.length === 0) return this.#put(bytes, position)
      const room = Math.floor(this.#disk.random.unit() * (bytes.length - growth))
      this.#put(bytes.subarray(0, room), position)
      throw systemError('ENOSPC', this.#path)
    })
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.#perform('reading', () => {
      const bytes = this.#content.cached.subarray(position, position + into.length)
      into.set(bytes)
      return bytes.length
    })
  }

  sync(): Promise<void> {
    return this.#perform('reading', () => this.#flush())
  }

  allocate(bytes: number): Promise<void> {
    return this.#perform('writing', () => {
      const growth = bytes - this.#content.cached.length
      if (growth > this.#disk.bytesLeft) throw systemError('ENOSPC', this.#path)
      if (growth > 0) this.#resize(bytes)
      this.#flush()
    })
  }

  truncate(bytes: number): Promise<void> {
    return this.#perform('writing', () => this.#resize(bytes))
  }

  size(): Promise<number> {
    return this.#perform('reading', () => this.#content.cached.length)
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }

  #perform<T>(how: 'reading' | 'writing', action: () => T): Promise<T> {
    return this.#disk.perform(() => {
      const isAllowed = !this.#isClosed && (how === 'reading' || this.#isWritable)
      if (!isAllowed) throw systemError('EBADF', this.#path)
      return action()
    })
  }

  #flush(): void {
    this.#disk.syncCount++
    const { pending } = this.#content
    this.#content.pending = []
    if (this.#disk.takesFailure(this.#content)) throw systemError('EIO', this.#path)
    for (const change of pending) {
      this.#content.durable =
        'size' in change
          ? resized(this.#content.durable, change.size)
          : written(this.#content.durable, change.bytes, change.position)
    }
  }

  #put(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return
    this.#content.cached = written(this.#content.cached, bytes, position)
    this.#content.pending.push({ position, bytes })
  }

  #resize(size: number): void {
    this.#content.cached = resized(this.#content.cached, size)
    this.#content.pending.push({ size })
  }
}
