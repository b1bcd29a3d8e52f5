/**
 * How long does it take to be told the latest value of each of 10,000 devices, in one answer? One
 * question after the other; and again while these devices send 100,000 readings a second, so that
 * every answer is another. The time ends with the last byte of the answer; nothing is kept from one
 * to the next.
 */
import { addPercentiles, ask, askBeside } from './asking.ts'
import { Histogram } from './histogram.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { WeirServer, type Fleet } from './weir-server.ts'

const GATEWAYS = 50
/** As many for each gateway; one answer holds 10,000. */
const DEVICES = GATEWAYS * Math.round(numberFlag('devices', 10_000) / GATEWAYS)
const QUERIES = numberFlag('queries', 200)
const WARM_UP_QUERIES = 30
const INGEST_RATE = numberFlag('rate', 100_000)
const INGEST_SECONDS = numberFlag('seconds', isQuick ? 6 : 20)
const MESSAGES_PER_BATCH = 1000
const STORED_MS_MAX = 30_000
const PATH = `/v1/latest?metric=temperature&limit=${DEVICES}`

const reporter = new Reporter('latest', `the latest value of ${DEVICES} devices, in one answer`)

/** One message of each device. */
async function fill(server: WeirServer, { clients }: Fleet): Promise<void> {
  const ids = clients.flatMap(({ devices }) => devices)
  for (let at = 0; at < ids.length; at += MESSAGES_PER_BATCH) {
    const batch = ids.slice(at, at + MESSAGES_PER_BATCH)
    const metrics = { temperature: 21.5, pressure: 1013.25, vibration: 1.25 }
    const messages = batch.map((device) => ({ device, metrics }))
    const { status, body } = await server.call('POST', '/v1/telemetry', messages)
    if (status !== 200) throw new Error(`telemetry answered ${status}: ${body.slice(0, 500)}`)
  }
  const sent = ids.length * METRICS_PER_MESSAGE
  const stored = await server.untilStored(sent, STORED_MS_MAX)
  if (stored !== sent) throw new Error(`${sent} readings were acknowledged, ${stored} stored`)
}

interface Answer {
  items: { device_id: string; ts: number; value: number }[]
  next: string | null
}

/** Every answer is checked, outside of the time that counts. */
async function askOnce(server: WeirServer, sinceMs: number, into: Histogram): Promise<void> {
  check(JSON.parse(await ask(server, PATH, into)) as Answer, sinceMs)
}

/** Each device once, in order, and no value older than that. */
function check({ items, next }: Answer, sinceMs: number): void {
  const isRight = items.every(
    ({ device_id: id, ts, value }, at) =>
      (at === 0 || items[at - 1]!.device_id < id) && ts >= sinceMs && Number.isFinite(value),
  )
  if (items.length !== DEVICES || next !== null || !isRight)
    throw new Error(`${items.length} items, next ${next}: not the latest of ${DEVICES} devices`)
}

const server = await WeirServer.start()
try {
  const fleet = await server.registerFleet(GATEWAYS, DEVICES)
  const filledMs = Date.now()
  await fill(server, fleet)
  const cold = new Histogram()
  for (let query = 0; query < WARM_UP_QUERIES; query++) await askOnce(server, filledMs, cold)
  const quiet = new Histogram()
  for (let query = 0; query < QUERIES; query++) await askOnce(server, filledMs, quiet)
  addPercentiles(reporter, `the latest of ${DEVICES} devices`, quiet)
  const load = { clients: fleet.clients, rate: INGEST_RATE, seconds: INGEST_SECONDS }
  const busy = new Histogram()
  await askBeside({ reporter, server, load }, () => askOnce(server, filledMs, busy))
  addPercentiles(reporter, `the latest of ${DEVICES} devices, while ingesting`, busy)
} finally {
  await server.stop()
}
reporter.finish()
