import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { WeirError } from '../../src/errors/errors.ts'
import type { Appender, Kafka, Reader } from '../../src/kafka/kafka.ts'
import { until } from '../system/weir-process.ts'
import { accessOf, killService, restartService } from './cluster.ts'
import { brokers, createTopic, newTopic, open, readAll, skip } from './kafka-fixture.ts'

const three = skip ?? (brokers.length < 3 ? 'one broker: cluster:up -- kafka --brokers 3' : false)
const one = skip ?? (brokers.length > 1 ? 'three brokers: the test below' : false)
const replication = brokers.length

let shared: Promise<Kafka> | undefined
const kafkaOf = (): Promise<Kafka> => (shared ??= open())

after(async () => (await shared)?.close())

const numbered = (number: number): Uint8Array => Buffer.from(String(number))
const numberOf = ({ value }: { value: Uint8Array }): number => Number(Buffer.from(value).toString())

/** What is in a partition, as the numbers that were appended. */
const numbersIn = async (topic: string, partition: number): Promise<number[]> =>
  (await readAll(await kafkaOf(), topic, partition)).map(numberOf)

const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at)

test('topics are made, and others’ are taken as they are', { skip }, async () => {
  const kafka = await kafkaOf()
  const [topic, compacted] = [newTopic(), newTopic()]
  const spec = { topic, partitions: 3, replication, retentionMs: 60_000, minInsyncReplicas: 1 }
  const made = { partitions: 3, replication }
  // By two at once.
  const both = await Promise.all([kafka.ensureTopics([spec]), kafka.ensureTopics([spec])])
  for (const states of both) assert.deepEqual([...states], [[topic, made]])
  const states = await kafka.ensureTopics([
    { ...spec, partitions: 7, retentionMs: 1 },
    { ...spec, topic: compacted, partitions: 1, isCompacted: true },
  ])
  assert.deepEqual(
    [...states],
    [
      [topic, made],
      [compacted, { partitions: 1, replication }],
    ],
  )
})

test('a topic that cannot be made is refused with the broker’s reason', { skip }, async () => {
  const spec = { topic: newTopic(), partitions: 1, replication: 9, retentionMs: 60_000 }
  await assert.rejects((await kafkaOf()).ensureTopics([spec]), {
    code: 'LOG_REQUEST_REFUSED',
    message: /INVALID_REPLICATION_FACTOR/,
  })
})

test('K1 offsets are those of the first entries, and all of it is read', { skip }, async () => {
  const kafka = await kafkaOf()
  const topic = await createTopic(kafka, 3)
  const appender = kafka.createAppender(topic)
  const entries = upTo(30).map((at) => ({
    partition: at % 2,
    key: numbered(at),
    value: numbered(at),
  }))
  assert.deepEqual(await appender.append([]), new Map())
  assert.deepEqual(
    await appender.append(entries),
    new Map([
      [0, 0],
      [1, 0],
    ]),
  )
  assert.deepEqual(await appender.append(entries.slice(0, 1)), new Map([[0, 15]]))
  assert.deepEqual(await kafka.bounds(topic, 0), { firstOffset: 0, nextOffset: 16 })
  assert.deepEqual(await kafka.bounds(topic, 2), { firstOffset: 0, nextOffset: 0 })
  const reader = kafka.createReader(topic)
  const positions = new Map([
    [0, 3],
    [1, 14],
    [2, 0],
  ])
  const read = await reader.readMany({ positions, bytesMax: 1 << 20, waitMs: 1000 })
  const even = upTo(13).map((at) => ({ offset: at + 3, number: at === 12 ? 0 : at * 2 + 6 }))
  assert.deepEqual(
    read.get(0)!.map((entry) => ({ offset: entry.offset, number: numberOf(entry) })),
    even,
  )
  const [last] = read.get(1)!
  assert.deepEqual(
    [last!.offset, Buffer.from(last!.key!).toString(), numberOf(last!)],
    [14, '29', 29],
  )
  assert.ok(Math.abs(last!.timestampMs - Date.now()) < 60_000)
  assert.equal(read.has(2), false)
})

