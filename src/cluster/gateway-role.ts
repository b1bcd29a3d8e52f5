/** The gateway of a cluster: the same doors as embedded, over Kafka and a registry on a network. */
import type { Config } from '../config/config.ts'
import type { Control } from '../control/control.ts'
import { openPostgresDeviceReader } from '../control/postgres-device-reader.ts'
import { registerMissing } from '../embedded/register-missing.ts'
import { gatewayOptions } from '../embedded/stage-options.ts'
import { gatewaySamples } from '../gateway/gateway-metrics.ts'
import { Gateway } from '../gateway/gateway-stage.ts'
import type { Kafka } from '../kafka/kafka.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess } from './accesses.ts'
import { EntryLog } from './entry-log.ts'

/** Of one batch of messages; Kafka's requests are cut by their own limits. */
const FRAME_BYTES_MAX = 16 << 20

export interface GatewayRoleParts {
  config: Config
  plan: Plan
  tenant: string
  control: Control
  kafka: Kafka
  topics: { telemetry: string; deadLetters: string }
  partitions: number
}

export class GatewayRole {
  readonly gateway: Gateway
  readonly #log: EntryLog
  readonly #reader: ReturnType<typeof openPostgresDeviceReader>

  constructor(parts: GatewayRoleParts) {
    const { config, plan, tenant, control, kafka, topics, partitions } = parts
    this.#reader = openPostgresDeviceReader({ access: postgresAccess(config), world: nodeWorld })
    this.#log = new EntryLog({
      telemetry: kafka.createAppender(topics.telemetry),
      deadLetters: kafka.createAppender(topics.deadLetters),
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
    return gatewaySamples(this.gateway, [
      ['weir_log_entries_total', 'Entries that Kafka acknowledged.', this.#log.entries],
      ['weir_log_bytes_total', 'Bytes of their values.', this.#log.bytes],
    ])
  }

  async stop(): Promise<void> {
    await this.gateway.stop()
    await this.#reader.close()
  }
}
