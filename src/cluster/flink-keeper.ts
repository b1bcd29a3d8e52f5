/**
 * Keeps the job of Flink running: one process of a cluster, by a lease, looks every few seconds
 * whether there is one, and when there is none, starts it from the newest state that there is. A
 * TaskManager that dies is Flink's own business; this is for a JobManager that came back without
 * its jobs, and for the first start.
 *
 * It changes no job that runs. One that was made of another pipeline is told: `weir flink upgrade`
 * says first whether its state can be kept.
 */
import { WeirError } from '../errors/errors.ts'
import type { FlinkJobs, JobSpec, JobStatus } from '../flink/flink.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { Lease } from '../postgres/postgres.ts'
import type { Clock } from '../world/world.ts'
import { metric } from './metrics.ts'
import { Repeating } from './repeating.ts'

const LOOK_MS = 3000

export interface FlinkKeeperParts {
  jobs: FlinkJobs
  spec: JobSpec
  clock: Clock
  /** Undefined while another process keeps it. */
  claim: () => Promise<Lease | undefined>
  /** What was seen; undefined when there is no job. */
  seen: (status: JobStatus | undefined) => void
  /** It runs, from here on. */
  started: (fields: { job: string; from: string }) => void
  /** What runs is of another pipeline or settings. */
  differs: (fields: { job: string; differences: string }) => void
  failed: (error: unknown) => void
}

export class FlinkKeeper {
  readonly #parts: FlinkKeeperParts
  readonly #work: Repeating
  /** While this process is the one. */
  isKeeper = false
  #status: JobStatus | undefined
  #starts = 0
  /** The job that was told to differ. */
  #told: string | undefined

  constructor(parts: FlinkKeeperParts) {
    this.#parts = parts
    const { clock, failed } = parts
    this.#work = new Repeating({ clock, failed, run: (isStopping) => this.#run(isStopping) })
  }

  start(): void {
    this.#work.start()
  }

  /** The job runs on. */
  stop(): Promise<void> {
    return this.#work.stop()
  }

  async #run(isStopping: () => boolean): Promise<void> {
    const lease = await this.#parts.claim()
    if (lease === undefined) return
    this.isKeeper = true
    try {
      while (!isStopping() && !lease.lost.aborted) {
        await this.#look()
        await this.#pause(isStopping)
      }
    } finally {
      this.isKeeper = false
      this.#status = undefined
      await lease.release()
    }
  }

  async #look(): Promise<void> {
    const { jobs, spec } = this.#parts
    try {
      this.#status = await jobs.status(spec.name, spec.topics.telemetry)
      this.#parts.seen(this.#status)
    } catch (error) {
      this.#status = undefined
      this.#parts.seen(undefined)
      if (!isError(error, 'FLINK_JOB_ABSENT')) throw error
      await this.#start()
      return
    }
    if (this.#told === this.#status.job.id) return
    this.#told = this.#status.job.id
    const { stateDifferences, differences } = await jobs.compare(spec)
    const all = [...stateDifferences, ...differences]
    if (all.length > 0)
      this.#parts.differs({ job: this.#status.job.id, differences: all.join('; ') })
  }

  /** Where there was a job before, from its state alone: nothing begins anew by oversight. */
  async #start(): Promise<void> {
    const { jobs, spec, started } = this.#parts
    const submitted = await jobs.submit(spec).catch((error: unknown) => {
      if (!isError(error, 'FLINK_STATE_EXISTS')) throw error
      return jobs.resume(spec)
    })
    this.#starts++
    this.#told = submitted.id
    const { beginning } = submitted
    started({ job: submitted.id, from: beginning.from === 'state' ? beginning.path : 'earliest' })
  }

  async #pause(isStopping: () => boolean): Promise<void> {
    const { clock } = this.#parts
    for (let waitedMs = 0; waitedMs < LOOK_MS && !isStopping(); waitedMs += 100)
      await new Promise<void>((resolve) => clock.after(100, resolve))
  }

  metrics(): MetricSample[] {
    const status = this.#status
    const nowMs = this.#parts.clock.nowUs() / 1000
    const samples = [
      metric('weir_stream_is_active', '1 in the process that keeps the job.', +this.isKeeper),
      metric('weir_flink_starts_total', 'Jobs that this process started.', this.#starts),
    ]
    if (!this.isKeeper) return samples
    const isRunning = status?.job.state === 'RUNNING'
    samples.push(metric('weir_flink_job_is_running', '1 while Flink runs the job.', +isRunning))
    if (status === undefined) return samples
    if (status.restarts !== undefined)
      samples.push(metric('weir_flink_restarts', 'Of this job, by Flink itself.', status.restarts))
    if (status.checkpoint !== undefined) {
      const { atMs, bytes } = status.checkpoint
      const age = (nowMs - atMs) / 1000
      samples.push(
        metric('weir_flink_checkpoint_age_seconds', 'Of the last one that was completed.', age),
        metric('weir_flink_checkpoint_bytes', 'State that it holds.', bytes),
      )
    }
    return samples
  }
}

const isError = (error: unknown, code: string): boolean =>
  error instanceof WeirError && error.code === code
