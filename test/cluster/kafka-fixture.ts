/** For tests on Kafka: it, topics of their own, and reading all that is in one. */
import assert from 'node:assert/strict'
import type { Kafka, KafkaAccess, ReadEntry } from '../../src/kafka/kafka.ts'
import { openKafka } from '../../src/kafka/open-kafka.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { accessOf } from './cluster.ts'

const addresses = accessOf('kafka')?.['brokers'] ?? ''

export const brokers: readonly string[] = addresses === '' ? [] : addresses.split(',')
export const skip =
  brokers.length === 0 ? 'Kafka does not run: npm run -s cluster:up -- kafka' : undefined

export const open = (access: Partial<KafkaAccess> = {}): Promise<Kafka> =>
  openKafka({ brokers, clientId: 'weir-test', ...access }, nodeWorld)

let topics = 0

/** A name that nobody has used. */
export const newTopic = (): string => `weir-test-${process.pid}-${++topics}`

/** Makes one on as many brokers as there are. */
export async function createTopic(kafka: Kafka, partitions = 1): Promise<string> {
  const topic = newTopic()
  const spec = { topic, partitions, replication: brokers.length, retentionMs: 3_600_000 }
  await kafka.ensureTopics([spec])
  return topic
}

export async function readAll(
  kafka: Kafka,
  topic: string,
  partition: number,
): Promise<ReadEntry[]> {
  const { firstOffset, nextOffset } = await kafka.bounds(topic, partition)
  const reader = kafka.createReader(topic)
  const read: ReadEntry[] = []
  for (let fromOffset = firstOffset; fromOffset < nextOffset;) {
    const entries = await reader.read({ partition, fromOffset, bytesMax: 1 << 20, waitMs: 5000 })
    assert.ok(entries.length > 0, `nothing at ${fromOffset} of ${nextOffset}`)
    read.push(...entries)
    fromOffset = entries.at(-1)!.offset + 1
  }
  await reader.close()
  return read
}
