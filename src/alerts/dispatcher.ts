/**
 * Brings messages to their receivers. A message is durable before its first try, and its row says
 * how each try ended: delivered, to be tried again, or a dead letter. A process that ends between a
 * delivery and its row tries once more, with the same key and the same bytes (A3).
 */
import { WeirError } from '../errors/errors.ts'
import { BACKOFF, backoffMs, retryAfterMsOf } from '../notify/notify.ts'
import type { Channel, CircuitBreaker } from '../notify/notify.ts'
import type { Clock, Random } from '../world/world.ts'
import type { Book, ChannelDefinition, Recipient } from './alerts.ts'
import type { AlertMetrics } from './alert-metrics.ts'
import { messageChange, type MessageRow } from './alert-rows.ts'
import type { AlertStore } from './alert-store.ts'
import { withChart, type AskReadings } from './charts.ts'
import { EndpointLane, type Entry } from './endpoint-lane.ts'
import { keyOf } from './alert-memory.ts'
import { endpointOf } from './outbox.ts'

export interface DispatcherParts {
  clock: Clock
  random: Pick<Random, 'unit'>
  store: AlertStore
  metrics: AlertMetrics
  recipients: Book<Recipient>
  openChannel: (definition: ChannelDefinition) => Promise<Channel>
  readings: AskReadings | undefined
}

/** Until what is under way has to end when the process does. */
const STOP_MS = 2000
/** After a write or a question that the database did not take. */
const AGAIN_MS = 1000
/** Nothing that another try could mend. */
const FINAL = new Set(['NOTIFY_REFUSED', 'NOTIFY_ENDPOINT_INVALID', 'NOTIFY_ADDRESS_FORBIDDEN'])

type Ending = Partial<Pick<MessageRow, 'state' | 'problem' | 'deliveredAtUs'>> &
  Pick<MessageRow, 'attempts' | 'nextTryAtUs'>

export class Dispatcher {
  readonly #parts: DispatcherParts
  readonly #lanes = new Map<string, EndpointLane>()
  /** Messages that wait or are under way. */
  readonly #known = new Set<string>()
  readonly #channels = new Set<Channel>()
  #isStopped = false
  #polling: Promise<void> | undefined

