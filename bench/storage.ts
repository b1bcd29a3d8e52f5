/**
 * How many bytes does a reading take, all of the data folder counted but for the log? Rollups
 * apart: they are a second form of the same readings. Three fleets go through the doors of a real
 * server, which then merges what it merges and is stopped.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { measureFolder } from './data-folder.ts'
import { sendHistory } from './fleet-history.ts'
import { generate } from './generate.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const WEIR = fileURLToPath(new URL('../src/cli/weir.ts', import.meta.url))
const DEMO = fileURLToPath(new URL('../src/fleet/demo.pipeline.yaml', import.meta.url))
const KEEPING = fileURLToPath(new URL('./fleet-data.pipeline.yaml', import.meta.url))
const FLEET_DATA = '../shared/data/fleet/fleet-20-trucks-6h.influx.zst'
const FLEET_FILE = fileURLToPath(new URL(`../${FLEET_DATA}`, import.meta.url))

const DEVICES = numberFlag('devices', isQuick ? 60 : 520)
const HOURS = numberFlag('hours', 24)
const JITTER_MS = numberFlag('jitter', 500)
const WALK_SECONDS = numberFlag('seconds', isQuick ? 3 : 10)
const STORED_MS_MAX = 60_000
const MERGED_MS_MAX = 120_000

const reporter = new Reporter('storage', 'bytes a reading of everything but the log')

/** A day goes by in a minute: commits come more often than every five minutes. */
const env = { WEIR_STREAM_CHECKPOINT_INTERVAL: '10s' }

/** Sends by `load`, which returns the count of readings, and weighs what is left. */
async function measure(
  name: string,
  pipeline: string | undefined,
  load: (server: WeirServer) => Promise<number>,
): Promise<void> {
  const server = await WeirServer.start({ ...(pipeline === undefined ? {} : { pipeline }), env })
  try {
    const sent = await load(server)
    const stored = await server.untilStored(sent, STORED_MS_MAX)
    if (stored !== sent) throw new Error(`${sent} readings were acknowledged, ${stored} stored`)
    await server.untilInSegments(STORED_MS_MAX)
    await server.untilMerged(MERGED_MS_MAX)
    await server.halt()
    const { rollups, ...others } = measureFolder(server.dataFolder)
    const bytes = Object.values(others).reduce((sum, one) => sum + one, 0)
    reporter.add(name, bytes / stored, 'B/reading')
    for (const [kind, size] of Object.entries(others))
      reporter.add(`${name}: of that ${kind}`, size / stored, 'B/reading')
    reporter.add(`${name}: rollups, besides`, rollups / stored, 'B/reading')
    reporter.add(`${name}: readings`, stored, 'readings')
  } finally {
    await server.stop()
  }
}

/** 20 trucks for 6 hours at 10 s, by `weir replay`. */
async function replayFleet(server: WeirServer): Promise<number> {
  const address = ['--url', `http://127.0.0.1:${server.httpPort}`, '--key', server.adminKey]
  const program = ['--disable-warning=ExperimentalWarning', WEIR, 'replay', FLEET_FILE]
  const { stderr } = spawnSync(process.execPath, [...program, '--register', ...address])
  // Lines without a device are refused, so the exit code is 1; all others are readings.
  const readings = (await server.metrics()).get('weir_gateway_readings_total') ?? 0
  if (readings === 0) throw new Error(String(stderr))
  return settledReadings(server)
}

/** Of what was replayed some lines repeat others: waits until the count of readings stays. */
async function settledReadings(server: WeirServer): Promise<number> {
  let before = -1
  for (;;) {
    const stored = (await server.metrics()).get('weir_storage_readings_total') ?? 0
    if (stored === before) return stored
    before = stored
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

async function sendWalks(server: WeirServer): Promise<number> {
  const { clients } = await server.registerFleet(50, isQuick ? 2000 : 10_000)
  const shape = { protocol: 'mqtt', window: 4, messagesPerPacket: 100 } as const
  const how = { port: server.mqttPort, clients, seconds: WALK_SECONDS, rate: 0, seed: 1 }
  const report = await generate({ ...shape, ...how, warmUpMs: 0 })
  return report.messages * METRICS_PER_MESSAGE
}

if (existsSync(FLEET_FILE)) await measure('fleet data', KEEPING, replayFleet)
else reporter.note(`fleet data: ${FLEET_DATA} is not there`)
const fleet = { devices: DEVICES, hours: HOURS, intervalMs: 10_000, jitterMs: JITTER_MS, seed: 1 }
reporter.note(
  `simulated fleet: ${DEVICES} devices, a message every 10 s ± ${JITTER_MS} ms for ${HOURS} h`,
)
await measure('simulated fleet', DEMO, (server) => sendHistory(server, fleet))
reporter.note(`random walks: at full speed, 3 metrics a message, times now minus up to 8 ms`)
await measure('random walks', undefined, sendWalks)
reporter.finish()
