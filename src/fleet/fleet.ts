/**
 * A simulated fleet: devices of several types that measure, lose their connection, come back with
 * their backlog and send some of it twice, as real ones do. What they say is a pure function of
 * (seed, device, time); how it travels is the uplink's business.
 */
import type { Clock } from '../world/world.ts'
import { DEVICE_MODELS, type DeviceModel } from './device-models.ts'
import { episode, keyOf, uniform } from './signals.ts'

export type { DeviceModel } from './device-models.ts'
export { DEVICE_MODELS } from './device-models.ts'

/** A device's way out. It keeps what is sent while offline and delivers it in order afterwards. */
export interface Uplink {
  /** Resolves once the server acknowledged it; rejects when it will never arrive. */
  send(payload: string): Promise<void>
  setOnline(isOnline: boolean): void
  close(): Promise<void>
}

export interface FleetDevice {
  id: string
  model: DeviceModel
  uplink: Uplink
}

export interface FleetOptions {
  devices: FleetDevice[]
  seed: number
  /** Time between two messages of one device. */
  intervalMs: number
  clock: Clock
}

export interface FleetStatistics {
  sent: number
  acknowledged: number
  /** Given up by the uplink: its buffer was full, or the server refused for good. */
  lost: number
  /** Sent twice on purpose, after a reconnect. */
  repeated: number
  offline: number
}

/** Device n of a fleet: `pump-01`, `freezer-01`, …, `pump-02`. */
export function planDevice(index: number): { id: string; model: DeviceModel } {
  const model = DEVICE_MODELS[index % DEVICE_MODELS.length]
  if (model === undefined) throw new RangeError('a fleet needs at least one model')
  const number = Math.floor(index / DEVICE_MODELS.length) + 1
  return { id: `${model.type}-${String(number).padStart(2, '0')}`, model }
}

/** One device in six is without connection for half a minute in every ten. */
const OUTAGE = { periodUs: 600_000_000, lengthUs: 30_000_000, probability: 1 / 6 }
/** How many of its last messages a device sends again after a reconnect. */
const REPEATS_MAX = 2

/** Whether a device has no connection at that time; a pure function of (seed, device, time). */
export function isOffline(seed: number, deviceId: string, timeUs: number): boolean {
  return episode(keyOf(seed, deviceId, 'outage'), timeUs, OUTAGE) !== undefined
}

/** One message as JSON, its time in whole milliseconds. */
function encodeMessage(
  device: { id: string; model: DeviceModel },
  seed: number,
  times: { timeUs: number; startUs: number },
): string {
  const ts = Math.floor(times.timeUs / 1000)
  const at = { seed, deviceId: device.id, timeUs: ts * 1000, startUs: times.startUs }
  return JSON.stringify({ ts, metrics: device.model.measure(at) })
}

interface Member extends FleetDevice {
  isOffline: boolean
  /** Newest last. */
  recent: string[]
}

export class Fleet {
  readonly #options: FleetOptions
  readonly #members: Member[]
  readonly #cancels = new Set<() => void>()
  readonly #totals = { sent: 0, acknowledged: 0, lost: 0, repeated: 0 }
  #startUs = 0

  constructor(options: FleetOptions) {
    this.#options = options
    this.#members = options.devices.map((device) => ({ ...device, isOffline: false, recent: [] }))
  }

  get statistics(): FleetStatistics {
    const offline = this.#members.filter((member) => member.isOffline).length
    return { ...this.#totals, offline }
  }

  /** Every device begins at a moment of its own within the first interval. */
  start(): void {
    const { clock, intervalMs, seed } = this.#options
    this.#startUs = clock.nowUs()
    for (const member of this.#members) {
      const phaseMs = uniform(keyOf(seed, member.id, 'phase'), 0) * intervalMs
      const cancelPhase = clock.after(phaseMs, () => {
        this.#cancels.delete(cancelPhase)
        this.#measure(member)
        this.#cancels.add(clock.every(intervalMs, () => this.#measure(member)))
      })
      this.#cancels.add(cancelPhase)
    }
  }

  /** Stops measuring, then lets each uplink deliver what it still holds. */
  async stop(): Promise<void> {
    for (const cancel of this.#cancels) cancel()
    this.#cancels.clear()
    await Promise.all(this.#members.map((member) => member.uplink.close()))
  }

  #measure(member: Member): void {
    const { clock, seed } = this.#options
    const timeUs = clock.nowUs()
    const wasOffline = member.isOffline
    member.isOffline = isOffline(seed, member.id, timeUs)
    if (member.isOffline !== wasOffline) member.uplink.setOnline(!member.isOffline)
    if (wasOffline && !member.isOffline) this.#repeat(member)
    const payload = encodeMessage(member, seed, { timeUs, startUs: this.#startUs })
    member.recent = [...member.recent, payload].slice(-REPEATS_MAX)
    this.#send(member, payload)
  }

  /** A device cannot know whether its last messages arrived, so it sends them again. */
  #repeat(member: Member): void {
    for (const payload of member.recent) {
      this.#totals.repeated++
      this.#send(member, payload)
    }
  }

  #send(member: Member, payload: string): void {
    this.#totals.sent++
    member.uplink.send(payload).then(
      () => this.#totals.acknowledged++,
      () => this.#totals.lost++,
    )
  }
}
