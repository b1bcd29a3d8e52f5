/** The real world: Node's clocks, randomness and file system. */
import { randomBytes } from 'node:crypto'
import { writeSync } from 'node:fs'
import { open, mkdir, readdir, rename, rm, stat, statfs, type FileHandle } from 'node:fs/promises'
import { nodeNetwork } from './node-network.ts'
import type { Clock, Disk, DiskFile, Random, World } from './world.ts'

const nodeClock: Clock = {
  // timeOrigin + now() has µs resolution, but drifts from the wall clock; Date.now() does not.
  nowUs: () => Date.now() * 1000,
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
  soon: (callback) => void setImmediate(callback),
  every(intervalMs, callback) {
    const timer = setInterval(callback, intervalMs)
    timer.unref()
    return () => clearInterval(timer)
  },
}

const nodeRandom: Random = {
  bytes: (count) => randomBytes(count),
  unit: () => Math.random(),
}

/** Written and flushed at a time. */
const ALLOCATE_BYTES = 1 << 20

class NodeDiskFile implements DiskFile {
  readonly #handle: FileHandle

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /**
   * Into the page cache, at once: a copy in memory, while a trip to libuv's pool and back costs
   * two waits for a core on a busy machine. What takes long is sync().
   */
  async write(data: Uint8Array, position: number): Promise<void> {
    let done = 0
    while (done < data.length) {
      done += writeSync(this.#handle.fd, data, done, data.length - done, position + done)
    }
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let done = 0
    while (done < into.length) {
      const { bytesRead } = await this.#handle.read(into, done, into.length - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return done
  }

  sync(): Promise<void> {
    return this.#handle.datasync()
  }

  /**
   * Writes real zeroes: `ftruncate` would leave a hole, whose blocks each later sync must allocate.
   * Flushed piece by piece, so that other files' flushes never queue behind all of it.
   */
  async allocate(bytes: number): Promise<void> {
    const zeroes = new Uint8Array(Math.min(bytes, ALLOCATE_BYTES))
    let position = (await this.#handle.stat()).size
    while (position < bytes) {
      const count = Math.min(zeroes.length, bytes - position)
      await this.write(zeroes.subarray(0, count), position)
      await this.#handle.datasync()
      position += count
    }
    await this.#handle.sync()
  }

  truncate(bytes: number): Promise<void> {
    return this.#handle.truncate(bytes)
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

const OPEN_FLAGS = { read: 'r', write: 'r+', create: 'a+' } as const

const nodeDisk: Disk = {
  async open(path, mode) {
    // 'a+' would append whatever the position says, so it only creates.
    if (mode === 'create') await (await open(path, OPEN_FLAGS.create)).close()
    return new NodeDiskFile(await open(path, mode === 'read' ? OPEN_FLAGS.read : OPEN_FLAGS.write))
  },
  list: (folder) => readdir(folder),
  exists: async (path) => (await stat(path).catch(() => undefined)) !== undefined,
  makeFolder: async (path) => void (await mkdir(path, { recursive: true, mode: 0o700 })),
  async syncFolder(path) {
    const handle = await open(path, 'r')
    await handle.sync().finally(() => handle.close())
  },
  rename: (from, to) => rename(from, to),
  remove: (path) => rm(path, { force: true }),
  async freeBytes(path) {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  },
}

export const nodeWorld: World = {
  clock: nodeClock,
  random: nodeRandom,
  disk: nodeDisk,
  network: nodeNetwork,
}
