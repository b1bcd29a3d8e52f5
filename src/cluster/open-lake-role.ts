/** The lake's writer with everything that it needs from this process. */
import type { WeirError } from '../errors/errors.ts'
import { openLakeWriter, type LakeWriter } from '../lake/lake.ts'
import { createS3Objects } from '../objects/s3-objects.ts'
import { openErasureList } from '../postgres/erasure-list.ts'
import { openLeases } from '../postgres/lease.ts'
import { nodeWorld } from '../world/node-world.ts'
import { lakePartitions, postgresAccess, s3Access } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { LakeRole } from './lake-role.ts'
import { partitionsIn } from './topics.ts'

/** The store need not be there. Errors: CONFIG_VALUE_INVALID, STORAGE_UNAVAILABLE. */
export async function openLakeRole({ config, topics, events }: Shared): Promise<{
  role: LakeRole
  close: () => Promise<void>
}> {
  const { clock, random } = nodeWorld
  const { commitReadings, commitIntervalUs, readingsHeldMax } = config.lake
  const access = s3Access(config, random)
  const { set, partitions } = lakePartitions(config, topics.partitions)
  const leases = await openLeases(postgresAccess(config))
  const objects = createS3Objects(access)
  const erasures = openErasureList(postgresAccess(config))
  const openWriter = async (): Promise<LakeWriter> => {
    const generations = await topics.generations()
    return openLakeWriter({
      ...{ objects, clock, random, set },
      async erased() {
        const spans = await erasures.spans()
        return (tenant, deviceId) => spans.get(tenant)?.get(deviceId) ?? []
      },
      partitions: generations.flatMap((generation) =>
        partitionsIn(generation, topics, partitions).flatMap((partition) => [
          { topic: topics.name('readings', generation), partition },
          { topic: topics.name('telemetry', generation), partition },
        ]),
      ),
      limits: {
        ...{ commitReadings, commitIntervalMs: commitIntervalUs / 1000 },
        // One commit is under way while the next is collected.
        readingsHeldMax: Math.max(readingsHeldMax, 2 * commitReadings),
      },
    })
  }
  const { seriesMax, textsMax } = config.gateway
  const { batchBytesMax: bytesMax, intervalUs } = config.writer
  const role = new LakeRole({
    ...{ topics, partitions, clock, openWriter },
    options: { bytesMax, waitMs: intervalUs / 1000, seriesMax, textsMax },
    claim: () => leases.claim(`lake-${set}`),
    tell: {
      malformed: (topic, offset, { code, message: detail }) =>
        events?.entryMalformed({ topic, offset, code, detail }),
      lost: (fields) => events?.entriesLost(fields),
      uncertain: ({ uncertain: entries, ...where }) =>
        events?.lakeRepeatsPossible({ ...where, entries }),
      commitFailed: (error) => events?.lakeCommitFailed({ problem: String(error) }),
      commitRecovered: (outageMs) =>
        events?.lakeCommitRecovered({ outageMs: Math.round(outageMs) }),
      full: (readings) => events?.lakeFull({ readings }),
      failed(error) {
        const problem = String(error)
        // As each erasure does; and a writer of the same partitions that was given another lease.
        if ((error as WeirError).code === 'LAKE_FENCED') events?.lakeTaken({ problem })
        else events?.roleFailed({ role: 'lake', problem })
      },
    },
  })
  const close = async (): Promise<void> => {
    await role.stop()
    await leases.close()
    await erasures.close()
    objects.close()
  }
  return { role, close }
}
