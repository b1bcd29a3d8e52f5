/** The topics of an installation, which all processes make or find in the same way. */
import type { Config } from '../config/config.ts'
import { TOPICS, topicName, type TopicKind } from '../entries/entries.ts'
import { WeirError } from '../errors/errors.ts'
import type { Kafka, TopicSpec } from '../kafka/kafka.ts'

export interface Topics {
  kafka: Kafka
  /** Of each of them. */
  partitions: number
  name: (kind: TopicKind) => string
}

/** Errors: LOG_UNAVAILABLE, LOG_REQUEST_REFUSED, CONFIG_VALUE_INVALID. */
export async function openTopics(kafka: Kafka, config: Config): Promise<Topics> {
  const { topicPrefix, replication, minInsyncReplicas, retentionUs } = config.kafka
  const name = (kind: TopicKind): string => topicName(topicPrefix, kind)
  const specOf = (kind: TopicKind, partitions: number): TopicSpec => ({
    ...{ topic: name(kind), partitions, replication },
    // A single broker has no second copy to wait for.
    minInsyncReplicas: Math.min(minInsyncReplicas, replication),
    retentionMs: retentionUs / 1000,
  })
  const first = await kafka.ensureTopics([specOf('telemetry', config.kafka.partitions)])
  const { partitions } = first.get(name('telemetry'))!
  // An entry's partition behind the stream is that of its message.
  const others = TOPICS.filter((kind) => kind !== 'telemetry')
  const found = await kafka.ensureTopics(others.map((kind) => specOf(kind, partitions)))
  for (const [topic, state] of found) {
    if (state.partitions === partitions) continue
    const detail = `${topic} has ${state.partitions} partitions, ${name('telemetry')} has ${partitions}`
    throw new WeirError('CONFIG_VALUE_INVALID', `kafka.topicPrefix: ${detail}; they must be equal`)
  }
  return { kafka, partitions, name }
}
