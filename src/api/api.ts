/** What the API needs from the rest; the composition root brings it. */
import type { Backtests } from '../backtest/backtest.ts'
import type { Alerts } from '../alerts/alerts.ts'
import type { AlertBody } from './alert-json.ts'
import type { Control, SignIns } from '../control/control.ts'
import type { TelemetryDoor } from '../gateway/gateway.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import type { AnomalyRow, Query } from '../query/query.ts'
import type { SqlAnswer } from '../sql/sql.ts'
import type { Clock } from '../world/world.ts'

export type { MetricSample }
export { alertJson, type AlertBody } from './alert-json.ts'

/** Pushed to `GET /v1/live` subscribers. */
export type LiveEvent =
  | {
      event: 'rate'
      data: { readings_per_second: number; messages_per_second: number; devices: number }
    }
  | {
      event: 'reading'
      data: { device_id: string; metric: string; ts: number; value: number | boolean | string }
    }
  | { event: 'alert'; data: AlertBody }
  | { event: 'anomaly'; data: AnomalyRow }
  | { event: 'stream'; data: StreamJob }

/** The stream stage where it is a job of Flink. */
export interface StreamJob {
  /** In Flink's words, `RUNNING`; `ABSENT` when there is none. */
  state: string
  /** How often it had to begin again; null where Flink does not say. */
  restarts: number | null
  /** Of the last checkpoint, ms; null before the first one. */
  checkpoint_at: number | null
  checkpoint_bytes: number | null
}

export interface LiveFeed {
  /**
   * Readings of these devices only (empty: none); rates, alerts and anomalies of the tenant always.
   */
  subscribe(
    filter: { tenant: string; deviceIds: string[] },
    listener: (event: LiveEvent) => void,
  ): () => void
}

/** What was copied elsewhere, where nothing may be deleted before. */
export interface ExportDesk {
  /** µs. */
  confirmExported(beforeUs: number): Promise<void>
}

/** The store of one process. */
export interface StorageDesk extends ExportDesk {
  report(): Promise<StorageReport>
  /** Resolves once what was acknowledged before is in segments. */
  flush(): Promise<void>
  /** Returns its id. Errors: BACKUP_RUNNING, API_PARAMETER_INVALID, OBJECTS_UNAVAILABLE. */
  startBackup(to: string): Promise<string>
  backup(id: string): Promise<BackupStatus | undefined>
  /** Errors: as startBackup(), and BACKUP_DAMAGED. */
  pruneBackups(to: string, keep: number): Promise<PrunedBackups>
  /** Returns its id. Errors: VERIFICATION_RUNNING. */
  startVerification(): Promise<string>
  verification(id: string): Promise<VerificationStatus | undefined>
  /** The rule that the cold readings' bucket has, and the one that is configured. */
  lifecycle(): Promise<LifecycleStatus>
  setLifecycle(): Promise<LifecycleStatus>
  archived(question: ArchiveQuestion): Promise<ArchiveStatus>
  /** Idempotent; `days` is how long what is back stays readable. */
  restoreArchived(question: ArchiveQuestion, days: number): Promise<ArchiveStatus>
}

export interface LifecycleStatus {
  found: LifecycleRule | undefined
  configured: LifecycleRule
}

/** Days since a file was put. */
export interface LifecycleRule {
  freeze: { afterDays: number; storageClass: string } | undefined
  expireAfterDays: number | undefined
}

/** µs, the end excluded. */
export interface ArchiveQuestion {
  startUs: number
  endUs: number
  deviceId: string | undefined
  deviceType: string | undefined
}

/** Cold files that hold some of it. */
export type ArchiveStatus = Record<
  'readable' | 'frozen' | 'thawing' | 'missing',
  { files: number; bytes: number }
>

export interface VerificationStatus {
  state: 'running' | 'done' | 'failed'
  problem: string | undefined
  progress:
    | {
        filesDone: number
        filesTotal: number
        bytesDone: number
        bytesTotal: number
        damaged: { file: string; problem: string; rows: number }[]
      }
    | undefined
}

