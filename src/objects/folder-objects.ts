/**
 * Objects as files of a folder that one process uses. A put is written under a temporary name,
 * flushed, renamed, and its folder flushed: a power cut leaves the old object or the new one.
 */
import { dirname } from 'node:path'
import { WeirError } from '../errors/errors.ts'
import type { Disk, Random } from '../world/world.ts'
import { folderOf, isFile, isTemporary, keyOf, pathOf, temporaryName } from './folder-paths.ts'
import { checkKey, type ByteRange, type ListedObject, type Objects } from './objects.ts'

export interface FolderAccess {
  folder: string
  disk: Disk
  random: Random
}

/** Removes what puts that never ended have left. Errors: OBJECTS_UNAVAILABLE. */
export async function openFolderObjects(access: FolderAccess): Promise<Objects> {
  const { disk, folder } = access
  return guarded(async () => {
    const objects = new FolderObjects(access)
    await objects.makeFolder(folder)
    for await (const path of walk(disk, folder)) {
      if (isTemporary(path.slice(path.lastIndexOf('/') + 1))) await disk.remove(path)
    }
    return objects
  })
}

/** All files below a folder. */
async function* walk(disk: Disk, folder: string): AsyncGenerator<string> {
  if (!(await disk.exists(folder))) return
  for (const name of await disk.list(folder)) {
    if (isFile(name)) yield `${folder}/${name}`
    else yield* walk(disk, `${folder}/${name}`)
  }
}

async function guarded<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    if (cause instanceof WeirError) throw cause
    throw new WeirError('OBJECTS_UNAVAILABLE', (cause as Error).message, { cause })
  }
}

const byBytes = (a: ListedObject, b: ListedObject): number =>
  Buffer.compare(Buffer.from(a.key), Buffer.from(b.key))

class FolderObjects implements Objects {
  readonly #root: string
  readonly #disk: Disk
  readonly #random: Random
  /** Folders that are known to survive a power cut. */
  readonly #durableFolders = new Set<string>()
  /** The last change of each key that is under way: of one key they come one after the other. */
  readonly #changes = new Map<string, Promise<void>>()

  constructor({ folder, disk, random }: FolderAccess) {
    this.#root = folder
    this.#disk = disk
    this.#random = random
  }

  async put(key: string, bytes: Uint8Array, how: { ifAbsent?: boolean } = {}): Promise<void> {
    checkKey(key)
    const path = `${this.#root}/${pathOf(key)}`
    await this.#change(key, async () => {
      if (how.ifAbsent === true && (await this.#disk.exists(path)))
        throw new WeirError('OBJECT_EXISTS', key)
      await this.makeFolder(dirname(path))
      await this.#write(path, bytes)
    })
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const disk = this.#disk
    const folder = dirname(path)
    const unique = Buffer.from(this.#random.bytes(8)).toString('hex')
    const temporary = `${folder}/${temporaryName(unique)}`
    try {
      const file = await disk.open(temporary, 'create')
      try {
        await file.write(bytes, 0)
        await file.sync()
      } finally {
        await file.close()
      }
      await disk.rename(temporary, path)
    } catch (error) {
      await disk.remove(temporary).catch(() => undefined)
      throw error
    }
    await disk.syncFolder(folder)
  }

  /** Makes a folder and all above it durable. */
  async makeFolder(folder: string): Promise<void> {
    if (this.#durableFolders.has(folder)) return
    await this.#disk.makeFolder(folder)
    if (folder !== this.#root) {
      await this.makeFolder(dirname(folder))
      await this.#disk.syncFolder(dirname(folder))
    } else {
      for (let at = folder; at !== dirname(at); at = dirname(at))
        await this.#disk.syncFolder(dirname(at))
    }
    this.#durableFolders.add(folder)
  }

  async #change(key: string, action: () => Promise<void>): Promise<void> {
    const before = this.#changes.get(key)
    const done = guarded(async () => {
      await before?.catch(() => undefined)
      await action()
    })
    this.#changes.set(key, done)
    try {
      await done
    } finally {
      if (this.#changes.get(key) === done) this.#changes.delete(key)
    }
  }

  async get(key: string, range?: ByteRange): Promise<Uint8Array> {
    checkKey(key)
    return guarded(async () => {
      const path = `${this.#root}/${pathOf(key)}`
      if (!(await this.#disk.exists(path))) throw new WeirError('OBJECT_MISSING', key)
      const file = await this.#disk.open(path, 'read')
      try {
        const size = await file.size()
        const from = Math.min(range?.from ?? 0, size)
        const bytes = new Uint8Array(Math.max(from, Math.min(range?.to ?? size, size)) - from)
        return bytes.subarray(0, await file.read(bytes, from))
      } finally {
        await file.close()
      }
    })
  }

  async head(key: string): Promise<{ bytes: number } | undefined> {
    checkKey(key)
    return guarded(async () => {
      const path = `${this.#root}/${pathOf(key)}`
      return (await this.#disk.exists(path)) ? { bytes: await this.#size(path) } : undefined
    })
  }

  async #size(path: string): Promise<number> {
    const file = await this.#disk.open(path, 'read')
    return file.size().finally(() => file.close())
  }

  list(
    prefix: string,
    { after = '', limit }: { after?: string; limit: number },
  ): Promise<ListedObject[]> {
    return guarded(async () => {
      const folder = folderOf(prefix.split('/').slice(0, -1))
      const top = folder === '' ? this.#root : `${this.#root}/${folder}`
      const found: ListedObject[] = []
      for await (const path of walk(this.#disk, top)) {
        if (isTemporary(path.slice(path.lastIndexOf('/') + 1))) continue
        const key = keyOf(path.slice(this.#root.length + 1))
        if (key.startsWith(prefix)) found.push({ key, bytes: 0 })
      }
      const page = found
        .sort(byBytes)
        .filter((one) => byBytes(one, { key: after, bytes: 0 }) > 0)
        .slice(0, limit)
      for (const one of page) one.bytes = await this.#size(`${this.#root}/${pathOf(one.key)}`)
      return page
    })
  }

  async delete(key: string): Promise<void> {
    checkKey(key)
    const path = `${this.#root}/${pathOf(key)}`
    await this.#change(key, async () => {
      if (!(await this.#disk.exists(path))) return
      await this.#disk.remove(path)
      await this.#disk.syncFolder(dirname(path))
    })
  }

  close(): void {
    // Nothing is held open between calls.
  }
}
