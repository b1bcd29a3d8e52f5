/**
 * How long after `kill -9` under load is Weir ready, and how long until queries are complete?
 * Twice: with the settings that a user gets, where checkpoints keep the log's tail short, and with
 * checkpoints held off, so that the whole of 10 million messages waits in the log. Both end with a
 * count of every device: what was acknowledged is stored, and nothing that was never sent.
 */
import { prepareGenerator } from './generate.ts'
import type { LoadJob, LoadReport } from './load.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { residentBytes, residentPeakBytes } from './process-figures.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { countMessages, writeUntilComplete } from './recovery-probe.ts'
import { WeirServer, type Fleet } from './weir-server.ts'

const CONNECTIONS = numberFlag('connections', 200)
const DEVICES = numberFlag('devices', isQuick ? 2000 : 10_000)
const RUNS = numberFlag('runs', isQuick ? 1 : 3)
/** Acknowledged before the kill. */
const MESSAGES = numberFlag('messages', 10_000_000)
const LOAD_SECONDS_MAX = 120

const DEFAULTS = { name: 'default settings', config: '' }
/** Memory for twice the tail and more, or a checkpoint would come all the same. */
const LONG_TAIL = {
  name: 'checkpoints held off',
  config: `
stream: { checkpointReadings: 1000000000, checkpointInterval: 1d }
storage: { memoryReadingsMax: ${MESSAGES * METRICS_PER_MESSAGE * 4} }
`,
}

const reporter = new Reporter(
  'recovery',
  'kill -9 under load: until ready, until queries are complete',
)

interface Figures {
  readySeconds: number
  completeSeconds: number
  tailMessages: number
  writeMsMax: number
  residentPeak: number
}

/** Kills the server once enough is acknowledged; the generator then tells what was. */
async function loadAndKill(server: WeirServer, fleet: Fleet): Promise<LoadReport> {
  const shape = { protocol: 'mqtt', window: 200, messagesPerPacket: 1, end: 'kill' } as const
  const pace = { seconds: LOAD_SECONDS_MAX, rate: 0, seed: 1, warmUpMs: 0 }
  const job: LoadJob = { ...shape, ...pace, port: server.mqttPort, clients: fleet.clients }
  const generation = await prepareGenerator(job)
  const enough = Promise.withResolvers<void>()
  generation.onProgress(({ acknowledged }) => {
    if (acknowledged >= MESSAGES) enough.resolve()
  })
  generation.start()
  await Promise.race([enough.promise, generation.report])
  await server.kill()
  return generation.report
}

async function measure(config: string): Promise<Figures> {
  const first = await WeirServer.start({ config })
  const fleet = await first.registerFleet(CONNECTIONS, DEVICES)
  const [probeToken = ''] = await first.register([{ id: 'probe', type: 'generic' }])
  const report = await loadAndKill(first, fleet)
  console.log(`killed at ${report.messages} messages, ${Math.round(report.rate)} messages/s`)
  const server = await first.restart()
  try {
    const probe = { id: 'probe', token: probeToken }
    const { completeMs, writeMs, written } = await writeUntilComplete(server, probe)
    const metrics = await server.metrics()
    const replayed = metrics.get('weir_stream_readings_total') ?? NaN
    await checkStored(server, fleet, report, written)
    return {
      readySeconds: server.readyMs / 1000,
      completeSeconds: (completeMs - server.startMs) / 1000,
      tailMessages: (replayed - written) / METRICS_PER_MESSAGE,
      writeMsMax: Math.max(...writeMs),
      residentPeak: residentPeakBytes(server.pid) ?? residentBytes(server.pid) ?? NaN,
    }
  } finally {
    await server.stop()
  }
}

/** Acknowledged ≤ stored ≤ sent, for every device. */
async function checkStored(
  server: WeirServer,
  { clients }: Fleet,
  report: LoadReport,
  written: number,
): Promise<void> {
  const startMs = performance.now()
  const expected = clients.flatMap(({ devices }, client) => {
    const { sent = 0, acknowledged = 0 } = report.connections[client] ?? {}
    // A connection's messages go round its devices.
    const share = (total: number, place: number): number =>
      Math.ceil(Math.max(0, total - place) / devices.length)
    return devices.map((id, place) => ({
      ...{ id, least: share(acknowledged, place), most: share(sent, place) },
    }))
  })
  expected.push({ id: 'probe', least: written, most: written })
  const counts = await countMessages(server, expected, (id) =>
    id === 'probe' ? 'value' : 'temperature',
  )
  let stored = 0
  for (const [place, { id, least, most }] of expected.entries()) {
    const count = counts[place] ?? NaN
    if (!(count >= least && count <= most))
      throw new Error(`${id}: ${least} acknowledged, ${most} sent, but ${count} stored`)
    stored += count
  }
  const sent = report.connections.reduce((sum, connection) => sum + connection.sent, 0)
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
  reporter.note(
    `${report.messages} messages acknowledged, ${sent} sent, ${stored - written} stored: ` +
      `for each of ${expected.length} devices acknowledged ≤ stored ≤ sent (counted in ${seconds} s)`,
  )
}

function report(name: string, run: Figures): void {
  reporter.add(`${name}: messages replayed`, run.tailMessages, 'messages')
  reporter.add(`${name}: start to ready`, run.readySeconds, 's')
  reporter.add(`${name}: start to queries complete`, run.completeSeconds, 's')
  reporter.add(`${name}: slowest write while replaying`, run.writeMsMax, 'ms')
  reporter.add(`${name}: RSS, peak`, run.residentPeak / 2 ** 20, 'MiB')
}

for (let run = 0; run < RUNS; run++) {
  for (const variant of isQuick ? [LONG_TAIL] : [DEFAULTS, LONG_TAIL])
    report(variant.name, await measure(variant.config))
}
if (isQuick) reporter.note('the default settings are only measured in the full run')
reporter.finish()
