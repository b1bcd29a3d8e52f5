/** Topics: what is there, making what is missing, and the ends of a partition. */
import {
  createTopicsV7,
  deleteRecordsV2,
  describeConfigsV4,
  listOffsetsV7,
  type metadataV12,
} from '@platformatic/kafka'
import { WeirError } from '../errors/errors.ts'
import { responseDespite, type KafkaClient } from './client.ts'
import type { Bounds, TopicSpec, TopicState } from './kafka.ts'

/** How long brokers may take to make topics, or to forget entries on all replicas. */
const ADMIN_MS_MAX = 10_000
/** The protocol's times that stand for an end of a partition. */
const LATEST = -1n
const EARLIEST = -2n
/** The protocol's number for settings of a topic. */
export const TOPIC_RESOURCE = 2
/** Below what a broker takes unless it was told otherwise: for one that does not say. */
export const BATCH_BYTES_ASSUMED = 1_000_000

/** Makes what is missing; see `Kafka.ensureTopics`. */
export async function ensureTopics(
  client: KafkaClient,
  specs: readonly TopicSpec[],
): Promise<Map<string, TopicState>> {
  const states = new Map<string, TopicState>()
  if (specs.length === 0) return states
  const names = specs.map(({ topic }) => topic)
  await client.retry('', `Making the topics ${names.join(', ')}`, async () => {
    const known = await topicsOf(client, names)
    const missing = specs.filter(({ topic }) => !known.has(topic))
    if (missing.length > 0) await create(client, missing)
    const topics = missing.length > 0 ? await topicsOf(client, names) : known
    for (const topic of names) {
      const partitions = topics.get(topic)?.partitions ?? []
      const isLed = partitions.length > 0 && partitions.every(({ leaderId }) => leaderId >= 0)
      if (!isLed) throw new WeirError('LOG_UNAVAILABLE', `Nobody leads all of ${topic} yet`)
      states.set(topic, stateOf(partitions))
    }
  })
  return states
}

export const describeTopics = (
  client: KafkaClient,
  names: readonly string[],
): Promise<Map<string, TopicState>> =>
  client.retry('', `Asking for the topics ${names.join(', ')}`, async () => {
    const known = await topicsOf(client, names)
    return new Map([...known].map(([name, { partitions }]) => [name, stateOf(partitions)]))
  })

const stateOf = (partitions: readonly metadataV12.MetadataResponsePartition[]): TopicState => ({
  partitions: partitions.length,
  replication: partitions[0]?.replicaNodes.length ?? 0,
})

/** Those that are there. */
async function topicsOf(
  client: KafkaClient,
  names: readonly string[],
): Promise<Map<string, metadataV12.MetadataResponseTopic>> {
  const isMissing = ({ apiId }: { apiId?: string }): boolean =>
    apiId === 'UNKNOWN_TOPIC_OR_PARTITION' || apiId === 'LEADER_NOT_AVAILABLE'
  const { topics } = await client
    .metadata(names)
    .catch(responseDespite<metadataV12.MetadataResponse>(isMissing))
  const known = topics.filter(({ errorCode }) => errorCode === 0)
  return new Map(known.map((topic) => [topic.name!, topic]))
}

async function create(client: KafkaClient, specs: readonly TopicSpec[]): Promise<void> {
  const topics = specs.map((spec) => ({
    name: spec.topic,
    numPartitions: spec.partitions,
    replicationFactor: spec.replication,
    assignments: [],
    configs: settingsOf(spec),
  }))
  const connection = await client.anyConnection()
  // Another process may have been faster.
  const isThere = ({ apiId }: { apiId?: string }): boolean => apiId === 'TOPIC_ALREADY_EXISTS'
  await createTopicsV7.api
    .async(connection, topics, ADMIN_MS_MAX, false)
    .catch(responseDespite(isThere))
}

function settingsOf(spec: TopicSpec): { name: string; value: string }[] {
  const settings = [
    { name: 'retention.ms', value: String(spec.retentionMs) },
    { name: 'cleanup.policy', value: spec.isCompacted === true ? 'compact' : 'delete' },
  ]
  if (spec.minInsyncReplicas !== undefined)
    settings.push({ name: 'min.insync.replicas', value: String(spec.minInsyncReplicas) })
  return settings
}