  constructor(parts: DispatcherParts) {
    this.#parts = parts
    parts.metrics.watchMessages(() => this.#known.size)
  }

  /** Durable ones, which are tried at once. */
  add(rows: readonly MessageRow[]): void {
    for (const row of rows) this.#enter({ ...row, revision: row.revision + 1 }, true)
  }

  /** All that wait, also those of another process that ended. */
  async load(): Promise<void> {
    for (const row of await this.#parts.store.waitingMessages()) this.#enter(row, false)
  }

  /** Looks for dead letters that are to be tried again. */
  poll(): void {
    this.#polling ??= this.#readActed()
      .catch(() => undefined)
      .finally(() => (this.#polling = undefined))
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#polling
    const ended = Promise.all([...this.#lanes.values()].map((lane) => lane.stop()))
    let cancel = (): void => undefined
    const late = new Promise<void>((resolve) => {
      cancel = this.#parts.clock.after(STOP_MS, resolve)
    })
    await Promise.race([ended, late])
    cancel()
    for (const channel of this.#channels) channel.close()
    await ended
  }

  #enter(row: MessageRow, isNew: boolean): void {
    const key = keyOf(row)
    if (this.#known.has(key) || this.#isStopped) return
    this.#known.add(key)
    const { tenant, id, nextTryAtUs } = row
    this.#laneOf(row).add({ tenant, id, nextTryAtUs, row: isNew ? row : undefined })
  }

  #laneOf({ tenant, channel, endpoint }: MessageRow): EndpointLane {
    const key = JSON.stringify([tenant, channel, endpoint])
    const known = this.#lanes.get(key)
    if (known !== undefined) return known
    const lane: EndpointLane = new EndpointLane(this.#parts.clock, async (entry, breaker) => {
      const next = await this.#tryAndKeep(entry, breaker)
      if (next !== undefined) lane.add(next)
      else this.#known.delete(keyOf(entry))
    })
    this.#lanes.set(key, lane)
    return lane
  }

  async #readActed(): Promise<void> {
    const { store } = this.#parts
    for (const row of await store.actedMessages()) {
      // Its row is to say that we saw it, else it is found again.
      if (!(await store.write([messageChange(row)]))) continue
      if (row.state === 'waiting') this.#enter({ ...row, revision: row.revision + 1 }, true)
    }
  }

  /** The entry to be tried again; undefined when the message has come to its end. */
  async #tryAndKeep(entry: Entry, breaker: CircuitBreaker): Promise<Entry | undefined> {
    const { tenant, id } = entry
    const again = { tenant, id, nextTryAtUs: this.#nowUs() + AGAIN_MS * 1000, row: undefined }
    let row: MessageRow | undefined
    try {
      row = entry.row ?? (await this.#parts.store.message(tenant, id))
      if (row?.state !== 'waiting') return undefined
      row = await this.#drawn(row)
    } catch {
      return again
    }
    if (row === undefined) return again
    if (this.#nowUs() > row.lifeEndsAtUs) {
      const problem = `its time is over: ${row.problem ?? 'never tried'}`
      return void (await this.#keep({ ...row, ...this.#dead(row, problem) }))
    }
    if (!breaker.admit()) return { ...entry, row }
    const ending = await this.#try(row, breaker)
    if (ending === undefined) return again
    const kept = await this.#keep({ ...row, ...ending })
    return kept?.state === 'waiting' ? { ...again, nextTryAtUs: kept.nextTryAtUs } : undefined
  }

  async #try(row: MessageRow, breaker: CircuitBreaker): Promise<Ending | undefined> {
    const { metrics, clock } = this.#parts
    const { attempts, nextTryAtUs } = row
    try {
      await this.#send(row)
      breaker.succeeded()
      const deliveredAtUs = this.#nowUs()
      metrics.delivered(row.channel, Math.max(0, deliveredAtUs - row.createdAtUs) / 1_000_000)
      return {
        ...{ state: 'delivered', deliveredAtUs, attempts: attempts + 1, nextTryAtUs },
        problem: undefined,
      }
    } catch (error) {
      // It was broken off by our own end, and is tried by the next process.
      if (this.#isStopped) return undefined
      const { code, message } = error instanceof WeirError ? error : unexpected(error)
      metrics.tryFailed(row.channel)
      if (FINAL.has(code)) {
        breaker.succeeded()
        return this.#dead(row, `${code}: ${message}`)
      }
      breaker.failed()
      const retryAfterMs = retryAfterMsOf(error) ?? 0
      const waitMs = backoffMs(attempts + 1, this.#parts.random, { ...BACKOFF, retryAfterMs })
      const nextUs = clock.nowUs() + Math.round(waitMs * 1000)
      if (nextUs > row.lifeEndsAtUs) return this.#dead(row, `its time is over: ${message}`)
      return { attempts: attempts + 1, nextTryAtUs: nextUs, problem: `${code}: ${message}` }
    }
  }

  #dead(row: MessageRow, problem: string): Ending {
    this.#parts.metrics.died(row.channel)
    const { attempts, nextTryAtUs } = row
    return { state: 'dead', problem, attempts: attempts + 1, nextTryAtUs }
  }

  /** With the definition as it is now: an address or secret may have been corrected. */
  async #send(row: MessageRow): Promise<void> {
    const kept = await this.#parts.recipients.find(row.tenant, row.recipientId)
    const definition = kept?.value.channels.find(
      (one) => one.type === row.channel && endpointOf(one) === row.endpoint,
    )
    if (definition === undefined) {
      throw new WeirError('NOTIFY_ENDPOINT_INVALID', 'the recipient has this channel no more')
    }
    const channel = await this.#parts.openChannel(definition)
    this.#channels.add(channel)
    try {
      await channel.send(row.notification, row.id)
    } finally {
      this.#channels.delete(channel)
      channel.close()
    }
  }

  /** The chart is kept before the first try, so that each try has the same bytes. */
  async #drawn(row: MessageRow): Promise<MessageRow | undefined> {
    const { readings, clock, store } = this.#parts
    if (row.channel !== 'email' || row.isDrawn || readings === undefined) return row
    const { tenant } = row
    const notification = await withChart(row.notification, { tenant, readings, clock })
    const next = { ...row, notification, isDrawn: true }
    const isKept = await store.write([messageChange(next)])
    return isKept ? { ...next, revision: next.revision + 1 } : undefined
  }

  /** Until it is written, or another process changed the row: then that counts. */
  async #keep(row: MessageRow): Promise<MessageRow | undefined> {
    const { store } = this.#parts
    while (!this.#isStopped) {
      try {
        if (await store.write([messageChange(row)])) return row
        const current = await store.message(row.tenant, row.id)
        if (current === undefined || current.state !== 'waiting') return undefined
        if (row.state === 'waiting') return current
        row = { ...row, revision: current.revision }
      } catch {
        await new Promise<void>((resolve) => void this.#parts.clock.after(AGAIN_MS, resolve))
      }
    }
    return undefined
  }

  #nowUs(): number {
    return this.#parts.clock.nowUs()
  }
}

/** Of a kind that no channel promises: what it says might be a secret. */
const unexpected = (error: unknown): { code: string; message: string } => ({
  code: 'INTERNAL_FAULT',
  message: error instanceof Error ? error.name : 'unknown',
})
