/**
 * One flipped bit, a lost end or a missing file in each kind of file of a data folder. A real
 * process starts on it and says which file it is; what is beside is served, nothing is answered as
 * if all were well, and nothing that was acknowledged goes unnoticed. What to do: docs/damage.md.
 */
import assert from 'node:assert/strict'
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { makeFolder, spawnWeir, until, weir as runWeir } from './weir-process.ts'
import { WeirProcess, type StartOptions } from './weir-process.ts'

const PIPELINE = `
version: 1
types: { pump: { schemas: { 1: { temperature: { unit: "°C" } } } } }
time: { disorder: 1s }
windows: [1m]
`
const COMMITTING = 'log: { segmentBytes: 64 KiB }\nstream: { checkpointInterval: 200ms }\n'
const NOT_COMMITTING = 'log: { segmentBytes: 64 KiB }\nstream: { checkpointInterval: 1h }\n'
const MINUTES = 3
const PER_MINUTE = 60
const HOUR_MS = 3_600_000
const beginMs = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - HOUR_MS

/** Told by their bytes in the log's files. */
const TAIL = [1234.5678, 2345.6789, 3456.7891]

const base = await makeFolder({ after })
/** Everything in segments, and the log trimmed but for its last; then three entries more. */
const stopped = join(base, 'stopped')
const killed = join(base, 'killed')
let tokens: Record<string, string> = {}

const optionsOf = (folder: string, config = COMMITTING): StartOptions => ({
  ...{ folder, config, pipeline: PIPELINE },
})

const valueOf = (minute: number, second: number): number => minute * 1000 + second

before(async () => {
  mkdirSync(stopped)
  const weir = await WeirProcess.start(optionsOf(stopped))
  for (const id of ['pump-1', 'pump-2']) tokens[id] = await weir.register({ id, type: 'pump' })
  for (let minute = 0; minute < MINUTES; minute++) {
    const stored = await storedOf(weir)
    const body = Array.from({ length: PER_MINUTE }, (_, second) => ({
      ts: beginMs + minute * 60_000 + second * 1000,
      metrics: { temperature: valueOf(minute, second) },
    }))
    await send(weir, body)
    await until('they are in a segment', async () => (await storedOf(weir)) > stored)
  }
  assert.equal((await weir.stop()).code, 0)
  cpSync(stopped, killed, { recursive: true })
  const other = await WeirProcess.start(optionsOf(killed, NOT_COMMITTING))
  for (const [at, temperature] of TAIL.entries()) {
    await send(other, [{ ts: beginMs + MINUTES * 60_000 + at * 1000, metrics: { temperature } }])
  }
  await other.kill()
})

async function send(weir: WeirProcess, body: unknown): Promise<void> {
  const { status, text } = await weir.api('/v1/devices/pump-1/telemetry', { body })
  assert.equal(status, 200, text)
}

async function storedOf(weir: WeirProcess): Promise<number> {
  return metric(weir, 'weir_storage_readings_stored')
}

async function metric(weir: WeirProcess, name: string): Promise<number> {
  const { text } = await weir.api('/metrics')
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN)
}

/** A copy of one of the two folders, damaged. */
async function damagedCopy(
  t: TestContext,
  from: string,
  damage: (data: string) => void,
): Promise<string> {
  const folder = await makeFolder(t)
  cpSync(from, folder, { recursive: true })
  damage(join(folder, 'data'))
  return folder
}

async function startDamaged(
  t: TestContext,
  from: string,
  damage: (data: string) => void,
): Promise<WeirProcess> {
  return WeirProcess.start(optionsOf(await damagedCopy(t, from, damage), NOT_COMMITTING))
}

/** The process must end by itself and name the file. */
async function assertRefused(
  t: TestContext,
  damage: (data: string) => void,
  expected: RegExp,
): Promise<void> {
  const folder = await damagedCopy(t, stopped, damage)
  const files = listAll(folder)
  const running = await spawnWeir(optionsOf(folder))
  assert.equal(await running.end(), 3, running.output)
  assert.match(running.stderr, /A file in the data folder is damaged \(DATA_FILE_DAMAGED\)/)
  assert.match(running.stderr, expected)
  assert.match(running.stderr, /docs\/damage\.md/)
  const missing = files.filter((file) => !listAll(folder).includes(file))
  assert.deepEqual(missing, [], 'nothing is removed')
}

