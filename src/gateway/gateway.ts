/**
 * The gateway's door for everything that is not MQTT: what the API hands it, and what comes back.
 */
import type { Principal } from '../control/control.ts'

export interface IngestRequest {
  format: 'json' | 'line'
  body: Uint8Array<ArrayBuffer>
  principal: Principal
  /** From the path `/v1/devices/{id}/telemetry`; else each message names its device. */
  deviceId: string | undefined
  /** Any past is believed; admin and gateway keys only. */
  isHistorical: boolean
  /** Line protocol: unit of the timestamps. */
  precision: 'ns' | 'us' | 'ms' | 's' | 'm' | 'h'
}

export interface Rejection {
  index: number
  code: string
  detail: string
}

/**
 * Resolves once everything accepted, and every dead letter, is durable. At most 1,000 rejections
 * are listed.
 */
export interface IngestResult {
  accepted: number
  rejectedCount: number
  rejected: Rejection[]
}

export interface TelemetryDoor {
  /** Throws WeirError for the request as a whole (GATEWAY_OVERLOADED, LOG_DISK_FULL, …). */
  ingest(request: IngestRequest): Promise<IngestResult>
}
