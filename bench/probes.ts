/**
 * Probes: devices that each breach a rule once, and where somebody hears of it: the live stream, or
 * whatever else a benchmark listens on.
 */
import { MqttClient } from '../src/fleet/mqtt-client.ts'
import { dialTo } from '../src/cli/wire.ts'
import { nodeWorld } from '../src/world/node-world.ts'
import type { Histogram } from './histogram.ts'
import type { LoadClient } from './load.ts'
import type { WeirServer } from './weir-server.ts'

export interface ProbeRun {
  intervalMs: number
  toEvent: Histogram
  toPuback: Histogram
  /** Calls back with the device of each event; without, the live stream does. */
  listen?: Listen
}

type Listen = (fired: (deviceId: string) => void) => Promise<{ stop(): void }>

/** How long the last events may take. */
const GRACE_MS = 5000

/**
 * Publishes one breach a probe, and times PUBACK and rule event. Returns how many events missed.
 */
export async function publishProbes(
  server: WeirServer,
  gateway: LoadClient,
  { intervalMs, toEvent, toPuback, listen }: ProbeRun,
): Promise<number> {
  const publishedAtMs = new Map<string, number>()
  const follow = listen ?? ((fired) => followAlerts(server, fired))
  const live = await follow((deviceId) => {
    const atMs = publishedAtMs.get(deviceId)
    if (atMs === undefined) return
    publishedAtMs.delete(deviceId)
    toEvent.add(performance.now() - atMs)
  })
  const client = new MqttClient({
    dial: dialTo(new URL(`mqtt://127.0.0.1:${server.mqttPort}`)),
    clock: nodeWorld.clock,
    random: nodeWorld.random,
    clientId: gateway.name,
    username: gateway.name,
    password: gateway.secret,
  })
  client.connect()
  for (const device of gateway.devices) {
    const atMs = performance.now()
    publishedAtMs.set(device, atMs)
    const payload = Buffer.from(JSON.stringify({ ts: Date.now(), metrics: { level: 75 } }))
    void client
      .publish(`devices/${device}/telemetry`, payload)
      .then(() => toPuback.add(performance.now() - atMs))
    await new Promise((resolve) => setTimeout(resolve, intervalMs))
  }
  const endMs = performance.now() + GRACE_MS
  while (publishedAtMs.size > 0 && performance.now() < endMs)
    await new Promise((resolve) => setTimeout(resolve, 20))
  await client.close()
  live.stop()
  return publishedAtMs.size
}

/** Reads `GET /v1/live` and calls back for each rule that begins to fire. */
async function followAlerts(
  server: WeirServer,
  fired: (deviceId: string) => void,
): Promise<{ stop(): void }> {
  const abort = new AbortController()
  const response = await fetch(`http://127.0.0.1:${server.httpPort}/v1/live`, {
    headers: { authorization: `Bearer ${server.adminKey}`, accept: 'text/event-stream' },
    signal: abort.signal,
  })
  if (response.status !== 200 || response.body === null)
    throw new Error(`/v1/live answered ${response.status}`)
  const body = response.body
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const bytes of body) {
      const events = (rest + decoder.decode(bytes, { stream: true })).split('\n\n')
      rest = events.pop() ?? ''
      for (const event of events) {
        if (!/^event: ?alert$/m.test(event)) continue
        const data = JSON.parse(/^data: ?(.*)$/m.exec(event)?.[1] ?? 'null') as {
          device_id: string
          state: string
        } | null
        if (data?.state === 'firing') fired(data.device_id)
      }
    }
  }
  // The only way in which it ends is stop(), or the server's end, which the probes then show.
  read().catch(() => {})
  return { stop: () => abort.abort() }
}
