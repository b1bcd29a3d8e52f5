/** Gateway to Kafka: what devices send over MQTT, until a broker has it and it is acknowledged. */
import { openPlace, PARTITIONS, type ClusterPlace } from './cluster-place.ts'
import { prepareGenerator } from './generate.ts'
import type { LoadClient, LoadJob } from './load.ts'
import { METRICS_PER_MESSAGE } from './message-ring.ts'
import { numberFlag, type Reporter } from './report.ts'
import { WeirServer } from './weir-server.ts'

const CONNECTIONS = numberFlag('connections', 200)
const WINDOW = numberFlag('window', 200)
const READ_BYTES_MAX = 16 << 20

export async function measureGateway(
  reporter: Reporter,
  { devices, seconds }: { devices: number; seconds: number },
): Promise<void> {
  const place = await openPlace('gateway')
  try {
    await place.makeTopic('telemetry')
    const clients = await registerFleet(place, devices)
    const server = await WeirServer.start({ config: place.config, role: 'gateway' })
    try {
      const job: LoadJob = {
        ...{ protocol: 'mqtt', port: server.mqttPort, clients, window: WINDOW },
        ...{ messagesPerPacket: 1, seconds, rate: 0, seed: 1, warmUpMs: 0 },
      }
      const generation = await prepareGenerator(job)
      generation.start()
      const { rate, messages, latencyMs, cpu } = await generation.report
      reporter.add('gateway to Kafka', rate * METRICS_PER_MESSAGE, 'readings/s')
      reporter.add('gateway to Kafka: p50 of publish to PUBACK', latencyMs.p50, 'ms')
      reporter.add('gateway to Kafka: p99 of publish to PUBACK', latencyMs.p99, 'ms')
      reporter.add('gateway to Kafka: CPU of the generator', cpu, 'cores')
      const found = await countMessages(place)
      if (found !== messages)
        throw new Error(`${messages} messages were acknowledged, ${found} are in Kafka`)
      reporter.note(`every one of ${messages} acknowledged messages is in Kafka once`)
    } finally {
      await server.stop()
    }
  } finally {
    await place.close()
  }
}

/** By a process that is gone when it matters. */
export async function registerFleet(
  { config }: ClusterPlace,
  devices: number,
): Promise<LoadClient[]> {
  const server = await WeirServer.start({ config, role: 'control' })
  try {
    return (await server.registerFleet(CONNECTIONS, devices)).clients
  } finally {
    await server.stop()
  }
}

/** All that have a key: ticks have none. */
async function countMessages({ kafka, topic, ends }: ClusterPlace): Promise<number> {
  const until = await ends('telemetry')
  const reader = kafka.createReader(topic('telemetry'))
  let count = 0
  for (let partition = 0; partition < PARTITIONS; partition++) {
    // A run before this one has left nothing, at higher offsets.
    let { firstOffset: fromOffset } = await kafka.bounds(topic('telemetry'), partition)
    while (fromOffset < until[partition]!) {
      const options = { partition, fromOffset, bytesMax: READ_BYTES_MAX, waitMs: 1000 }
      const entries = await reader.read(options)
      for (const { key } of entries) if (key !== undefined) count++
      fromOffset = (entries.at(-1)?.offset ?? fromOffset - 1) + 1
    }
  }
  await reader.close()
  return count
}
