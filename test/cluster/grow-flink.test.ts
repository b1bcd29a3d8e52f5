/** More partitions while everything runs and the stream stage is a job of Flink. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventEntry } from '../../src/cluster/output-entries.ts'
import { until } from '../system/weir-process.ts'
import { Installation, skip } from './cluster-process.ts'
import { skip as skipWithoutFlink } from './flink-fixture.ts'
import { flinkSection } from './flink-section.ts'
import { entriesIn, grown, PIPELINE } from './growing-fixture.ts'
import { open as openKafka, readAll } from './kafka-fixture.ts'
import { METRIC } from './numbered-device.ts'
import { NumberedLoad } from './numbered-load.ts'

const TIMEOUT_MS = 240_000
const PARTITIONS = 2
const DEVICES = 12

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

test(
  'twice more partitions under load: what is told of devices goes on, and rules that people made',
  { skip: skip ?? skipWithoutFlink, timeout: TIMEOUT_MS },
  async (t) => {
    const more = flinkSection(t)
    const at = await Installation.open(t, { pipeline: PIPELINE, more, partitions: PARTITIONS })
    const control = await at.start('writer,control', 'rest')
    await at.start('flink')
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
      await until(
        'the job writes the next generation',
        async () => (await entriesIn(`${at.name}.readings.v1.g${number + 2}`, 1)) > 0,
        60_000,
      ).catch((cause: unknown) => assert.fail(`${String(cause)}\n${at.output}`))
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
