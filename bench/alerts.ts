/**
 * How long from a reading over its threshold, published by MQTT, until the webhook is received:
 * quiet, and beside 300,000 readings/s? And what does a storm of 10,000 alerts do to a recipient,
 * and to a critical alert of another rule in the middle of it?
 */
import { prepareGenerator } from './generate.ts'
import { Histogram } from './histogram.ts'
import type { LoadClient, LoadJob } from './load.ts'
import { publishProbes } from './probes.ts'
import { isQuick, numberFlag, Reporter } from './report.ts'
import { WebhookReceiver } from './webhook-receiver.ts'
import { WeirServer } from './weir-server.ts'

const RUNS = numberFlag('runs', isQuick ? 1 : 3)
const PROBES = numberFlag('probes', isQuick ? 100 : 500)
const READINGS_PER_SECOND = numberFlag('readings', 300_000)
const READINGS_PER_MESSAGE = 3
const STORM_ALERTS = numberFlag('storm', 10_000)
const STORM_SECONDS = 10
const PROBES_PER_SECOND = 20
const GATEWAYS = 50
const DEVICES = 10_000
const WARM_UP_MS = 3000
/** So that nothing is held back while latency is measured. */
const UNLIMITED = { messages: 10_000, per: '1m' }
/** What a recipient gets in a storm. */
const LIMIT = { messages: 5, per: '1m' }

const reporter = new Reporter(
  'alerts',
  'a reading over its threshold until the webhook, and storms',
)

