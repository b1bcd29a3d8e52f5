/**
 * `ports.json` of a data folder: who serves it, and where. Its room is taken before anything else
 * of a start may take the last of a full disk.
 */
import { open, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const ROOM_BYTES = 512

export interface Ports {
  pid: number
  http: number
  /** Undefined: that door is in another process. */
  mqtt: number | undefined
}

export class PortsFile {
  readonly #path: string

  private constructor(path: string) {
    this.#path = path
  }

  static async reserve(folder: string): Promise<PortsFile> {
    const file = new PortsFile(join(folder, 'ports.json'))
    await writeFile(file.#temporary, ' '.repeat(ROOM_BYTES))
    return file
  }

  get #temporary(): string {
    return `${this.#path}.tmp`
  }

  async publish(ports: Ports): Promise<void> {
    const text = `${JSON.stringify(ports)}\n`
    const file = await open(this.#temporary, 'r+')
    try {
      await file.write(text)
      await file.truncate(text.length)
    } finally {
      await file.close()
    }
    await rename(this.#temporary, this.#path)
  }

  async remove(): Promise<void> {
    await rm(this.#temporary, { force: true })
    await rm(this.#path, { force: true })
  }
}
