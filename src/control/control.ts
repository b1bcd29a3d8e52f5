/**
 * The control store: registry of devices and keys. Tokens are 128 random bits or more, kept as
 * SHA-256 only. Writes happen on the main thread; the gateway has a reader of its own.
 */

/**
 * 1 to 128 printable characters except `/ + #` (ids stand in MQTT topics) and line breaks; neither
 * "." nor ".." (clients resolve them in paths), no space at either end. A JSON Schema pattern.
 */
export const DEVICE_ID_PATTERN = '^(?!\\.{1,2}$)(?! )(?!.* $)[^\\p{C}\\p{Zl}\\p{Zp}/+#]{1,128}$'

const DEVICE_ID = new RegExp(DEVICE_ID_PATTERN, 'u')

/** Whether a device may have this id. */
export const isDeviceId = (id: string): boolean => DEVICE_ID.test(id)

export interface Device {
  /** Dense, durable, never reused. */
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

/** What the gateway may ask; synchronous, since it is a look-up in SQLite. */
export interface DeviceReader {
  find(tenant: string, id: string): Device | undefined
  /** The device when `token` is its current token, compared in constant time. */
  authenticate(tenant: string, id: string, token: string): Device | undefined
  close(): void
}

export interface Control extends DeviceReader {
  /**
   * Throws CONTROL_DEVICE_EXISTS, and API_BODY_INVALID unless isDeviceId(). The token is shown once
   * and not kept.
   */
  createDevice(tenant: string, device: NewDevice): { device: Device; token: string }
  /**
   * Resolves once every change made so far is durable and seen by readers. Changes of one turn of
   * the event loop share one flush: a fleet registers in seconds, not in a flush per device.
   */
  durable(): Promise<void>
  listDevices(tenant: string, page: { after?: string | undefined; limit: number }): Device[]
  countDevices(tenant: string): number
  /** Who holds this bearer secret: an admin key, or a device's token. */
  identify(secret: string): Principal | undefined
  /** Creates the admin key if there is none, else makes a further one. Shown once. */
  createAdminKey(): string
}
