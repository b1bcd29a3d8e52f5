/**
 * Erasing what a device said, on a real server under load and `kill -9`: hidden from the answer on,
 * gone from every file in the end, with a receipt that can be checked without the server.
 */
import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeFolder, until, weir as command, WeirProcess } from './weir-process.ts'

const PIPELINE = `
version: 1
types: { pump: { schemas: { 1: { temperature: { unit: "°C" }, note: { type: text, required: false } } } } }
rules: [{ id: hot, type: pump, when: "temperature > 80" }]
`
const CONFIG = `
stream: { checkpointReadings: 300, checkpointInterval: 300ms }
storage: { segmentReadingsTarget: 3000 }
`
const DEVICES = ['pump-1', 'pump-2']
const REFUSED = 'hot as seldom'
const NOW_MS = Math.floor(Date.now() / 1000) * 1000

interface Receipt {
  erasure: { id: string; files: { file: string; rows: number }[]; alerts: { removed: number } }
  key: string
  signature: string
}

async function send(weir: WeirProcess, id: string, times: number[]): Promise<void> {
  const body = times.map((ts) => ({ ts, temperature: (ts / 1000) % 70, note: `note ${ts % 3}` }))
  const answer = await weir.api(`/v1/devices/${id}/telemetry`, { body })
  assert.equal(answer.status, 200, answer.text)
}

const secondsFrom = (startMs: number, count: number): number[] =>
  Array.from({ length: count }, (_, at) => startMs + at * 1000)

async function receiptOf(weir: WeirProcess, id: string): Promise<Receipt> {
  return until(
    'the erasure is done',
    async () => {
      const found = await weir.get<{ state: string; receipt: Receipt | null }>(`/v1/erasures/${id}`)
      assert.notEqual(found.state, 'failed')
      return found.receipt ?? undefined
    },
    60_000,
  )
}

/** Those that hold the words. */
async function filesWith(folder: string, words: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name))
  const holding = await Promise.all(
    paths.map(async (path) => (await readFile(path)).includes(words)),
  )
  return paths.filter((_, at) => holding[at])
}

/** Starts and does not wait. */
async function erase(weir: WeirProcess, path: string): Promise<string> {
  const answer = await weir.api<{ id: string }>(path, { method: 'DELETE' })
  assert.equal(answer.status, 202, answer.text)
  return answer.body.id
}

test('erased is hidden at once, gone in the end, and stays gone, through kill -9', async (t) => {
  const folder = await makeFolder(t)
  const options = { folder, pipeline: PIPELINE, config: CONFIG }
  let weir = await WeirProcess.start(options)
  for (const id of DEVICES) await weir.register({ id, type: 'pump' })
  const hourAgo = NOW_MS - 3_600_000
  for (let batch = 0; batch < 10; batch++) {
    for (const id of DEVICES) await send(weir, id, secondsFrom(hourAgo + batch * 200_000, 200))
  }
  await weir.api('/v1/devices/pump-1/telemetry', { body: { temperature: 95 } })
  await weir.api('/v1/devices/pump-1/telemetry', { body: { temperature: 20 } })
  await weir.api('/v1/devices/pump-1/telemetry', { body: { temperature: REFUSED } })
  await until('the alert has ended', async () => {
    const [episode] = await weir.episodes('pump-1')
    return episode?.state === 'resolved'
  })
  const other = await weir.points('pump-2', 'temperature')
  const id = await erase(weir, '/v1/devices/pump-1/data')
  assert.deepEqual(await weir.points('pump-1', 'temperature'), [])
  await weir.kill()

  weir = await WeirProcess.start(options)
  assert.deepEqual(await weir.points('pump-1', 'temperature'), [])
  const receipt = await receiptOf(weir, id)
  assert.equal(receipt.erasure.id, id)
  assert.equal(receipt.erasure.alerts.removed, 1)
  assert.ok(receipt.erasure.files.some(({ rows }) => rows > 0))
  const segments = await readdir(join(folder, 'data', 'segments'))
  for (const { file } of receipt.erasure.files) assert.ok(!segments.includes(file), file)
  assert.deepEqual(await filesWith(join(folder, 'data'), REFUSED), [])
  assert.deepEqual(await weir.points('pump-2', 'temperature'), other)
  const { items } = await weir.get<{ items: unknown[] }>('/v1/dead-letters', {
    device_id: 'pump-1',
  })
  assert.deepEqual(items, [])
  assert.deepEqual(await weir.episodes('pump-1'), [])
  const sql = "SELECT count(*) FROM telemetry WHERE device_id = 'pump-1'"
  const counted = await weir.api<{ rows: number[][] }>('/v1/sql', { body: { sql } })
  assert.deepEqual(counted.body.rows, [[0]])
  const window = { device_id: 'pump-1', metric: 'temperature', window: '1m', start: 0 }
  const { windows } = await weir.get<{ windows: unknown[] }>('/v1/aggregations', {
    ...{ ...window, end: NOW_MS },
  })
  assert.deepEqual(windows, [])

  // Its backlog comes again, and with it what is new.
  const now = Date.now()
  await send(weir, 'pump-1', [...secondsFrom(hourAgo, 300), now])
  await weir.api('/v1/storage/flush', { method: 'POST' })
  assert.deepEqual(
    (await weir.points('pump-1', 'temperature')).map(([ms]) => ms),
    [now],
  )
  await weir.kill()
  weir = await WeirProcess.start(options)
  assert.deepEqual(
    (await weir.points('pump-1', 'temperature')).map(([ms]) => ms),
    [now],
  )
  await weir.stop()

  const file = join(folder, 'receipt.json')
  await writeFile(file, JSON.stringify(receipt))
  const verify = async (): Promise<[number | null, string]> => {
    const running = command(['erasure', 'verify', file])
    return [await running.end(), running.output]
  }
  assert.equal((await verify())[0], 0)
  receipt.erasure.files.pop()
  await writeFile(file, JSON.stringify(receipt))
  const [code, output] = await verify()
  assert.equal(code, 1)
  assert.match(output, /RECEIPT_INVALID/)
})

test('a span is erased, what lies around it stays, and the command waits for the receipt', async (t) => {
  const folder = await makeFolder(t)
  const weir = await WeirProcess.start({ folder, pipeline: PIPELINE, config: CONFIG })
  for (const id of DEVICES) {
    const body = { id, type: 'pump', tags: { owner: 'Ada' } }
    assert.equal((await weir.api('/v1/devices', { body })).status, 201)
    await send(weir, id, secondsFrom(NOW_MS - 600_000, 300))
  }
  const [from, to] = [NOW_MS - 500_000, NOW_MS - 400_000].map((ms) => new Date(ms).toISOString())
  const file = join(folder, 'receipt.json')
  const running = command(
    [
      'erasure',
      'start',
      '--owner',
      'Ada',
      '--from',
      from!,
      '--to',
      to!,
      '--receipt',
      file,
      '--url',
      weir.url,
    ],
    { WEIR_ADMIN_KEY: weir.adminKey },
  )
  assert.equal(await running.end(), 0, running.output)
  assert.match(running.stdout, /4\d\d rows went/)
  const { erasure } = JSON.parse(await readFile(file, 'utf8')) as { erasure: { devices: string[] } }
  assert.deepEqual(erasure.devices.toSorted(), DEVICES)
  for (const id of DEVICES) {
    const times = (await weir.points(id, 'temperature')).map(([ms]) => ms)
    assert.equal(times.length, 200)
    assert.ok(times.every((ms) => ms < NOW_MS - 500_000 || ms >= NOW_MS - 400_000))
  }
  await weir.stop()
})
