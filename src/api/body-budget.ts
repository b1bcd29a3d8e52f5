/**
 * Memory for the bodies of all requests under way, as they came and inflated. A request may send
 * 8 MiB, a few kilobytes of gzip may become 16, and thousands of connections may do so at once:
 * what is beyond the budget is refused with GATEWAY_OVERLOADED, which senders try again. One
 * credential gets a quarter of it, so that it cannot shut out the others.
 */
import { WeirError } from '../errors/errors.ts'

/** Small bodies are not counted: connections are limited, and most bodies are small. */
const FREE_BYTES = 65_536
const SHARES = 4

export class BodyBudget {
  readonly #bytesMax: number
  readonly #byOwner = new Map<string, number>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** For one request of this credential. */
  open(owner: string): BodyShare {
    return new BodyShare(this, owner)
  }

  /** False when there is no room. */
  take(owner: string, bytes: number): boolean {
    const owned = (this.#byOwner.get(owner) ?? 0) + bytes
    if (this.#bytes + bytes > this.#bytesMax || owned > this.#bytesMax / SHARES) return false
    this.#bytes += bytes
    this.#byOwner.set(owner, owned)
    return true
  }

  giveBack(owner: string, bytes: number): void {
    this.#bytes -= bytes
    const owned = (this.#byOwner.get(owner) ?? 0) - bytes
    if (owned > 0) this.#byOwner.set(owner, owned)
    else this.#byOwner.delete(owner)
  }
}

export class BodyShare {
  readonly #budget: BodyBudget
  readonly #owner: string
  #used = 0
  #counted = 0
  #isReleased = false

  constructor(budget: BodyBudget, owner: string) {
    this.#budget = budget
    this.#owner = owner
  }

  /** Throws GATEWAY_OVERLOADED when all bodies together need too much. */
  grow(bytes: number): void {
    if (this.#isReleased) return
    this.#used += bytes
    const wanted = Math.max(0, this.#used - FREE_BYTES) - this.#counted
    if (wanted <= 0) return
    if (!this.#budget.take(this.#owner, wanted)) {
      throw new WeirError('GATEWAY_OVERLOADED', 'too many bytes of bodies are under way')
    }
    this.#counted += wanted
  }

  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    if (this.#counted > 0) this.#budget.giveBack(this.#owner, this.#counted)
  }
}
