/** Sign-ins of one process: in memory only, so that a restart signs everybody out. */
import type { Clock, Random } from '../world/world.ts'
import { SIGN_IN_LIMITS, type SignInKind, type SignIns } from './control.ts'
import { areHashesEqual, createSecret, hashSecret } from './secrets.ts'

interface Kept {
  hash: Uint8Array
  /** On the monotonic clock. */
  expiresAtMs: number
}

export function createMemorySignIns(world: { clock: Clock; random: Random }): SignIns {
  return new MemorySignIns(world)
}

class MemorySignIns implements SignIns {
  readonly #world: { clock: Clock; random: Random }
  /** Oldest first. */
  readonly #kept: Record<SignInKind, Kept[]> = { code: [], session: [] }

  constructor(world: { clock: Clock; random: Random }) {
    this.#world = world
  }

  async create(kind: SignInKind): Promise<string> {
    const { lifetimeMs, countMax } = SIGN_IN_LIMITS[kind]
    const secret = createSecret('', this.#world.random)
    const expiresAtMs = this.#world.clock.monotonicMs() + lifetimeMs
    const kept = { hash: hashSecret(secret), expiresAtMs }
    this.#kept[kind] = [...this.#living(kind), kept].slice(-countMax)
    return secret
  }

  async has(kind: SignInKind, secret: string): Promise<boolean> {
    const wanted = hashSecret(secret)
    // Every candidate is compared, so that the time says nothing about which one was near.
    return this.#living(kind).filter(({ hash }) => areHashesEqual(hash, wanted)).length > 0
  }

  async take(kind: SignInKind, secret: string): Promise<boolean> {
    const wanted = hashSecret(secret)
    const living = this.#living(kind)
    this.#kept[kind] = living.filter(({ hash }) => !areHashesEqual(hash, wanted))
    return this.#kept[kind].length < living.length
  }

  #living(kind: SignInKind): Kept[] {
    const nowMs = this.#world.clock.monotonicMs()
    return this.#kept[kind].filter(({ expiresAtMs }) => expiresAtMs > nowMs)
  }
}
