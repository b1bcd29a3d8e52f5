/**
 * `kill -9` under load, again and again on one data folder: also in the first milliseconds, while
 * the log is replayed, and while checkpoints, segments, merges and trims happen, which here is
 * always. At the end what is stored is compared with what was acknowledged, and windows, rule
 * events and anomalies with a naive reference.
 *
 * WEIR_CRASH_SEED repeats a run's load and moments of death, as far as the machine's own timing
 * allows; WEIR_CRASH_ROUNDS makes it longer.
 */
import assert from 'node:assert/strict'
import { watch } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { HttpDevice, MqttDevice, type Device, type Kind, type Surroundings } from './crash-load.ts'
import { seededRandom } from './crash-reference.ts'
import { checkAlerts, checkAnomalies, checkReadings, checkRefusals } from './crash-verdict.ts'
import {
  makeFolder,
  spawnWeir,
  until,
  WeirProcess,
  type Running,
  type StartOptions,
} from './weir-process.ts'

const ROUNDS = Number(process.env['WEIR_CRASH_ROUNDS'] ?? 25)
const SEED = Number(process.env['WEIR_CRASH_SEED'] ?? Date.now() % 1_000_000)

/**
 * So small that a commit, a merge or a trim is always under way. The lives take turns: commits of a
 * few readings all the time, and commits behind which several log segments become free.
 */
const STREAMS = [
  '{ checkpointReadings: 300, checkpointInterval: 100ms }',
  '{ checkpointInterval: 1s }',
]
const configOf = (life: number): string => `
log: { segmentBytes: 64 KiB }
stream: ${STREAMS[life % STREAMS.length]}
storage: { segmentReadingsTarget: 5000, duckdbThreads: 1 }
`

const PIPELINE = `
version: 1
types:
  pump:
    schemas:
      1: { temperature: { unit: "°C" }, pressure: { unit: bar }, running: { type: boolean } }
  meter:
    schemas:
      1: { power: { unit: kW }, energy: { unit: kWh } }
  probe:
    schemas:
      1: { serial: { unit: "1" } }
time: { disorder: 10s, allowedLateness: 8m, idleTimeout: 1h, alertStaleness: 1d }
windows: [1m, 5m]
detectors:
  - { id: pump-z, type: pump, metric: temperature, zscore: { n: 16, threshold: 4 } }
rules:
  - { id: hot, type: pump, when: "temperature > 80", for: 400ms }
  - { id: dry, type: pump, when: "running && pressure < 5" }
`

/** Event time runs so much faster than the clock, and begins so far back. */
const EVENT_SPEED = 12
const EVENT_BEGIN_MS = 45 * 60_000
/**
 * From this share of the rounds on devices without a clock take part; they make all others late.
 */
const PROBES_FROM = 0.7

/** Doors: MQTT by its version, or HTTP with batches up to this size; large ones fill the log. */
const FLEET: { id: string; kind: Kind; door: 4 | 5 | { batchMax: number } }[] = [
  { id: 'pump-1', kind: 'pump', door: 4 },
  { id: 'pump-2', kind: 'pump', door: 5 },
  { id: 'pump-3', kind: 'pump', door: { batchMax: 20 } },
  { id: 'meter-1', kind: 'meter', door: 4 },
  { id: 'meter-2', kind: 'meter', door: 5 },
  { id: 'meter-3', kind: 'meter', door: { batchMax: 200 } },
  { id: 'probe-1', kind: 'probe', door: 5 },
  { id: 'probe-2', kind: 'probe', door: { batchMax: 20 } },
]

const NAME = `${ROUNDS} kills under load lose, double and miscount nothing (seed ${SEED})`

