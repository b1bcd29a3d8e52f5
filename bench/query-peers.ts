/**
 * The same readings and the same questions to Weir and to other stores, one after the other on this
 * machine: a span of one series raw, its hours, the last value of every device, the average of the
 * fleet by the hour. Who is not started by `npm run cluster:up -- influxdb victoriametrics questdb
 * postgres` is absent. `--days 90 --devices 100`: as many readings of a longer span.
 *
 * Weir answers over HTTP with everything on; at most 10,000 points of a series are in one answer.
 */
import { fileURLToPath } from 'node:url'
import { accessOf } from '../test/cluster/cluster.ts'
import { addPercentiles, ask } from './asking.ts'
import { jitterMs } from './day.ts'
import { fillStore, untilSummedUp } from './filling.ts'
import { Histogram } from './histogram.ts'
import { PEER_STORES, type PeerStore, type SpanMs, type Stretch } from './peer-stores.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const PIPELINE = fileURLToPath(new URL('./day.pipeline.yaml', import.meta.url))
const DAYS = numberFlag('days', 1)
const DEVICES = numberFlag('devices', isQuick ? 200 : 10_000)
const INTERVAL_MS = numberFlag('interval', 10) * 1000
const READINGS = (DAYS * 86_400_000) / INTERVAL_MS
const QUERIES = numberFlag('queries', isQuick ? 20 : 100)
/** Questions about all devices. */
const FLEET_QUERIES = Math.ceil(QUERIES / 10)
const HOUR_MS = 3_600_000
const PER_STRETCH = 60
/** Of one request to a peer. */
const READINGS_AT_ONCE = 12_000
const PERCENTS = [50, 95]

const reporter = new Reporter(
  DAYS === 1 ? 'query-peers' : `query-peers-${DAYS}-days`,
  `${DAYS === 1 ? 'a day' : `${DAYS} days`} of ${DEVICES} devices, asked of Weir and of others`,
)
// Whole hours: not every store knows others.
const endMs = Math.floor(Date.now() / HOUR_MS) * HOUR_MS
const span: SpanMs = { startMs: endMs - READINGS * INTERVAL_MS, endMs }
const idOf = (device: number): string => `d${String(device).padStart(String(DEVICES).length, '0')}`

/** What devices send that are in turn with ten minutes or so each, as Weir gets it. */
function* readings(): Generator<Stretch[]> {
  const walks = new Float64Array(DEVICES).fill(2150)
  let random = 1
  let stretches: Stretch[] = []
  for (let first = 0; first < READINGS; first += PER_STRETCH) {
    for (let device = 0; device < DEVICES; device++) {
      const count = Math.min(PER_STRETCH, READINGS - first)
      const [times, values] = [new Float64Array(count), new Float64Array(count)]
      for (let at = 0; at < count; at++) {
        const reading = first + at
        times[at] = span.startMs + reading * INTERVAL_MS + jitterMs(device, reading)
        random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
        walks[device]! += (random >>> 28) - 7 - ((walks[device]! - 2150) >> 6)
        values[at] = walks[device]! / 100
      }
      stretches.push({ device: idOf(device), times, values, count })
      if (stretches.length * PER_STRETCH < READINGS_AT_ONCE) continue
      yield stretches
      stretches = []
    }
  }
  yield stretches
}

/** The questions; each says how many rows are right. */
async function askAll(
  name: string,
  questions: Pick<PeerStore, 'raw' | 'hours' | 'last' | 'fleetHours'>,
  { pointsMax = Infinity } = {},
): Promise<void> {
  let turn = 0
  const nextDevice = (): string => idOf((turn++ * 7919 + 13) % DEVICES)
  const hours = (DAYS * 86_400_000) / HOUR_MS
  const time = async (
    what: string,
    count: number,
    { rows, one }: { rows: [least: number, most: number]; one: () => Promise<number> },
  ): Promise<void> => {
    const histogram = new Histogram()
    for (let query = -Math.ceil(count / 10); query < count; query++) {
      const askedMs = performance.now()
      const found = await one()
      if (query >= 0) histogram.add(performance.now() - askedMs)
      if (found < rows[0] || found > rows[1]) throw new Error(`${name}, ${what}: ${found} rows`)
    }
    addPercentiles(reporter, `${name}, ${what}`, histogram, PERCENTS)
  }
  const raw = Math.min(READINGS, pointsMax)
  await time('one series', QUERIES, {
    rows: [Math.min(raw, READINGS > pointsMax ? raw / 2 : raw), raw],
    one: () => questions.raw(nextDevice(), span),
  })
  await time('its hours', QUERIES, {
    rows: [hours, hours + 1],
    one: () => questions.hours(nextDevice(), span),
  })
  await time('last values', FLEET_QUERIES, {
    rows: [DEVICES, DEVICES],
    one: () => questions.last(span),
  })
  await time('the fleet by the hour', FLEET_QUERIES, {
    rows: [hours, hours + 1],
    one: () => questions.fleetHours(span),
  })
}

async function askPeer(store: PeerStore): Promise<void> {
  await store.create()
  const beganMs = performance.now()
  let sent = 0
  for (const stretches of readings()) {
    await store.write(stretches)
    sent += stretches.reduce((sum, { count }) => sum + count, 0)
  }
  await store.settle()
  const seconds = (performance.now() - beganMs) / 1000
  reporter.add(`${store.name}, filling`, sent / seconds, 'readings/s')
  await askAll(store.name, store)
  await store.close()
}

interface Answer {
  points: unknown[]
  items: unknown[]
  groups: { points: unknown[] }[]
}

async function askWeir(): Promise<void> {
  const env = { WEIR_STREAM_CHECKPOINT_INTERVAL: '10s' }
  const server = await WeirServer.start({ pipeline: PIPELINE, env })
  const given = async (path: string): Promise<Answer> =>
    JSON.parse(await ask(server, path, new Histogram())) as Answer
  const within = `metric=temperature&start=${span.startMs}&end=${span.endMs}`
  try {
    const { clients } = await server.registerFleet(1, DEVICES, { type: 'thermometer' })
    await fillStore(reporter, server, {
      ...{ clients, startMs: span.startMs, readings: READINGS, intervalMs: INTERVAL_MS },
      ...{ messagesPerPacket: PER_STRETCH, window: 1000 },
    })
    await untilSummedUp(reporter, server, endMs)
    await askAll(
      'Weir',
      {
        raw: async (device) =>
          (await given(`/v1/query?device_id=${device}&${within}`)).points.length,
        hours: async (device) =>
          (await given(`/v1/query?device_id=${device}&${within}&agg=avg&step=1h`)).points.length,
        last: async () =>
          (await given(`/v1/latest?metric=temperature&limit=${DEVICES}`)).items.length,
        fleetHours: async () =>
          (await given(`/v1/query?${within}&agg=avg&step=1h`)).groups[0]!.points.length,
      },
      { pointsMax: 10_000 },
    )
  } finally {
    await server.stop()
  }
}

await askWeir()
for (const [name, open] of Object.entries(PEER_STORES)) {
  const access = accessOf(name)
  if (access === undefined) reporter.note(`${name} is not started, so it is absent`)
  else await askPeer(open(access))
}
reporter.finish()
