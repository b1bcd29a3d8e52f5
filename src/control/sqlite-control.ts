/**
 * The control store on SQLite. One connection writes (main thread); the gateway's thread has a
 * reader of its own, which sees a device as soon as durable() resolved: WAL readers start at
 * the last commit, and nothing is cached here.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { WeirError } from '../errors/errors.ts'
import { emptyWriteAheadLog, isIntact, withCrc, type Row } from '../sqlite/sqlite.ts'
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

/** Behind the last change. */
const WAL_REST_MS = 1000

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
  /** Other files of the folder show that there was a store: one that is missing is damage. */
  mustExist?: boolean
  onDamage?: OnDamage
}): Control {
  const { path, world, mustExist = false, onDamage } = options
  return new SqliteControl(openWriter(path, { mustExist }), { world, onDamage })
}

/** Opens a read-only connection to the store that openControl() made at `path`. */
export function openDeviceReader(options: { path: string; onDamage?: OnDamage }): DeviceReader {
  return new SqliteDeviceReader(openReader(options.path), options.onDamage)
}

/** Told of a row that fails its checksum: whom it stands for is treated as unknown. */
type OnDamage = (problem: string) => void

class SqliteDeviceReader implements DeviceReader {
  protected readonly database: DatabaseSync
  readonly #onDamage: OnDamage
  readonly #byId: StatementSync
  readonly #byNumber: StatementSync

  constructor(database: DatabaseSync, onDamage: OnDamage = () => undefined) {
    this.database = database
    this.#onDamage = onDamage
    this.#byNumber = database.prepare('SELECT * FROM device WHERE number = ?')
    this.#byId = database.prepare('SELECT * FROM device WHERE tenant = ? AND id = ?')
  }

  find(tenant: string, id: string): Device | undefined {
    const row = this.#row(tenant, id)
    return row === undefined ? undefined : toDevice(row)
  }

  findByNumber(number: number): Device | undefined {
    const row = this.checked<DeviceRow>('device', this.#byNumber.get(number))
    return row === undefined ? undefined : toDevice(row)
  }

  hasNumber(number: number): boolean {
    return this.#byNumber.get(number) !== undefined
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
    return this.checked<DeviceRow>('device', this.#byId.get(tenant, id))
  }

  /** The row if it is what was written. */
  protected checked<T>(table: string, row: Row | undefined): T | undefined {
    if (row === undefined || isIntact(row)) return row as T | undefined
    const { row_crc: _, token_hash: __, hash: ___, ...named } = row
    this.#onDamage(`a row of ${table} fails its checksum: ${JSON.stringify(named)}`)
    return undefined
  }
}

class SqliteControl extends SqliteDeviceReader implements Control {
  readonly #world: Pick<World, 'clock' | 'random'>
  readonly #insertDevice: StatementSync
  readonly #sealDevice: StatementSync
  readonly #insertAdminKey: StatementSync
  readonly #page: StatementSync
  readonly #count: StatementSync
  readonly #deviceByHash: StatementSync
  readonly #adminKeyByHash: StatementSync
  #group: PromiseWithResolvers<void> | undefined
  #cancelEmptying: () => void = () => undefined

  constructor(
    database: DatabaseSync,
    parts: { world: Pick<World, 'clock' | 'random'>; onDamage: OnDamage | undefined },
  ) {
    super(database, parts.onDamage)
    this.#world = parts.world
    this.#insertDevice = database.prepare(
      `INSERT INTO device
         (tenant, id, type, location, tags, parent, is_gateway, created_at_us, token_hash)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *`,
    )
    this.#sealDevice = database.prepare('UPDATE device SET row_crc = ? WHERE number = ?')
    this.#insertAdminKey = database.prepare('INSERT INTO admin_key VALUES (?, ?, ?, ?)')
    this.#page = database.prepare(
      'SELECT * FROM device WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?',
    )
    this.#count = database.prepare('SELECT count(*) AS devices FROM device WHERE tenant = ?')
    this.#deviceByHash = database.prepare('SELECT * FROM device WHERE token_hash = ?')
    this.#adminKeyByHash = database.prepare('SELECT * FROM admin_key WHERE hash = ?')
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
    const rows = this.#page.all(tenant, page.after ?? '', page.limit)
    return rows
      .map((row) => this.checked<DeviceRow>('device', row))
      .filter((row) => row !== undefined)
      .map(toDevice)
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
    const { clock } = this.#world
    this.#insertAdminKey.run(...withCrc(hashSecret(key), DEFAULT_TENANT, clock.nowUs()))
    return key
  }

  durable(): Promise<void> {
    return this.#group?.promise ?? Promise.resolve()
  }

  override close(): void {
    this.#commit()
    this.#cancelEmptying()
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
      this.#emptyWalSoon()
    } catch (cause) {
      if (this.database.isTransaction) this.database.exec('ROLLBACK')
      group.reject(new WeirError('CONTROL_WRITE_FAILED', String(cause), { cause }))
    }
  }

  /** Once for a whole fleet that registers, not behind each of its commits. */
  #emptyWalSoon(): void {
    this.#cancelEmptying()
    this.#cancelEmptying = this.#world.clock.after(WAL_REST_MS, () =>
      emptyWriteAheadLog(this.database),
    )
  }

  #insertOnce(id: string, values: (string | number | null | Uint8Array)[]): DeviceRow {
    try {
      const row = this.#insertDevice.get(...values)!
      // Its number, which the checksum covers, is known only now.
      const { row_crc: _, ...written } = row
      this.#sealDevice.run(
        withCrc(...(Object.values(written) as SQLInputValue[])).at(-1)!,
        row['number']!,
      )
      return row as unknown as DeviceRow
    } catch (cause) {
      const isDuplicate = (cause as { errcode?: number }).errcode === SQLITE_CONSTRAINT_UNIQUE
      if (!isDuplicate) throw cause
      throw new WeirError('CONTROL_DEVICE_EXISTS', `the device ${id} exists already`, { cause })
    }
  }

  // The index finds the row by hash; comparing once more in constant time keeps the promise of the
  // port even if the index one day compares only a prefix.
  #admin(hash: Uint8Array): Principal | undefined {
    const found = this.#adminKeyByHash.get(hash)
    const row = this.checked<{ hash: Uint8Array; tenant: string }>('admin_key', found)
    if (row === undefined || !areHashesEqual(row.hash, hash)) return undefined
    return { kind: 'admin', tenant: row.tenant }
  }

  #holder(hash: Uint8Array): Principal | undefined {
    const row = this.checked<DeviceRow>('device', this.#deviceByHash.get(hash))
    if (row === undefined || !areHashesEqual(row.token_hash, hash)) return undefined
    const kind = row.is_gateway === 1 ? 'gateway' : 'device'
    return { kind, tenant: row.tenant, deviceId: row.id }
  }
}

const SQLITE_CONSTRAINT_UNIQUE = 2067
