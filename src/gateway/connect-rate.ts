/**
 * How fast one address may open connections: a token bucket for each. A CONNECT costs a hash and a
 * look-up in the registry, so whoever opens and drops connections in a loop would keep everybody
 * else waiting. Refused before anything is made for the connection.
 */
import type { Clock } from '../world/world.ts'

/**
 * A bucket holds the connections of this many seconds: a fleet behind one address comes at once.
 */
const BURST_SECONDS = 5
/** Addresses remembered; beyond it the longest known is forgotten, and starts anew. */
const ADDRESSES_MAX = 65_536

interface Bucket {
  tokens: number
  atMs: number
}

export class ConnectRate {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #burst: number
  readonly #buckets = new Map<string, Bucket>()

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#burst = perSecond * BURST_SECONDS
  }

  admits(address: string): boolean {
    const network = networkOf(address)
    const atMs = this.#clock.monotonicMs()
    const bucket = this.#buckets.get(network) ?? this.#add(network, atMs)
    const gained = ((atMs - bucket.atMs) / 1000) * this.#perSecond
    bucket.tokens = Math.min(this.#burst, bucket.tokens + gained)
    bucket.atMs = atMs
    if (bucket.tokens < 1) return false
    bucket.tokens--
    return true
  }

  #add(network: string, atMs: number): Bucket {
    if (this.#buckets.size >= ADDRESSES_MAX) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    const bucket = { tokens: this.#burst, atMs }
    this.#buckets.set(network, bucket)
    return bucket
  }
}

/** An IPv4 address; of IPv6 the first 64 bits, since whoever has one has all behind them. */
export function networkOf(address: string): string {
  const [plain = ''] = address.split('%')
  if (!plain.includes(':')) return plain
  if (/^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(plain)) return plain.slice(7)
  const [head = '', tail = ''] = plain.split('::')
  const before = head.split(':').filter((group) => group !== '')
  const behind = tail.split(':').filter((group) => group !== '')
  const missing = plain.includes('::') ? 8 - before.length - behind.length : 0
  const zeros = Array.from({ length: Math.max(0, missing) }, () => '0')
  return [...before, ...zeros, ...behind].slice(0, 4).join(':')
}
