/** More partitions while everything runs: the job goes over to them. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { EventEntry } from '../../src/cluster/event-entry.ts'
import { until, weir, type WeirProcess } from '../system/weir-process.ts'
import { Installation, skip } from './cluster-process.ts'
import { open as openKafka, readAll } from './kafka-fixture.ts'
import { METRIC } from './numbered-device.ts'
import { NumberedLoad } from './numbered-load.ts'

const TIMEOUT_MS = 240_000
const PARTITIONS = 2
const DEVICES = 12
/** Every device breaks the rule early, and goes on breaking it. */
const PIPELINE = `
version: 1
time: { disorder: 10s, allowedLateness: 2h, idleTimeout: 10m, alertStaleness: 1d }
windows: [1m]
rules:
  - { id: high, type: generic, when: "${METRIC} > 5", severity: critical }
`

async function grow(
  at: Installation,
  to: number,
): Promise<{ code: number | null; output: string }> {
  const config = join(at.folder, 'grow.yaml')
  await writeFile(config, at.config())
  const running = weir(['partitions', 'grow', '--to', String(to), '--config', config])
  return { code: await running.end(), output: running.output }
}

async function grown(at: Installation, to: number): Promise<void> {
  const { code, output } = await grow(at, to)
  assert.equal(code, 0, output)
  assert.match(output, new RegExp(`→ ${to} partitions`))
}

/** Of each rule and device, what was told of it. */
async function told(at: Installation): Promise<string[]> {
  const kafka = await openKafka()
  const all = new Set<string>()
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (const { value } of await readAll(kafka, `${at.name}.events.v1`, partition)) {
      const entry = JSON.parse(Buffer.from(value).toString()) as EventEntry
      if (entry.type !== 'alert') continue
      const { ruleId, deviceId, state, id } = entry.event
      all.add(`${ruleId} ${deviceId} ${state} ${id}`)
    }
  }
  await kafka.close()
  return [...all].map((one) => one.replace(/ \w+$/, '')).toSorted()
}

/** Entries of a topic, in so many of its partitions. */
async function entriesIn(topic: string, partitions: number): Promise<number> {
  const kafka = await openKafka()
  let entries = 0
  for (let partition = 0; partition < partitions; partition++) {
    entries += (await kafka.bounds(topic, partition)).nextOffset
  }
  await kafka.close()
  return entries
}

/** The job writes this generation. */
const arrived = (at: Installation, generation: number, partitions: number): Promise<unknown> =>
  until(
    `the job is in generation ${generation}`,
    async () => (await entriesIn(`${at.name}.readings.v1.g${generation}`, partitions)) > 0,
    60_000,
  ).catch((cause: unknown) => assert.fail(`${String(cause)}\n${at.output}`))

test(
  'twice more partitions under load: what is told of devices goes on, and rules that people made',
  { skip, timeout: TIMEOUT_MS },
  async (t) => {
    const at = await Installation.open(t, { pipeline: PIPELINE, partitions: PARTITIONS })
    const control = await at.start('writer,control', 'rest')
    await at.start('stream')
    const { mqtt } = await at.start('gateway')
    const put = await control.api('/v1/rules/mine', {
      method: 'PUT',
      body: JSON.stringify({ when: `${METRIC} > 6`, severity: 'warning' }),
      headers: { 'content-type': 'application/json' },
    })
    assert.ok(put.status < 300, put.text)
    const ports = (): number[] => [mqtt]
    const sending = await NumberedLoad.begin(t, at, control, {
      devices: DEVICES,
      everyMs: 40,
      ports,
    })
    await sending.goOn(300)
    for (const [number, partitions] of [4, 12].entries()) {
      await grown(at, partitions)
      await sending.goOn(200)
      await arrived(at, number + 2, partitions)
      await sending.goOn(200)
    }
    await sending.finish()
    const ids = sending.devices.map(({ id }) => id)
    const expected = ['high', 'mine'].flatMap((rule) => ids.map((id) => `${rule} ${id} firing`))
    assert.deepEqual(await told(at), expected.toSorted(), 'an episode that goes on is one event')
    for (const { id, acknowledged } of sending.devices) {
      const points = await control.points(id, METRIC, { agg: 'count', step: '1d' })
      assert.equal(
        points.reduce((sum, [, count]) => sum + Number(count), 0),
        acknowledged,
        id,
      )
    }
  },
)

test(
  'one process: what is sent again behind the growth is a repeat; mistakes are named',
  {
    ...{ skip, timeout: TIMEOUT_MS },
  },
  async (t) => {
    const at = await Installation.open(t, { pipeline: PIPELINE, partitions: PARTITIONS })
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
    // Again after a failure they may be, and here was none.
    assert.equal(await entriesIn(readings, PARTITIONS), 30)
    assert.equal(await entriesIn(`${readings}.g2`, 4), 10)
    const count = async (): Promise<number> => (await process.points('repeating', METRIC)).length
    await until('all are stored', async () => (await count()) === 40, 30_000)
    assert.deepEqual(await at.ask('SELECT * FROM dirty_range'), [])
  },
)
