/**
 * The control store on SQLite. One connection writes (main thread); the gateway's thread has a
 * reader of its own, which sees a device as soon as durable() resolved: WAL readers start at
 * the last commit, and nothing is cached here.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { WeirError } from '../errors/errors.ts'
import type { World } from '../world/world.ts'
import { isDeviceId } from './control.ts'
import type { Control, Device, DeviceReader, NewDevice, Principal } from './control.ts'
import { openReader, openWriter } from './schema.ts'
import {
  ADMIN_KEY_PREFIX,
  areHashesEqual,
  createSecret,
  DEVICE_TOKEN_PREFIX,
  hashSecret,
} from './secrets.ts'

/** The only tenant until there are more; it stands in keys and rows from the first day. */
const DEFAULT_TENANT = 'default'

interface DeviceRow {
  number: number
  tenant: string
  id: string
  type: string
  location: string | null
  tags: string
  parent: string | null
  is_gateway: number
  created_at_us: number
  token_hash: Uint8Array
}

const toDevice = (row: DeviceRow): Device => ({
  number: row.number,
  tenant: row.tenant,
  id: row.id,
  type: row.type,
  location: row.location ?? undefined,
  tags: JSON.parse(row.tags) as Record<string, string>,
  parent: row.parent ?? undefined,
  isGateway: row.is_gateway === 1,
  createdAtUs: row.created_at_us,
})

/**
 * Opens (or creates) the store at `path`.
 * Throws DATA_FORMAT_NEWER and DATA_FILE_DAMAGED.
 */
export function openControl(options: {
  path: string
  world: Pick<World, 'clock' | 'random'>
}): Control {
  return new SqliteControl(openWriter(options.path), options.world)
}

/** Opens a read-only connection to the store that openControl() made at `path`. */
export function openDeviceReader(options: { path: string }): DeviceReader {
  return new SqliteDeviceReader(openReader(options.path))
}

class SqliteDeviceReader implements DeviceReader {
  protected readonly database: DatabaseSync
  readonly #byId: StatementSync

  constructor(database: DatabaseSync) {
    this.database = database
    this.#byId = database.prepare('SELECT * FROM device WHERE tenant = ? AND id = ?')
  }

  find(tenant: string, id: string): Device | undefined {
    const row = this.#row(tenant, id)
    return row === undefined ? undefined : toDevice(row)
  }

  authenticate(tenant: string, id: string, token: string): Device | undefined {
    // Hashed before the look-up, so that an unknown id costs what a wrong token costs.
    const hash = hashSecret(token)
    const row = this.#row(tenant, id)
    if (row === undefined || !areHashesEqual(row.token_hash, hash)) return undefined
    return toDevice(row)
  }

  close(): void {
    this.database.close()
  }

  #row(tenant: string, id: string): DeviceRow | undefined {
    return this.#byId.get(tenant, id) as unknown as DeviceRow | undefined
  }
}

class SqliteControl extends SqliteDeviceReader implements Control {
  readonly #world: Pick<World, 'clock' | 'random'>
  readonly #insertDevice: StatementSync
  readonly #insertAdminKey: StatementSync
  readonly #page: StatementSync
  readonly #count: StatementSync
  readonly #deviceByHash: StatementSync
  readonly #adminKeyByHash: StatementSync
  #group: PromiseWithResolvers<void> | undefined