export async function boundsOf(
  client: KafkaClient,
  topic: string,
  partition: number,
): Promise<Bounds> {
  const endOf = async (timestamp: bigint): Promise<number> => {
    const connection = await client.connectionTo(await client.leaderOf(topic, partition))
    const partitions = [{ partitionIndex: partition, currentLeaderEpoch: -1, timestamp }]
    const { topics } = await listOffsetsV7.api.async(connection, -1, 0, [
      { name: topic, partitions },
    ])
    return Number(topics[0]!.partitions[0]!.offset)
  }
  return client.retry(
    topic,
    `Asking for the ends of ${topic}, partition ${partition}`,
    async () => {
      // The first one first: it moves towards the other.
      const firstOffset = await endOf(EARLIEST)
      return { firstOffset, nextOffset: await endOf(LATEST) }
    },
  )
}

/** Says from where on entries are left. */
export async function deleteBefore(
  client: KafkaClient,
  topic: string,
  { partition, offset }: { partition: number; offset: number },
): Promise<void> {
  await client.retry(topic, `Deleting from ${topic}, partition ${partition}`, async () => {
    const connection = await client.connectionTo(await client.leaderOf(topic, partition))
    const partitions = [{ partitionIndex: partition, offset: BigInt(offset) }]
    const isBeyond = ({ apiId }: { apiId?: string }): boolean => apiId === 'OFFSET_OUT_OF_RANGE'
    const response = await deleteRecordsV2.api
      .async(connection, [{ name: topic, partitions }], ADMIN_MS_MAX)
      .catch(responseDespite<deleteRecordsV2.DeleteRecordsResponse>(isBeyond))
    if (response.topics[0]!.partitions[0]!.errorCode === 0) return
    throw await offsetGone(client, topic, { partition, offset })
  })
}

/** For an offset that a broker did not know: LOG_OFFSET_GONE, unless it was behind the others. */
export async function offsetGone(
  client: KafkaClient,
  topic: string,
  { partition, offset }: { partition: number; offset: number },
): Promise<WeirError> {
  const { firstOffset, nextOffset } = await boundsOf(client, topic, partition)
  const isThere = firstOffset <= offset && offset <= nextOffset
  return new WeirError(
    isThere ? 'LOG_UNAVAILABLE' : 'LOG_OFFSET_GONE',
    `${topic}, partition ${partition}: offset ${offset} is not in ${firstOffset} to ${nextOffset}`,
    { details: { topic, partition, offset, firstOffset, nextOffset } },
  )
}

/** The largest batch that a topic takes. */
export async function batchBytesMaxOf(client: KafkaClient, topic: string): Promise<number> {
  const name = 'max.message.bytes'
  return Number((await settingsIn(client, topic, [name])).get(name) ?? BATCH_BYTES_ASSUMED)
}

/** How long an entry is there at most, ms; see `Kafka.keptMs`. */
export async function keptMsOf(client: KafkaClient, topic: string): Promise<number | undefined> {
  const settings = await settingsIn(client, topic, ['retention.ms', 'segment.ms'])
  const [retentionMs, segmentMs] = ['retention.ms', 'segment.ms'].map((name) =>
    Number(settings.get(name) ?? NaN),
  )
  // -1: for ever. A segment goes as a whole, when its newest entry is old enough.
  return retentionMs! >= 0 && segmentMs! >= 0 ? retentionMs! + segmentMs! : undefined
}

/** Those that the broker says. */
async function settingsIn(
  client: KafkaClient,
  topic: string,
  configurationKeys: string[],
): Promise<Map<string, string>> {
  const connection = await client.anyConnection()
  const isForbidden = ({ apiId }: { apiId?: string }): boolean =>
    apiId === 'TOPIC_AUTHORIZATION_FAILED' || apiId === 'CLUSTER_AUTHORIZATION_FAILED'
  const { results } = await describeConfigsV4.api
    .async(connection, [{ resourceType: TOPIC_RESOURCE, resourceName: topic, configurationKeys }])
    .catch(responseDespite<describeConfigsV4.DescribeConfigsResponse>(isForbidden))
  const configs = results[0]?.configs ?? []
  return new Map(configs.flatMap(({ name, value }) => (value == null ? [] : [[name, value]])))
}
