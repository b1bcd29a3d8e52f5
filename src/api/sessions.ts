/**
 * The page's sign-in: a one-time code, printed with the page's address, buys a session cookie, so
 * that the admin key comes into no browser. Both live in memory only and as hashes; a restart signs
 * everybody out. Bounded in number: the oldest give way.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Clock, Random } from '../world/world.ts'

export const CODE_LIFETIME_MS = 10 * 60_000
export const SESSION_LIFETIME_MS = 12 * 3_600_000
const CODES_MAX = 16
const SESSIONS_MAX = 1000
const SECRET_BYTES = 24

/** Secrets by their hash, each with the end of its life on the monotonic clock. */
class ExpiringSecrets {
  readonly #clock: Clock
  readonly #random: Random
  readonly #lifetimeMs: number
  readonly #countMax: number
  #secrets: { hash: Uint8Array; expiresAtMs: number }[] = []

  constructor(world: { clock: Clock; random: Random }, lifetimeMs: number, countMax: number) {
    this.#clock = world.clock
    this.#random = world.random
    this.#lifetimeMs = lifetimeMs
    this.#countMax = countMax
  }

  create(): string {
    const secret = Buffer.from(this.#random.bytes(SECRET_BYTES)).toString('base64url')
    const expiresAtMs = this.#clock.monotonicMs() + this.#lifetimeMs
    this.#secrets = [...this.#living(), { hash: hash(secret), expiresAtMs }].slice(-this.#countMax)
    return secret
  }

  has(secret: string): boolean {
    const wanted = hash(secret)
    // Every candidate is compared, so that the time says nothing about which one was near.
    return this.#living().filter((known) => timingSafeEqual(known.hash, wanted)).length > 0
  }

  /** True when it was there; it is not afterwards. */
  take(secret: string): boolean {
    const wanted = hash(secret)
    const living = this.#living()
    this.#secrets = living.filter((known) => !timingSafeEqual(known.hash, wanted))
    return this.#secrets.length < living.length
  }

  #living(): { hash: Uint8Array; expiresAtMs: number }[] {
    const nowMs = this.#clock.monotonicMs()
    return this.#secrets.filter(({ expiresAtMs }) => expiresAtMs > nowMs)
  }
}

const hash = (secret: string): Uint8Array => createHash('sha256').update(secret).digest()

export class Sessions {
  readonly #codes: ExpiringSecrets
  readonly #sessions: ExpiringSecrets

  constructor(world: { clock: Clock; random: Random }) {
    this.#codes = new ExpiringSecrets(world, CODE_LIFETIME_MS, CODES_MAX)
    this.#sessions = new ExpiringSecrets(world, SESSION_LIFETIME_MS, SESSIONS_MAX)
  }

  /** For the printed address; valid once, for 10 minutes. */
  createCode(): string {
    return this.#codes.create()
  }

  /** The session's secret, or undefined when the code is wrong, used or too old. */
  open(code: string): string | undefined {
    return this.#codes.take(code) ? this.#sessions.create() : undefined
  }

  isOpen(session: string): boolean {
    return this.#sessions.has(session)
  }

  close(session: string): void {
    this.#sessions.take(session)
  }
}

const COOKIE_NAME = 'weir_session'

/**
 * No `Secure`: the page is served without TLS on loopback, where a browser would drop the cookie.
 */
const COOKIE_ATTRIBUTES = 'Path=/; HttpOnly; SameSite=Strict'

export const sessionCookie = (session: string): string =>
  `${COOKIE_NAME}=${session}; ${COOKIE_ATTRIBUTES}; Max-Age=${SESSION_LIFETIME_MS / 1000}`

export const endedCookie = `${COOKIE_NAME}=; ${COOKIE_ATTRIBUTES}; Max-Age=0`

/** The session's secret in a Cookie header [RFC 6265, 4.2.1]. */
export function readSessionCookie(header: string | undefined): string | undefined {
  const pair = header?.split(';').find((part) => part.trimStart().startsWith(`${COOKIE_NAME}=`))
  return pair?.slice(pair.indexOf('=') + 1).trim()
}
