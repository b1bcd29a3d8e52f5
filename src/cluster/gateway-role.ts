/** The gateway of a cluster: the same doors as embedded, over Kafka and a registry on a network. */
import type { Control } from '../control/control.ts'
import { openPostgresDeviceReader } from '../control/postgres-device-reader.ts'
import { registerMissing } from '../embedded/register-missing.ts'
import { gatewayOptions } from '../embedded/stage-options.ts'
import { gatewaySamples } from '../gateway/gateway-metrics.ts'
import { Gateway } from '../gateway/gateway-stage.ts'
import type { MetricSample } from '../observe/observe.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess } from './accesses.ts'
import type { Shared } from './cluster.ts'
import { EntryLog } from './entry-log.ts'
import { metric } from './metrics.ts'

/** Of one batch of messages; Kafka's requests are cut by their own limits. */
const FRAME_BYTES_MAX = 16 << 20

export class GatewayRole {
  readonly gateway: Gateway
  readonly #log: EntryLog
  readonly #reader: ReturnType<typeof openPostgresDeviceReader>

  constructor(shared: Shared, { control, tenant }: { control: Control; tenant: string }) {
    const { config, plan } = shared
    const { kafka, partitions, name } = shared.topics
    this.#reader = openPostgresDeviceReader({ access: postgresAccess(config), world: nodeWorld })
    this.#log = new EntryLog({
      telemetry: kafka.createAppender(name('telemetry')),
      deadLetters: kafka.createAppender(name('dead-letters')),
      partitions,
    })
    this.gateway = new Gateway(
      {
        world: nodeWorld,
        log: this.#log,
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
      metric('weir_log_entries_total', 'Entries that Kafka acknowledged.', this.#log.entries),
      metric('weir_log_bytes_total', 'Bytes of their values.', this.#log.bytes),
    ]
  }

  async stop(): Promise<void> {
    await this.gateway.stop('GATEWAY_REPLACED')
    await this.#reader.close()
  }
}
