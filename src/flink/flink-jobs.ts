/** Submits, looks at, changes and ends the job; guarantees F1 to F5 of `flink.ts`. */
import { WeirError } from '../errors/errors.ts'
import type { Alone, Beginning, JobSpec, Pause } from './flink.ts'
import { JobManager, type Checkpoint, type Job } from './job-manager.ts'
import { jobParameters, jobSql } from './job-sql.ts'
import { SqlGateway } from './sql-gateway.ts'
import {
  lastRecord,
  newestState,
  writeRecord,
  type SavedState,
  type StateFolder,
} from './state-folder.ts'
import { generationOf, otherDifferences, specAsBefore, stateDifferences } from './state-layout.ts'

export interface FlinkAccess {
  gatewayUrl: string
  restUrl: string
  alone: Alone
  pause: Pause
  nowMs: () => number
  /** Where the job keeps its checkpoints and savepoints. */
  folders: { checkpoints: StateFolder; savepoints: StateFolder }
  /** Nothing of these stands in a message. */
  secrets: readonly string[]
}

export interface Submitted {
  id: string
  dashboard: string
  beginning: Beginning
  /** Set when a later `--resume` will not find this job by itself, and why. */
  unrecorded: string | undefined
}

export interface JobStatus {
  job: Job
  dashboard: string
  uptimeMs: number
  /** Undefined where Flink does not say. */
  restarts: number | undefined
  checkpoint: Checkpoint | undefined
  /** Why it last failed. */
  failure: string | undefined
  /** Next offsets of telemetry by partition; empty where Flink does not say. */
  positions: Map<number, number>
}

interface Ended {
  id: string
  savepoint: string | undefined
  /** Set when a keeper will not know that it was meant, and why. */
  unrecorded: string | undefined
}

/** What would become of the job that runs. */
export interface Upgrade {
  job: Job
  /** Why the new job cannot take up its state; empty when it can. */
  stateDifferences: string[]
  /** What else changes. */
  differences: string[]
}

export class FlinkJobs {
  readonly #access: FlinkAccess
  readonly #manager: JobManager

  constructor(access: FlinkAccess) {
    this.#access = access
    this.#manager = new JobManager(access.restUrl, access.pause)
  }

