/**
 * How long from a reading over its threshold, published by MQTT, until the webhook is received, on
 * a cluster: gateway, stream and two control processes are processes of their own, beside Kafka and
 * PostgreSQL, all on this machine.
 */
import { TOPICS } from '../src/entries/entries.ts'
import { missingServices, openPlace, type ClusterPlace } from './cluster-place.ts'
import { Histogram } from './histogram.ts'
import type { LoadClient } from './load.ts'
import { publishProbes } from './probes.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { WebhookReceiver } from './webhook-receiver.ts'
import { WeirServer } from './weir-server.ts'

const RUNS = numberFlag('runs', isQuick ? 1 : 3)
const PROBES = numberFlag('probes', isQuick ? 100 : 500)
const PROBES_PER_SECOND = numberFlag('per-second', 20)
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
  await start('stream')
  const gateway = await start('gateway')
  const receiver = await WebhookReceiver.start()
  opened.defer(() => receiver.stop())
  const channels = [{ type: 'webhook', url: receiver.url, secret: receiver.secret }]
  const operator = { name: 'operator', channels, rate_limit: UNLIMITED }
  const { status, body } = await control.call('POST', '/v1/recipients', operator)
  if (status !== 201) throw new Error(`POST /v1/recipients answered ${status}: ${body}`)
  const warmUp = await registerProbes(control, 'warm-up', WARM_UP_PROBES)
  const probes = await registerProbes(control, 'probe', PROBES)
  await breach(gateway, receiver, warmUp)
  const toWebhook = await breach(gateway, receiver, probes)
  for (const share of [0.5, 0.95, 0.99]) {
    reporter.add(`reading to webhook, p${share * 100}`, toWebhook.percentile(share), 'ms')
  }
  if (receiver.refused > 0) throw new Error(`${receiver.refused} webhooks were not signed right`)
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

const missing = missingServices(['kafka', 'postgres'])
if (missing.length > 0) {
  reporter.note(`left out: ${missing.join(' and ')} does not run (npm run cluster:up)`)
}
for (let run = 0; run < RUNS && missing.length === 0; run++) {
  const place = await openPlace(`alerts_${run}`, { alerts: { allowPrivateWebhooks: true } })
  try {
    for (const kind of TOPICS) await place.makeTopic(kind)
    await measure(place)
  } finally {
    await place.close()
  }
}
reporter.finish()
