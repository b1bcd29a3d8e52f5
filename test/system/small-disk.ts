/** A file system of a few megabytes, that a test fills and empties: ext4 in an image, mounted. */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync } from 'node:fs'
import { rmSync, statfsSync, writeSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { makeFolder, run } from './weir-process.ts'

const PIECE_BYTES = 64 << 10

export class SmallDisk {
  /** The test's own, on the small disk. */
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  /** Answers with the reason when this machine does not allow it. */
  static async mount(t: TestContext, megabytes: number): Promise<SmallDisk | string> {
    // Hooks run in this order: unmounted before the folder is removed.
    let folder = ''
    t.after(() => run('umount', ['-l', folder]))
    const base = await makeFolder(t)
    const image = join(base, 'image')
    folder = join(base, 'disk')
    await mkdir(folder)
    const steps: [string, string[]][] = [
      ['truncate', ['-s', `${megabytes}M`, image]],
      ['mkfs.ext4', ['-q', '-F', '-m', '0', image]],
      ['mount', ['-o', 'loop', image, folder]],
    ]
    for (const [command, parameters] of steps) {
      const { code, stderr } = await run(command, parameters)
      if (code !== 0) return `${command} is not possible here: ${stderr.trim().slice(0, 200)}`
    }
    return new SmallDisk(folder)
  }

  /** Takes all room that is left, to the last block; then gives so much of it back. */
  fill(leftBytes = 0): void {
    const ballast = openSync(this.#ballast, 'a')
    const piece = new Uint8Array(PIECE_BYTES).fill(1)
    for (let bytes = PIECE_BYTES; bytes >= 512;) {
      try {
        writeSync(ballast, piece, 0, bytes)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
        bytes >>= 1
      }
    }
    // Blocks are handed out when they are flushed.
    fsyncSync(ballast)
    if (leftBytes > 0) ftruncateSync(ballast, fstatSync(ballast).size - leftBytes)
    closeSync(ballast)
  }

  free(): void {
    rmSync(this.#ballast, { force: true })
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder)
    return bavail * bsize
  }

  get #ballast(): string {
    return join(this.folder, 'ballast')
  }
}
