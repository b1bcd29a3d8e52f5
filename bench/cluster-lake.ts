/**
 * Gateway to S3: what devices send over MQTT, through Kafka, the stream stage and the lake's role,
 * until the last reading counts in the object store. Sending ends long before: what is measured is
 * how fast all of them together get through the same messages.
 */
import { eachObject, type Objects } from '../src/objects/objects.ts'
import { createBucket, minio, openBucket, REGION } from '../test/cluster/buckets.ts'
import { registerFleet } from './cluster-gateway.ts'
import { openPlace } from './cluster-place.ts'
import { prepareGenerator } from './generate.ts'
import type { LoadClient, LoadReport } from './load.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { numberFlag, type Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const WINDOW = numberFlag('window', 200)
const TAKEN_MS_MAX = 300_000
const POLL_MS = 50

export async function measureLake(
  reporter: Reporter,
  { devices, seconds }: { devices: number; seconds: number },
): Promise<void> {
  const bucket = await createBucket()
  const objects = openBucket(bucket)
  const place = await openPlace('lake', {
    more: { lake: { ...minio, bucket, region: REGION } },
    hasStream: true,
  })
  const servers: WeirServer[] = []
  try {
    for (const kind of ['telemetry', 'readings', 'windows', 'events'] as const)
      await place.makeTopic(kind)
    const clients = await registerFleet(place, devices)
    for (const role of ['stream', 'lake', 'gateway'])
      servers.push(await WeirServer.start({ config: place.config, role }))
    const [, lake, gateway] = servers
    const startMs = performance.now()
    const { messages, rate } = await send(gateway!, clients, seconds)
    const readings = messages * METRICS_PER_MESSAGE
    await untilTaken(lake!, readings)
    // An orderly end commits what waits for more.
    await servers.splice(1, 1)[0]!.stop()
    const tookS = (performance.now() - startMs) / 1000
    const { rows, bytes } = await countRows(objects)
    if (rows !== readings)
      throw new Error(`${readings} readings were acknowledged, ${rows} are rows`)
    reporter.add(
      'gateway to S3: readings acknowledged meanwhile',
      rate * METRICS_PER_MESSAGE,
      'readings/s',
    )
    reporter.add('gateway to S3', readings / tookS, 'readings/s')
    reporter.add('gateway to S3: bytes a reading', bytes / rows, 'B/reading')
    reporter.note(`every one of ${readings} acknowledged readings is in the lake once`)
  } finally {
    for (const server of servers) await server.stop()
    await place.close()
    await removeAll(objects)
  }
}

async function send(
  { mqttPort: port }: WeirServer,
  clients: LoadClient[],
  seconds: number,
): Promise<LoadReport> {
  const generation = await prepareGenerator({
    ...{ protocol: 'mqtt', port, clients, window: WINDOW },
    ...{ messagesPerPacket: 1, seconds, rate: 0, seed: 1, warmUpMs: 0 },
  })
  generation.start()
  return generation.report
}

/** Committed, or held for the next commit. */
async function untilTaken(lake: WeirServer, readings: number): Promise<void> {
  const startMs = performance.now()
  for (;;) {
    const metrics = await lake.metrics()
    const committed = metrics.get('weir_lake_readings_total') ?? 0
    const held = metrics.get('weir_lake_held_readings') ?? 0
    if (committed + held >= readings) return
    if (performance.now() - startMs > TAKEN_MS_MAX)
      throw new Error(`${committed + held} of ${readings} readings are in the lake`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

/** By the manifests, each of which lists the files of one commit. */
async function countRows(objects: Objects): Promise<{ rows: number; bytes: number }> {
  const total = { rows: 0, bytes: 0 }
  for await (const { key } of eachObject(objects, 'manifest/')) {
    const text = Buffer.from(await objects.get(key)).toString()
    const { files } = JSON.parse(text) as { files: { rows: number; bytes: number }[] }
    for (const { rows, bytes } of files) {
      total.rows += rows
      total.bytes += bytes
    }
  }
  return total
}

async function removeAll(objects: Objects): Promise<void> {
  for await (const { key } of eachObject(objects, '')) await objects.delete(key)
  objects.close()
}
