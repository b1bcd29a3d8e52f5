/**
 * Keeps the job of Flink running: one process of a cluster, by a lease, looks every few seconds
 * whether there is one, and when there is none, starts it as it ran last, from the newest state
 * that there is. A TaskManager that dies is Flink's own business; this is for a JobManager that
 * came back without its jobs, and for the first start. A job that somebody ended stays ended.
 *
 * When the installation was given more partitions, and the job has read the telemetry of before to
 * its end, it goes on with the next generation of the topics, by a savepoint. Otherwise no job that
 * runs is changed. One that was made of another pipeline is told: `weir flink upgrade` says first
 * whether its state can be kept.
 */
import { WeirError } from '../errors/errors.ts'
import type { FlinkJobs, JobSpec, JobStatus, Submitted } from '../flink/flink.ts'
import type { MetricSample } from '../observe/observe.ts'
import type { Lease } from '../postgres/postgres.ts'
import type { Clock } from '../world/world.ts'
import { encodeTick } from '../entries/entries.ts'
import { generationOfJob } from './flink-spec.ts'
import { metric } from './metrics.ts'
import { Repeating } from './repeating.ts'
import { endsOf, type Generation, type Topics } from './topics.ts'
import { whileLeased } from './while-leased.ts'

const LOOK_MS = 3000
/**
 * A job that began again behind the end of a partition does not say how far it is there. So long
 * after the seal it goes on all the same: what it has not read it reads then, beside the new.
 */
const UNKNOWN_MS_MAX = 60_000

export interface FlinkKeeperParts {
  jobs: FlinkJobs
  topics: Topics
  name: string
  specOf: (generation: Generation) => JobSpec
  clock: Clock
  /** Undefined while another process keeps it. */
  claim: () => Promise<Lease | undefined>
  /** What was seen; undefined when there is no job. */
  seen: (status: JobStatus | undefined) => void
  /** It runs, from here on. */
  started: (fields: { job: string; from: string }) => void
  /** What runs is of another pipeline or settings. */
  differs: (fields: { job: string; differences: string }) => void
  /** None runs, and none is started, since somebody ended the last one. */
  ended: () => void
  failed: (error: unknown) => void
}

export class FlinkKeeper {
  readonly #parts: FlinkKeeperParts
  readonly #work: Repeating
  /** Of the topics that the job has. */
  generation: Generation
  /** While this process is the one. */
  isKeeper = false
  #status: JobStatus | undefined
  #starts = 0
  /** The job that was compared; `ended` when that was told. */
  #told: string | undefined
  /** Entries that the job has not read, where it says how far it is. */
  #lag: number | undefined
  /** Since when its telemetry is sealed, by the monotonic clock. */
  #sealedMs: number | undefined

  constructor(parts: FlinkKeeperParts) {
    this.#parts = parts
    this.generation = { number: 1, partitions: parts.topics.partitions }
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

  #run(isStopping: () => boolean): Promise<void> {
    const { claim } = this.#parts
    return whileLeased({ claim, isStopping }, async (_, isOver) => {
      this.isKeeper = true
      try {
        while (!isOver()) {
          await this.#look()
          await this.#pause(isStopping)
        }
      } finally {
        this.isKeeper = false
        this.#status = undefined
        this.#lag = undefined
      }
    })
  }

  async #look(): Promise<void> {
    const { jobs, topics, name, specOf } = this.#parts
    const generation = await generationOfJob(topics, jobs, name)
    this.generation = generation
    const spec = specOf(generation)
    this.#status = await unlessError('FLINK_JOB_ABSENT', jobs.status(name, spec.topics.telemetry))
    this.#parts.seen(this.#status)
    this.#lag = await this.#lagOf(this.#status, generation)
    if (this.#status === undefined) return this.#keep(spec)
    const next = await topics.after(generation)
    if (next !== undefined && (await this.#isRead(generation, this.#status)))
      return this.#started(await unlessError('FLINK_BUSY', jobs.move(specOf(next))))
    await this.#tellDifferences(this.#status, spec)
  }

  async #keep(spec: JobSpec): Promise<void> {
    const kept = await unlessError('FLINK_BUSY', this.#parts.jobs.keep(spec))
    if (kept === 'runs') return
    if (kept !== 'ended') return this.#started(kept)
    if (this.#told !== kept) this.#parts.ended()
    this.#told = kept
  }

  async #lagOf(status: JobStatus | undefined, generation: Generation): Promise<number | undefined> {
    if (status === undefined || status.positions.size === 0) return undefined
    const ends = await endsOf(this.#parts.topics, 'telemetry', generation)
    const behind = [...status.positions].map(([partition, at]) => (ends[partition] ?? at) - at)
    return behind.reduce((sum, one) => sum + Math.max(0, one), 0)
  }

  /** Undefined: somebody else was at it, and the next look shows what became of it. */
  #started(submitted: Submitted | undefined): void {
    if (submitted === undefined) return
    const { id, beginning } = submitted
    this.#starts++
    this.#sealedMs = undefined
    const from = beginning.from === 'state' ? beginning.path : 'earliest'
    this.#parts.started({ job: id, from })
  }

  /** Nothing of this generation is left to be read. */
  async #isRead(generation: Generation, { positions }: JobStatus): Promise<boolean> {
    const { topics, clock } = this.#parts
    const telemetry = topics.name('telemetry', generation)
    await topics.kafka.seal(telemetry, generation.partitions, encodeTick(clock.nowUs()))
    const ends = await endsOf(topics, 'telemetry', generation)
    const isThere = (end: number, partition: number): boolean =>
      end === 0 || (positions.get(partition) ?? -1) >= end
    if (ends.every(isThere)) return true
    this.#sealedMs ??= clock.monotonicMs()
    const isKnown = ends.every((end, partition) => end === 0 || positions.has(partition))
    return !isKnown && clock.monotonicMs() - this.#sealedMs > UNKNOWN_MS_MAX
  }

  async #tellDifferences({ job: { id } }: JobStatus, spec: JobSpec): Promise<void> {
    if (this.#told === id) return
    this.#told = id
    const { stateDifferences, differences } = await this.#parts.jobs.compare(spec)
    const all = [...stateDifferences, ...differences]
    if (all.length > 0) this.#parts.differs({ job: id, differences: all.join('; ') })
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
    if (this.#lag !== undefined) {
      const help = 'Entries of telemetry that the job has not read, where it says how far it is.'
      samples.push(metric('weir_flink_lag_entries', help, this.#lag))
    }
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

async function unlessError<T>(code: string, working: Promise<T>): Promise<T | undefined> {
  try {
    return await working
  } catch (error) {
    if (error instanceof WeirError && error.code === code) return undefined
    throw error
  }
}
