/**
 * How long does it take to be shown a day of one series, 8,640 readings, when 10,000 devices have
 * one? The day is published over MQTT and merged; then another device is asked for each time, one
 * question after the other, and again while other devices send 100,000 readings a second.
 *
 * `--days 90` spreads as many readings over 90 days of 100 devices. A series has 777,600 then, of
 * which an answer shows the 10,000 that keep its shape; and there are averages of its hours.
 *
 * `--days 1095 --interval 60 --devices 50`: three years, most of them in the cold tier, which is a
 * bucket with WEIR_COLD_BUCKET and its like. It waits until everything is in its tier.
 */
import { fileURLToPath } from 'node:url'
import { jitterMs, sendDay } from './day.ts'
import { prepareGenerator } from './generate.ts'
import { Histogram } from './histogram.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { WeirServer, type Fleet } from './weir-server.ts'

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
const STORED_MS_MAX = 120_000
const MERGED_MS_MAX = 120_000
/** Readings that are older may be cold; a month goes when all of it is. */
const WARM_DAYS = 90
const MONTH_DAYS = 31
const TIERED_MS_MAX = 1_800_000

const reporter = new Reporter(
  DAYS === 1 ? 'query' : `query-${DAYS}-days`,
  `${SPAN} of one series out of ${DEVICES}, ${DAYS === 1 ? 'raw' : `at ${POINTS_MAX} points`}`,
)
const startMs = Math.floor(Date.now() / INTERVAL_MS) * INTERVAL_MS - (READINGS + 1) * INTERVAL_MS

async function fill(server: WeirServer, { clients }: Fleet): Promise<void> {
  const sentMs = performance.now()
  await sendDay({
    ...{ port: server.mqttPort, clients, startMs, readings: READINGS, intervalMs: INTERVAL_MS },
    ...{ messagesPerPacket: 60, window: 8 },
  })
  const sent = DEVICES * READINGS
  const stored = await server.untilStored(sent, STORED_MS_MAX)
  if (stored !== sent) throw new Error(`${sent} readings were acknowledged, ${stored} stored`)
  const seconds = (performance.now() - sentMs) / 1000
  reporter.add('filling the store', sent / seconds, 'readings/s')
  await server.untilInSegments(STORED_MS_MAX)
  await server.untilMerged(MERGED_MS_MAX)
  const metrics = await server.metrics()
  reporter.add('readings', sent, 'readings')
  reporter.add('segments', metrics.get('weir_storage_segments') ?? NaN, 'files')
}

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

/** One device after the other, in an order that no cache likes. */
async function ask(
  server: WeirServer,
  count: number,
  { into = new Histogram(), hourly = false } = {},
): Promise<Histogram> {
  const width = String(DEVICES).length
  const endMs = startMs + READINGS * INTERVAL_MS
  for (let query = 0; query < count; query++) {
    const device = (query * 7919 + 13) % DEVICES
    const id = `d${String(device).padStart(width, '0')}`
    const path = `/v1/query?device_id=${id}&metric=temperature&start=${startMs}&end=${endMs}`
    const how = hourly ? `&agg=avg&step=${STEP_HOURS}h` : ''
    const askedMs = performance.now()
    const { status, body } = await server.call('GET', path + how)
    into.add(performance.now() - askedMs, 1)
    if (status !== 200) throw new Error(`the query answered ${status}: ${body.slice(0, 500)}`)
    if (query % 50 !== 0) continue
    if (hourly) checkHours(JSON.parse(body) as Answer)
    else check(JSON.parse(body) as Answer, device)
  }
  return into
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
  const least = Math.min(READINGS, POINTS_MAX / 2)
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

function report(name: string, histogram: Histogram): void {
  for (const percent of [50, 95, 99])
    reporter.add(`${name}, p${percent}`, histogram.percentile(percent / 100), 'ms')
}

// Everything is to be in segments soon after the last reading, so commits come often.
const env = { WEIR_STREAM_CHECKPOINT_INTERVAL: '10s' }
let server = await WeirServer.start({ pipeline: PIPELINE, env })
try {
  const day = await server.registerFleet(GATEWAYS, DEVICES, { type: 'thermometer' })
  await fill(server, day)
  if (DAYS > WARM_DAYS + MONTH_DAYS) {
    // A process that starts looks at once, and then every ten minutes.
    await server.halt()
    server = await server.restart()
    await untilTiered(server)
  }
  await ask(server, WARM_UP_QUERIES)
  report(`${SPAN} of one series`, await ask(server, QUERIES))
  await ask(server, WARM_UP_QUERIES, { hourly: true })
  report(`averages of ${SPAN} by ${STEP_HOURS} h`, await ask(server, QUERIES, { hourly: true }))
  const others = await server.registerFleet(20, 1000, { prefix: 'load-' })
  const load = await prepareGenerator({
    ...{ protocol: 'mqtt', port: server.mqttPort, clients: others.clients, window: 200, seed: 1 },
    ...{ messagesPerPacket: 1, warmUpMs: 0, seconds: INGEST_SECONDS },
    rate: INGEST_RATE / METRICS_PER_MESSAGE,
  })
  load.start()
  const busy = new Histogram()
  const untilMs = performance.now() + INGEST_SECONDS * 1000
  while (performance.now() < untilMs) await ask(server, 10, { into: busy })
  const { rate } = await load.report
  reporter.add('ingest meanwhile', rate * METRICS_PER_MESSAGE, 'readings/s')
  report(`${SPAN} of one series, while ingesting`, busy)
} finally {
  await server.stop()
}
reporter.finish()
