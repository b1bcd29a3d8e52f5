/** What the JobManager says of jobs by its REST, and what it does with them. */
import { WeirError } from '../errors/errors.ts'
import type { Pause } from './flink.ts'
import { reasonOf, send } from './requests.ts'
import type { JobParameters } from './state-layout.ts'

const POLL_MS = 200
/** A savepoint writes all state; a job that starts reads it. */
const POLLS_MAX = 3000

const METRIC_TRIES_MAX = 10
/** A minute: then it is no start any more. */
const STEADY_POLLS_MAX = 300

/** Of these nothing runs any more, and nothing will. */
const ENDED = ['FINISHED', 'CANCELED', 'FAILED']

export interface Job {
  id: string
  name: string
  /** `RUNNING`, `RESTARTING`, … */
  state: string
  startMs: number
}

export interface Checkpoint {
  path: string
  atMs: number
  bytes: number
  durationMs: number
}

interface Vertices {
  state: string
  vertices: { id: string; name: string; status: string }[]
}

interface Checkpoints {
  latest?: {
    completed?: {
      external_path: string
      trigger_timestamp: number
      state_size: number
      end_to_end_duration: number
    } | null
  }
}

/** Errors of all methods: F4. */
export class JobManager {
  readonly #url: string
  readonly #pause: Pause

  constructor(url: string, pause: Pause) {
    this.#url = url
    this.#pause = pause
  }

  /** The page of a job. */
  dashboard(id: string): string {
    return `${this.#url}/#/job/running/${id}/overview`
  }

