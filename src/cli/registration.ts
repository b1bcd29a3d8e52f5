/** Registers what a fleet needs through the public API, many at a time. */
import { WeirError } from '../errors/errors.ts'
import type { ApiClient } from './api-client.ts'
import type { DeviceTokens } from './device-tokens.ts'

export interface WantedDevice {
  id: string
  type: string
  location?: string
}

/** Parallel requests: registration is one durable commit each, and commits group. */
const PARALLEL = 16

/**
 * Creates the devices whose token is not known yet. A type that the server does not know becomes
 * `generic`, which takes any metric. Returns the ids that exist on the server but whose token
 * nobody here knows.
 */
export async function registerMissing(
  client: ApiClient,
  tokens: DeviceTokens,
  wanted: WantedDevice[],
  progress: (done: number) => void = () => {},
): Promise<string[]> {
  const missing = wanted.filter((device) => tokens.get(device.id) === undefined)
  const lost: string[] = []
  let next = 0
  let done = 0
  const work = async (): Promise<void> => {
    for (let device = missing[next++]; device !== undefined; device = missing[next++]) {
      const token = await createDevice(client, device)
      if (token === undefined) lost.push(device.id)
      else tokens.set(device.id, token)
      progress(++done)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, work)).finally(() => tokens.save())
  return lost
}

/** The new device's token; undefined when the device exists already. */
export async function createDevice(
  client: ApiClient,
  device: WantedDevice,
): Promise<string | undefined> {
  try {
    const { body } = await client.post('/v1/devices', JSON.stringify(device))
    return (body as { token: string }).token
  } catch (error) {
    if (!(error instanceof WeirError)) throw error
    if (error.code === 'CONTROL_DEVICE_EXISTS') return undefined
    const isTypeRefused = [400, 422].includes(Number(error.details['status']))
    if (isTypeRefused && device.type !== 'generic')
      return createDevice(client, { ...device, type: 'generic' })
    throw error
  }
}
