/** The control store on either database: what is asked, and what the answers mean. */
import { WeirError } from '../errors/errors.ts'
import type { World } from '../world/world.ts'
import { isDeviceId } from './control.ts'
import type { Control, Device, NewDevice, Principal } from './control.ts'
import type { ControlDatabase, SqlValue } from './database.ts'
import { toDevice, type DeviceRow } from './device-row.ts'
import {
  ADMIN_KEY_PREFIX,
  areHashesEqual,
  createSecret,
  DEVICE_TOKEN_PREFIX,
  hashSecret,
} from './secrets.ts'

/** The only tenant until there are more; it stands in keys and rows from the first day. */
const DEFAULT_TENANT = 'default'

export class ControlStore implements Control {
  readonly #database: ControlDatabase
  readonly #world: Pick<World, 'clock' | 'random'>

  constructor(database: ControlDatabase, world: Pick<World, 'clock' | 'random'>) {
    this.#database = database
    this.#world = world
  }

  async find(tenant: string, id: string): Promise<Device | undefined> {
    const [row] = await this.#devices('WHERE tenant = $1 AND id = $2', [tenant, id])
    return row === undefined ? undefined : toDevice(row)
  }

  async createDevice(
    tenant: string,
    device: NewDevice,
  ): Promise<{ device: Device; token: string }> {
    if (!isDeviceId(device.id)) {
      throw new WeirError(
        'API_BODY_INVALID',
        'id must have 1 to 128 printable characters, none of them / + # or a line break',
      )
    }
    const token = createSecret(DEVICE_TOKEN_PREFIX, this.#world.random)
    const row = await this.#database.insert('device', {
      tenant,
      id: device.id,
      type: device.type,
      location: device.location ?? null,
      tags: JSON.stringify(device.tags ?? {}),
      parent: device.parent ?? null,
      is_gateway: device.isGateway === true ? 1 : 0,
      created_at_us: this.#world.clock.nowUs(),
      token_hash: hashSecret(token),
    })
    if (row !== undefined) return { device: toDevice(row as unknown as DeviceRow), token }
    throw new WeirError('CONTROL_DEVICE_EXISTS', `the device ${device.id} exists already`)
  }

  async listDevices(
    tenant: string,
    page: { after?: string | undefined; limit: number },
  ): Promise<Device[]> {
    const clauses = 'WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3'
    const rows = await this.#devices(clauses, [tenant, page.after ?? '', page.limit])
    return rows.map(toDevice)
  }

  countDevices(tenant: string): Promise<number> {
    return this.#database.count('device', 'WHERE tenant = $1', [tenant])
  }

  identify(secret: string): Promise<Principal | undefined> {
    const hash = hashSecret(secret)
    return secret.startsWith(ADMIN_KEY_PREFIX) ? this.#admin(hash) : this.#holder(hash)
  }

  async createAdminKey(): Promise<string> {
    const key = createSecret(ADMIN_KEY_PREFIX, this.#world.random)
    await this.#database.insert('admin_key', {
      hash: hashSecret(key),
      tenant: DEFAULT_TENANT,
      created_at_us: this.#world.clock.nowUs(),
    })
    return key
  }

  close(): Promise<void> {
    return this.#database.close()
  }

  // The index finds the row by hash; comparing once more in constant time keeps the promise of the
  // port even if the index one day compares only a prefix.
  async #admin(hash: Uint8Array): Promise<Principal | undefined> {
    const [row] = await this.#database.select('admin_key', 'WHERE hash = $1', [hash])
    if (row === undefined || !areHashesEqual(row['hash'] as Uint8Array, hash)) return undefined
    return { kind: 'admin', tenant: row['tenant'] as string }
  }

  async #holder(hash: Uint8Array): Promise<Principal | undefined> {
    const [row] = await this.#devices('WHERE token_hash = $1', [hash])
    if (row === undefined || !areHashesEqual(row.token_hash, hash)) return undefined
    const kind = row.is_gateway === 1 ? 'gateway' : 'device'
    return { kind, tenant: row.tenant, deviceId: row.id }
  }

  async #devices(clauses: string, parameters: readonly SqlValue[]): Promise<DeviceRow[]> {
    return (await this.#database.select('device', clauses, parameters)) as unknown as DeviceRow[]
  }
}
