/**
 * Tells what happens here, a gateway or a stream stage, to the processes that serve people: alerts,
 * anomalies and rates always, readings of the devices that somebody follows.
 */
import type { LiveEvent } from '../api/api.ts'
import type { Clock, Random } from '../world/world.ts'
import type { Fanout } from './fanout.ts'
import {
  FOLLOW_CHANNEL,
  FOLLOW_INTERVAL_MS,
  FOLLOW_TTL_MS,
  liveChannelOf,
  newProcessId,
  parseMessage,
  type FollowMessage,
  type Rates,
  type ToldEvent,
} from './live-channels.ts'

/** Events wait this long for others, so that a message carries many. */
const GATHER_MS = 20
const EVENTS_PER_MESSAGE = 100

export interface FollowedDevice {
  tenant: string
  deviceId: string
}

export interface LiveSinkParts {
  fanout: Fanout
  clock: Clock
  random: Pick<Random, 'bytes'>
  /** Told whenever it changes. */
  onFollow?: (devices: readonly FollowedDevice[]) => void
}

interface Page {
  /** As it came: the same again changes nothing. */
  text: string
  devices: [string, string][]
  expiresMs: number
}

export class LiveSink {
  readonly #parts: LiveSinkParts
  readonly #from: string
  readonly #ends: (() => void)[]
  /** What each following process said, by its pages. */
  readonly #followers = new Map<string, Map<number, Page>>()
  readonly #gathered = new Map<string, ToldEvent[]>()
  #followed = new Map<string, Set<string>>()
  #endGathering: (() => void) | undefined
  #malformed = 0

  constructor(parts: LiveSinkParts) {
    this.#parts = parts
    this.#from = newProcessId(parts.random)
    this.#ends = [
      parts.fanout.subscribe(FOLLOW_CHANNEL, (text) => this.#hear(text)),
      parts.clock.every(FOLLOW_INTERVAL_MS, () => this.#forgetOld()),
    ]
  }

  /** Messages that were no announcements. */
  get malformed(): number {
    return this.#malformed
  }

  /** Whether anybody follows the readings of this device. Cheap. */
  isFollowed(tenant: string, deviceId: string): boolean {
    return this.#followed.get(tenant)?.has(deviceId) ?? false
  }

  /** Neither throws nor waits. A reading of a device that nobody follows goes nowhere. */
  publish(tenant: string, event: Exclude<LiveEvent, { event: 'rate' }>): void {
    if (event.event === 'reading' && !this.isFollowed(tenant, event.data.device_id)) return
    this.#gather(tenant, event)
  }

  /** What this process takes in, once a second; those who serve people add up the processes. */
  rate(tenant: string, data: Rates): void {
    this.#gather(tenant, { event: 'rate', data })
  }

  /** Sends what is gathered, and ends. */
  close(): void {
    this.#flush()
    for (const end of this.#ends) end()
  }

  #gather(tenant: string, event: ToldEvent): void {
    const events = this.#gathered.get(tenant) ?? []
    this.#gathered.set(tenant, events)
    events.push(event)
    if (events.length >= EVENTS_PER_MESSAGE) this.#send(tenant, events)
    else this.#endGathering ??= this.#parts.clock.after(GATHER_MS, () => this.#flush())
  }

  #flush(): void {
    this.#endGathering?.()
    this.#endGathering = undefined
    for (const [tenant, events] of this.#gathered) this.#send(tenant, events)
  }

  #send(tenant: string, events: ToldEvent[]): void {
    this.#gathered.delete(tenant)
    this.#parts.fanout.publish(liveChannelOf(tenant), JSON.stringify({ from: this.#from, events }))
  }

  #hear(text: string): void {
    const message = parseMessage<FollowMessage>(text, 'devices')
    if (message === undefined || !message.devices.every(isDevice)) {
      this.#malformed++
      return
    }
    const { from, page, pages, devices } = message
    const known = this.#followers.get(from) ?? new Map<number, Page>()
    this.#followers.set(from, known)
    let isChanged = known.get(page)?.text !== text
    const expiresMs = this.#parts.clock.monotonicMs() + FOLLOW_TTL_MS
    known.set(page, { text, devices, expiresMs })
    for (const number of known.keys())
      if (number >= pages) isChanged = known.delete(number) || isChanged
    if (isChanged) this.#refresh()
  }

  #forgetOld(): void {
    const nowMs = this.#parts.clock.monotonicMs()
    let isChanged = false
    for (const [from, pages] of this.#followers) {
      for (const [number, { expiresMs }] of pages)
        if (expiresMs <= nowMs) isChanged = pages.delete(number)
      if (pages.size === 0) this.#followers.delete(from)
    }
    if (isChanged) this.#refresh()
  }

  #refresh(): void {
    this.#followed = new Map()
    const pages = [...this.#followers.values()].flatMap((pages) => [...pages.values()])
    for (const [tenant, deviceId] of pages.flatMap(({ devices }) => devices)) {
      const ids = this.#followed.get(tenant) ?? new Set()
      this.#followed.set(tenant, ids.add(deviceId))
    }
    const devices = [...this.#followed].flatMap(([tenant, ids]) =>
      [...ids].map((deviceId) => ({ tenant, deviceId })),
    )
    this.#parts.onFollow?.(devices)
  }
}

const isDevice = (device: unknown): boolean =>
  Array.isArray(device) && device.length === 2 && device.every((text) => typeof text === 'string')
