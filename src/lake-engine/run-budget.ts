/** What one run may take, and its one end: the caller's signal, the time, or the engine's close. */
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import type { EngineLimits } from './lake-engine.ts'

/** Of an engine's words, in an error. */
export const REASON_LENGTH_MAX = 500
const CANCEL_TIMEOUT_MS = 5000

export interface BudgetParts {
  limits: EngineLimits
  clock: Clock
  /** Of the caller. */
  signal: AbortSignal | undefined
  /** Of the engine. */
  closed: AbortSignal
  /** Named in errors. */
  place: string
}

export class RunBudget {
  /** Aborted as soon as the run is to end. */
  readonly signal: AbortSignal
  readonly #parts: BudgetParts
  readonly #late = new AbortController()
  readonly #cancel: () => void
  #rows = 0
  #bytes = 0

  constructor(parts: BudgetParts) {
    this.#parts = parts
    const { clock, limits, signal, closed } = parts
    this.#cancel = clock.after(limits.timeoutMs, () => this.#late.abort())
    const ends = [this.#late.signal, closed]
    this.signal = AbortSignal.any(signal === undefined ? ends : [...ends, signal])
  }

  /** Errors: ENGINE_LIMIT_EXCEEDED. */
  takeRows(rows: number): void {
    this.#rows += rows
    const { rowsMax } = this.#parts.limits
    if (this.#rows > rowsMax) throw this.#exceeded(`more than ${rowsMax} rows`)
  }

  /** Errors: ENGINE_LIMIT_EXCEEDED. */
  takeBytes(bytes: number): void {
    this.#bytes += bytes
    const { bytesMax } = this.#parts.limits
    if (this.#bytes > bytesMax) throw this.#exceeded(`more than ${bytesMax} bytes`)
  }

  /** Why it ended, if that is why `error` came. */
  reasonFor(error: unknown): unknown {
    const { signal, closed, limits, place } = this.#parts
    if (signal?.aborted === true) return signal.reason
    if (this.#late.signal.aborted) return this.#exceeded(`not done in ${limits.timeoutMs} ms`)
    if (closed.aborted) return new WeirError('ENGINE_UNAVAILABLE', `${place}: it is closed`)
    return error
  }

  throwIfEnded(): void {
    if (this.signal.aborted) throw this.reasonFor(this.signal.reason)
  }

  /** Until then, or until the end. */
  async wait(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#parts.clock.after(delayMs, resolve)
    const end = (): void => resolve()
    this.signal.addEventListener('abort', end, { once: true })
    await promise
    cancel()
    this.signal.removeEventListener('abort', end)
    this.throwIfEnded()
  }

  end(): void {
    this.#cancel()
  }

  #exceeded(what: string): WeirError {
    return new WeirError('ENGINE_LIMIT_EXCEEDED', `${this.#parts.place}: ${what}`)
  }
}

/** Asks the engine to end what nobody wants, for a moment, whatever it says to that. */
export async function tryToCancel(
  clock: Clock,
  ask: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const late = new AbortController()
  const stop = clock.after(CANCEL_TIMEOUT_MS, () => late.abort())
  await ask(late.signal).catch(() => undefined)
  stop()
}
