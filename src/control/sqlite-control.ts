/**
 * The control store on SQLite. One connection writes (main thread); the gateway's thread has a
 * reader of its own, which sees a device as soon as its creation resolved: WAL readers start at
 * the last commit, and nothing is cached here.
 */
import { backup, type DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Row } from '../sqlite/sqlite.ts'
import type { World } from '../world/world.ts'
import type { Control, ControlDatabase, Device, DeviceNumbers, DeviceReader } from './control.ts'
import { ControlStore } from './control-store.ts'
import { toDevice, type DeviceRow } from './device-row.ts'
import { openReader, openWriter } from './schema.ts'
import { areHashesEqual, hashSecret } from './secrets.ts'
import { isIntactRow, SqliteDatabase, type OnDamage } from './sqlite-database.ts'

export type LocalDeviceReader = DeviceReader & DeviceNumbers

export interface SqliteControl extends Control {
  /** For what else is kept beside the registry. Ends with it. */
  readonly database: ControlDatabase
  /** On the writer's own connection: what is not durable yet, it sees too. */
  readonly reader: LocalDeviceReader
  /** A copy of the whole store, as it is now. */
  copyTo(path: string): Promise<void>
}

/**
 * Opens (or creates) the store at `path`.
 * Throws DATA_FORMAT_NEWER and DATA_FILE_DAMAGED.
 */
export function openControl(options: {
  path: string
  world: Pick<World, 'clock' | 'random'>
  /** Other files of the folder show that there was a store: one that is missing is damage. */
  mustExist?: boolean
  onDamage?: OnDamage
}): SqliteControl {
  const { path, world, mustExist = false, onDamage = () => undefined } = options
  const connection = openWriter(path, { mustExist })
  const database = new SqliteDatabase(connection, world.clock, onDamage)
  const reader = new SqliteDeviceReader(connection, onDamage)
  const copyTo = async (to: string): Promise<void> => void (await backup(connection, to))
  return Object.assign(new ControlStore(database, world), { database, reader, copyTo })
}

/** Opens a read-only connection to the store that openControl() made at `path`. */
export function openDeviceReader(options: {
  path: string
  onDamage?: OnDamage
}): LocalDeviceReader {
  return new SqliteDeviceReader(openReader(options.path), options.onDamage)
}

class SqliteDeviceReader implements DeviceReader, DeviceNumbers {
  readonly #database: DatabaseSync
  readonly #onDamage: OnDamage
  readonly #byId: StatementSync
  readonly #byNumber: StatementSync

  constructor(database: DatabaseSync, onDamage: OnDamage = () => undefined) {
    this.#database = database
    this.#onDamage = onDamage
    this.#byNumber = database.prepare('SELECT * FROM device WHERE number = ?')
    this.#byId = database.prepare('SELECT * FROM device WHERE tenant = ? AND id = ?')
  }

  find(tenant: string, id: string): Device | undefined {
    const row = this.#checked(this.#byId.get(tenant, id))
    return row === undefined ? undefined : toDevice(row)
  }

  findByNumber(number: number): Device | undefined {
    const row = this.#checked(this.#byNumber.get(number))
    return row === undefined ? undefined : toDevice(row)
  }

  hasNumber(number: number): boolean {
    return this.#byNumber.get(number) !== undefined
  }

  authenticate(tenant: string, id: string, token: string): Device | undefined {
    // Hashed before the look-up, so that an unknown id costs what a wrong token costs.
    const hash = hashSecret(token)
    const row = this.#checked(this.#byId.get(tenant, id))
    if (row === undefined || !areHashesEqual(row.token_hash, hash)) return undefined
    return toDevice(row)
  }

  async close(): Promise<void> {
    this.#database.close()
  }

  #checked(row: Row | undefined): DeviceRow | undefined {
    if (row === undefined || !isIntactRow(row, 'device', this.#onDamage)) return undefined
    return row as unknown as DeviceRow
  }
}
