/**
 * After `kill -9` the doors open before the log's tail is replayed. The tail here is long and its
 * replay slow: memory holds a thousand readings, so that every megabyte waits for a commit.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeFolder, spawnWeir, until, WeirProcess, type StartOptions } from './weir-process.ts'

const PIPELINE = `
version: 1
types: { pump: { schemas: { 1: { temperature: { unit: "°C" } } } } }
rules: [{ id: hot, type: pump, when: "temperature > 80" }]
time: { alertStaleness: 1d }
`

/** Nothing is committed: all of it is the log's tail. */
const HELD_OFF = `
stream: { checkpointReadings: 100000000, checkpointInterval: 1d }
storage: { memoryReadingsMax: 400000000 }
`
const SLOW = `
storage: { memoryReadingsMax: 1000 }
gateway: { lagBytesMax: 1 MiB }
`

const DEVICES = ['pump-1', 'pump-2', 'pump-3', 'pump-4']
/** Requests of the tail, and messages in each; the devices take turns. */
const BATCHES = 80
const BATCH = 5000
const BASE_MS = Date.now() - 6 * 3_600_000

interface Sent {
  /** By event time; the value that was sent first. */
  values: Map<number, number>
}

async function post(weir: WeirProcess, id: string, body: unknown): Promise<void> {
  const answer = await weir.api(`/v1/devices/${id}/telemetry`, { body })
  assert.equal(answer.status, 200, answer.text)
}

/**
 * Fills the log of a first life with batches of rising times, the last reading of each pump hot.
 */
async function fill(weir: WeirProcess, sent: Map<string, Sent>): Promise<void> {
  for (const id of DEVICES) {
    await weir.register({ id, type: 'pump' })
    sent.set(id, { values: new Map() })
  }
  for (let batch = 0; batch < BATCHES; batch++) {
    const id = DEVICES[batch % DEVICES.length]!
    const { values } = sent.get(id)!
    const messages = Array.from({ length: BATCH }, () => {
      const ts = BASE_MS + values.size * 10
      values.set(ts, values.size % 70)
      return { ts, temperature: values.get(ts)! }
    })
    await post(weir, id, messages)
  }
  for (const id of DEVICES) await sendOne(weir, sent, { id, ts: Date.now(), temperature: 95 })
}

async function sendOne(
  weir: WeirProcess,
  sent: Map<string, Sent>,
  { id, ts, temperature }: { id: string; ts: number; temperature: number },
): Promise<void> {
  await post(weir, id, { ts, temperature })
  const { values } = sent.get(id)!
  if (!values.has(ts)) values.set(ts, temperature)
}

/** Repeats with another value, which must not win, and a cool reading, which must come last. */
async function sendDuringReplay(weir: WeirProcess, sent: Map<string, Sent>): Promise<void> {
  // In another order than before: series that are defined anew would take each other's numbers.
  for (const id of DEVICES.toReversed()) {
    const times = [...sent.get(id)!.values.keys()]
    const repeats = [times[0]!, times.at(-2)!]
    await post(
      weir,
      id,
      repeats.map((ts) => ({ ts, temperature: 7777 })),
    )
    await sendOne(weir, sent, { id, ts: Date.now(), temperature: 20 })
  }
}

async function verify(weir: WeirProcess, sent: Map<string, Sent>): Promise<void> {
  for (const [id, { values }] of sent) {
    const [count] = await weir.points(id, 'temperature', { agg: 'count' })
    assert.equal(count?.[1], values.size, id)
    const span = { start: BASE_MS, end: BASE_MS + 9_000 * 10 }
    for (const [ms, value] of await weir.points(id, 'temperature', span))
      assert.equal(value, values.get(ms), `${id} at ${ms}`)
    const last = [...values].slice(-3)
    const ends = await weir.points(id, 'temperature', { start: last[0]![0] })
    assert.deepEqual(ends, last, id)
    const { alerts } = await weir.get<{ alerts: { state: string }[] }>('/v1/alerts', {
      device_id: id,
    })
    assert.deepEqual(
      alerts.map(({ state }) => state),
      ['resolved'],
      `${id}: hot, then cool, in the order in which they were sent`,
    )
  }
}

test('after kill -9 it is ready before the replay is complete, says so, and loses nothing', async (t) => {
  const folder = await makeFolder(t)
  const options = (config: string): StartOptions => ({ folder, pipeline: PIPELINE, config })
  const sent = new Map<string, Sent>()
  let weir = await WeirProcess.start(options(HELD_OFF))
  await fill(weir, sent)
  await weir.kill()

  weir = await WeirProcess.ready(await spawnWeir(options(SLOW)), folder)
  assert.ok((await weir.completeness()) < 1, 'ready, and the replay is under way')
  await sendDuringReplay(weir, sent)
  const asked = { device_id: 'pump-1', metric: 'temperature', start: BASE_MS, end: Date.now() + 1 }
  const { points, meta } = await weir.get<{
    points: [number, number][]
    meta: { completeness: number }
  }>('/v1/query', { ...asked, agg: 'count' })
  assert.ok(meta.completeness < 1, 'acknowledged while the replay is under way')
  assert.ok((points[0]?.[1] ?? 0) < sent.get('pump-1')!.values.size)
  assert.ok((await weir.metric('weir_log_replay_entries')) > 0)
  await until('the replay goes on', async () => (await weir.completeness()) > meta.completeness)
  assert.ok((await weir.metric('weir_storage_readings_in_memory')) < 100_000, 'memory is bounded')
  await weir.kill()

  weir = await WeirProcess.ready(await spawnWeir(options(SLOW)), folder)
  assert.ok((await weir.completeness()) < 1, 'killed during the replay, it goes on with the rest')
  const { code, tookMs } = await weir.stop()
  assert.equal(code, 0, weir.running.output)
  assert.ok(tookMs < 5_000, `SIGTERM during the replay took ${tookMs} ms`)

  weir = await WeirProcess.start(options(''))
  assert.equal(await weir.metric('weir_log_replay_entries'), 0)
  await verify(weir, sent)
  await weir.kill()
  weir = await WeirProcess.start(options(''))
  await verify(weir, sent)
  assert.equal((await weir.stop()).code, 0)
})
