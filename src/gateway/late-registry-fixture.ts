/**
 * For tests of the gateway: a registry that is asked, and answers when it is told to. The reader is
 * the one of a cluster; behind it is the rig's own store.
 */
import { DatabaseSync } from 'node:sqlite'
import {
  RemoteDeviceReader,
  type DeviceSource,
  type RemoteReaderOptions,
} from '../control/remote-device-reader.ts'
import { WeirError } from '../errors/errors.ts'
import { nodeWorld } from '../world/node-world.ts'

type Rows = Awaited<ReturnType<DeviceSource['ask']>>

export class LateRegistry implements DeviceSource {
  /** Ids of each question, in the order in which they came. */
  readonly questions: string[][] = []
  isAway = false
  isAnswering = true
  #waiting: (() => void)[] = []
  #database: DatabaseSync | undefined

  /** For startRig(). */
  openReader(options: Partial<RemoteReaderOptions> = {}): (path: string) => RemoteDeviceReader {
    return (path) => {
      this.#database = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
      return new RemoteDeviceReader(this, nodeWorld.clock, options)
    }
  }

  async ask(tenant: string, ids: readonly string[]): Promise<Rows> {
    this.questions.push([...ids])
    if (!this.isAnswering) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.isAway) throw new WeirError('CONTROL_UNAVAILABLE', 'PostgreSQL: secret-host:5432')
    const one = this.#database!.prepare('SELECT * FROM device WHERE tenant = ? AND id = ?')
    const rows = ids.map((id) => one.get(tenant, id))
    return rows.filter((row) => row !== undefined) as unknown as Rows
  }

  /** From now on, and to what was asked before. */
  answer(): void {
    this.isAnswering = true
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  async close(): Promise<void> {
    this.#database?.close()
  }
}
