/** The part of the suite of questions that is about anomalies and dead letters. */
import assert from 'node:assert/strict'
import type { DeadLetter } from '../batch/batch.ts'
import type { AnomalyEvent } from '../stream/stream.ts'
import type { Promised } from './query-fixture.ts'

/** Events come at any time. */
const toUs = (time: number): number => time * 1000
const anomaly = (id: string, more: Partial<AnomalyEvent> = {}): AnomalyEvent => ({
  ...{ id, tenant: 'default', detectorId: 'odd', deviceId: 'pump-1', metric: 'temperature' },
  ...{ series: 0, eventTimeUs: toUs(1), value: 90, score: 5.5 },
  ...more,
})
const letter = (detail: string, more: Partial<DeadLetter> = {}): DeadLetter => ({
  ...{ tenant: 'default', deviceId: 'pump-1', receivedAtUs: toUs(1), code: 'PAYLOAD_INVALID' },
  ...{ detail, payload: '{' },
  ...more,
})
const everything = { tenant: 'default', deviceId: undefined, limit: 100 }

export function testEvents(promise: Promised): void {
  promise('anomalies come newest first, each id once', async ({ query, give }) => {
    const newer = anomaly('b', { eventTimeUs: toUs(2) })
    await give({ anomalies: [anomaly('c'), newer, anomaly('a')] })
    const foreign = anomaly('d', { deviceId: 'pump-2', eventTimeUs: toUs(3) })
    await give({ anomalies: [newer, foreign, anomaly('e', { tenant: 'other' })] })
    const ids = async (filter: typeof everything | { deviceId: string }) =>
      (await query.anomalies({ ...everything, ...filter })).map(({ id }) => id)
    assert.deepEqual(await ids(everything), ['d', 'b', 'a', 'c'])
    assert.deepEqual(await ids({ deviceId: 'pump-1' }), ['b', 'a', 'c'])
    assert.deepEqual(await query.anomalies({ ...everything, limit: 1 }), [
      {
        ...{ id: 'd', device_id: 'pump-2', metric: 'temperature', detector_id: 'odd', ts: 3 },
        ...{ value: 90, score: 5.5 },
      },
    ])
  })

  promise('dead letters come newest first, also of no device', async ({ query, give }) => {
    await give({ deadLetters: [letter('one'), letter('two', { receivedAtUs: toUs(2) })] })
    const nobody = letter('three', { deviceId: '', receivedAtUs: toUs(3) })
    await give({ deadLetters: [nobody, letter('other', { tenant: 'other' })] })
    const rows = await query.deadLetters(everything)
    assert.deepEqual(
      rows.map(({ detail }) => detail),
      ['three', 'two', 'one'],
    )
    assert.equal(new Set(rows.map(({ id }) => id)).size, 3)
    const { id: _, ...row } = (await query.deadLetters({ ...everything, deviceId: 'pump-1' }))[0]!
    assert.deepEqual(row, {
      ...{ device_id: 'pump-1', received_at: 2, code: 'PAYLOAD_INVALID', detail: 'two' },
      payload: '{',
    })
    assert.equal((await query.deadLetters({ ...everything, limit: 1 })).length, 1)
  })
}