test(NAME, { timeout: 60_000 + ROUNDS * 10_000 }, async (t) => {
  t.diagnostic(`seed ${SEED}`)
  const folder = await makeFolder(t)
  const optionsOf = (life: number): StartOptions => ({
    folder,
    config: configOf(life),
    pipeline: PIPELINE,
  })
  const random = seededRandom(SEED)
  const beginMs = Date.now()
  let ports = { http: 1, mqtt: 1 }
  const around: Surroundings = {
    random,
    ports: () => ports,
    eventNowUs: () => (beginMs - EVENT_BEGIN_MS + (Date.now() - beginMs) * EVENT_SPEED) * 1000,
  }
  const first = await WeirProcess.start(optionsOf(0))
  const devices = await openFleet(first, around)
  t.after(() => devices.forEach((device) => device.abandon()))
  await first.register({ id: 'closer' })
  await first.kill()
  const running: Promise<void>[] = []
  const begin = (which: Device[]): void => void running.push(...which.map((one) => one.run()))
  begin(devices.filter(({ kind }) => kind !== 'probe'))
  for (let round = 0; round < ROUNDS; round++) {
    if (round === Math.floor(ROUNDS * PROBES_FROM)) begin(devices.filter(isProbe))
    await live(await spawnWeir(optionsOf(round)), folder, {
      random,
      at: (known) => (ports = known),
    })
    ports = { http: 1, mqtt: 1 }
  }
  let weir = await WeirProcess.start(optionsOf(0))
  ports = weir
  for (const device of devices) device.isStopping = true
  await Promise.all(running)
  await closeWindows(weir)
  const span = { fromMs: beginMs - EVENT_BEGIN_MS - 30 * 60_000, toMs: Date.now() }
  await verify(weir, devices, span)
  t.diagnostic(describe(devices))
  // The same from the other states: the log's tail replayed, and everything in segments.
  await weir.kill()
  weir = await WeirProcess.start(optionsOf(0))
  await verify(weir, devices, span)
  assert.equal((await weir.stop()).code, 0)
  weir = await WeirProcess.start(optionsOf(0))
  await verify(weir, devices, span)
  await weir.stop()
})

const isProbe = ({ kind }: Device): boolean => kind === 'probe'

async function openFleet(weir: WeirProcess, around: Surroundings): Promise<Device[]> {
  const devices: Device[] = []
  for (const { id, kind, door } of FLEET) {
    const token = await weir.register({ id, type: kind })
    devices.push(
      typeof door === 'number'
        ? new MqttDevice({ id, kind, token, version: door }, around)
        : new HttpDevice({ id, kind, token, ...door }, around),
    )
  }
  return devices
}

/**
 * One life: a fifth end before the process is ready, some just behind that, some within
 * milliseconds of the first file of a commit or merge, the others at any time.
 */
async function live(
  process: Running,
  folder: string,
  { random, at }: { random: () => number; at: (ports: WeirProcess) => void },
): Promise<void> {
  const fate = random()
  if (fate < 0.2) {
    await delay(random() * 1_500)
    await process.signal('SIGKILL')
    return
  }
  const weir = await WeirProcess.ready(process, folder)
  at(weir)
  if (fate < 0.3) await delay(random() * 150)
  else await delay(200 + random() * 1_200)
  if (fate > 0.6) {
    await nextSegmentFile(weir)
    await delay(random() * 25)
  }
  assert.ok(!process.hasEnded, `weir ended by itself\n${process.output}`)
  await weir.kill()
}

/** Resolves when a file comes or goes among the segments, or after 3 s without. */
async function nextSegmentFile({ dataFolder }: WeirProcess): Promise<void> {
  const changed = Promise.withResolvers<void>()
  const watcher = watch(join(dataFolder, 'segments'), () => changed.resolve())
  const giveUp = setTimeout(changed.resolve, 3_000)
  await changed.promise
  clearTimeout(giveUp)
  watcher.close()
}

/** A reading of now, behind everything else: the watermark passes all windows of the load. */
async function closeWindows(weir: WeirProcess): Promise<void> {
  const body = { ts: Date.now(), metrics: { one: 1 } }
  const { status } = await weir.api('/v1/devices/closer/telemetry', { body })
  assert.equal(status, 200)
  await until('the last reading is visible', async () => {
    return (await weir.points('closer', 'one')).length > 0
  })
}

async function verify(
  weir: WeirProcess,
  devices: Device[],
  span: { fromMs: number; toMs: number },
): Promise<void> {
  for (const device of devices) {
    await checkReadings(weir, device, span)
    await checkRefusals(weir, device)
    if (device.kind !== 'pump') continue
    await checkAlerts(weir, device, { hotForMs: 400 })
    await checkAnomalies(weir, device, { n: 16, threshold: 4 })
  }
}

function describe(devices: Device[]): string {
  const count = (of: (device: Device) => number): number =>
    devices.reduce((sum, device) => sum + of(device), 0)
  const messages = count(({ sent }) => sent.length)
  const repeats = count((device) => device.repeats)
  const refused = count(({ refused }) => refused.length)
  return `${messages} messages acknowledged, ${repeats} repeats, ${refused} refused`
}
