/**
 * What did a fleet do? 10,000 devices of a type have 90 days of readings, one every hour; asked is
 * the average of the type by the hour over all of it, of all by the day, of each device over the
 * last day, and the first again while other devices send 100,000 readings a second.
 *
 * What a whole type did in an hour is summed up when the hour is over; filled within a minute or
 * two, all of it is then: it waits for that first. One connection sends all in the order of time:
 * of several the slower ones would be late by days, and all of it would be summed up again.
 */
import { fileURLToPath } from 'node:url'
import { addPercentiles, ask, askBeside } from './asking.ts'
import { fillStore, untilSummedUp } from './filling.ts'
import { Histogram } from './histogram.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const PIPELINE = fileURLToPath(new URL('./day.pipeline.yaml', import.meta.url))
const DEVICES = numberFlag('devices', isQuick ? 1000 : 10_000)
const DAYS = numberFlag('days', isQuick ? 10 : 90)
const INTERVAL_MS = numberFlag('interval', 3600) * 1000
const READINGS = (DAYS * 86_400_000) / INTERVAL_MS
const QUERIES = numberFlag('queries', isQuick ? 20 : 100)
const INGEST_RATE = numberFlag('rate', 100_000)
const INGEST_SECONDS = numberFlag('seconds', isQuick ? 6 : 20)

const reporter = new Reporter('fleet', `${DAYS} days of ${DEVICES} devices, averages of their type`)
const startMs = Math.floor(Date.now() / INTERVAL_MS) * INTERVAL_MS - (READINGS + 1) * INTERVAL_MS
const endMs = startMs + READINGS * INTERVAL_MS

interface Answer {
  groups: { group: Record<string, string>; points: [number, number][] }[]
  meta: { tiers: string[]; segments_read: number }
}

const PERCENTS = [50, 95]
const HOUR_MS = 3_600_000
const ASKED = `/v1/query?metric=temperature&end=${endMs}`

let asked = 0

/**
 * An hour earlier each time: an answer that is kept of an equal question is of no use here. Nothing
 * was said before the first.
 */
const since = (fromMs: number): string => `&start=${fromMs - asked++ * HOUR_MS}`

/** Every reading of the span is counted once then. */
async function checkCounts(server: WeirServer): Promise<void> {
  const path = `${ASKED}&start=${startMs}&agg=count&step=1h&group_by=type`
  const { groups } = JSON.parse(await ask(server, path, new Histogram())) as Answer
  const total = groups.flatMap(({ points }) => points).reduce((sum, [, count]) => sum + count, 0)
  const sent = DEVICES * READINGS
  if (total !== sent) throw new Error(`${sent} readings were stored, ${total} counted`)
}

async function time(
  server: WeirServer,
  how: string,
  { count, from = startMs, groups }: { count: number; from?: number; groups: number },
): Promise<Histogram> {
  const histogram = new Histogram()
  for (let query = 0; query < count; query++) {
    const body = await ask(server, `${ASKED}${since(from)}&${how}`, histogram)
    const found = (JSON.parse(body) as Answer).groups.length
    if (found !== groups) throw new Error(`${found} groups, not ${groups}: ${how}`)
  }
  return histogram
}

const BY_TYPE = 'agg=avg&step=1h&group_by=type'
// Everything is to be in segments soon after the last reading, so commits come often.
const env = { WEIR_STREAM_CHECKPOINT_INTERVAL: '10s' }
const server = await WeirServer.start({ pipeline: PIPELINE, env })
try {
  const { clients } = await server.registerFleet(1, DEVICES, { type: 'thermometer' })
  await fillStore(reporter, server, {
    ...{ clients, startMs, readings: READINGS, intervalMs: INTERVAL_MS, window: 1000 },
    messagesPerPacket: Math.max(1, Math.floor(1_800_000 / INTERVAL_MS)),
  })
  await untilSummedUp(reporter, server, endMs)
  await checkCounts(server)
  await time(server, BY_TYPE, { count: 5, groups: 1 })
  const quiet = await time(server, BY_TYPE, { count: QUERIES, groups: 1 })
  addPercentiles(reporter, `averages of types by the hour, ${DAYS} days`, quiet, PERCENTS)
  const daily = await time(server, 'agg=avg&step=1d', { count: QUERIES, groups: 1 })
  addPercentiles(reporter, `averages of all by the day, ${DAYS} days`, daily, PERCENTS)
  asked = 0
  const minutes = { count: QUERIES, from: endMs - 86_400_000 + 17 * 60_000, groups: 1 }
  const fine = await time(server, 'agg=avg&step=5m&group_by=type', minutes)
  addPercentiles(reporter, 'averages of types by 5 minutes, a day and more', fine, PERCENTS)
  asked = 0
  const day = { count: Math.ceil(QUERIES / 10), from: endMs - 86_400_000 }
  const each = await time(server, 'agg=avg&step=1h&group_by=device', { ...day, groups: DEVICES })
  addPercentiles(reporter, 'averages of each device by the hour, a day', each, PERCENTS)
  const others = await server.registerFleet(20, 1000, { prefix: 'load-' })
  const load = { clients: others.clients, rate: INGEST_RATE, seconds: INGEST_SECONDS }
  const busy = new Histogram()
  // The others are a type of their own, of which nothing is in the span.
  await askBeside({ reporter, server, load }, () =>
    ask(server, `${ASKED}${since(startMs)}&${BY_TYPE}`, busy),
  )
  const name = `averages of types by the hour, ${DAYS} days, while ingesting`
  addPercentiles(reporter, name, busy, PERCENTS)
} finally {
  await server.stop()
}
reporter.finish()