  /**
   * Begins where it is told, or where there is no state of an earlier job, at the oldest entries.
   * Errors: FLINK_JOB_RUNNING, FLINK_STATE_EXISTS, FLINK_JOB_FAILED and those of any request.
   */
  submit(spec: JobSpec, beginning?: Beginning): Promise<Submitted> {
    return this.#access.alone(async () => {
      await this.#checkAbsent(spec.name)
      const saved = beginning === undefined ? await this.#newestState() : undefined
      if (saved !== undefined) throw new WeirError('FLINK_STATE_EXISTS', addressOf(spec, saved))
      return this.#start(spec, beginning ?? { from: 'earliest' })
    })
  }

  /** From the newest state of an earlier job. Errors: also FLINK_STATE_ABSENT, _DIFFERS. */
  resume(spec: JobSpec): Promise<Submitted> {
    return this.#access.alone(async () => {
      await this.#checkAbsent(spec.name)
      const saved = await this.#newestState()
      if (saved === undefined) throw new WeirError('FLINK_STATE_ABSENT', spec.checkpoints)
      return this.#goOn(spec, saved)
    })
  }

  /**
   * Starts the job where it should run and does not: as it ran last, from its newest state; the
   * first one by `spec`. Otherwise says why not. Errors: those of `resume`.
   */
  keep(spec: JobSpec): Promise<Submitted | 'runs' | 'ended'> {
    return this.#access.alone(async () => {
      if ((await this.#manager.find(spec.name)) !== undefined) return 'runs'
      const last = await lastRecord(this.#access.folders.checkpoints)
      if (last?.endedMs !== undefined) return 'ended'
      const saved = await this.#newestState()
      if (saved === undefined) return this.#start(spec, { from: 'earliest' })
      return this.#goOn(specAsBefore(saved.record.parameters, spec), saved)
    })
  }

  async #checkAbsent(name: string): Promise<void> {
    const running = await this.#manager.find(name)
    if (running !== undefined)
      throw new WeirError('FLINK_JOB_RUNNING', `${name} is ${running.state}: ${running.id}`)
  }

  async #goOn(spec: JobSpec, saved: SavedState): Promise<Submitted> {
    const differences = stateDifferences(saved.record.parameters, spec)
    const path = addressOf(spec, saved)
    if (differences.length > 0) throw differs(path, differences)
    return this.#start(spec, { from: 'state', path })
  }

  /** Of the topics of the job that runs or ran last; undefined where there was none. */
  async generation(name: string): Promise<number | undefined> {
    const job = await this.#manager.find(name)
    if (job !== undefined) return generationOf(await this.#manager.parameters(job.id))
    const saved = await this.#newestState()
    return saved && generationOf(saved.record.parameters)
  }

  #newestState(): Promise<SavedState | undefined> {
    const { checkpoints, savepoints } = this.#access.folders
    return newestState(checkpoints, savepoints)
  }

  async #start(spec: JobSpec, beginning: Beginning): Promise<Submitted> {
    const id = await this.#withoutSecrets(() => this.#execute(spec, beginning))
    try {
      await this.#withoutSecrets(() => this.#manager.untilRunning(id))
    } catch (error) {
      // What cannot start is tried again by Flink for ever.
      if (error instanceof WeirError && error.code === 'FLINK_JOB_FAILED')
        await this.#manager.cancel(id)
      throw error
    }
    const unrecorded = await this.#record(id, { spec, beginning })
    return { id, dashboard: this.#manager.dashboard(id), beginning, unrecorded }
  }

  async #execute(spec: JobSpec, beginning: Beginning): Promise<string> {
    const { gatewayUrl, pause } = this.#access
    const { settings, definitions, job } = jobSql(spec, beginning)
    await using session = await SqlGateway.open(gatewayUrl, { properties: settings, pause })
    for (const statement of definitions) await session.run(statement)
    const { rows } = await session.run(`EXECUTE ${job}`)
    return String(rows[0]?.[0])
  }

  /** So that it is found when the JobManager has forgotten it. */
  async #record(
    job: string,
    { spec, beginning }: { spec: JobSpec; beginning: Beginning },
  ): Promise<string | undefined> {
    const { folders, nowMs } = this.#access
    const record = { job, submittedMs: nowMs(), parameters: jobParameters(spec, beginning) }
    try {
      await writeRecord(folders.checkpoints, record)
      return undefined
    } catch (error) {
      return `no record could be written into ${spec.checkpoints}: ${(error as Error).message}`
    }
  }

  async #withoutSecrets<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (error) {
      const { secrets } = this.#access
      if (!(error instanceof WeirError) || !secrets.some((one) => error.message.includes(one)))
        throw error
      const message = secrets.reduce((text, one) => text.replaceAll(one, '***'), error.message)
      // Its cause has the message, too.
      throw new WeirError(error.code, message)
    }
  }

  /** Errors: FLINK_JOB_ABSENT. */
  async status(name: string, topic: string): Promise<JobStatus> {
    const job = await this.#running(name)
    const manager = this.#manager
    const [runs, checkpoint, failure, positions] = await Promise.all([
      manager.runs(job.id),
      manager.lastCheckpoint(job.id),
      manager.failure(job.id),
      manager.positions(job.id, topic),
    ])
    return { job, dashboard: manager.dashboard(job.id), ...runs, checkpoint, failure, positions }
  }

  /** Changes nothing. Errors: FLINK_JOB_ABSENT. */
  async compare(spec: JobSpec): Promise<Upgrade> {
    const job = await this.#running(spec.name)
    const before = await this.#manager.parameters(job.id)
    return {
      job,
      stateDifferences: stateDifferences(before, spec),
      differences: otherDifferences(before, spec),
    }
  }

  /**
   * Ends the job that runs with a savepoint and starts another: from there, or from what `replay`
   * says. When the other one does not start, the savepoint is what `resume` finds.
   * Errors: FLINK_JOB_ABSENT, FLINK_STATE_DIFFERS, FLINK_JOB_FAILED.
   */
  upgrade(
    spec: JobSpec,
    replay?: Beginning & { from: 'time' },
  ): Promise<Submitted & { savepoint: string }> {
    return this.#access.alone(async () => {
      const { job, stateDifferences: reasons } = await this.compare(spec)
      if (reasons.length > 0 && replay === undefined) throw differs(job.id, reasons)
      return this.#replace(job, spec, replay)
    })
  }

  /** As it is, on the topics of another generation. Errors: those of `upgrade`. */
  move(spec: JobSpec): Promise<Submitted> {
    return this.#access.alone(async () => {
      const job = await this.#running(spec.name)
      return this.#replace(job, specAsBefore(await this.#manager.parameters(job.id), spec))
    })
  }

  async #replace(
    job: Job,
    spec: JobSpec,
    replay?: Beginning,
  ): Promise<Submitted & { savepoint: string }> {
    const savepoint = await this.#manager.stop(job.id, spec.savepoints)
    const beginning = replay ?? ({ from: 'state', path: savepoint } as const)
    return { savepoint, ...(await this.#start(spec, beginning)) }
  }

  /**
   * For good: `keep` does not start it again, `resume` does, from its last checkpoint, or from the
   * savepoint that it leaves in the folder `savepoints`. Errors: FLINK_JOB_ABSENT.
   */
  cancel(name: string, savepoints?: string): Promise<Ended> {
    return this.#access.alone(async () => {
      const job = await this.#running(name)
      const savepoint = savepoints && (await this.#manager.stop(job.id, savepoints))
      if (savepoint === undefined) await this.#manager.cancel(job.id)
      return { id: job.id, savepoint, unrecorded: await this.#recordEnd(job) }
    })
  }

  async #recordEnd(job: Job): Promise<string | undefined> {
    const { folders, nowMs } = this.#access
    try {
      const last = await lastRecord(folders.checkpoints)
      if (last?.job !== job.id) return `there is no record of ${job.id}`
      await writeRecord(folders.checkpoints, { ...last, endedMs: nowMs() })
      return undefined
    } catch (error) {
      return `no record could be written: ${(error as Error).message}`
    }
  }

  async #running(name: string): Promise<Job> {
    const job = await this.#manager.find(name)
    if (job === undefined) throw new WeirError('FLINK_JOB_ABSENT', `no job ${name} runs`)
    return job
  }
}

const addressOf = (spec: JobSpec, { of, path }: SavedState): string => `${spec[of]}/${path}`

const differs = (what: string, reasons: readonly string[]): WeirError =>
  new WeirError('FLINK_STATE_DIFFERS', [what, ...reasons].join('\n'))
