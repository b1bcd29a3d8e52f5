/**
 * How long from a reading over its threshold, published by MQTT, until the webhook is received, on
 * a cluster, quiet and beside 30,000 readings/s? Gateway, writer and two control processes are
 * processes of their own, beside Kafka, the job of Flink and PostgreSQL, all on this machine.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { TOPICS } from '../src/entries/entries.ts'
import { missingServices, openPlace, type ClusterPlace } from './cluster-place.ts'
import { prepareGenerator } from './generate.ts'
import { Histogram } from './histogram.ts'
import type { LoadClient } from './load.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { publishProbes } from './probes.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { WebhookReceiver } from './webhook-receiver.ts'
import { WeirServer } from './weir-server.ts'

const RUNS = numberFlag('runs', isQuick ? 1 : 3)
const PROBES = numberFlag('probes', isQuick ? 100 : 500)
const PROBES_PER_SECOND = numberFlag('per-second', 20)
const READINGS_PER_SECOND = numberFlag('readings', 30_000)
const [GATEWAYS, DEVICES] = [10, 2000]
/** The job has begun, and its code is warm; then the generator's. */
const [STARTED_MS, LOAD_WARM_UP_MS] = [20_000, 10_000]
/** Before the measured ones: connections, code and tables are warm. */
const WARM_UP_PROBES = 20
/** So that nothing is held back while latency is measured. */
const UNLIMITED = { messages: 10_000, per: '1m' }
/** What is promised, ms. */
const P95_MAX = 2000

const reporter = new Reporter(
  'alerts-cluster',
  'a reading over its threshold until the webhook, on a cluster',
)

async function measure({ config }: ClusterPlace): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const start = async (role: string): Promise<WeirServer> => {
    const server = await WeirServer.start({ config, role })
    opened.defer(() => server.stop())
    return server
  }
  const control = await start('control')
  // Whichever of the two has the lease.
  await start('control')
  for (const role of ['stream', 'writer']) await start(role)
  const gateway = await start('gateway')
  const receiver = await WebhookReceiver.start()
  opened.defer(() => receiver.stop())
  const channels = [{ type: 'webhook', url: receiver.url, secret: receiver.secret }]
  const operator = { name: 'operator', channels, rate_limit: UNLIMITED }
  const { status, body } = await control.call('POST', '/v1/recipients', operator)
  if (status !== 201) throw new Error(`POST /v1/recipients answered ${status}: ${body}`)
  await delay(STARTED_MS)
  const warmUp = await registerProbes(control, 'warm-up', WARM_UP_PROBES)
  await breach(gateway, receiver, warmUp)
  await probe({ control, gateway, receiver }, 'quiet')
  const { clients } = await control.registerFleet(GATEWAYS, DEVICES)
  const generation = await prepareGenerator({
    ...{ protocol: 'mqtt', window: 200, messagesPerPacket: 1, port: gateway.mqttPort, clients },
    seconds: (LOAD_WARM_UP_MS + (PROBES / PROBES_PER_SECOND) * 1000) / 1000 + 8,
    rate: READINGS_PER_SECOND / METRICS_PER_MESSAGE,
    ...{ seed: 1, warmUpMs: LOAD_WARM_UP_MS },
  })
  generation.start()
  await delay(LOAD_WARM_UP_MS)
  await probe({ control, gateway, receiver }, 'busy')
  const report = await generation.report
  reporter.add('busy: readings', report.rate * METRICS_PER_MESSAGE, 'readings/s')
  if (receiver.refused > 0) throw new Error(`${receiver.refused} webhooks were not signed right`)
}

async function probe(
  at: { control: WeirServer; gateway: WeirServer; receiver: WebhookReceiver },
  title: string,
): Promise<void> {
  const probes = await registerProbes(at.control, title, PROBES)
  const toWebhook = await breach(at.gateway, at.receiver, probes)
  for (const share of [0.5, 0.95, 0.99]) {
    const name = `${title}: reading to webhook, p${share * 100}`
    reporter.add(name, toWebhook.percentile(share), 'ms')
  }
  if (toWebhook.percentile(0.95) > P95_MAX) throw new Error(`p95 is beyond ${P95_MAX} ms`)
}

/** Probes behind a gateway of their own; each breaches once. */
async function registerProbes(
  server: WeirServer,
  name: string,
  count: number,
): Promise<LoadClient> {
  const [secret = ''] = await server.register([{ id: name, type: 'generic', gateway: true }])
  const devices = Array.from({ length: count }, (_, i) => `${name}-${String(i).padStart(6, '0')}`)
  await server.register(devices.map((id) => ({ id, type: 'probe', parent: name })))
  return { name, secret, devices }
}

async function breach(
  gateway: WeirServer,
  receiver: WebhookReceiver,
  probes: LoadClient,
): Promise<Histogram> {
  const [toEvent, toPuback] = [new Histogram(), new Histogram()]
  const missing = await publishProbes(gateway, probes, {
    ...{ intervalMs: 1000 / PROBES_PER_SECOND, toEvent, toPuback },
    async listen(fired) {
      receiver.onWebhook = ({ deviceId }) => fired(deviceId)
      return { stop: () => (receiver.onWebhook = undefined) }
    },
  })
  if (missing > 0) throw new Error(`${missing} webhooks never came`)
  return toEvent
}

const missing = missingServices(['kafka', 'postgres', 'flink'])
if (missing.length > 0) {
  reporter.note(`left out: ${missing.join(' and ')} does not run (npm run cluster:up)`)
}
for (let run = 0; run < RUNS && missing.length === 0; run++) {
  const more = { alerts: { allowPrivateWebhooks: true } }
  const place = await openPlace(`alerts_${run}`, { more, hasStream: true })
  try {
    for (const kind of TOPICS) await place.makeTopic(kind)
    await measure(place)
  } finally {
    await place.close()
  }
}
reporter.finish()