  /** The job of this name that has not ended. */
  async find(name: string): Promise<Job | undefined> {
    const { jobs } = await this.#get<{
      jobs: { jid: string; name: string; state: string; 'start-time': number }[]
    }>('/jobs/overview')
    const job = jobs.find((one) => one.name === name && !ENDED.includes(one.state))
    if (job === undefined) return undefined
    return { id: job.jid, name, state: job.state, startMs: job['start-time'] }
  }

  async parameters(id: string): Promise<JobParameters> {
    const config = await this.#get<{ 'execution-config'?: { 'user-config'?: JobParameters } }>(
      `/jobs/${id}/config`,
    )
    return config['execution-config']?.['user-config'] ?? {}
  }

  /** Resolves when all of it runs. */
  async untilRunning(id: string): Promise<void> {
    await this.#poll(`job ${id} does not start`, async () => {
      const { state, isWhole } = await this.#progress(id)
      if (isWhole) return true
      const failure = await this.failure(id)
      if (failure !== undefined) throw new WeirError('FLINK_JOB_FAILED', failure)
      return ENDED.includes(state) ? true : undefined
    })
  }

  /** Why it last failed. */
  async failure(id: string): Promise<string | undefined> {
    const { exceptionHistory } = await this.#get<{
      exceptionHistory?: { entries: { exceptionName: string; stacktrace: string }[] }
    }>(`/jobs/${id}/exceptions`)
    const [last] = exceptionHistory?.entries ?? []
    return last === undefined ? undefined : reasonOf(last.stacktrace)
  }

  async cancel(id: string): Promise<void> {
    await send(`${this.#url}/jobs/${id}?mode=cancel`, { method: 'PATCH' })
    await this.#untilEnded(id)
  }

  /**
   * Ends it with a savepoint, and says where that is. One that starts, or begins again, is waited
   * for: it cannot write one.
   */
  async stop(id: string, folder: string): Promise<string> {
    await this.#untilSteady(id)
    const { 'request-id': request } = await send<{ 'request-id': string }>(
      `${this.#url}/jobs/${id}/stop`,
      { method: 'POST', body: JSON.stringify({ targetDirectory: folder, drain: false }) },
    )
    const path = await this.#poll(`job ${id} does not write its savepoint`, async () => {
      const { status, operation } = await this.#get<{
        status: { id: string }
        operation?: { location?: string; 'failure-cause'?: { 'stack-trace': string } } | null
      }>(`/jobs/${id}/savepoints/${request}`)
      if (status.id !== 'COMPLETED') return undefined
      const failure = operation?.['failure-cause']
      if (failure !== undefined)
        throw new WeirError('FLINK_REFUSED', reasonOf(failure['stack-trace']))
      return operation?.location
    })
    await this.#untilEnded(id)
    return path
  }

  async #untilSteady(id: string): Promise<void> {
    for (let polls = 0; polls < STEADY_POLLS_MAX; polls++) {
      if ((await this.#progress(id)).isWhole) return
      await this.#pause(POLL_MS)
    }
    const failure = (await this.failure(id)) ?? 'its tasks find no slots'
    throw new WeirError('FLINK_REFUSED', `no savepoint: job ${id} does not run: ${failure}`)
  }

  async #progress(id: string): Promise<{ state: string; isWhole: boolean }> {
    const { state, vertices } = await this.#get<Vertices>(`/jobs/${id}`)
    const runs = vertices.filter(({ status }) => status === 'RUNNING').length
    return { state, isWhole: runs > 0 && runs === vertices.length }
  }

  async #untilEnded(id: string): Promise<void> {
    await this.#poll(`job ${id} does not end`, async () => {
      const { state } = await this.#get<{ state: string }>(`/jobs/${id}`)
      return ENDED.includes(state) ? true : undefined
    })
  }

  async lastCheckpoint(id: string): Promise<Checkpoint | undefined> {
    const { latest } = await this.#get<Checkpoints>(`/jobs/${id}/checkpoints`)
    const last = latest?.completed
    if (last === undefined || last === null) return undefined
    return {
      path: last.external_path,
      atMs: last.trigger_timestamp,
      bytes: last.state_size,
      durationMs: last.end_to_end_duration,
    }
  }

  /** Since when it runs, and how often it had to begin again; undefined while Flink looks. */
  async runs(id: string): Promise<{ uptimeMs: number; restarts: number | undefined }> {
    const { now, timestamps } = await this.#get<{
      now: number
      timestamps: { RUNNING: number }
    }>(`/jobs/${id}`)
    const metrics = await this.#metrics(`/jobs/${id}/metrics`, ['numRestarts'])
    return { uptimeMs: now - timestamps.RUNNING, restarts: metrics.get('numRestarts') }
  }

  /** The next offset of each partition of the topic that it reads. */
  async positions(id: string, topic: string): Promise<Map<number, number>> {
    const { vertices } = await this.#get<Vertices>(`/jobs/${id}`)
    const source = vertices.find(({ name }) => name.startsWith('Source: '))
    if (source === undefined) return new Map()
    const path = `/jobs/${id}/vertices/${source.id}/metrics`
    const wanted = await this.#retry(async () => {
      const names = (await this.#get<{ id: string }[]>(path)).map((one) => one.id)
      return names.filter((name) => name.endsWith('.currentOffset'))
    })
    const found = new Map<number, number>()
    for (const [name, offset] of await this.#metrics(path, wanted)) {
      const [, of = '', partition = ''] =
        /\.topic\.(.+)\.partition\.(\d+)\.currentOffset$/.exec(name) ?? []
      // In names of metrics Flink takes another character for a dot.
      const isOurs = of.replaceAll(/[^\w-]/g, '_') === topic.replaceAll(/[^\w-]/g, '_')
      if (isOurs && offset >= 0) found.set(Number(partition), offset + 1)
    }
    return found
  }

  async #metrics(path: string, names: readonly string[]): Promise<Map<string, number>> {
    if (names.length === 0) return new Map()
    const query = `get=${names.map(encodeURIComponent).join(',')}`
    const found = await this.#retry(() =>
      this.#get<{ id: string; value: string }[]>(`${path}?${query}`),
    )
    return new Map(found.map(({ id, value }) => [id, Number(value)]))
  }

  /** Who asks for metrics makes the JobManager fetch them, and sees what it had by then. */
  async #retry<T>(ask: () => Promise<T[]>): Promise<T[]> {
    for (let tries = 1; ; tries++) {
      const found = await ask()
      if (found.length > 0 || tries === METRIC_TRIES_MAX) return found
      await this.#pause(POLL_MS)
    }
  }

  #get<T>(path: string): Promise<T> {
    return send<T>(`${this.#url}${path}`)
  }

  async #poll<T>(problem: string, attempt: () => Promise<T | undefined>): Promise<T> {
    for (let polls = 0; polls < POLLS_MAX; polls++) {
      const found = await attempt()
      if (found !== undefined) return found
      await this.#pause(POLL_MS)
    }
    throw new WeirError('FLINK_UNAVAILABLE', `${this.#url}: ${problem}`)
  }
}
