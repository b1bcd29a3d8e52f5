/** The gateway of a cluster: the same doors as embedded, over Kafka and a registry on a network. */
import type { Control } from '../control/control.ts'
import { openPostgresDeviceReader } from '../control/postgres-device-reader.ts'
import { registerMissing } from '../embedded/register-missing.ts'
import { gatewayOptions } from '../embedded/stage-options.ts'
import { gatewaySamples } from '../gateway/gateway-metrics.ts'
import { Gateway } from '../gateway/gateway-stage.ts'
import type { Events, MetricSample } from '../observe/observe.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { EntryLog } from './entry-log.ts'
import { hottestPartition } from './hot-partition.ts'
import type { Live } from './live.ts'
import { metric } from './metrics.ts'

/** Of one batch of messages; Kafka's requests are cut by their own limits. */
const FRAME_BYTES_MAX = 16 << 20
const HOT_INTERVAL_MS = 60_000
const RATES_INTERVAL_MS = 1000

type Rates = Parameters<Live['sink']['rate']>[1]

interface GatewayParts {
  control: Control
  tenant: string
  live: Live
}

export class GatewayRole {
  readonly gateway: Gateway
  readonly #log: EntryLog
  readonly #events: Events | undefined
  readonly #tell: (rates: Rates) => void
  #timers: (() => void)[] = []
  readonly #reader: ReturnType<typeof openPostgresDeviceReader>

  /** Errors: LOG_UNAVAILABLE, LOG_REQUEST_REFUSED. */
  static async open(shared: Shared, parts: GatewayParts): Promise<GatewayRole> {
    return new GatewayRole(shared, { ...parts, log: await EntryLog.open(shared.topics) })
  }

  private constructor(shared: Shared, parts: GatewayParts & { log: EntryLog }) {
    const { control, tenant, live, log } = parts
    const { config, plan } = shared
    this.#events = shared.events
    this.#tell = (rates) => live.sink.rate(tenant, rates)
    this.#reader = openPostgresDeviceReader({ access: postgresAccess(config), world: nodeWorld })
    this.#log = log
    this.gateway = new Gateway(
      {
        world: nodeWorld,
        log,
        reader: this.#reader,
        // Whoever wants the frame reads it from Kafka.
        forward: (_, frame) => this.gateway.commit.taken(frame.length, frame.buffer),
        register: config.gateway.autoRegister
          ? (ids) => registerMissing(control, tenant, ids)
          : undefined,
      },
      gatewayOptions(config, { plan, tenant, frameBytesMax: FRAME_BYTES_MAX }),
    )
  }

  /** Resolves with the MQTT port. Errors: PORT_IN_USE. */
  listen(host: string, port: number): Promise<number> {
    this.#timers = [this.#watchPartitions(), this.#tellRates()]
    return this.gateway.listen(host, port)
  }

  /** Why nothing is accepted now. */
  faults(): string[] {
    const { failure } = this.gateway.commit
    return failure === undefined ? [] : [failure.message]
  }

  metrics(): MetricSample[] {
    return [
      ...gatewaySamples(this.gateway),
      ...[...this.#log.entries].map((count, partition) =>
        metric('weir_gateway_partition_entries_total', 'Messages that Kafka acknowledged.', count, {
          partition: String(partition),
        }),
      ),
      metric('weir_log_bytes_total', 'Bytes of their values.', this.#log.bytes),
    ]
  }

  #watchPartitions(): () => void {
    let before = this.#log.entries.slice()
    return nodeWorld.clock.every(HOT_INTERVAL_MS, () => {
      const hot = hottestPartition(before, this.#log.entries)
      before = this.#log.entries.slice()
      if (hot !== undefined) this.#events?.partitionHot(hot)
    })
  }

  /** What this gateway takes in; whoever shows it adds up the gateways. */
  #tellRates(): () => void {
    const { clock } = nodeWorld
    const { gateway } = this
    let before = { atMs: clock.monotonicMs(), messages: 0, readings: 0 }
    return clock.every(RATES_INTERVAL_MS, () => {
      const { acceptedMessages: messages, acceptedReadings: readings } = gateway
      const now = { atMs: clock.monotonicMs(), messages, readings }
      const seconds = (now.atMs - before.atMs) / 1000
      this.#tell({
        messages_per_second: Math.round((messages - before.messages) / seconds),
        readings_per_second: Math.round((readings - before.readings) / seconds),
      })
      before = now
    })
  }

  async stop(): Promise<void> {
    for (const stop of this.#timers) stop()
    await this.gateway.stop('GATEWAY_REPLACED')
    await this.#reader.close()
  }
}
