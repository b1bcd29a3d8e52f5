/**
 * The live feed of a process that serves people: hears what gateways and stream stages tell, and
 * tells them what is followed here.
 *
 * Every gateway tells its own rate; here they are added up, once a second, over those heard of
 * lately. While nothing is heard, no rate goes out: the page then shows that, and not a zero.
 */
import type { LiveEvent, LiveFeed } from '../api/api.ts'
import type { Clock, Random } from '../world/world.ts'
import type { Fanout } from './fanout.ts'
import {
  FOLLOW_CHANNEL,
  FOLLOW_INTERVAL_MS,
  FOLLOWED_PER_PAGE,
  liveChannelOf,
  newProcessId,
  parseMessage,
  type FollowMessage,
  type LiveMessage,
  type Rates,
} from './live-channels.ts'

const RATE_INTERVAL_MS = 1000
/** A gateway that was not heard of for this long adds nothing. */
const RATE_TTL_MS = 3000
/** Changes that follow each other this closely are announced as one. */
const GATHER_MS = 20

export interface LiveSourceParts {
  fanout: Fanout
  clock: Clock
  random: Pick<Random, 'bytes'>
  countDevices: (tenant: string) => Promise<number>
}

interface Subscriber {
  deviceIds: ReadonlySet<string>
  listener: (event: LiveEvent) => void
}

interface Watched {
  subscribers: Set<Subscriber>
  /** By process. */
  rates: Map<string, { rates: Rates; atMs: number }>
  devices: number
  end: () => void
}

export class LiveSource implements LiveFeed {
  readonly #parts: LiveSourceParts
  readonly #from: string
  readonly #tenants = new Map<string, Watched>()
  readonly #ends: (() => void)[]
  #endGathering: (() => void) | undefined
  /** Something was announced that was not taken back. */
  #isAnnounced = false
  #isTelling = false
  #malformed = 0

  constructor(parts: LiveSourceParts) {
    this.#parts = parts
    this.#from = newProcessId(parts.random)
    this.#ends = [
      parts.clock.every(FOLLOW_INTERVAL_MS, () => this.#announce()),
      parts.clock.every(RATE_INTERVAL_MS, () => void this.#tellRates()),
    ]
  }

  /** Messages that held no events. */
  get malformed(): number {
    return this.#malformed
  }

  subscribe(
    filter: { tenant: string; deviceIds: string[] },
    listener: (event: LiveEvent) => void,
  ): () => void {
    const { tenant } = filter
    const watched = this.#tenants.get(tenant) ?? this.#watch(tenant)
    const subscriber = { deviceIds: new Set(filter.deviceIds), listener }
    watched.subscribers.add(subscriber)
    this.#announceSoon()
    return () => {
      if (!watched.subscribers.delete(subscriber)) return
      if (watched.subscribers.size === 0) {
        watched.end()
        this.#tenants.delete(tenant)
      }
      this.#announceSoon()
    }
  }

  /** Ends all subscriptions, and says so. */
  close(): void {
    for (const { end, subscribers } of this.#tenants.values()) {
      end()
      subscribers.clear()
    }
    this.#tenants.clear()
    this.#announce()
    for (const end of this.#ends) end()
  }

  #watch(tenant: string): Watched {
    const { fanout } = this.#parts
    const end = fanout.subscribe(liveChannelOf(tenant), (text) => this.#hear(watched, text))
    const watched: Watched = { subscribers: new Set(), rates: new Map(), devices: 0, end }
    this.#tenants.set(tenant, watched)
    return watched
  }

  #hear(watched: Watched, text: string): void {
    const message = parseMessage<LiveMessage>(text, 'events')
    if (message === undefined) {
      this.#malformed++
      return
    }
    for (const event of message.events) {
      if (event.event !== 'rate') {
        tell(watched, event)
        continue
      }
      const atMs = this.#parts.clock.monotonicMs()
      watched.rates.set(message.from, { rates: event.data, atMs })
    }
  }

  /** A registry that is slow to count makes rates rarer, and never asks for a second count. */
  async #tellRates(): Promise<void> {
    if (this.#isTelling) return
    this.#isTelling = true
    await Promise.all([...this.#tenants].map(([tenant, one]) => this.#tellRate(tenant, one)))
    this.#isTelling = false
  }

  async #tellRate(tenant: string, watched: Watched): Promise<void> {
    const sinceMs = this.#parts.clock.monotonicMs() - RATE_TTL_MS
    for (const [from, { atMs }] of watched.rates) if (atMs <= sinceMs) watched.rates.delete(from)
    if (watched.rates.size === 0) return
    const data = { readings_per_second: 0, messages_per_second: 0 }
    for (const { rates } of watched.rates.values()) {
      data.readings_per_second += rates.readings_per_second
      data.messages_per_second += rates.messages_per_second
    }
    try {
      watched.devices = await this.#parts.countDevices(tenant)
    } catch {
      // While the registry cannot be asked, the number of before is shown.
    }
    tell(watched, { event: 'rate', data: { ...data, devices: watched.devices } })
  }

  #announceSoon(): void {
    this.#endGathering ??= this.#parts.clock.after(GATHER_MS, () => this.#announce())
  }

  #announce(): void {
    this.#endGathering?.()
    this.#endGathering = undefined
    const devices = this.#followed()
    const pages = Math.ceil(devices.length / FOLLOWED_PER_PAGE)
    // No page at all: that is said once, on page 0 of none.
    const count = pages === 0 && this.#isAnnounced ? 1 : pages
    for (let page = 0; page < count; page++) {
      const at = page * FOLLOWED_PER_PAGE
      const part = devices.slice(at, at + FOLLOWED_PER_PAGE)
      const message: FollowMessage = { from: this.#from, page, pages, devices: part }
      this.#parts.fanout.publish(FOLLOW_CHANNEL, JSON.stringify(message))
    }
    this.#isAnnounced = pages > 0
  }

  #followed(): [string, string][] {
    return [...this.#tenants].flatMap(([tenant, { subscribers }]) => {
      const ids = new Set([...subscribers].flatMap(({ deviceIds }) => [...deviceIds]))
      return [...ids].map((id): [string, string] => [tenant, id])
    })
  }
}

function tell({ subscribers }: Watched, event: LiveEvent): void {
  for (const { deviceIds, listener } of subscribers)
    if (event.event !== 'reading' || deviceIds.has(event.data.device_id)) listener(event)
}