test('K2 calls that do not wait for each other keep their order', { skip }, async () => {
  const kafka = await kafkaOf()
  const topic = await createTopic(kafka, 2)
  const appender = kafka.createAppender(topic)
  const appends: Promise<unknown>[] = []
  for (let number = 0; number < 3000;) {
    const count = 1 + ((number * 7) % 40)
    const numbers = upTo(Math.min(count, 3000 - number)).map((at) => number + at)
    appends.push(
      appender.append(
        numbers.flatMap((at) => [0, 1].map((partition) => ({ partition, value: numbered(at) }))),
      ),
    )
    number += numbers.length
    if (number % 5 === 0) await delay(1)
  }
  await Promise.all(appends)
  for (const partition of [0, 1]) assert.deepEqual(await numbersIn(topic, partition), upTo(3000))
})

test(
  'a call larger than the broker takes is split; an entry that is larger is refused',
  { skip },
  async () => {
    const kafka = await kafkaOf()
    const topic = await createTopic(kafka)
    const appender = kafka.createAppender(topic)
    const entries = upTo(50).map((at) => ({
      partition: 0,
      value: new Uint8Array(100_000).fill(at),
    }))
    assert.deepEqual(await appender.append(entries), new Map([[0, 0]]))
    const tooLarge = appender.append([{ partition: 0, value: new Uint8Array(2_000_000) }])
    const behind = appender.append([{ partition: 0, value: Uint8Array.of(50) }])
    await assert.rejects(tooLarge, { code: 'LOG_ENTRY_TOO_LARGE' })
    assert.deepEqual(await behind, new Map([[0, 50]]))
    const largest = await appender.append([{ partition: 0, value: new Uint8Array(1_048_500) }])
    assert.deepEqual(largest, new Map([[0, 51]]))
    const read = await readAll(kafka, topic, 0)
    assert.deepEqual(
      read.slice(0, 51).map(({ value }) => value[0]),
      upTo(51),
    )
    assert.equal(read.at(-1)!.value.length, 1_048_500)
  },
)

test('offsets that were trimmed or never were are gone by name', { skip }, async () => {
  const kafka = await kafkaOf()
  const topic = await createTopic(kafka)
  await kafka
    .createAppender(topic)
    .append(upTo(10).map((at) => ({ partition: 0, value: numbered(at) })))
  await kafka.deleteBefore(topic, 0, 4)
  assert.deepEqual(await kafka.bounds(topic, 0), { firstOffset: 4, nextOffset: 10 })
  const reader = kafka.createReader(topic)
  const read = (fromOffset: number) =>
    reader.read({ partition: 0, fromOffset, bytesMax: 1 << 20, waitMs: 50 })
  for (const offset of [0, 3, 11])
    await assert.rejects(read(offset), (error: WeirError) => {
      assert.equal(error.code, 'LOG_OFFSET_GONE')
      assert.deepEqual(error.details, {
        ...{ topic, partition: 0, offset, firstOffset: 4, nextOffset: 10 },
      })
      return true
    })
  assert.deepEqual((await read(4)).map(numberOf), [4, 5, 6, 7, 8, 9])
  assert.deepEqual(await read(10), [])
  await assert.rejects(kafka.deleteBefore(topic, 0, 11), { code: 'LOG_OFFSET_GONE' })
})

test('a reader is answered as soon as there is something', { skip }, async () => {
  const kafka = await kafkaOf()
  const topic = await createTopic(kafka)
  const options = { partition: 0, fromOffset: 0, bytesMax: 1 << 20, waitMs: 5000 }
  const reading = kafka.createReader(topic).read(options)
  await delay(100)
  const startMs = performance.now()
  await kafka.createAppender(topic).append([{ partition: 0, value: numbered(1) }])
  assert.deepEqual((await reading).map(numberOf), [1])
  assert.ok(performance.now() - startMs < 2000)
})

