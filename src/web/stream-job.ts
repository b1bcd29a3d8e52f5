/** How the job of Flink does, where the stream stage is one: a line under the rates. */
import type { StreamJob } from '../api/api.ts'
import { byId, setText } from './dom.ts'

/** It is told every few seconds: what is older says nothing of now. */
const KNOWN_MS = 15_000
/** Checkpoints come every few seconds; so long without one is worth a look. */
const CHECKPOINT_MS_MAX = 120_000

export class StreamJobLine {
  readonly #line = byId('stream-job')
  #job: StreamJob | undefined
  #toldMs = 0

  show(job: StreamJob, nowMs: number): void {
    this.#job = job
    this.#toldMs = nowMs
    this.refresh(nowMs)
  }

  /** Ages go on; what is not told any more is not known. */
  refresh(nowMs: number): void {
    const job = this.#job
    this.#line.hidden = job === undefined
    if (job === undefined) return
    const isKnown = nowMs - this.#toldMs < KNOWN_MS
    const { text, isWell } = isKnown
      ? describe(job, nowMs)
      : { text: 'Stream job: not heard of', isWell: false }
    setText(this.#line, text)
    this.#line.classList.toggle('is-unwell', !isWell)
  }
}

function describe(job: StreamJob, nowMs: number): { text: string; isWell: boolean } {
  const { state, restarts, checkpoint_at: checkpointAt } = job
  const ageMs = checkpointAt === null ? undefined : Math.max(0, nowMs - checkpointAt)
  const parts = [
    `Stream job: ${state.toLowerCase()}`,
    ageMs === undefined ? 'no checkpoint yet' : `checkpoint ${Math.round(ageMs / 1000)} s ago`,
    ...(restarts !== null && restarts > 0 ? [`restarted ${restarts} times`] : []),
  ]
  const isWell = state === 'RUNNING' && (ageMs === undefined || ageMs < CHECKPOINT_MS_MAX)
  return { text: parts.join(' · '), isWell }
}
