/**
 * Replay and idempotence, through the doors and a real process: a file sent three times, in batches
 * of any order, and a log that is replayed behind an older checkpoint, leave readings, windows and
 * rule events as after once.
 */
import assert from 'node:assert/strict'
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { seededRandom } from '../system/crash-reference.ts'
import {
  makeFolder,
  until,
  weir as runWeir,
  WeirProcess,
  type StartOptions,
} from '../system/weir-process.ts'

const PIPELINE = `
version: 1
types: { pump: { schemas: { 1: { temperature: { unit: "°C" }, pressure: { unit: bar } } } } }
time: { disorder: 10s, allowedLateness: 5m, idleTimeout: 1h, alertStaleness: 1d }
windows: [1m, 5m]
rules: [{ id: hot, type: pump, when: "temperature > 80" }]
detectors: [{ id: spike, type: pump, metric: temperature, zscore: { n: 16, threshold: 4 } }]
`
const DEVICES = ['pump-1', 'pump-2', 'pump-3']
const METRICS = ['temperature', 'pressure']
const COUNT = 600
const STEP_MS = 3000
const BATCH_LINES = 50
const TIMES = 3
const beginMs = Math.floor((Date.now() - 7_200_000) / 300_000) * 300_000
const timeOf = (at: number): number => beginMs + at * STEP_MS

function valueOf(device: number, metric: number, at: number): number {
  const wave = Math.round(1000 * Math.sin(at / 9 + device)) / 1000
  if (metric === 1) return 5 + wave
  const isHot = at % 200 > 150 && at % 200 < 160
  return (isHot ? 85 : 50) + wave + (at === 333 ? 20 : 0)
}

const lines = (() => {
  const made: string[] = []
  for (let at = 0; at < COUNT; at++) {
    for (const [device, id] of DEVICES.entries()) {
      const fields = METRICS.map((name, metric) => `${name}=${valueOf(device, metric, at)}`)
      made.push(`plant,device_id=${id} ${fields.join()} ${timeOf(at)}000000`)
    }
  }
  return made
})()

const csv = [
  `time,device,${METRICS.join()}`,
  ...Array.from({ length: COUNT }, (_, at) =>
    DEVICES.map((id, device) => {
      const values = METRICS.map((_, metric) => valueOf(device, metric, at))
      return `${new Date(timeOf(at)).toISOString()},${id},${values.join()}`
    }),
  ).flat(),
].join('\n')

/** Everything that is told of the three devices. */
async function snapshot(weir: WeirProcess): Promise<Record<string, unknown>> {
  const told: Record<string, unknown> = {}
  const span = { start: beginMs - 3_600_000, end: beginMs + COUNT * STEP_MS + 3_600_000 }
  for (const device_id of DEVICES) {
    for (const metric of METRICS) {
      told[`${device_id} ${metric}`] = await weir.points(device_id, metric, span)
      for (const window of ['1m', '5m']) {
        const question = { device_id, metric, window, ...span }
        const { windows } = await weir.get<{ windows: Record<string, number>[] }>(
          '/v1/aggregations',
          question,
        )
        // Sums come in the order of the readings, so their last digits may differ.
        told[`${device_id} ${metric} ${window}`] = windows.map(
          ({ window_start, count, min, max, first, last, avg, stddev }) => ({
            ...{ window_start, count, min, max, first, last },
            ...{ avg: avg!.toPrecision(10), stddev: stddev?.toPrecision(8) },
          }),
        )
      }
    }
    const alerts = await weir.episodes(device_id)
    told[`${device_id} alerts`] = alerts.map(({ id, state }) => `${id} ${state}`).toSorted()
    const { anomalies } = await weir.get<{ anomalies: { id: string }[] }>('/v1/anomalies', {
      ...{ device_id, limit: 1000 },
    })
    told[`${device_id} anomalies`] = anomalies.map(({ id }) => id).toSorted()
  }
  return told
}

/** A reading behind everything, so that all windows are closed. */
async function close(weir: WeirProcess): Promise<void> {
  const body = { ts: Date.now(), metrics: { one: 1 } }
  const { status } = await weir.api('/v1/devices/closer/telemetry', { body })
  assert.equal(status, 200)
  await settled(weir)
}

async function settled(weir: WeirProcess): Promise<void> {
  await until('everything is taken', async () => {
    const { text } = await weir.api('/metrics')
    return /^weir_log_lag_bytes 0$/m.test(text)
  })
}