async function call(
  server: WeirServer,
  method: string,
  path: string,
  json: unknown,
): Promise<unknown> {
  const { status, body } = await server.call(method, path, json)
  if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${body}`)
  return body === '' ? undefined : JSON.parse(body)
}

function addRecipient(
  server: WeirServer,
  { url, secret }: WebhookReceiver,
  rate_limit: object,
): Promise<unknown> {
  const recipient = { name: 'operator', channels: [{ type: 'webhook', url, secret }], rate_limit }
  return call(server, 'POST', '/v1/recipients', recipient)
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

async function probe(
  server: WeirServer,
  receiver: WebhookReceiver,
  { name, title }: { name: string; title: string },
): Promise<void> {
  const probes = await registerProbes(server, name, PROBES)
  const [toEvent, toPuback] = [new Histogram(), new Histogram()]
  const missing = await publishProbes(server, probes, {
    ...{ intervalMs: 1000 / PROBES_PER_SECOND, toEvent, toPuback },
    async listen(fired) {
      receiver.onWebhook = ({ deviceId }) => fired(deviceId)
      return { stop: () => (receiver.onWebhook = undefined) }
    },
  })
  if (missing > 0) throw new Error(`${missing} webhooks never came`)
  const { p50, p99 } = toEvent.summary()
  reporter.add(`${title}: reading to webhook, p50`, p50, 'ms')
  reporter.add(`${title}: reading to webhook, p99`, p99, 'ms')
}

async function measureLatency(): Promise<void> {
  const [server, receiver] = await Promise.all([startServer(), WebhookReceiver.start()])
  try {
    await addRecipient(server, receiver, UNLIMITED)
    await probe(server, receiver, { name: 'quiet', title: 'quiet' })
    const { clients } = await server.registerFleet(GATEWAYS, DEVICES)
    const seconds = PROBES / PROBES_PER_SECOND + WARM_UP_MS / 1000 + 8
    const rate = READINGS_PER_SECOND / READINGS_PER_MESSAGE
    const generation = await prepareGenerator(job(server.mqttPort, clients, { seconds, rate }))
    generation.start()
    await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS))
    await probe(server, receiver, { name: 'busy', title: 'busy' })
    const report = await generation.report
    reporter.add('busy: readings', report.rate * READINGS_PER_MESSAGE, 'readings/s')
    if (receiver.refused > 0) throw new Error(`${receiver.refused} webhooks were not signed right`)
  } finally {
    receiver.stop()
    await server.stop()
  }
}

function job(
  port: number,
  clients: LoadClient[],
  { seconds, rate }: { seconds: number; rate: number },
): LoadJob {
  const shape = { protocol: 'mqtt', window: 200, messagesPerPacket: 1 } as const
  return { ...shape, port, clients, seconds, rate, seed: 1, warmUpMs: WARM_UP_MS }
}

/** One rule fires on all devices within ten seconds; in the middle of it something critical. */
async function measureStorm(): Promise<void> {
  const [server, receiver] = await Promise.all([startServer(), WebhookReceiver.start()])
  try {
    await addRecipient(server, receiver, LIMIT)
    const when = 'wind > 30'
    await call(server, 'PUT', '/v1/rules/storm', { when, severity: 'warning' })
    await call(server, 'PUT', '/v1/rules/fire', { when: 'smoke > 1', severity: 'critical' })
    const ids = Array.from({ length: STORM_ALERTS }, (_, i) => `s${String(i).padStart(6, '0')}`)
    await server.register([...ids, 'burning'].map((id) => ({ id, type: 'generic' })))
    const fireMs = await storm(server, receiver, ids)
    reporter.add('storm: critical alert of another rule', fireMs, 'ms')
    const stored = await untilAlerts(server, ids.length)
    reporter.add('storm: alerts in the history', stored, 'alerts')
    reporter.add('storm: messages to the recipient', receiver.webhooks.size, 'messages')
    if (stored !== ids.length) throw new Error(`the history has ${stored} of ${ids.length} alerts`)
    if (receiver.webhooks.size > LIMIT.messages) throw new Error('more messages than the limit')
  } finally {
    receiver.stop()
    await server.stop()
  }
}

/** Resolves with how long the critical one took, ms. */
async function storm(
  server: WeirServer,
  receiver: WebhookReceiver,
  ids: readonly string[],
): Promise<number> {
  const told = Promise.withResolvers<number>()
  receiver.onWebhook = ({ ruleId }) => {
    if (ruleId === 'fire') told.resolve(performance.now())
  }
  const steps = 100
  const share = Math.ceil(ids.length / steps)
  let firedMs = 0
  for (let step = 0; step < steps; step++) {
    const some = ids.slice(step * share, (step + 1) * share)
    const body = some.map((device) => ({ device, metrics: { wind: 40 } }))
    await call(server, 'POST', '/v1/telemetry', body)
    if (step === steps / 2) {
      firedMs = performance.now()
      const path = '/v1/devices/burning/telemetry'
      await call(server, 'POST', path, { smoke: 2 })
    }
    await new Promise((resolve) => setTimeout(resolve, (STORM_SECONDS * 1000) / steps))
  }
  const late = new Promise<number>((_, reject) =>
    setTimeout(() => reject(new Error('the critical alert never came')), 10_000).unref(),
  )
  return (await Promise.race([told.promise, late])) - firedMs
}

/** Counts the alerts of the storm, page by page, once there are so many, or no more come. */
async function untilAlerts(server: WeirServer, wanted: number): Promise<number> {
  const endMs = performance.now() + 20_000
  for (;;) {
    const count = await countAlerts(server)
    if (count >= wanted || performance.now() > endMs) return count
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

async function countAlerts(server: WeirServer): Promise<number> {
  const ids = new Set<string>()
  for (let cursor = ''; ;) {
    const path = `/v1/alerts?rule_id=storm&limit=1000${cursor}`
    const { alerts, next } = (await call(server, 'GET', path, undefined)) as {
      alerts: { id: string }[]
      next: string | null
    }
    for (const { id } of alerts) ids.add(id)
    if (next === null) return ids.size
    cursor = `&cursor=${next}`
  }
}

const startServer = (): Promise<WeirServer> =>
  WeirServer.start({ config: 'alerts: { allowPrivateWebhooks: true }\n' })

for (let run = 0; run < RUNS; run++) {
  await measureLatency()
  await measureStorm()
}
reporter.finish()
