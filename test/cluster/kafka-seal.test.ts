/** The end of a topic: who appends is refused by its leaders, and the ends stay as they are. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { WeirError } from '../../src/errors/errors.ts'
import type { Kafka } from '../../src/kafka/kafka.ts'
import { until } from '../system/weir-process.ts'
import { createTopic, newTopic, open, skip } from './kafka-fixture.ts'

const PARTITIONS = 3
const probe = Uint8Array.of(0)

let shared: Promise<Kafka> | undefined
const kafkaOf = (): Promise<Kafka> => (shared ??= open())

after(async () => (await shared)?.close())

const endsOf = async (kafka: Kafka, topic: string): Promise<number[]> =>
  Promise.all([0, 1, 2].map(async (at) => (await kafka.bounds(topic, at)).nextOffset))

test('K6 after a seal nothing gets in, from whoever appended before', { skip }, async (t) => {
  const kafka = await kafkaOf()
  const topic = await createTopic(kafka, PARTITIONS)
  assert.equal(await kafka.isSealed(topic), false)
  await kafka.checkSealable(topic)
  assert.equal(await kafka.isSealed(topic), false, 'a trial changes nothing')
  const appenders = Array.from({ length: 4 }, () => kafka.createAppender(topic))
  const acknowledged = new Float64Array(PARTITIONS)
  const refusals = new Map<string, number>()
  let isOver = false
  const write = async (at: number): Promise<void> => {
    while (!isOver) {
      const partition = at % PARTITIONS
      try {
        await appenders[at]!.append([{ partition, value: Buffer.from('entry') }])
        acknowledged[partition]!++
      } catch (error) {
        const { code } = error as WeirError
        refusals.set(code, (refusals.get(code) ?? 0) + 1)
        // What is refused at once must not keep sockets from their turn.
        await setImmediate()
      }
    }
  }
  const writing = appenders.map((_, at) => write(at))
  await until('entries are there', () => acknowledged.every((count) => count > 50))
  await kafka.seal(topic, PARTITIONS, probe)
  const ends = await endsOf(kafka, topic)
  const refused = refusals.get('LOG_ENTRY_TOO_LARGE') ?? 0
  await until('more are refused', () => (refusals.get('LOG_ENTRY_TOO_LARGE') ?? 0) > refused + 50)
  isOver = true
  await Promise.all(writing)
  assert.deepEqual([...refusals.keys()], ['LOG_ENTRY_TOO_LARGE'])
  assert.deepEqual(await endsOf(kafka, topic), ends)
  for (const [at, end] of ends.entries()) assert.ok(end >= acknowledged[at]!, `partition ${at}`)
  assert.equal(await kafka.isSealed(topic), true)
  // Once more, and by somebody who comes later.
  await kafka.seal(topic, PARTITIONS, probe)
  const late = kafka.createAppender(topic).append([{ partition: 0, value: probe }])
  await assert.rejects(late, { code: 'LOG_ENTRY_TOO_LARGE' })
  assert.deepEqual(await endsOf(kafka, topic), ends)
  t.diagnostic(JSON.stringify({ ends, refused }))
})

test('topics that are not there are left out of what is described', { skip }, async () => {
  const kafka = await kafkaOf()
  const [there, absent] = [await createTopic(kafka, PARTITIONS), newTopic()]
  const found = await kafka.describeTopics([there, absent])
  assert.deepEqual([...found.keys()], [there])
  assert.equal(found.get(there)?.partitions, PARTITIONS)
})
