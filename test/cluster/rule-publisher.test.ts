/** Changes of rules reach every partition of a real Kafka, also while there come to be more. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { RuleChange } from '../../src/batch/batch.ts'
import { TopicRulePublisher } from '../../src/cluster/rule-publisher.ts'
import { Topics } from '../../src/cluster/topics.ts'
import { loadConfig } from '../../src/config/config.ts'
import { encodeTick, MessageDecoder } from '../../src/entries/entries.ts'
import type { Kafka } from '../../src/kafka/kafka.ts'
import { PLAN } from '../../src/stream/script.ts'
import { nodeWorld } from '../../src/world/node-world.ts'
import { brokers, newTopic, open, readAll, skip } from './kafka-fixture.ts'

const PARTITIONS = 2
/** Of one entry. */
const ENTRY_BYTES_MAX = 600_000

let shared: Promise<Kafka> | undefined
const kafkaOf = (): Promise<Kafka> => (shared ??= open())
after(async () => (await shared)?.close())

async function openTopics(prefix: string): Promise<Topics> {
  const flags = {
    ...{ 'kafka.topicPrefix': prefix, 'kafka.partitions': String(PARTITIONS) },
    'kafka.replication': String(brokers.length),
  }
  return Topics.open(await kafkaOf(), loadConfig({ flags }))
}

/** Ids and versions in the order of a partition. */
async function told(topic: string, partition: number): Promise<[string, number][]> {
  const decoder = new MessageDecoder({ seriesMax: 1, textsMax: 1 })
  const entries = await readAll(await kafkaOf(), topic, partition)
  return entries.flatMap(({ value, key }) => {
    assert.ok(value.length <= ENTRY_BYTES_MAX, `${value.length} bytes`)
    const read = decoder.add(value)
    if (typeof read !== 'object' || !('rules' in read)) return []
    assert.equal(key, undefined)
    return read.rules.flatMap((change): [string, number][] =>
      'put' in change ? [[change.put.id, change.put.version]] : [],
    )
  })
}

const put = (id: string, version: number): RuleChange => ({
  put: { ...PLAN.rules[0]!, id, version },
})

test(
  'rules come into all partitions in their order, in entries that a broker takes',
  { skip },
  async () => {
    const topics = await openTopics(newTopic())
    const publisher = new TopicRulePublisher(topics, nodeWorld.clock)
    const large = Array.from({ length: 30 }, (_, at) => put(`${at}-${'x'.repeat(100_000)}`, 1))
    await Promise.all([publisher.publish(large), publisher.publish([put('last', 2)])])
    await publisher.close()
    const expected = [...large.map((one) => ('put' in one ? one.put.id : '')), 'last']
    const topic = topics.name('telemetry', { number: 1, partitions: PARTITIONS })
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const ids = (await told(topic, partition)).map(([id]) => id)
      assert.ok(String(ids) === String(expected), `partition ${partition}: ${ids.length}`)
    }
  },
)

test(
  'rules that are published while there come to be more partitions reach all of those',
  { skip },
  async () => {
    const prefix = newTopic()
    const [topics, others] = [await openTopics(prefix), await openTopics(prefix)]
    const [first, next] = [
      { number: 1, partitions: PARTITIONS },
      { number: 2, partitions: 2 * PARTITIONS },
    ]
    const publisher = new TopicRulePublisher(topics, nodeWorld.clock)
    let version = 0
    let isOver = false
    const publishing = (async () => {
      while (!isOver || version < 20) await publisher.publish([put('hot', ++version)])
      // Whatever happened, it writes where gateways do.
      for (let more = 0; more < 3; more++) await publisher.publish([put('hot', ++version)])
    })()
    await others.make(next)
    await others.kafka.seal(others.name('telemetry', first), PARTITIONS, encodeTick(1))
    isOver = true
    await publishing
    // One that begins now goes to the next one at once.
    const late = new TopicRulePublisher(others, nodeWorld.clock)
    await late.publish([put('hot', ++version)])
    for (let partition = 0; partition < next.partitions; partition++) {
      const before = await told(topics.name('telemetry', first), partition % PARTITIONS)
      const behind = await told(topics.name('telemetry', next), partition)
      const versions = [...before, ...behind].map(([, one]) => one)
      const isSeen = Array.from({ length: version }, (_, at) => versions.includes(at + 1))
      assert.ok(isSeen.every(Boolean), `partition ${partition}: ${String(versions)}`)
      assert.ok(behind.length >= 4, `${behind.length} behind`)
      const ascending = versions.toSorted((a, b) => a - b)
      assert.equal(String(versions), String(ascending), 'in their order')
    }
    await Promise.all([publisher.close(), late.close()])
  },
)
