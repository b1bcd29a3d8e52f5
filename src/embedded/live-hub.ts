/** The live feed on the main thread: takes events of all threads and hands them to subscribers. */
import type { AlertRecord } from '../alerts/alerts.ts'
import { alertJson, type LiveEvent, type LiveFeed } from '../api/api.ts'
import type { Clock } from '../world/world.ts'
import type { MainEvent } from './threads.ts'

interface Subscriber {
  tenant: string
  deviceIds: ReadonlySet<string>
  listener: (event: LiveEvent) => void
}

export class LiveHub implements LiveFeed {
  readonly #clock: Clock
  readonly #tenant: string
  readonly #subscribers = new Set<Subscriber>()
  #follow: (deviceIds: string[]) => void = () => {}
  #deviceCount: () => Promise<number> = () => Promise.resolve(0)
  #devices = 0
  #last: { messages: number; readings: number; atMs: number } | undefined
  #fault: string | undefined

  constructor(parts: { clock: Clock; tenant: string }) {
    this.#clock = parts.clock
    this.#tenant = parts.tenant
  }

  /** Told which devices' readings are wanted, whenever that changes. */
  onFollow(follow: (deviceIds: string[]) => void): void {
    this.#follow = follow
  }

  countDevices(count: () => Promise<number>): void {
    this.#deviceCount = count
  }

  /** Why the gateway accepts nothing now. */
  faults(): string[] {
    return this.#fault === undefined ? [] : [this.#fault]
  }

  subscribe(
    filter: { tenant: string; deviceIds: string[] },
    listener: (event: LiveEvent) => void,
  ): () => void {
    const { tenant } = filter
    const subscriber = { tenant, deviceIds: new Set(filter.deviceIds), listener }
    this.#subscribers.add(subscriber)
    this.#refresh()
    return () => {
      this.#subscribers.delete(subscriber)
      this.#refresh()
    }
  }

  take(event: Exclude<MainEvent, { happened: unknown } | { ruleEvents: unknown }>): void {
    if ('live' in event) this.#publish(event.live.tenant, event.live.event)
    else if ('rates' in event) this.#rates(event.rates)
    else this.#fault = event.failure?.message
  }

  alert(records: readonly AlertRecord[]): void {
    for (const record of records) {
      this.#publish(record.tenant, { event: 'alert', data: alertJson(record) })
    }
  }

  close(): void {
    this.#subscribers.clear()
  }

  #refresh(): void {
    this.#follow([...new Set([...this.#subscribers].flatMap(({ deviceIds }) => [...deviceIds]))])
  }

  #rates(now: { messages: number; readings: number }): void {
    const atMs = this.#clock.monotonicMs()
    const before = this.#last
    this.#last = { ...now, atMs }
    if (before === undefined || this.#subscribers.size === 0) return
    const seconds = Math.max(0.001, (atMs - before.atMs) / 1000)
    const rates = {
      readings_per_second: Math.round((now.readings - before.readings) / seconds),
      messages_per_second: Math.round((now.messages - before.messages) / seconds),
    }
    void this.#publishRates(rates)
  }

  async #publishRates(
    rates: Record<'readings_per_second' | 'messages_per_second', number>,
  ): Promise<void> {
    try {
      this.#devices = await this.#deviceCount()
    } catch {
      // While the registry cannot be asked, the number of before is shown.
    }
    this.#publish(this.#tenant, { event: 'rate', data: { ...rates, devices: this.#devices } })
  }

  #publish(tenant: string, event: LiveEvent): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.tenant !== tenant) continue
      if (event.event === 'reading' && !subscriber.deviceIds.has(event.data.device_id)) continue
      subscriber.listener(event)
    }
  }
}
