import { after } from 'node:test'
import type { Kafka } from '../../src/kafka/kafka.ts'
import { openKafkaLog } from '../../src/log/kafka-log.ts'
import { testLog } from '../../src/log/log.conformance.ts'
import { createTopic, open, skip } from './kafka-fixture.ts'

const ofBrokers = 'it is the brokers’ disk, which this process does not have'
let shared: Promise<Kafka> | undefined

after(async () => (await shared)?.close())

testLog({
  name: 'Kafka',
  skip,
  async createBench() {
    const kafka = await (shared ??= open())
    const topic = await createTopic(kafka)
    return { open: () => openKafkaLog({ kafka, topic, partition: 0 }) }
  },
  trimsWholeSegments: false,
  cannotCutPower: ofBrokers,
  cannotFill: ofBrokers,
  cannotFailFlush: ofBrokers,
  cannotDamage: ofBrokers,
})