export interface ErasureReceipt {
  /** What was erased, and where; see docs/erasure.md. */
  erasure: Record<string, unknown>
  /** Ed25519, SPKI in DER, base64. */
  key: string
  /** Over the text of `erasure`, base64. */
  signature: string
}

export interface ErasureStatus {
  /** What failed is tried again. */
  state: 'running' | 'done' | 'failed'
  problem: string | undefined
  receipt: ErasureReceipt | undefined
}

export interface ErasureDesk {
  /** Durable once it resolves, with its id; from then on nobody sees the data. µs. */
  start(
    tenant: string,
    deviceIds: string[],
    span: { fromUs: number | undefined; toUs: number | undefined },
  ): Promise<string>
  find(tenant: string, id: string): Promise<ErasureStatus | undefined>
}

/** Statements of SQL. */
export interface SqlDesk {
  /**
   * Errors: SQL_REFUSED, SQL_INVALID, QUERY_LIMIT_EXCEEDED, OBJECT_FROZEN, and what else keeps it
   * from readings: QUERY_FAILED, STORAGE_UNAVAILABLE, OBJECTS_UNAVAILABLE.
   */
  run(tenant: string, sql: string, signal: AbortSignal): Promise<SqlAnswer>
}

export interface StorageReport {
  tiers: {
    tier: string
    files: number
    rows: number
    bytes: number
    oldestUs: number | undefined
    newestUs: number | undefined
  }[]
  readingsInMemory: number
  segmentsDamaged: number
  mergeDebt: number
  diskFreeBytes: number
  bytesPerDay: number | undefined
  diskFullInDays: number | undefined
}

export interface KnownBackup {
  /** The place, as it was given. */
  to: string
  name: string
}

export interface PrunedBackups {
  /** Names, the oldest first. */
  removed: string[]
  kept: string[]
  /** Stretches of files that none needs any more. */
  pieces: number
  bytes: number
}

export interface BackupStatus {
  state: 'running' | 'done' | 'failed'
  name: string | undefined
  problem: { code: string; detail: string } | undefined
  progress:
    | {
        filesDone: number
        filesTotal: number
        bytesDone: number
        bytesTotal: number
        bytesCopied: number
      }
    | undefined
}

export interface ApiPorts {
  control: Control
  signIns: SignIns
  /** Without it there are no routes that take telemetry. */
  telemetry?: TelemetryDoor | undefined
  /** Without them there are no registry, no queries, no live events and no page. */
  query?: Query | undefined
  live?: LiveFeed | undefined
  /** Without it there is no trying of rules. */
  backtests?: Backtests | undefined
  /** Without it nobody acknowledges, and there are no rules to edit and nobody to tell. */
  alerts?: Alerts | undefined
  /** Without it there are no routes about files and backups. */
  storage?: StorageDesk | undefined
  /** Where there is no storage of its own. */
  exports?: ExportDesk | undefined
  /** Without it there is no SQL. */
  sql?: SqlDesk | undefined
  /** Without them nothing is erased. */
  erasures?: ErasureDesk | undefined
  plan: Plan
  clock: Clock
  /** Samples of every stage. */
  metrics(): Promise<MetricSample[]>
  /** Empty when ready; else what is missing, for people. */
  unready(): string[]
}

/** Of a process that takes telemetry. */
export type DoorPorts = ApiPorts & { telemetry: TelemetryDoor }

/** Of a process that answers questions. */
export type QueryPorts = ApiPorts & { query: Query }

/** Of a process that tries rules on what is stored. */
export type BacktestPorts = ApiPorts & { backtests: Backtests }

/** Of a process that erases. */
export type ErasurePorts = ApiPorts & { erasures: ErasureDesk }

/** Of a process that answers SQL. */
export type SqlPorts = ApiPorts & { sql: SqlDesk }

/** Of a process that stores in a folder of its own. */
export type StoragePorts = ApiPorts & { storage: StorageDesk }

/** Of a process with the registry, queries, live events and the page. */
export type ConsolePorts = QueryPorts & { live: LiveFeed }

/** Of a process that deals with alerts, too. */
export type AlertPorts = ConsolePorts & { alerts: Alerts }
