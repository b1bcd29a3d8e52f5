/** More partitions while everything runs, and while the stream dies on its way to them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { EventEntry } from '../../src/cluster/output-entries.ts'
import { until, type WeirProcess } from '../system/weir-process.ts'
import { Installation, skip } from './cluster-process.ts'
import { entriesIn, grow, grown, PIPELINE } from './growing-fixture.ts'
import { open as openKafka, readAll } from './kafka-fixture.ts'
import { METRIC } from './numbered-device.ts'
import { NumberedLoad } from './numbered-load.ts'

const TIMEOUT_MS = 240_000
/** So that a checkpoint of the stream is always under way. */
const MORE = 'stream: { checkpointReadings: 100, checkpointInterval: 300ms }'
/** Longer than the stream takes to find a new generation. */
const DIES_WITHIN_MS = 3000
const KILLS = 3

/** How many partitions the stream has a checkpoint of, by generation. */
async function checkpoints(at: Installation): Promise<[number, number][]> {
  const rows = await at.ask<{ generation: number; count: string }>(
    'SELECT generation, count(*) FROM stream_progress GROUP BY generation ORDER BY generation',
  )
  return rows.map(({ generation, count }) => [generation, Number(count)])
}

const arrived = (at: Installation, generation: number, partitions: number): Promise<unknown> =>
  until(
    `the stream is in generation ${generation}`,
    async () => String(await checkpoints(at)) === String([[generation, partitions]]),
    60_000,
  ).catch((cause: unknown) => assert.fail(`${String(cause)}\n${at.output}`))

/** Of each rule event once, however often a stream that was killed said it. */
async function alertedDevices(topic: string, partitions: number): Promise<string[]> {
  const kafka = await openKafka()
  const devices = new Map<string, string>()
  for (let partition = 0; partition < partitions; partition++) {
    for (const { value } of await readAll(kafka, topic, partition)) {
      const entry = JSON.parse(Buffer.from(value).toString()) as EventEntry
      if (entry.type === 'alert') devices.set(entry.event.id, entry.event.deviceId)
    }
  }
  await kafka.close()
  return [...devices.values()]
}

test(
  'twice more partitions under load, the stream killed on its way',
  {
    ...{ skip, timeout: TIMEOUT_MS },
  },
  async (t) => {
    const at = await Installation.open(t, { pipeline: PIPELINE, more: MORE, partitions: 2 })
    const control = await at.start('writer,control', 'rest')
    await at.start('stream')
    const gateways = [await at.start('gateway', 'one'), await at.start('gateway', 'other')]
    const ports = (): number[] => gateways.map(({ mqtt }) => mqtt)
    const sending = await NumberedLoad.begin(t, at, control, { devices: 12, everyMs: 40, ports })
    await sending.goOn(300)
    for (const [number, partitions] of [4, 12].entries()) {
      // A backlog: whoever reads behind the stream must wait for what it has not said yet.
      await at.kill('stream')
      await sending.goOn(100)
      await grown(at, partitions)
      await sending.goOn(100)
      const telemetry = `${at.name}.telemetry.v1.g${number + 2}`
      await until('gateways write it', async () => (await entriesIn(telemetry, partitions)) > 200)
      await at.start('stream')
      for (let kill = 0; kill < KILLS; kill++) {
        await delay(Math.random() * DIES_WITHIN_MS)
        await at.kill('stream')
        await at.start('stream')
      }
      await sending.goOn(200)
      await arrived(at, number + 2, partitions)
      // One that starts now finds its place; what was in flight comes again, by the other.
      await at.kill('other')
      gateways[1] = await at.start('gateway', 'other')
      await sending.goOn(200)
    }
    const totals = await sending.finish()
    assert.deepEqual(
      (await alertedDevices(`${at.name}.events.v1`, 2)).toSorted(),
      sending.devices.map(({ id }) => id).toSorted(),
      'an episode that goes on is one event',
    )
    const covered = await at.ask<{ generation: number }>('SELECT generation FROM coverage')
    assert.equal(covered.filter(({ generation }) => generation === 3).length, 12)
    for (const { id, acknowledged } of sending.devices) {
      const points = await control.points(id, METRIC, { agg: 'count', step: '1d' })
      assert.equal(
        points.reduce((sum, [, count]) => sum + Number(count), 0),
        acknowledged,
        id,
      )
    }
    t.diagnostic(JSON.stringify(totals))
  },
)

test(
  'one process: what is sent again behind the growth is a repeat; mistakes are named',
  {
    ...{ skip, timeout: TIMEOUT_MS },
  },
  async (t) => {
    const at = await Installation.open(t, { pipeline: PIPELINE, more: MORE, partitions: 2 })
    const process = await at.start('all')
    const token = await process.register({ id: 'repeating' })
    const beginMs = Date.now() - 600_000
    const send = (weir: WeirProcess, from: number, to: number) =>
      Promise.all(
        Array.from({ length: to - from }, async (_, at) => {
          const body = { ts: beginMs + (from + at) * 1000, metrics: { [METRIC]: from + at } }
          const path = '/v1/devices/repeating/telemetry'
          const { status } = await weir.api(path, { token, body })
          assert.ok(status < 300, String(status))
        }),
      )
    await send(process, 0, 30)
    for (const [to, problem] of [
      [2, '2 are not more'],
      [1, '1 are not more'],
      [3, 'no multiple'],
    ] as const) {
      const { code, output } = await grow(at, to)
      assert.equal(code, 2, output)
      assert.match(output, new RegExp(problem))
    }
    await grown(at, 4)
    // What was done is done, and may be said again.
    await grown(at, 4)
    await send(process, 0, 30)
    await send(process, 30, 40)
    await arrived(at, 2, 4)
    const readings = `${at.name}.readings.v1`
    await until(
      'ten more are in the topic',
      async () => (await entriesIn(`${readings}.g2`, 4)) >= 10,
      30_000,
    )
    assert.equal(await entriesIn(readings, 2), 30)
    assert.equal(await entriesIn(`${readings}.g2`, 4), 10)
    const count = async (): Promise<number> => (await process.points('repeating', METRIC)).length
    await until('all are stored', async () => (await count()) === 40, 30_000)
    assert.deepEqual(await at.ask('SELECT * FROM dirty_range'), [])
  },
)
