/**
 * Who starts or ends the job of Flink is alone at it: a lease says who, be it the process that
 * keeps the job or a command. Its holder's death frees it, half-way or not.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Config } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'
import { FlinkJobs, type Alone } from '../flink/flink.ts'
import { openLeases, type Leases } from '../postgres/lease.ts'
import type { Lease } from '../postgres/postgres.ts'
import { postgresAccess } from './accesses.ts'
import { flinkAccess } from './flink-spec.ts'

const LEASE = 'flink'
const LOOK_MS = 200
/** Another's start or end of the job takes some seconds. */
const OTHERS_MS_MAX = 60_000

/** For a command that starts or ends the job: it waits for others. */
export async function changeJob(
  config: Config,
  work: (jobs: FlinkJobs) => Promise<void>,
): Promise<void> {
  const leases = await openLeases(postgresAccess(config))
  try {
    await work(new FlinkJobs(flinkAccess(config, aloneBy(leases, OTHERS_MS_MAX))))
  } finally {
    await leases.close()
  }
}

/** Waits so long for others. */
export function aloneBy(leases: Pick<Leases, 'claim'>, waitMs: number): Alone {
  return async (work) => {
    const lease = await claimWithin(leases, waitMs)
    try {
      return await work()
    } finally {
      await lease.release()
    }
  }
}

async function claimWithin(leases: Pick<Leases, 'claim'>, waitMs: number): Promise<Lease> {
  for (let waitedMs = 0; ; waitedMs += LOOK_MS) {
    const lease = await leases.claim(LEASE)
    if (lease !== undefined) return lease
    if (waitedMs >= waitMs) break
    await pause(LOOK_MS)
  }
  throw new WeirError('FLINK_BUSY', 'another process has the lease of the job')
}
