/**
 * The job as `weir flink` submits it, on a real Flink and a real Kafka: what it writes is what the
 * stream of TypeScript would, each function is one operator, and its state survives what it is to.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionOf } from '../../src/entries/entries.ts'
import type { PlainMessage } from '../../src/entries/message-fixture.ts'
import { WeirError, type ErrorCode } from '../../src/errors/errors.ts'
import { assertSame, outcomeOf, type Given } from '../conformance/engines/outcome.ts'
import { until } from '../system/weir-process.ts'
import { buildJar, expectedOf, openInstallation, readTopics, rest, skip } from './flink-fixture.ts'
import { coveredThroughMs, guardedKafka, type Installation } from './flink-fixture.ts'

const MINUTE_US = 60e6
const DEVICES = 16
/** From the first start of a job to its rows it may take so long on two cores. */
const DEADLINE_MS = 90_000

const PIPELINE = `
version: 1
time: { disorder: 10s, allowedLateness: 30m, idleTimeout: 10m }
windows: [1m, 5m]
types:
  pump:
    schemas: { 1: { temperature: { unit: °C }, running: { type: boolean } } }
rules:
  - { id: hot, type: pump, when: temperature > 90 }
`

const jar = skip === undefined ? buildJar() : ''

/** Long enough ago that no timer waits for the clock. */
const startUs = Math.floor(Date.now() / 300_000) * 300e6 - 60 * MINUTE_US

const message = (device: number, eventUs: number, temperature: number): PlainMessage => ({
  ...{ tenant: 'default', deviceId: `pump-${device}`, deviceType: 'pump', eventUs },
  ...{ ingestUs: eventUs + 250_000, flags: 0, identity: [0, 0], dimensions: [] },
  readings: [
    ['temperature', temperature],
    ['running', temperature > 20],
  ],
})

/** `minutes` of all devices, every 5 s, some things twice, late or too hot; then ticks. */
async function say(at: Installation, fromMinute: number, minutes: number): Promise<void> {
  for (let second = 0; second < minutes * 60; second += 5) {
    const nowUs = startUs + fromMinute * MINUTE_US + second * 1e6
    await at.tick(nowUs)
    const said = Array.from({ length: DEVICES }, (_, device) =>
      message(device, nowUs - (device % 3) * 1e6, 20 + ((device * 7 + second) % 80)),
    )
    const late = second % 25 === 20 ? [message(3, nowUs - 90e6, 1)] : []
    await at.send([...said, ...said.slice(0, 3), ...late])
  }
}

/** One reading of each device, so late that everything before is closed, and the ticks to it. */
async function close(at: Installation, minute: number): Promise<void> {
  const nowUs = startUs + minute * MINUTE_US
  await at.tick(nowUs)
  await at.send(Array.from({ length: DEVICES }, (_, device) => message(device, nowUs + 30e6, 20)))
  await at.tick(nowUs + 31e6)
}

/** Flink's time is that of entries: gateways write on, and here one that only ticks. */
const closedThrough = (at: Installation, minute: number): Promise<unknown> =>
  until(
    `windows through minute ${minute} are told of all partitions`,
    async () => {
      await at.tick(startUs + minute * MINUTE_US + 31e6)
      return (await coveredThroughMs(at)) >= (startUs + minute * MINUTE_US) / 1000
    },
    DEADLINE_MS,
  )

/** Of both engines, for all that is in telemetry by now. */
async function assertAsExpected(at: Installation): Promise<void> {
  const topics = await readTopics(at)
  for (const [partition, entries] of topics.readings.entries())
    for (const { key } of entries) assert.equal(partitionOf(key!, at.partitions), partition)
  const all = {
    readings: topics.readings.flat(),
    windows: topics.windows.flat(),
    events: topics.events.flat(),
    deadLetters: topics.deadLetters.flat(),
  }
  const expected = await expectedOf(at, PIPELINE)
  // The source of a reading is unique in its partition only.
  const sourced = (given: readonly (readonly Given[])[]): Given[] =>
    given.flatMap((entries, partition) =>
      entries.map(({ key, value, source }) => ({
        ...{ key, value, source: source! * at.partitions + partition },
      })),
    )
  const largest = 300_000
  assertSame(
    outcomeOf({ ...all, readings: sourced(topics.readings) }, largest),
    outcomeOf({ ...expected, readings: sourced(expected.readings) }, largest),
  )
}

async function graphOf(id: string): Promise<{ name: string; parallelism: number }[]> {
  const answer = await fetch(`${rest}/jobs/${id}`)
  const { vertices } = (await answer.json()) as {
    vertices: { name: string; parallelism: number }[]
  }
  return vertices
}

const isError = (code: ErrorCode) => (error: unknown) =>
  error instanceof WeirError && error.code === code

test(
  'three instances write what the stream of TypeScript would, by one operator a function',
  { skip },
  async () => {
    await using at = await openInstallation(jar)
    await say(at, 0, 4)
    await at.append([{ partition: 1, key: Buffer.from('default/x'), value: Buffer.from('?') }])
    await close(at, 10)
    const { id } = await at.jobs.submit(at.spec(PIPELINE, { parallelism: 3 }))
    await closedThrough(at, 10)
    await assertAsExpected(at)
    const vertices = await graphOf(id)
    assert.deepEqual(
      vertices.map(({ name }) => name.split(/[[:]/)[0]),
      ['Source', ...Array<string>(3).fill('ProcessTableFunction')],
    )
    assert.ok(vertices.every((one) => one.parallelism === 3))
    // A row for one instance that came to another would have failed it.
    const { restarts, failure } = await at.jobs.status(at.config.flink.name, '')
    assert.deepEqual({ restarts, failure }, { restarts: 0, failure: undefined })
  },
)

test(
  'F3 state is kept for another rule and parallelism, and refused for other windows',
  { skip },
  async () => {
    await using at = await openInstallation(jar)
    const spec = at.spec(PIPELINE)
    await at.jobs.submit(spec)
    await say(at, 0, 3)
    const other = at.spec(PIPELINE.replace('> 90', '> 95'), { parallelism: 3 })
    const { stateDifferences, differences } = await at.jobs.compare(other)
    assert.deepEqual(
      { stateDifferences, differences },
      { stateDifferences: [], differences: ['parallelism 2 → 3', 'of the pipeline: rules'] },
    )
    const { savepoint, beginning } = await at.jobs.upgrade(other)
    assert.deepEqual(beginning, { from: 'state', path: savepoint })
    const more = at.spec(PIPELINE.replace('1m, 5m', '1m, 10m'))
    await assert.rejects(at.jobs.upgrade(more), isError('FLINK_STATE_DIFFERS'))
    assert.equal((await at.jobs.status(spec.name, '')).job.state, 'RUNNING')
    await at.jobs.cancel(spec.name)
    await assert.rejects(at.jobs.resume(more), isError('FLINK_STATE_DIFFERS'))
  },
)

for (const door of ['a password', 'TLS'] as const) {
  test(`a job reaches Kafka by ${door}`, { skip }, async () => {
    await using at = await openInstallation(jar)
    const { id } = await at.jobs.submit(at.spec(PIPELINE, { kafka: guardedKafka(door) }))
    await say(at, 0, 1)
    await close(at, 10)
    await closedThrough(at, 10)
    await assertAsExpected(at)
    assert.match(id, /^[0-9a-f]{32}$/)
  })
}
