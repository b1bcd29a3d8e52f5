/** One end for whatever a send waits for: its time-out, or close() of the channel (N4). */
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'

export interface Deadline {
  clock: Clock
  timeoutMs: number
  closed: AbortSignal
  /** Whom it is about, in the error. */
  place: string
}

/**
 * Throws NOTIFY_UNAVAILABLE at the deadline, even if what runs does not heed the signal: nobody can
 * take back a question to a resolver, or hasten a search for credentials.
 */
export async function withDeadline<T>(
  { clock, timeoutMs, closed, place }: Deadline,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController()
  const signal = AbortSignal.any([late.signal, closed])
  const { promise: ended, reject } = Promise.withResolvers<never>()
  const end = (): void => {
    const why = late.signal.aborted ? `no answer within ${timeoutMs} ms` : 'the channel is closed'
    reject(new WeirError('NOTIFY_UNAVAILABLE', `${place}: ${why}`))
  }
  const cancel = clock.after(timeoutMs, () => late.abort())
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  try {
    return await Promise.race([ended, run(signal)])
  } finally {
    cancel()
    signal.removeEventListener('abort', end)
  }
}