test('what is closed says so', { skip }, async () => {
  const kafka = await open()
  const topic = await createTopic(kafka)
  const appender = kafka.createAppender(topic)
  const entry = { partition: 0, value: numbered(1) }
  const underWay = appender.append([entry])
  const reading = kafka
    .createReader(topic)
    .read({ partition: 0, fromOffset: 0, bytesMax: 1, waitMs: 5000 })
  const settled = Promise.allSettled([underWay, reading])
  await kafka.close()
  for (const one of await settled)
    if (one.status === 'rejected')
      assert.equal((one.reason as WeirError).code, 'GATEWAY_SHUTTING_DOWN')
  await assert.rejects(appender.append([entry]), { code: 'GATEWAY_SHUTTING_DOWN' })
  await assert.rejects(kafka.bounds(topic, 0), { code: 'GATEWAY_SHUTTING_DOWN' })
})

interface Outcome {
  acknowledged: number[]
  failures: Set<string>
  /** The longest time in which nothing was acknowledged. */
  pauseMs: number
}

/** Appends numbers, some calls at once, while `run` runs, and no longer. */
async function whileAppending(
  appender: Appender,
  partitions: number,
  run: (outcome: Outcome) => Promise<void>,
): Promise<Outcome> {
  const outcome: Outcome = { acknowledged: [], failures: new Set(), pauseMs: 0 }
  let next = 0
  let isOver = false
  let lastMs = performance.now()
  const appendOn = async (): Promise<void> => {
    while (!isOver) {
      const numbers = upTo(50).map((at) => next + at)
      next += 50
      const entries = numbers.map((at) => ({ partition: at % partitions, value: numbered(at) }))
      try {
        await appender.append(entries)
        outcome.acknowledged.push(...numbers)
        outcome.pauseMs = Math.max(outcome.pauseMs, performance.now() - lastMs)
        lastMs = performance.now()
      } catch (error) {
        outcome.failures.add((error as WeirError).code)
        await delay(20)
      }
    }
  }
  const running = Promise.all([appendOn(), appendOn(), appendOn()])
  await run(outcome).finally(() => (isOver = true))
  await running
  return outcome
}

/** Reads from the beginning, all partitions at once, while `run` runs, and up to its ends. */
async function whileReading(
  reader: Reader,
  partitions: number,
  run: () => Promise<number[][]>,
): Promise<number[][]> {
  const read = upTo(partitions).map(() => [] as number[])
  const positions = new Map(upTo(partitions).map((partition) => [partition, 0]))
  let isOver = false
  const readOn = async (): Promise<void> => {
    while (!isOver) {
      const entries = await reader.readMany({ positions, bytesMax: 1 << 20, waitMs: 100 })
      for (const [partition, some] of entries) {
        read[partition]!.push(...some.map(numberOf))
        positions.set(partition, some.at(-1)!.offset + 1)
      }
    }
  }
  const running = readOn()
  try {
    const ends = (await run()).map(({ length }) => length)
    await until('all is read', () => ends.every((end, at) => read[at]!.length >= end), 60_000)
  } finally {
    isOver = true
  }
  await running
  return read
}

/** Acknowledged numbers are there once, and those of a partition in order. */
async function checkNumbers(
  topic: string,
  partitions: number,
  acknowledged: readonly number[],
): Promise<number[][]> {
  const all = new Set<number>()
  const inTopic: number[][] = []
  for (const partition of upTo(partitions)) {
    const numbers = await numbersIn(topic, partition)
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    )
    assert.equal(new Set(numbers).size, numbers.length, 'nothing is there twice')
    for (const number of numbers) all.add(number)
    inTopic.push(numbers)
  }
  const gone = acknowledged.filter((number) => !all.has(number))
  assert.deepEqual(gone, [])
  return inTopic
}