const listAll = (folder: string): string[] =>
  readdirSync(folder, { recursive: true })
    .map(String)
    // Of the log, empty files get other names.
    .filter((file) => !/\.(db-\w+|tmp)$|ports\.json$|reserve$|\/log\//.test(file))
    .toSorted()

function flip(path: string, position: number): void {
  const bytes = readFileSync(path)
  bytes[position]! ^= 4
  writeFileSync(path, bytes)
}

/** The file of a folder that holds these bytes, and where they stand in it last. */
function find(folder: string, wanted: Uint8Array): { path: string; position: number } {
  for (const name of readdirSync(folder).toSorted().toReversed()) {
    const path = join(folder, name)
    const position = readFileSync(path).lastIndexOf(wanted)
    if (position >= 0) return { path, position }
  }
  throw new Error(`nowhere in ${folder}`)
}

const float = (value: number): Uint8Array => new Uint8Array(Float64Array.of(value).buffer)

const segment = (data: string, kind: 'readings' | 'rollup', at: number): string =>
  readdirSync(join(data, 'segments'))
    .filter((name) => name.startsWith(kind))
    .toSorted()
    .map((name) => join(data, 'segments', name))
    .at(at)!

interface Stored {
  points: [number, number][]
  meta: { completeness: number; segments_damaged: number }
}

const readings = (weir: WeirProcess): Promise<Stored> =>
  weir.get<Stored>('/v1/query', {
    ...{ device_id: 'pump-1', metric: 'temperature', start: beginMs, end: beginMs + HOUR_MS },
  })

async function windowCounts(weir: WeirProcess): Promise<number[]> {
  const { windows } = await weir.get<{ windows: { count: number }[] }>('/v1/aggregations', {
    ...{ device_id: 'pump-1', metric: 'temperature', window: '1m' },
    ...{ start: beginMs, end: beginMs + MINUTES * 60_000 },
  })
  return windows.map(({ count }) => count)
}

test('log, an entry in the middle: named, counted, its neighbours are there', async (t) => {
  const weir = await startDamaged(t, killed, (data) => {
    const { path, position } = find(join(data, 'log'), float(TAIL[1]!))
    flip(path, position)
  })
  assert.match(weir.running.stderr, /"log_damage_found".*"segment":"\d+\.segment","fromOffset":\d+/)
  assert.equal(await metric(weir, 'weir_log_lost_entries_total'), 1)
  const values = (await readings(weir)).points.map(([, value]) => value)
  assert.deepEqual(values.slice(MINUTES * PER_MINUTE), [TAIL[0], TAIL[2]])
  await send(weir, [{ ts: beginMs + 30 * 60_000, metrics: { temperature: 1 } }])
  await weir.stop()
})

test('log, its end after a stop: nothing is lost, and no offset is given twice', async (t) => {
  const weir = await startDamaged(t, stopped, (data) => {
    const { path, position } = find(join(data, 'log'), Buffer.from('ENT1'))
    flip(path, position + 20)
  })
  assert.match(weir.running.stderr, /"log_end_lost".*"endsAt":(\d+),"goesOnAt":\d+/)
  assert.equal((await readings(weir)).points.length, MINUTES * PER_MINUTE)
  await send(weir, [{ ts: beginMs + 30 * 60_000, metrics: { temperature: 1 } }])
  await weir.kill()
  const folder = join(weir.dataFolder, '..')
  const again = await WeirProcess.start(optionsOf(folder))
  assert.equal((await readings(again)).points.length, MINUTES * PER_MINUTE + 1)
  await again.stop()
})

test('log, missing: what is stored is served, and what comes is stored', async (t) => {
  const weir = await startDamaged(t, stopped, (data) =>
    rmSync(join(data, 'log'), { recursive: true }),
  )
  assert.match(weir.running.stderr, /"log_end_lost".*"endsAt":0,"goesOnAt":\d+/)
  await send(weir, [{ ts: beginMs + 30 * 60_000, metrics: { temperature: 1 } }])
  await until('the new one', async () => {
    return (await readings(weir)).points.length === MINUTES * PER_MINUTE + 1
  })
  await weir.stop()
})

test('log, the newest segment cut short: refused, since it held what was acknowledged last', async (t) => {
  const cut = (data: string): void =>
    truncateSync(find(join(data, 'log'), Buffer.from('ENT1')).path, 5000)
  await assertRefused(t, cut, /newest log segment \d+\.segment ends at byte 5000/)
})

test('a readings segment, flipped, cut, or missing: named, and answers say what is missing', async (t) => {
  for (const damage of [
    (path: string) => flip(path, 50),
    (path: string) => truncateSync(path, 50),
    (path: string) => rmSync(path),
  ]) {
    const weir = await startDamaged(t, stopped, (data) => damage(segment(data, 'readings', 1)))
    const { points, meta } = await readings(weir)
    assert.equal(points.length, (MINUTES - 1) * PER_MINUTE)
    assert.ok(meta.completeness > 0.6 && meta.completeness < 0.7, `${meta.completeness}`)
    assert.equal(meta.segments_damaged, 1)
    assert.match(weir.running.stderr, /"segment_damaged".*"file":"readings-\d+-\d+\.parquet"/)
    assert.equal(await metric(weir, 'weir_storage_segments_damaged'), 1)
    await weir.stop()
  }
})

test('a rollup segment: named, and its windows are computed from the readings', async (t) => {
  const weir = await startDamaged(t, stopped, (data) => flip(segment(data, 'rollup', 0), 50))
  // The last one is closed by the start's first entry, since nothing came for long.
  await until('all are there', async () => (await windowCounts(weir)).length === MINUTES)
  assert.deepEqual(await windowCounts(weir), [PER_MINUTE, PER_MINUTE, PER_MINUTE])
  assert.match(weir.running.stderr, /"segment_damaged".*"file":"rollup-\d+-\d+\.parquet"/)
  await weir.stop()
})

test('catalogue and registry: flipped, emptied or missing, they are refused by name', async (t) => {
  const inCatalogue = (data: string): string => join(data, 'catalogue.db')
  const inControl = (data: string): string => join(data, 'control.db')
  for (const [path, name] of [
    [inCatalogue, 'catalogue'],
    [inControl, 'control'],
  ] as const) {
    await assertRefused(t, (data) => flip(path(data), 2), new RegExp(`${name}\\.db is not a`))
    await assertRefused(
      t,
      (data) => truncateSync(path(data), 0),
      new RegExp(`${name}\\.db is miss`),
    )
    await assertRefused(t, (data) => rmSync(path(data)), new RegExp(`${name}\\.db is missing`))
  }
})

test('catalogue, lost: weir storage repair makes it again, and nothing acknowledged is missing', async (t) => {
  const lose = (data: string): void => {
    for (const file of readdirSync(data).filter((one) => one.startsWith('catalogue.db')))
      rmSync(join(data, file))
  }
  await assertRefused(t, lose, /catalogue\.db is missing.*weir storage repair/)
  const folder = await damagedCopy(t, killed, lose)
  const data = join(folder, 'data')
  const ran = runWeir(['storage', 'repair', '--data', data, '--json'])
  assert.equal(await ran.end(), 0, ran.output)
  const { isIntact, readings: made } = JSON.parse(ran.stdout) as Record<string, unknown>
  assert.deepEqual([isIntact, made], [false, MINUTES * PER_MINUTE])
  const weir = await WeirProcess.start(optionsOf(folder))
  await until('the log is replayed', async () => {
    const { points, meta } = await readings(weir)
    return meta.completeness === 1 && points.length === MINUTES * PER_MINUTE + TAIL.length
  })
  const counts = await windowCounts(weir)
  assert.deepEqual(counts, Array(MINUTES).fill(PER_MINUTE))
  // A repeat of what was stored changes nothing.
  await send(weir, [{ ts: beginMs, metrics: { temperature: 777 } }])
  await until('it is there', async () => (await storedOf(weir)) > MINUTES * PER_MINUTE)
  const { points } = await readings(weir)
  assert.equal(points.length, MINUTES * PER_MINUTE + TAIL.length)
  assert.deepEqual(points[0], [beginMs, valueOf(0, 0)])
  await weir.stop()
  const again = runWeir(['storage', 'repair', '--data', data])
  assert.equal(await again.end(), 0, again.output)
  assert.match(again.stdout, /is intact: nothing was done/)
})

test('definitions: a flipped bit in a series’ name is no other name', async (t) => {
  const rename = (data: string): void => {
    const path = join(data, 'catalogue.db')
    flip(path, readFileSync(path).lastIndexOf('temperature[]'))
  }
  await assertRefused(t, rename, /catalogue\.db a row of series fails its checksum/)
})

test('a device’s record: that device is refused and named, the others are not', async (t) => {
  const weir = await startDamaged(t, stopped, (data) => {
    const path = join(data, 'control.db')
    flip(path, readFileSync(path).indexOf('pump-2pump') + 8)
  })
  const body = { temperature: 1 }
  const to = (id: string) => weir.api(`/v1/devices/${id}/telemetry`, { body, token: tokens[id]! })
  assert.equal((await to('pump-1')).status, 200)
  assert.equal((await to('pump-2')).status, 401)
  assert.match(weir.running.stderr, /"registry_damaged".*a row of device fails its checksum/)
  await weir.stop()
})

test('the stream’s state: named; windows come from readings, repeats are not counted twice', async (t) => {
  for (const damage of [
    (path: string) => flip(path, 3),
    (path: string) => truncateSync(path, 10),
    (path: string) => rmSync(path),
  ]) {
    const weir = await startDamaged(t, stopped, (data) => damage(join(data, 'state.bin')))
    assert.match(weir.running.stderr, /"state_lost".*state\.bin: the state part/)
    const repeat = { ts: beginMs + 1000, metrics: { temperature: 99 } }
    await send(weir, [repeat, { ts: beginMs + 30 * 60_000, metrics: { temperature: 1 } }])
    await until('the new one', async () => {
      return (await readings(weir)).points.length === MINUTES * PER_MINUTE + 1
    })
    assert.deepEqual(await windowCounts(weir), [PER_MINUTE, PER_MINUTE, PER_MINUTE])
    await weir.stop()
  }
})