  constructor(database: DatabaseSync, world: Pick<World, 'clock' | 'random'>) {
    super(database)
    this.#world = world
    this.#insertDevice = database.prepare(
      `INSERT INTO device
         (tenant, id, type, location, tags, parent, is_gateway, created_at_us, token_hash)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *`,
    )
    this.#insertAdminKey = database.prepare(
      'INSERT INTO admin_key (hash, tenant, created_at_us) VALUES (?, ?, ?)',
    )
    this.#page = database.prepare(
      'SELECT * FROM device WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?',
    )
    this.#count = database.prepare('SELECT count(*) AS devices FROM device WHERE tenant = ?')
    this.#deviceByHash = database.prepare('SELECT * FROM device WHERE token_hash = ?')
    this.#adminKeyByHash = database.prepare('SELECT hash, tenant FROM admin_key WHERE hash = ?')
  }

  createDevice(tenant: string, device: NewDevice): { device: Device; token: string } {
    if (!isDeviceId(device.id)) {
      throw new WeirError(
        'API_BODY_INVALID',
        'id must have 1 to 128 printable characters, none of them / + # or a line break',
      )
    }
    const token = createSecret(DEVICE_TOKEN_PREFIX, this.#world.random)
    this.#begin()
    const row = this.#insertOnce(device.id, [
      tenant,
      device.id,
      device.type,
      device.location ?? null,
      JSON.stringify(device.tags ?? {}),
      device.parent ?? null,
      device.isGateway === true ? 1 : 0,
      this.#world.clock.nowUs(),
      hashSecret(token),
    ])
    return { device: toDevice(row), token }
  }

  listDevices(tenant: string, page: { after?: string | undefined; limit: number }): Device[] {
    const rows = this.#page.all(tenant, page.after ?? '', page.limit) as unknown as DeviceRow[]
    return rows.map(toDevice)
  }

  countDevices(tenant: string): number {
    return Number(this.#count.get(tenant)?.['devices'])
  }

  identify(secret: string): Principal | undefined {
    const hash = hashSecret(secret)
    return secret.startsWith(ADMIN_KEY_PREFIX) ? this.#admin(hash) : this.#holder(hash)
  }

  createAdminKey(): string {
    const key = createSecret(ADMIN_KEY_PREFIX, this.#world.random)
    this.#begin()
    this.#insertAdminKey.run(hashSecret(key), DEFAULT_TENANT, this.#world.clock.nowUs())
    return key
  }

  durable(): Promise<void> {
    return this.#group?.promise ?? Promise.resolve()
  }

  override close(): void {
    this.#commit()
    super.close()
  }

  /** Opens the transaction that all changes of this turn share. */
  #begin(): void {
    if (this.#group !== undefined) return
    this.database.exec('BEGIN IMMEDIATE')
    this.#group = Promise.withResolvers()
    // Whoever waits hears of a failure; nobody need wait.
    this.#group.promise.catch(() => undefined)
    this.#world.clock.soon(() => this.#commit())
  }

  #commit(): void {
    const group = this.#group
    if (group === undefined) return
    this.#group = undefined
    try {
      this.database.exec('COMMIT')
      group.resolve()
    } catch (error) {
      if (this.database.isTransaction) this.database.exec('ROLLBACK')
      group.reject(error)
    }
  }

  #insertOnce(id: string, values: (string | number | null | Uint8Array)[]): DeviceRow {
    try {
      return this.#insertDevice.get(...values) as unknown as DeviceRow
    } catch (cause) {
      const isDuplicate = (cause as { errcode?: number }).errcode === SQLITE_CONSTRAINT_UNIQUE
      if (!isDuplicate) throw cause
      throw new WeirError('CONTROL_DEVICE_EXISTS', `the device ${id} exists already`, { cause })
    }
  }

  // The index finds the row by hash; comparing once more in constant time keeps the promise of the
  // port even if the index one day compares only a prefix.
  #admin(hash: Uint8Array): Principal | undefined {
    const row = this.#adminKeyByHash.get(hash)
    if (row === undefined || !areHashesEqual(row['hash'] as Uint8Array, hash)) return undefined
    return { kind: 'admin', tenant: row['tenant'] as string }
  }

  #holder(hash: Uint8Array): Principal | undefined {
    const row = this.#deviceByHash.get(hash) as unknown as DeviceRow | undefined
    if (row === undefined || !areHashesEqual(row.token_hash, hash)) return undefined
    const kind = row.is_gateway === 1 ? 'gateway' : 'device'
    return { kind, tenant: row.tenant, deviceId: row.id }
  }
}

const SQLITE_CONSTRAINT_UNIQUE = 2067
