/**
 * The service-level objective of ingestion: of the messages that came, how many were not refused by
 * our fault. Invalid messages (dead letters) were handled as promised, so they count as accepted;
 * overload, a full disk and internal faults are ours.
 */
import { ERRORS, WeirError } from '../errors/errors.ts'
import type { Counter, Registry } from './registry.ts'

export class SloCounter {
  readonly #accepted: Counter
  readonly #refused: Counter

  constructor(registry: Registry) {
    this.#accepted = registry.counter(
      'weir_slo_accepted_total',
      'Messages that were made durable, as readings or as dead letters.',
    )
    this.#refused = registry.counter(
      'weir_slo_refused_by_fault_total',
      'Messages refused because of overload, a full disk or a fault of ours.',
    )
    registry.gaugeOf(
      'weir_slo_accepted_ratio',
      'Accepted messages of those accepted or refused by our fault, since start.',
      () => this.ratio,
    )
  }

  accept(messages = 1): void {
    this.#accepted.add(messages)
  }

  /** Counts the messages of a failed request, if `error` is our fault. */
  refuse(error: unknown, messages = 1): void {
    if (isOurFault(error)) this.#refused.add(messages)
  }

  /** 1 before the first message. */
  get ratio(): number {
    const total = this.#accepted.value + this.#refused.value
    return total === 0 ? 1 : this.#accepted.value / total
  }
}

/** A server-side status, or an error that is none of the catalogue's (a bug). */
const isOurFault = (error: unknown): boolean =>
  !(error instanceof WeirError) || ERRORS[error.code].http >= 500
