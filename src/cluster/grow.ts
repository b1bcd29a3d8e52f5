/**
 * More partitions for an installation that runs: new topics, then the seal of the old telemetry.
 * From then on gateways write the new one, and the roles behind follow (`topics.ts`). Telemetry is
 * made last and decides: what was cut off before it has changed nothing, and what is cut off behind
 * it, the keeper of the job does. So it may be done again at any time.
 *
 * New partitions know no rules. A control process tells them as soon as it sees their topic, and
 * the seal waits for that, so that no message comes before them.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Config } from '../config/config.ts'
import { encodeTick } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import { openKafka } from '../kafka/open-kafka.ts'
import { FlinkJobs } from '../flink/flink.ts'
import { openLeases } from '../postgres/lease.ts'
import { nodeWorld } from '../world/node-world.ts'
import { kafkaAccess, postgresAccess } from './accesses.ts'
import { flinkAccess, generationOfJob } from './flink-spec.ts'
import { endsOf, Topics, type Generation } from './topics.ts'

const LEASE = 'grow'
const LOOK_MS = 200
const TOLD_MS_MAX = 60_000

/** Errors: CLI_USAGE_INVALID, CONFIG_VALUE_INVALID, and those of Kafka and PostgreSQL. */
export async function growPartitions(
  config: Config,
  to: number,
): Promise<{ from: number; generation: Generation; telemetry: string }> {
  await using opened = new AsyncDisposableStack()
  const leases = await openLeases(postgresAccess(config))
  opened.defer(() => leases.close())
  const lease = await leases.claim(LEASE)
  if (lease === undefined) throw wrong('another process is at it')
  opened.defer(() => lease.release())
  const kafka = await openKafka(kafkaAccess(config), nodeWorld)
  opened.defer(() => kafka.close())
  const topics = await Topics.open(kafka, config)
  const before = await growable(topics, config, to)
  const generation = { number: before.number + 1, partitions: to }
  const sealed = topics.name('telemetry', before)
  // First, whether we may at all: the topic may belong to somebody else.
  await kafka.checkSealable(sealed)
  await topics.make(generation)
  await untilTold(topics, generation)
  await kafka.seal(sealed, before.partitions, encodeTick(nodeWorld.clock.nowUs()))
  return { from: before.partitions, generation, telemetry: topics.name('telemetry', generation) }
}

/** Errors: LOG_UNAVAILABLE when nobody tells them. */
async function untilTold(topics: Topics, generation: Generation): Promise<void> {
  for (let waitedMs = 0; waitedMs < TOLD_MS_MAX; waitedMs += LOOK_MS) {
    const ends = await endsOf(topics, 'telemetry', generation)
    if (ends.every((end) => end > 0)) return
    await pause(LOOK_MS)
  }
  const detail = 'no control process tells rules to the new partitions; start one, and try again'
  throw new WeirError('LOG_UNAVAILABLE', detail)
}

/** The generation that may be left for one of so many partitions. Errors: CLI_USAGE_INVALID. */
async function growable(topics: Topics, config: Config, to: number): Promise<Generation> {
  const [last, before] = (await topics.generations()).toReversed() as [Generation, Generation?]
  // What was begun is ended.
  if (before !== undefined && last.partitions === to) return before
  const has = `there are ${last.partitions} partitions`
  if (to <= last.partitions) throw wrong(`${has}, and ${to} are not more`)
  if (to % last.partitions !== 0) throw wrong(`${has}, and ${to} is no multiple of that`)
  if (last.number > 1 && (await generationOfStream(topics, config)) < last.number)
    throw wrong(`the stream has not come to the ${last.partitions} partitions yet`)
  return last
}

async function generationOfStream(topics: Topics, config: Config): Promise<number> {
  const jobs = new FlinkJobs(flinkAccess(config))
  return (await generationOfJob(topics, jobs, config.flink.name)).number
}

const wrong = (detail: string): WeirError => new WeirError('CLI_USAGE_INVALID', detail)
