/** Fan-out by publish and subscribe of Redis, both over one connection (RESP 3). */
import { RedisConnection, type RedisAccess } from '../redis/redis.ts'
import type { World } from '../world/world.ts'
import { Listeners, MESSAGE_LENGTH_MAX, type Fanout, type FanoutCounts } from './fanout.ts'

/** Nobody waits: beyond this the connection is taken for one that hangs. */
const TIMEOUT_MS = 1000

type RedisWorld = Pick<World, 'clock' | 'random'>

/**
 * Returns at once, whether Redis is there or not. Throws CONFIG_VALUE_INVALID for an address that
 * is none.
 */
export function openRedisFanout(parts: { access: RedisAccess; world: RedisWorld }): RedisFanout {
  return new RedisFanout(parts)
}

class RedisFanout implements Fanout {
  readonly #connection: RedisConnection
  readonly #prefix: string
  readonly #listeners = new Listeners()
  /** Channels that nobody listens to any more, and that Redis may not know of yet. */
  readonly #left = new Set<string>()
  #isClosed = false

  constructor({ access, world }: { access: RedisAccess; world: RedisWorld }) {
    this.#connection = new RedisConnection({ url: access.url, timeoutMs: TIMEOUT_MS, world })
    this.#prefix = `${access.prefix}:fanout:`
    this.#connection.onReady(() => this.#renew())
  }

  /** Why nothing is told now, for people; never holds the password. */
  get problem(): string | undefined {
    return this.#connection.problem
  }

  publish(channel: string, message: string): void {
    void this.#publish(channel, message)
  }

  async #publish(channel: string, message: string): Promise<void> {
    const { counts } = this.#listeners
    const isTooLarge = message.length > MESSAGE_LENGTH_MAX
    const told = isTooLarge
      ? undefined
      : await this.#connection.command('PUBLISH', [this.#prefix + channel, message])
    if (told === undefined) counts.dropped++
    else counts.published++
  }

  subscribe(channel: string, listener: (message: string) => void): () => void {
    if (this.#isClosed) return () => undefined
    const end = this.#listeners.add(channel, listener)
    this.#left.delete(channel)
    this.#connection.subscribe(this.#prefix + channel, this.#hear)
    return () => {
      end()
      if (this.#isClosed || this.#listeners.has(channel)) return
      this.#left.add(channel)
      this.#connection.unsubscribe(this.#prefix + channel, this.#hear)
    }
  }

  readonly #hear = (message: string, channel: string): void => {
    this.#listeners.tell(channel.slice(this.#prefix.length), message)
  }

  /** What was said while Redis was away, or got lost with the connection, is said again. */
  #renew(): void {
    for (const channel of this.#listeners.channels())
      this.#connection.subscribe(this.#prefix + channel, this.#hear)
    for (const channel of this.#left)
      this.#connection.unsubscribe(this.#prefix + channel, this.#hear)
    this.#left.clear()
  }

  counts(): FanoutCounts {
    return { ...this.#listeners.counts }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#listeners.clear()
    this.#connection.close()
  }
}
