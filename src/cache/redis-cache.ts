/**
 * The cache on Redis, which many processes share. Redis bounds it: `maxmemory`, and
 * `maxmemory-policy allkeys-lru`.
 *
 * A value is kept behind a head of 24 bytes:
 *
 *     float64 LE  when it expires, µs since 1970, by the clock of the process that set it
 *     16 bytes    the beginning of SHA-256 over its key
 *
 * Redis forgets it by itself (PX). But its time to live begins when the command arrives, and a
 * command may lie for seconds in the buffers of a connection that hangs: so the reader looks at
 * the head too (C2). And a client library that lost count of its replies has, elsewhere, shown
 * people what belonged to others: so the value says whose it is (C3).
 */
import { createHash } from 'node:crypto'
import { RedisConnection, type RedisAccess } from '../redis/redis.ts'
import type { World } from '../world/world.ts'
import { noCounts, VALUE_BYTES_MAX, type Cache, type CacheCounts } from './cache.ts'

/**
 * A question to a database takes some 10 ms or more, Redis in the same network less than 1: later
 * than this it is quicker to do without.
 */
const TIMEOUT_MS = 50
const EXPIRY_BYTES = 8
const DIGEST_BYTES = 16
const HEAD_BYTES = EXPIRY_BYTES + DIGEST_BYTES

type RedisWorld = Pick<World, 'clock' | 'random'>

interface RedisCacheParts {
  access: RedisAccess
  world: RedisWorld
  timeoutMs?: number
}

/**
 * Returns at once, whether Redis is there or not. Throws CONFIG_VALUE_INVALID for an address that
 * is none.
 */
export function openRedisCache(parts: RedisCacheParts): RedisCache {
  return new RedisCache(parts)
}

class RedisCache implements Cache {
  readonly #connection: RedisConnection
  readonly #clock: World['clock']
  readonly #prefix: string
  readonly #counts = noCounts()

  constructor({ access, world, timeoutMs = TIMEOUT_MS }: RedisCacheParts) {
    this.#connection = new RedisConnection({ url: access.url, timeoutMs, world })
    this.#clock = world.clock
    this.#prefix = `${access.prefix}:cache:`
  }

  /** Why nothing is cached now, for people; never holds the password. */
  get problem(): string | undefined {
    return this.#connection.problem
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const kept = await this.#connection.command('GET', [this.#prefix + key])
    const value = kept instanceof Buffer ? this.#open(key, kept) : undefined
    if (kept === undefined) this.#counts.faults++
    if (value === undefined) this.#counts.misses++
    else this.#counts.hits++
    return value
  }

  /** Takes the head off. Undefined when it says that the value is too old, or another's. */
  #open(key: string, kept: Buffer): Uint8Array | undefined {
    const isOurs = kept.subarray(EXPIRY_BYTES, HEAD_BYTES).equals(digestOf(key))
    if (!isOurs) this.#counts.faults++
    if (!isOurs || this.#clock.nowUs() >= kept.readDoubleLE(0)) return undefined
    return Uint8Array.from(kept.subarray(HEAD_BYTES))
  }

  async set(key: string, value: Uint8Array, ttlMs: number): Promise<void> {
    const isTooLarge = value.length > VALUE_BYTES_MAX
    if (isTooLarge) this.#counts.refused++
    const wholeMs = Math.floor(ttlMs)
    if (isTooLarge || wholeMs < 1) return this.delete(key)
    const expiry = Buffer.alloc(EXPIRY_BYTES)
    expiry.writeDoubleLE(this.#clock.nowUs() + wholeMs * 1000)
    const kept = Buffer.concat([expiry, digestOf(key), value])
    await this.#change('SET', [this.#prefix + key, kept, 'PX', String(wholeMs)])
  }

  async delete(key: string): Promise<void> {
    await this.#change('DEL', [this.#prefix + key])
  }

  async #change(name: string, parameters: (string | Buffer)[]): Promise<void> {
    const reply = await this.#connection.command(name, parameters)
    if (reply === undefined) this.#counts.faults++
  }

  counts(): CacheCounts {
    return { ...this.#counts }
  }

  async close(): Promise<void> {
    this.#connection.close()
  }
}

/** Over UTF-16: a lone half of a pair, which UTF-8 cannot say, is told apart from another. */
const digestOf = (key: string): Buffer =>
  createHash('sha256').update(Buffer.from(key, 'utf16le')).digest().subarray(0, DIGEST_BYTES)
