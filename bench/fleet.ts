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
import { sendDay } from './day.ts'
import { prepareGenerator } from './generate.ts'
import { Histogram } from './histogram.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
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
const STORED_MS_MAX = 240_000
const HOUR_MS = 3_600_000
const SUMMED_UP_MS_MAX = 900_000

const reporter = new Reporter('fleet', `${DAYS} days of ${DEVICES} devices, averages of their type`)
const startMs = Math.floor(Date.now() / INTERVAL_MS) * INTERVAL_MS - (READINGS + 1) * INTERVAL_MS
const endMs = startMs + READINGS * INTERVAL_MS

interface Answer {
  groups: { group: Record<string, string>; points: [number, number][] }[]
  meta: { tiers: string[]; segments_read: number }
}

async function ask(server: WeirServer, how: string, from = startMs): Promise<Answer> {
  const path = `/v1/query?metric=temperature&start=${from}&end=${endMs}&${how}`
  const { status, body } = await server.call('GET', path)
  if (status !== 200) throw new Error(`the query answered ${status}: ${body.slice(0, 500)}`)
  return JSON.parse(body) as Answer
}

/** Every reading of the span is counted once then. */
async function untilSummedUp(server: WeirServer): Promise<void> {
  const beganMs = performance.now()
  // What is not over yet are the last hour, and the lateness that is allowed.
  const untilMs = Math.floor(endMs / HOUR_MS) * HOUR_MS - 2 * HOUR_MS
  for (;;) {
    const summedUp = (await server.metrics()).get('weir_storage_summed_up_timestamp_seconds') ?? 0
    if (summedUp * 1000 >= untilMs) break
    if (performance.now() - beganMs > SUMMED_UP_MS_MAX) throw new Error(`up to ${summedUp} only`)
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
  reporter.add('until it is summed up', (performance.now() - beganMs) / 1000, 's')
  const { groups } = await ask(server, 'agg=count&step=1h&group_by=type')
  const total = groups.flatMap(({ points }) => points).reduce((sum, [, count]) => sum + count, 0)
  const sent = DEVICES * READINGS
  if (total !== sent) throw new Error(`${sent} readings were stored, ${total} counted`)
}

async function time(
  server: WeirServer,
  how: string,
  { count, from, groups }: { count: number; from?: number; groups: number },
): Promise<Histogram> {
  const histogram = new Histogram()
  for (let query = 0; query < count; query++) {
    const askedMs = performance.now()
    const answer = await ask(server, how, from)
    histogram.add(performance.now() - askedMs, 1)
    const found = answer.groups.length
    if (found !== groups) throw new Error(`${found} groups, not ${groups}: ${how}`)
  }
  return histogram
}

function report(name: string, histogram: Histogram): void {
  for (const percent of [50, 95]) {
    reporter.add(`${name}, p${percent}`, histogram.percentile(percent / 100), 'ms')
  }
}

const BY_TYPE = 'agg=avg&step=1h&group_by=type'
// Everything is to be in segments soon after the last reading, so commits come often.
const env = { WEIR_STREAM_CHECKPOINT_INTERVAL: '10s' }
const server = await WeirServer.start({ pipeline: PIPELINE, env })
try {
  const { clients } = await server.registerFleet(1, DEVICES, { type: 'thermometer' })
  const filledMs = performance.now()
  await sendDay({
    ...{ port: server.mqttPort, clients, startMs, readings: READINGS, intervalMs: INTERVAL_MS },
    ...{ messagesPerPacket: Math.max(1, Math.floor(1_800_000 / INTERVAL_MS)), window: 1000 },
  })
  const sent = DEVICES * READINGS
  const stored = await server.untilStored(sent, STORED_MS_MAX)
  if (stored !== sent) throw new Error(`${sent} readings were acknowledged, ${stored} stored`)
  reporter.add('filling the store', (sent / (performance.now() - filledMs)) * 1000, 'readings/s')
  reporter.add('readings', sent, 'readings')
  await server.untilInSegments(STORED_MS_MAX)
  await untilSummedUp(server)
  await server.untilMerged(STORED_MS_MAX)
  await time(server, BY_TYPE, { count: 5, groups: 1 })
  const quiet = await time(server, BY_TYPE, { count: QUERIES, groups: 1 })
  report(`averages of types by the hour, ${DAYS} days`, quiet)
  report(
    `averages of all by the day, ${DAYS} days`,
    await time(server, 'agg=avg&step=1d', { count: QUERIES, groups: 1 }),
  )
  const day = { count: Math.ceil(QUERIES / 10), from: endMs - 86_400_000 }
  report(
    'averages of each device by the hour, a day',
    await time(server, 'agg=avg&step=1h&group_by=device', {
      ...{ ...day, groups: DEVICES },
    }),
  )
  const others = await server.registerFleet(20, 1000, { prefix: 'load-' })
  const load = await prepareGenerator({
    ...{ protocol: 'mqtt', port: server.mqttPort, clients: others.clients, window: 200, seed: 1 },
    ...{ messagesPerPacket: 1, warmUpMs: 0, seconds: INGEST_SECONDS },
    rate: INGEST_RATE / METRICS_PER_MESSAGE,
  })
  load.start()
  const busy = new Histogram()
  const untilMs = performance.now() + INGEST_SECONDS * 1000
  // The others are a type of their own, of which nothing is in the span.
  while (performance.now() < untilMs) {
    const askedMs = performance.now()
    await ask(server, BY_TYPE)
    busy.add(performance.now() - askedMs, 1)
  }
  const { rate } = await load.report
  reporter.add('ingest meanwhile', rate * METRICS_PER_MESSAGE, 'readings/s')
  report(`averages of types by the hour, ${DAYS} days, while ingesting`, busy)
} finally {
  await server.stop()
}
reporter.finish()
