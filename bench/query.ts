/**
 * How long does it take to be shown a day of one series, 8,640 readings, when 10,000 devices have
 * one? The day is published over MQTT and merged; then another device is asked for each time, one
 * question after the other, and again while other devices send 100,000 readings a second.
 *
 * `--days 90` spreads as many readings over 90 days of 100 devices. A series has 777,600 then, of
 * which an answer shows the 10,000 that keep its shape; and there are averages of its hours, which
 * are to be summed up first.
 *
 * `--days 1095 --interval 60 --devices 50`: three years, most of them in the cold tier, which is a
 * bucket with WEIR_COLD_BUCKET and its like. It waits until everything is in its tier.
 */
import { fileURLToPath } from 'node:url'
import { addPercentiles, ask, askBeside } from './asking.ts'
import { jitterMs } from './day.ts'
import { fillStore, untilSummedUp } from './filling.ts'
import { Histogram } from './histogram.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const PIPELINE = fileURLToPath(new URL('./day.pipeline.yaml', import.meta.url))
const DAYS = numberFlag('days', 1)
const GATEWAYS = 50
/** As many for each gateway, and as many readings for one day as for 90. */
const DEVICES =
  GATEWAYS * Math.round(numberFlag('devices', (isQuick ? 1000 : 10_000) / DAYS) / GATEWAYS)
const INTERVAL_MS = numberFlag('interval', 10) * 1000
const READINGS = (DAYS * 86_400_000) / INTERVAL_MS
const POINTS_MAX = 10_000
const STEP_HOURS = DAYS > 90 ? 24 : 1
const SPAN = DAYS === 1 ? 'a day' : `${DAYS} days`
const QUERIES = numberFlag('queries', isQuick ? 200 : 500)
const WARM_UP_QUERIES = 30
const INGEST_RATE = numberFlag('rate', 100_000)
const INGEST_SECONDS = numberFlag('seconds', isQuick ? 6 : 20)
/** Readings that are older may be cold; a month goes when all of it is. */
const WARM_DAYS = 90
const MONTH_DAYS = 31
const TIERED_MS_MAX = 1_800_000

const reporter = new Reporter(
  DAYS === 1 ? 'query' : `query-${DAYS}-days`,
  `${SPAN} of one series out of ${DEVICES}, ${DAYS === 1 ? 'raw' : `at ${POINTS_MAX} points`}`,
)
const startMs = Math.floor(Date.now() / INTERVAL_MS) * INTERVAL_MS - (READINGS + 1) * INTERVAL_MS

interface Tier {
  tier: string
  files: number
  rows: number
  bytes: number
  oldest: number | null
}

async function untilTiered(server: WeirServer): Promise<void> {
  const startMs = performance.now()
  const coldMs = Date.now() - (WARM_DAYS + MONTH_DAYS) * 86_400_000
  for (;;) {
    const { body } = await server.call('GET', '/v1/storage')
    const { tiers } = JSON.parse(body) as { tiers: Tier[] }
    const isDone = tiers.every(
      ({ tier, oldest }) => /cold|rollups/.test(tier) || (oldest ?? Infinity) >= coldMs,
    )
    if (isDone) {
      reporter.add('until it is cold', (performance.now() - startMs) / 1000, 's')
      for (const { tier, rows, bytes } of tiers.filter(({ rows }) => rows > 0))
        reporter.add(`${tier}, a row`, bytes / rows, 'bytes')
      return
    }
    if (performance.now() - startMs > TIERED_MS_MAX) throw new Error(`still not cold: ${body}`)
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
}

interface Answer {
  points: [number, number][]
  meta: { resolution_ms: number }
}

let asked = 0

/**
 * One device after the other, and a second earlier each time: an answer that is kept of an equal
 * question is of no use here. Nothing was said before the first.
 */
async function askNext(server: WeirServer, into: Histogram, hourly = false): Promise<void> {
  const device = (asked++ * 7919 + 13) % DEVICES
  const id = `d${String(device).padStart(String(DEVICES).length, '0')}`
  const span = `start=${startMs - asked * 1000}&end=${startMs + READINGS * INTERVAL_MS}`
  const how = hourly ? `&agg=avg&step=${STEP_HOURS}h` : ''
  const path = `/v1/query?device_id=${id}&metric=temperature&${span}${how}`
  const body = await ask(server, path, into)
  if (asked % 50 !== 1) return
  if (hourly) checkHours(JSON.parse(body) as Answer)
  else check(JSON.parse(body) as Answer, device)
}

async function time(server: WeirServer, hourly = false): Promise<Histogram> {
  for (let query = 0; query < WARM_UP_QUERIES; query++) {
    await askNext(server, new Histogram(), hourly)
  }
  const histogram = new Histogram()
  for (let query = 0; query < QUERIES; query++) await askNext(server, histogram, hourly)
  return histogram
}

/** All readings of the span are in the answer, at their times; of too many those that are shown. */
function check({ points, meta }: Answer, device: number): void {
  const gateway = device % GATEWAYS
  const number = gateway * (DEVICES / GATEWAYS) + Math.floor(device / GATEWAYS)
  const readingAt = (ms: number): number => Math.floor((ms - startMs) / INTERVAL_MS)
  const isRight = points.every(([ms], at) => {
    const reading = READINGS > POINTS_MAX ? readingAt(ms) : at
    return ms === startMs + reading * INTERVAL_MS + jitterMs(number, reading)
  })
  // Of each stretch up to four, and at least half as many stretches as would fit.
  const least = Math.min(READINGS, POINTS_MAX / 3)
  const most = Math.min(READINGS, POINTS_MAX)
  if (points.length < least || points.length > most || !isRight)
    throw new Error(
      `${points.length} points at ${meta.resolution_ms} ms: not the span that was sent`,
    )
}

function checkHours({ points }: Answer): void {
  const isRight = points.every(([, value]) => value > -40 && value < 150)
  if (Math.abs(points.length - (DAYS * 24) / STEP_HOURS) > 1 || !isRight)
    throw new Error(`${points.length} hours: not the span that was sent`)
}

// Everything is to be in segments soon after the last reading, so commits come often.
const env = { WEIR_STREAM_CHECKPOINT_INTERVAL: '10s' }
let server = await WeirServer.start({ pipeline: PIPELINE, env })
try {
  const day = await server.registerFleet(GATEWAYS, DEVICES, { type: 'thermometer' })
  await fillStore(reporter, server, {
    ...{ clients: day.clients, startMs, readings: READINGS, intervalMs: INTERVAL_MS },
    ...{ messagesPerPacket: 60, window: 8 },
  })
  const segments = (await server.metrics()).get('weir_storage_segments')
  reporter.add('segments', segments ?? NaN, 'files')
  if (DAYS > 1) await untilSummedUp(reporter, server, startMs + READINGS * INTERVAL_MS)
  if (DAYS > WARM_DAYS + MONTH_DAYS) {
    // A process that starts looks at once, and then every ten minutes.
    await server.halt()
    server = await server.restart()
    await untilTiered(server)
  }
  addPercentiles(reporter, `${SPAN} of one series`, await time(server))
  addPercentiles(reporter, `averages of ${SPAN} by ${STEP_HOURS} h`, await time(server, true))
  const { clients } = await server.registerFleet(20, 1000, { prefix: 'load-' })
  const load = { clients, rate: INGEST_RATE, seconds: INGEST_SECONDS }
  const busy = new Histogram()
  await askBeside({ reporter, server, load }, () => askNext(server, busy))
  addPercentiles(reporter, `${SPAN} of one series, while ingesting`, busy)
} finally {
  await server.stop()
}
reporter.finish()
