/**
 * The stream stage of a cluster as a job of Flink: three functions of `engines/flink` in one
 * statement set of SQL, which the SQL Gateway takes and the JobManager runs.
 *
 *   telemetry ─▶ sequence ─▶ device ─┬─▶ readings
 *    (bytes)     each        each    ├─▶ events
 *                partition   device  └─▶ coverage ─▶ windows
 *                  └─▶ dead letters       each partition
 *
 * F1 One job of a name: while one runs, none is submitted; who starts or ends one is alone at it.
 * F2 Nothing begins anew by oversight: where there is state of a job of this name, whoever submits
 *    says whether to go on from it.
 * F3 State is given only to a job that can read it (`stateDifferences`), and what is known of that
 *    is said before the running job is touched.
 * F4 Errors are FLINK_UNAVAILABLE (passing), FLINK_REFUSED (with Flink's own words), FLINK_BUSY,
 *    FLINK_JOB_RUNNING, FLINK_JOB_ABSENT, FLINK_JOB_FAILED, FLINK_STATE_ABSENT, FLINK_STATE_EXISTS
 *    and FLINK_STATE_DIFFERS; none of them holds a secret.
 * F5 A job that is gone comes back as it ran last, whatever its keeper was configured to; one that
 *    somebody ended does not.
 */

/** All that the job is made of. */
export interface JobSpec {
  /** What F1 goes by. */
  name: string
  /** Address of the jar as the gateway finds it; empty: it lies in Flink's own `lib` folder. */
  jar: string
  parallelism: number
  /** State is cut into so many key groups, and that cannot be changed later. */
  maxParallelism: number
  /** Of Kafka's Java client: `bootstrap.servers` and the rest. */
  kafka: Readonly<Record<string, string>>
  /** Of the topics of telemetry, readings and windows, and which of their generations they are. */
  partitions: number
  generation: number
  topics: Readonly<Record<'telemetry' | 'readings' | 'windows' | 'events' | 'deadLetters', string>>
  plan: JobPlan
  checkpointIntervalMs: number
  /** Addresses of folders, without a slash behind. */
  checkpoints: string
  savepoints: string
  stateBackend: StateBackend
}

/** Of a pipeline's plan, what the job is told of it, as JSON. */
export interface JobPlan {
  /** Tumbling windows, ascending. */
  windowsMs: readonly number[]
  [part: string]: unknown
}

export const STATE_BACKENDS = ['hashmap', 'rocksdb'] as const
export type StateBackend = (typeof STATE_BACKENDS)[number]

/** Where a job takes up: offsets of telemetry, or the state of a job before it. */
export type Beginning =
  | { from: 'earliest' }
  /** Ingest time; windows that begin before `windowsFromMs` are not told. */
  | { from: 'time'; timeMs: number; windowsFromMs: number }
  | { from: 'state'; path: string }

/**
 * Runs the work while nobody else of the installation starts or ends the job. Errors: FLINK_BUSY
 * while somebody does, and those of the work.
 */
export type Alone = <T>(work: () => Promise<T>) => Promise<T>

/** Resolves after so many milliseconds, and keeps the process alive meanwhile. */
export type Pause = (ms: number) => Promise<void>

export { FlinkJobs, type FlinkAccess, type JobStatus, type Submitted } from './flink-jobs.ts'
export { jobSql, printSql } from './job-sql.ts'
export { kafkaProperties } from './kafka-properties.ts'
export { openStateFolder } from './state-folder.ts'
