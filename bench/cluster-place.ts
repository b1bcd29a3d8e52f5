/**
 * Topics and tables of one run on the services of a cluster, which `npm run cluster:up` started.
 * Names are the run's own, so that nothing is there before, and all of it goes at the end.
 */
import pg from 'pg'
import { topicName, type TopicKind } from '../src/entries/entries.ts'
import type { Kafka } from '../src/kafka/kafka.ts'
import { openKafka } from '../src/kafka/open-kafka.ts'
import { nodeWorld } from '../src/world/node-world.ts'
import { accessOf } from '../test/cluster/cluster.ts'
import { cancelJob, flinkSettings } from '../test/cluster/flink-section.ts'

export const PARTITIONS = 8
/** What is left of a partition at its end is removed by this alone. */
const RETENTION_MS = 86_400_000

export interface ClusterPlace {
  /** What the names of its topics begin with. */
  name: string
  kafka: Kafka
  database: pg.Client
  /** Text of a configuration file for `weir start --role`. */
  config: string
  topic: (kind: TopicKind) => string
  /** Makes a topic as the roles would. */
  makeTopic: (kind: TopicKind) => Promise<void>
  /** Entries that its partitions ever had, by partition. */
  ends: (kind: TopicKind) => Promise<number[]>
  close: () => Promise<void>
}

/** The services that are needed and do not run. */
export const missingServices = (names: readonly string[]): string[] =>
  names.filter((name) => accessOf(name) === undefined)

/** `more`: further sections of the configuration. `hasStream`: a job of Flink may be started. */
export async function openPlace(
  name: string,
  { more = {}, hasStream = false }: { more?: Record<string, unknown>; hasStream?: boolean } = {},
): Promise<ClusterPlace> {
  const brokers = accessOf('kafka')!['brokers']!.split(',')
  const url = accessOf('postgres')!['url']!
  const own = `weir_bench_${name}_${process.pid}`
  const kafka = await openKafka({ brokers, clientId: 'weir-bench' }, nodeWorld)
  const database = new pg.Client({ connectionString: url, options: `-c search_path=${own}` })
  await database.connect()
  const topic = (kind: TopicKind): string => topicName(own, kind)
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition)
  const made = new Set<TopicKind>()
  const ends = async (kind: TopicKind): Promise<number[]> => {
    const bounds = partitions.map((partition) => kafka.bounds(topic(kind), partition))
    return (await Promise.all(bounds)).map(({ nextOffset }) => nextOffset)
  }
  return {
    ...{ name: own, kafka, database, topic, ends },
    config: configOf({
      ...{ brokers, url, own },
      more: hasStream ? { ...more, flink: flinkSettings(own) } : more,
    }),
    async makeTopic(kind) {
      const spec = { topic: topic(kind), partitions: PARTITIONS, replication: 1 }
      await kafka.ensureTopics([{ ...spec, retentionMs: RETENTION_MS }])
      made.add(kind)
    },
    async close() {
      for (const kind of made) {
        for (const [partition, end] of (await ends(kind)).entries()) {
          if (end > 0) await kafka.deleteBefore(topic(kind), partition, end)
        }
      }
      await kafka.close()
      if (hasStream) await cancelJob(own)
      await database.query(`DROP SCHEMA IF EXISTS ${own} CASCADE`)
      await database.end()
    },
  }
}

function configOf(of: {
  brokers: string[]
  url: string
  own: string
  more: Record<string, unknown>
}): string {
  const { brokers, url, own, more } = of
  const kafka = { brokers, topicPrefix: own, partitions: PARTITIONS, replication: 1 }
  // A file of settings is YAML, of which JSON is a part.
  return JSON.stringify({ kafka, postgres: { url, schema: own }, ...more })
}
