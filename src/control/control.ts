/**
 * The control store: registry of devices and keys. Tokens are 128 random bits or more, kept as
 * SHA-256 only. Writes happen on the main thread; the gateway has a reader of its own.
 * Errors of all calls: CONTROL_UNAVAILABLE, where the store is a server that cannot be reached.
 */

export { WRITTEN_KEYS } from './database.ts'
export type { Change, ControlDatabase, SqlRow, SqlValue } from './database.ts'

/**
 * 1 to 128 printable characters except `/ + #` (ids stand in MQTT topics) and line breaks; neither
 * "." nor ".." (clients resolve them in paths), no space at either end. A JSON Schema pattern.
 */
export const DEVICE_ID_PATTERN = '^(?!\\.{1,2}$)(?! )(?!.* $)[^\\p{C}\\p{Zl}\\p{Zp}/+#]{1,128}$'

const DEVICE_ID = new RegExp(DEVICE_ID_PATTERN, 'u')

/** Whether a device may have this id. */
export const isDeviceId = (id: string): boolean => DEVICE_ID.test(id)

export interface Device {
  /** Rising and never reused. On SQLite without gaps. */
  number: number
  tenant: string
  id: string
  type: string
  location: string | undefined
  tags: Record<string, string>
  /** The gateway that may publish for this device. */
  parent: string | undefined
  isGateway: boolean
  createdAtUs: number
}

export interface NewDevice {
  id: string
  type: string
  location?: string | undefined
  tags?: Record<string, string> | undefined
  parent?: string | undefined
  isGateway?: boolean | undefined
}

export type Principal =
  | { kind: 'admin'; tenant: string }
  | { kind: 'device'; tenant: string; deviceId: string }
  | { kind: 'gateway'; tenant: string; deviceId: string }

/**
 * What the gateway asks of devices. The answers are synchronous, since the hot path waits for
 * nothing; where the registry is a server, who may be unknown is prepared for first.
 *
 * R1 Without prepare(): find() and authenticate() see a device as soon as its creation resolved.
 * R2 With it: once its promise resolved, or where it gives undefined, they answer for these ids in
 *    the same turn of the event loop; a device that is not registered is undefined then, too.
 * R3 What was prepared may be as old as the adapter's options say, a token included; no older.
 */
export interface DeviceReader {
  /**
   * Asks the registry where that takes time; undefined when all that is needed is known. The
   * promise fails with CONTROL_UNAVAILABLE. Absent where nothing ever need be asked ahead, so that
   * callers skip even the list of ids.
   */
  prepare?(tenant: string, ids: readonly string[], need?: PrepareNeed): Promise<void> | undefined
  find(tenant: string, id: string): Device | undefined
  /** The device when `token` is its current token, compared in constant time. */
  authenticate(tenant: string, id: string, token: string): Device | undefined
  close(): Promise<void>
}

export interface PrepareNeed {
  /** For authenticate(): a token that was replaced a moment ago is asked for again. */
  token?: string
  /** They may have been registered a moment ago: that they were not found does not count. */
  isNew?: boolean
}

/** Device numbers, for the recovery of a log that holds them. */
export interface DeviceNumbers {
  findByNumber(number: number): Device | undefined
  /** Also when its record is damaged. */
  hasNumber(number: number): boolean
}

/** What the API and the page ask. Several processes may share one store, where it is a server. */
export interface Control {
  find(tenant: string, id: string): Promise<Device | undefined>
  /**
   * Resolves once the device is durable and every reader sees it. The token is shown once and not
   * kept. Errors: CONTROL_DEVICE_EXISTS, CONTROL_WRITE_FAILED, and API_BODY_INVALID unless
   * isDeviceId(). Devices created at once share a flush: a fleet registers in seconds.
   */
  createDevice(tenant: string, device: NewDevice): Promise<{ device: Device; token: string }>
  /** In the order of their ids' bytes. */
  listDevices(
    tenant: string,
    page: { after?: string | undefined; limit: number },
  ): Promise<Device[]>
  countDevices(tenant: string): Promise<number>
  /** Who holds this bearer secret: an admin key, or a device's token. */
  identify(secret: string): Promise<Principal | undefined>
  /** Creates the admin key if there is none, else makes a further one. Shown once. */
  createAdminKey(): Promise<string>
  /** May be called again. */
  close(): Promise<void>
}

const DEVICES_PAGE = 1000

/** All devices of a tenant in the order of their ids' bytes, page by page. */
export async function* eachDevice(
  control: Pick<Control, 'listDevices'>,
  tenant: string,
): AsyncGenerator<Device> {
  for (let after: string | undefined; ;) {
    const page = await control.listDevices(tenant, { after, limit: DEVICES_PAGE })
    yield* page
    if (page.length < DEVICES_PAGE) return
    after = page.at(-1)!.id
  }
}

/** What signs a person in at the page: a one-time code, and the session that it buys. */
export type SignInKind = 'code' | 'session'

export const SIGN_IN_LIMITS: Record<SignInKind, { lifetimeMs: number; countMax: number }> = {
  code: { lifetimeMs: 10 * 60_000, countMax: 16 },
  session: { lifetimeMs: 12 * 3_600_000, countMax: 1000 },
}

/**
 * Sign-ins, so that the admin key comes into no browser. Only hashes are kept. Errors of all calls:
 * CONTROL_UNAVAILABLE, as for Control.
 *
 * I1 A secret is known, as what it is, to every process of the store once create() resolved.
 * I2 take() is true once for each secret, however many processes ask at once; from then on nobody
 *    knows it.
 * I3 A secret is not known any more when its life is over.
 * I4 There are `countMax` of a kind: the oldest give way.
 */
export interface SignIns {
  /** A new secret; shown once and not kept. */
  create(kind: SignInKind): Promise<string>
  has(kind: SignInKind, secret: string): Promise<boolean>
  /** Ends it; true when it was known. */
  take(kind: SignInKind, secret: string): Promise<boolean>
}
