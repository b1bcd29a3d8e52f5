/** The gateway of a cluster: the same doors as embedded, over Kafka and a registry on a network. */
import { openPostgresDeviceReader } from '../control/postgres-device-reader.ts'
import type { Control } from '../control/control.ts'
import { Gateway } from '../gateway/gateway-stage.ts'
import type { TelemetryDoor } from '../gateway/gateway.ts'
import type { MetricSample } from '../observe/observe.ts'
import { registerMissing } from '../embedded/register-missing.ts'
import { gatewayOptions } from '../embedded/stage-options.ts'
import { nodeWorld } from '../world/node-world.ts'
import { postgresAccess } from './accesses.ts'
import type { Parts } from './cluster.ts'
import { EntryLog } from './entry-log.ts'

/** Of one batch before it is cut; Kafka's requests are cut again by their own limits. */
const FRAME_BYTES_MAX = 16 << 20

export interface GatewayRole {
  readonly door: TelemetryDoor
  readonly mqttPort: number
  metrics(): MetricSample[]
  /** Why nothing is accepted now. */
  faults(): string[]
  stop(): Promise<void>
}
