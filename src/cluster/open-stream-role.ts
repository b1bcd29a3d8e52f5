/** The stream stage as a job of Flink, with everything that it needs from this process. */
import type { StreamJob } from '../api/api.ts'
import { FlinkJobs, type JobStatus } from '../flink/flink.ts'
import type { MetricSample } from '../observe/observe.ts'
import { openLeases } from '../postgres/lease.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { flinkAccess, flinkSpec } from './flink-spec.ts'
import { FlinkKeeper } from './flink-keeper.ts'
import { aloneBy } from './job-lease.ts'
import type { Live } from './live.ts'
import { LiveReader } from './live-reader.ts'

/** One process keeps the job. */
const LEASE = 'stream'

export interface StreamRole {
  start(): void
  /** The job runs on. */
  stop(): Promise<void>
  metrics(): MetricSample[]
}

/** Errors: STORAGE_UNAVAILABLE, DATA_FORMAT_NEWER, CONFIG_VALUE_INVALID. */
export async function openStreamRole(
  shared: Shared,
  tenant: string,
  live: Live,
): Promise<StreamRole> {
  const { config, plan, topics, events } = shared
  const { clock } = nodeWorld
  // What is wrong with the settings is said at the start.
  flinkSpec(config, plan, { number: 1, partitions: topics.partitions })
  const leases = await openLeases(postgresAccess(config))
  const jobs = new FlinkJobs(flinkAccess(config, aloneBy(leases, 0)))
  const failed = (error: unknown): void =>
    events?.roleFailed({ role: 'stream', problem: String(error) })
  const keeper = new FlinkKeeper({
    ...{ jobs, topics, name: config.flink.name, clock, failed },
    specOf: (generation) => flinkSpec(config, plan, generation),
    claim: () => leases.claim(LEASE),
    seen: (status) => live.sink.publish(tenant, { event: 'stream', data: jobOf(status) }),
    started: (fields) => events?.flinkJobStarted(fields),
    differs: (fields) => events?.flinkJobDiffers(fields),
    ended: () => events?.flinkJobEnded({ name: config.flink.name }),
  })
  const reader = new LiveReader({
    ...{ kafka: topics.kafka, clock, tenant, failed },
    topics: {
      events: { topic: topics.nameOf('events'), partitions: topics.partitions },
      readings: () => ({
        topic: topics.name('readings', keeper.generation),
        partitions: keeper.generation.partitions,
      }),
    },
    isReading: () => keeper.isKeeper,
    emit: (event) => live.sink.publish(tenant, event),
  })
  live.onFollow((deviceIds) => reader.follow(deviceIds))
  return {
    start() {
      keeper.start()
      reader.start()
    },
    async stop() {
      await Promise.all([keeper.stop(), reader.stop()])
      await leases.close()
    },
    metrics: () => keeper.metrics(),
  }
}

function jobOf(status: JobStatus | undefined): StreamJob {
  return {
    state: status?.job.state ?? 'ABSENT',
    restarts: status?.restarts ?? null,
    checkpoint_at: status?.checkpoint?.atMs ?? null,
    checkpoint_bytes: status?.checkpoint?.bytes ?? null,
  }
}
