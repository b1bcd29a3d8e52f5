/**
 * The four threads of the embedded engine and what they say to each other.
 *
 *   main ── API, page, control store, alerts
 *     │ calls and events; rule events, which no checkpoint goes before
 *   gateway ──frames──▶ stream ──outputs, checkpoints──▶ storage
 *      ▲                  ▲                                │
 *      └── buffers, trim ─┴── recovered, committed ────────┘
 *
 * While it replays the log's tail, the gateway also tells storage where the log ends.
 */
import type { MessagePort } from 'node:worker_threads'
import type {
  BackupStatus,
  KnownBackup,
  LiveEvent,
  MetricSample,
  PrunedBackups,
  StorageReport,
} from '../api/api.ts'
import type { ArchiveQuestion, ArchiveStatus, LifecycleStatus } from '../api/api.ts'
import type { VerificationStatus } from '../api/api.ts'
import type { RuleChange } from '../batch/batch.ts'
import type { Config } from '../config/config.ts'
import type { TelemetryDoor } from '../gateway/gateway.ts'
import type { EventCall } from '../observe/observe.ts'
import type { Plan } from '../pipeline/pipeline.ts'
import type { Query, ScanQuestion } from '../query/query.ts'
import type { ErasedFile, Erasure } from '../storage/erasure-tables.ts'
import type { SqlFiles, SqlQuestion } from '../storage/sql-files.ts'
import type { Recovered } from '../storage/storage.ts'
import type { Checkpoint, RuleEvent, StreamOutput } from '../stream/stream.ts'

/** Handed to each worker at its start. */
export interface ThreadData {
  config: Config
  plan: Plan
  folder: string
  tenant: string
  /** Calls from main are served on this port. */
  calls: MessagePort
  /** Events to main. */
  events: MessagePort
  /** To the stage before and behind, where there is one. */
  upstream: MessagePort | undefined
  downstream: MessagePort | undefined
  /** Between storage and gateway: what was taken, what may be trimmed, where the log ends. */
  loop: MessagePort | undefined
  /** Calls to main: MainThread. The gateway's alone. */
  main: MessagePort | undefined
}

/** gateway → stream. */
export interface FrameMessage {
  offset: number
  frame: Uint8Array<ArrayBuffer>
  /** Read back from the log after a restart. */
  isReplayed: boolean
}

/** gateway → storage: everything in the log before this offset was acknowledged. */
export interface LogMessage {
  logEnds: number
}

/** stream → main, which tells by alertsTaken() that they are durable. */
export interface RuleEventsMessage {
  offset: number
  events: RuleEvent[]
}

/** stream → storage. */
export type StreamMessage = { output: StreamOutput } | { checkpoint: Checkpoint }

/** storage → stream. */
export type StreamControl = { recovered: Recovered } | { committed: number }

/** storage → gateway. */
export type LoopMessage =
  | { taken: number; buffer: ArrayBuffer }
  | { trimBefore: number }
  | { recovered: Recovered }

/** Anything → main. */
export type MainEvent =
  | { live: { tenant: string; event: LiveEvent } }
  | { ruleEvents: RuleEventsMessage }
  | { rates: { messages: number; readings: number } }
  /** Why nothing can be accepted now; undefined when all is well again. */
  | { failure: { message: string } | undefined }
  /** Something that the log of events should say. */
  | { happened: EventCall }

/** What main does for the other threads. */
export interface MainThread {
  /** Registers devices as type generic; what cannot be an id is left out. */
  register(ids: string[]): Promise<void>
}

interface Stage {
  metrics(): MetricSample[]
  stop(): Promise<void>
}

export interface GatewayThread extends Stage, TelemetryDoor {
  /** Learns what the log's tail defines, then opens the doors; answers with the MQTT port. */
  open(): Promise<number>
  /** The offset of the newest entry that is durable; -1 when there is none. */
  newestOffset(): number
  /** What becomes durable from now on is in another file of the log; the offset of some of it. */
  beginLogFile(): Promise<number>
  /** Files of the log that hold only what is before it are gone then; what is left begins here. */
  forgetLogBefore(offset: number): Promise<number>
  /** Rules that change at the place of the log that comes next; resolves once they are there. */
  changeRules(changes: RuleChange[]): Promise<void>
}

export interface StreamThread extends Stage {
  /**
   * Makes a checkpoint of what was processed so far, and of what is on its way up to this offset;
   * resolves once storage committed it.
   */
  flush(upTo?: number): Promise<void>
  /** Devices whose readings go to main as live events. */
  follow(deviceIds: string[]): void
  /** The rule events of all outputs up to this offset are durable. */
  alertsTaken(offset: number): void
  /** They cannot be made durable now; it is tried again. */
  alertsFailing(): void
}

export interface StorageThread extends Stage, Query {
  /** Serves the steps of a scan on this port until its other end closes: ScanPort. */
  scan(question: ScanQuestion, port: MessagePort): void
  /**
   * Undefined unless the stream's state was lost; else the time of the last commit, µs: alerts that
   * are open have no end to come. Asked before the gateway opens, no rule event is under way yet.
   */
  stateLostAtUs(): number | undefined
  report(): Promise<StorageReport>
  /** See ErasureWork. */
  erasures(): Erasure[]
  beginErasure(erasure: Erasure): Promise<void>
  runErasure(id: string): Promise<{ erasure: Erasure; files: ErasedFile[] }>
  finishErasure(id: string, receipt: string): Promise<void>
  /** The files stay until closeSql() of this id. */
  openSql(
    question: SqlQuestion,
    signal?: AbortSignal,
  ): Promise<{ id: number; files: Omit<SqlFiles, 'release'> }>
  closeSql(id: number): void
  confirmExported(beforeUs: number): Promise<void>
  /** See Verifications. */
  startVerification(): string
  verification(id: string): VerificationStatus | undefined
  lifecycle(): Promise<LifecycleStatus>
  setLifecycle(): Promise<LifecycleStatus>
  archived(question: ArchiveQuestion): Promise<ArchiveStatus>
  restoreArchived(question: ArchiveQuestion, days: number): Promise<ArchiveStatus>
  /** See Backups. */
  beginBackup(to: string): Promise<string>
  cancelBackup(): Promise<void>
  runBackup(to: string): string
  backup(id: string): BackupStatus | undefined
  pruneBackups(to: string, keep: number): Promise<PrunedBackups>
  knownBackups(): Promise<KnownBackup[]>
}