const CONFIG = 'stream: { checkpointInterval: 200ms }\n'
const optionsOf = (folder: string): StartOptions => ({
  ...{ folder, config: CONFIG, pipeline: PIPELINE },
})

async function storedOf(weir: WeirProcess): Promise<number> {
  const { text } = await weir.api('/metrics')
  return Number(/^weir_storage_readings_stored (\d+)$/m.exec(text)?.[1])
}

async function begin(folder: string): Promise<WeirProcess> {
  const weir = await WeirProcess.start(optionsOf(folder))
  for (const id of DEVICES) await weir.register({ id, type: 'pump' })
  await weir.register({ id: 'closer' })
  return weir
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}

const batches = Array.from({ length: Math.ceil(lines.length / BATCH_LINES) }, (_, at) =>
  lines.slice(at * BATCH_LINES, (at + 1) * BATCH_LINES).join('\n'),
)

async function write(weir: WeirProcess, batch: string): Promise<void> {
  const headers = { 'content-type': 'text/plain' }
  const { status, text } = await weir.api('/api/v2/write?precision=ns', {
    ...{ method: 'POST', body: batch, headers },
  })
  assert.equal(status, 204, text)
}

test('line protocol sent three times, the batches in any order, is as sent once', async (t) => {
  const seed = Date.now() % 1_000_000
  t.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  const weir = await begin(await makeFolder(t))
  for (const batch of batches) await write(weir, batch)
  await close(weir)
  const once = await snapshot(weir)
  assert.equal((once['pump-1 temperature'] as unknown[]).length, COUNT)
  assert.equal((once['pump-1 alerts'] as unknown[]).length, 3)
  for (let time = 2; time <= TIMES; time++) {
    for (const batch of shuffled(batches, random)) await write(weir, batch)
    await settled(weir)
    assert.deepEqual(await snapshot(weir), once, `sent ${time} times`)
  }
  await weir.stop()
})

test('history from a CSV file, three times: by the command, and in any order of its batches', async (t) => {
  const folder = await makeFolder(t)
  const random = seededRandom(7)
  const weir = await begin(folder)
  const path = join(folder, 'plant.csv')
  writeFileSync(path, csv)
  const replay = async (file: string): Promise<void> => {
    const parameters = ['replay', file, '--url', weir.url, '--key', weir.adminKey, '--batch', '60']
    const running = runWeir(parameters)
    assert.equal(await running.end(), 0, running.output)
    await settled(weir)
  }
  await replay(path)
  const once = await snapshot(weir)
  assert.equal((once['pump-1 temperature'] as unknown[]).length, COUNT)
  await replay(path)
  assert.deepEqual(await snapshot(weir), once, 'twice')
  const [header = '', ...rows] = csv.split('\n')
  writeFileSync(path, [header, ...shuffled(rows, random)].join('\n'))
  await replay(path)
  assert.deepEqual(await snapshot(weir), once, 'thrice, in any order')
  await weir.stop()
})

test('the log’s tail behind an older checkpoint, three times, is as after once', async (t) => {
  const folder = await makeFolder(t)
  // One log segment holds it all, so nothing is trimmed behind the newer checkpoints.
  let weir = await begin(folder)
  const third = Math.floor(batches.length / 3)
  const older: string[] = []
  for (const [at, batch] of batches.entries()) {
    await write(weir, batch)
    if (at % third !== third - 1 || older.length === 2) continue
    const stored = (at + 1) * BATCH_LINES * METRICS.length
    await until('all of it is in segments', async () => (await storedOf(weir)) >= stored)
    await weir.kill()
    // What a backup of storage alone would hold: checkpoint, segments and catalogue of one moment.
    const copy = join(folder, `older-${older.length}`)
    cpSync(join(folder, 'data'), copy, { recursive: true })
    rmSync(join(copy, 'log'), { recursive: true })
    older.push(copy)
    weir = await WeirProcess.start(optionsOf(folder))
  }
  await close(weir)
  const once = await snapshot(weir)
  for (let time = 0; time < TIMES; time++) {
    await weir.kill()
    const copy = older[time % older.length]!
    for (const name of ['catalogue.db', 'catalogue.db-wal', 'state.bin', 'segments']) {
      rmSync(join(folder, 'data', name), { recursive: true, force: true })
      cpSync(join(copy, name), join(folder, 'data', name), { recursive: true, force: true })
    }
    weir = await WeirProcess.start(optionsOf(folder))
    assert.deepEqual(await snapshot(weir), once, `replayed ${time + 1} times`)
  }
  await weir.stop()
})
