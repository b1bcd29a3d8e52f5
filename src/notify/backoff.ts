/**
 * How long to wait before trying again: exponential with full jitter, so that many that failed
 * together do not come back together (Marc Brooker, "Exponential Backoff And Jitter", 2015).
 */
import type { Random } from '../world/world.ts'

export interface BackoffLimits {
  /** The most that the first wait can be. */
  baseMs: number
  /** The most that any wait can be, unless the receiver asks for more. */
  capMs: number
}

/** 2 s, 4 s, 8 s … 10 min: an hour of an endpoint that is away costs some 12 tries. */
export const BACKOFF: BackoffLimits = { baseMs: 2000, capMs: 600_000 }

/** `attempt`: tries that failed so far, from 1. Never less than the receiver asked for. */
export function backoffMs(
  attempt: number,
  random: Pick<Random, 'unit'>,
  { baseMs, capMs, retryAfterMs = 0 }: BackoffLimits & { retryAfterMs?: number } = BACKOFF,
): number {
  const most = Math.min(capMs, baseMs * 2 ** Math.max(0, attempt - 1))
  return retryAfterMs + random.unit() * most
}
