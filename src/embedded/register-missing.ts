/** Devices that line protocol names and nobody registered, where the settings allow it. */
import { isDeviceId, type Control } from '../control/control.ts'
import { WeirError } from '../errors/errors.ts'

/** What cannot be an id stays unknown: its lines become dead letters, the others count. */
export async function registerMissing(
  control: Control,
  tenant: string,
  ids: string[],
): Promise<void> {
  const creating = ids
    .filter(isDeviceId)
    .map((id) => control.createDevice(tenant, { id, type: 'generic' }))
  for (const answer of await Promise.allSettled(creating)) {
    if (answer.status === 'rejected' && !isDeviceKnown(answer.reason)) throw answer.reason
  }
}

const isDeviceKnown = (error: unknown): boolean =>
  error instanceof WeirError && error.code === 'CONTROL_DEVICE_EXISTS'