test(
  'K2 the broker killed and back: nothing acknowledged is gone or there twice',
  { skip: one },
  async () => {
    const kafka = await kafkaOf()
    const topic = await createTopic(kafka, 3)
    const appender = kafka.createAppender(topic)
    const { acknowledged, failures } = await whileAppending(appender, 3, async (outcome) => {
      await until('it appends', () => outcome.acknowledged.length > 2000, 20_000)
      await killService('kafka')
      const before = outcome.acknowledged.length
      await restartService('kafka')
      await until('it goes on', () => outcome.acknowledged.length > before + 2000, 40_000)
    })
    assert.ok([...failures].every((code) => code === 'LOG_UNAVAILABLE'))
    await checkNumbers(topic, 3, acknowledged)
  },
)

test(
  'K5 without a broker, append and read fail by name after half a minute',
  { skip: one },
  async () => {
    const kafka = await open()
    const topic = await createTopic(kafka)
    const appender = kafka.createAppender(topic)
    const reader = kafka.createReader(topic)
    const entry = (number: number) => [{ partition: 0, value: numbered(number) }]
    await appender.append(entry(0))
    await killService('kafka')
    const startMs = performance.now()
    const calls = [
      appender.append(entry(1)),
      appender.append(entry(2)),
      reader.read({ partition: 0, fromOffset: 0, bytesMax: 1, waitMs: 100 }),
      kafka.bounds(topic, 0),
    ]
    for (const { reason } of (await Promise.allSettled(calls)) as PromiseRejectedResult[])
      assert.equal((reason as WeirError).code, 'LOG_UNAVAILABLE')
    assert.ok(performance.now() - startMs > 25_000 && performance.now() - startMs < 50_000)
    await restartService('kafka')
    // Under a new epoch: it is not taken for what failed.
    assert.deepEqual(await appender.append(entry(3)), new Map([[0, 1]]))
    assert.deepEqual(await numbersIn(topic, 0), [0, 3])
    await kafka.close()
  },
)

test('K2 each of three brokers killed under load', { skip: three }, async (context) => {
  const kafka = await kafkaOf()
  const topic = await createTopic(kafka, 6)
  const appender = kafka.createAppender(topic)
  let inTopic: number[][] = []
  const read = await whileReading(kafka.createReader(topic), 6, async () => {
    const outcome = await whileAppending(appender, 6, async (outcome) => {
      for (const place of [0, 1, 2]) {
        const start = outcome.acknowledged.length
        await until('it appends', () => outcome.acknowledged.length > start + 5000, 30_000)
        await killService('kafka', place)
        const before = outcome.acknowledged.length
        await until('two go on', () => outcome.acknowledged.length > before + 5000, 30_000)
        await restartService('kafka')
      }
    })
    assert.deepEqual([...outcome.failures], [])
    context.diagnostic(`worst pause ${outcome.pauseMs.toFixed(0)} ms`)
    inTopic = await checkNumbers(topic, 6, outcome.acknowledged)
    return inTopic
  })
  assert.deepEqual(read, inTopic)
})

test('what was closed is forgotten', { skip }, async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const kafka = await kafkaOf()
  const topic = await createTopic(kafka)
  const used = await (async () => {
    const [appender, reader] = [kafka.createAppender(topic), kafka.createReader(topic)]
    await appender.append([{ partition: 0, value: numbered(0) }])
    await reader.read({ partition: 0, fromOffset: 0, bytesMax: 1, waitMs: 100 })
    await Promise.all([appender.close(), reader.close()])
    return [new WeakRef(appender), new WeakRef(reader)]
  })()
  await until('they are collected', () => {
    collect()
    return used.every((one) => one.deref() === undefined)
  })
})

test('it runs again', { skip }, () => assert.ok(accessOf('kafka')))
