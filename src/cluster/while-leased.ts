/** Work that one process of a cluster does at a time: whoever has the lease. */
import type { Lease } from '../postgres/postgres.ts'

/**
 * Runs once, unless another process has the lease, and gives it back whatever happens. isOver()
 * turns true when it is to stop, and when the lease is lost.
 */
export async function whileLeased(
  { claim, isStopping }: { claim: () => Promise<Lease | undefined>; isStopping: () => boolean },
  run: (lease: Lease, isOver: () => boolean) => Promise<void>,
): Promise<void> {
  const lease = await claim()
  if (lease === undefined) return
  try {
    await run(lease, () => isStopping() || lease.lost.aborted)
  } finally {
    await lease.release()
  }
}
