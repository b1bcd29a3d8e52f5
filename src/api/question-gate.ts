/**
 * What stands in front of the engines: so many questions are worked on at once, the others wait,
 * tenant by tenant in turns, and each has its time.
 *
 *   question ──▶ turn ──▶ work ──▶ answer
 *     too many wait: 503   too long: 422   the client goes: it ends, in the queue or at work
 *
 * G1 Of tenants that wait each gets the next turn before one of them gets two.
 * G2 A full queue refuses whoever has most waiting: a tenant that asks little is never refused for
 *    one that asks much.
 * G3 A question holds its place until the engine has let go of it, also when its client has not
 *    waited for that: what is worked on is bounded, whoever comes and goes.
 */
import type { FastifyReply } from 'fastify'
import { WeirError } from '../errors/errors.ts'
import type { Registry } from '../observe/observe.ts'
import type { Clock } from '../world/world.ts'

export interface GateLimits {
  /** Questions that are worked on. */
  atOnce: number
  /** Questions of all tenants that wait. */
  waitingMax: number
  /** Of one question, waiting and work each; Infinity: the engine has a limit of its own. */
  timeMs: number
}

export interface GateParts {
  /** For the metrics' label `kind`. */
  kind: 'query' | 'latest' | 'sql'
  clock: Clock
  registry: Registry
  limits: GateLimits
}

interface Waiting {
  enter: () => void
  refuse: (error: WeirError) => void
}

/** Behind an answer, a new one counts so much in the mean that Retry-After is made of. */
const MEAN_WEIGHT = 0.1
const RETRY_AFTER_SECONDS_MAX = 60

export class QuestionGate {
  readonly #parts: GateParts
  /** By tenant, the one whose turn is next first; none is empty. */
  readonly #queues = new Map<string, Waiting[]>()
  #atWork = 0
  #waiting = 0
  #meanMs = 0

  constructor(parts: GateParts) {
    this.#parts = parts
    const { registry, kind } = parts
    const gauge = (name: string, help: string, read: () => number): void =>
      registry.gaugeOf(`weir_api_questions_${name}`, help, read, { kind })
    gauge('at_work', 'Questions that are worked on.', () => this.#atWork)
    gauge('waiting', 'Questions that wait for their turn.', () => this.#waiting)
  }

  /**
   * The answer of `work`, whose signal is aborted when the client goes or the time is over. Errors:
   * QUERY_OVERLOADED, QUERY_LIMIT_EXCEEDED for the time, QUERY_FAILED for nobody, and those of
   * `work`.
   */
  async run<T>(
    { tenant, reply }: { tenant: string; reply: FastifyReply },
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const ending = new AbortController()
    const leave = (): void => ending.abort(new WeirError('QUERY_FAILED', 'whoever asked has gone'))
    if (reply.raw.destroyed) leave()
    reply.raw.once('close', leave)
    try {
      await this.#turn(tenant, ending.signal)
      return await this.#work(ending, work)
    } catch (error) {
      this.#count(outcomeOf(error, reply))
      throw error
    } finally {
      reply.raw.off('close', leave)
    }
  }

  async #work<T>(ending: AbortController, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, limits } = this.#parts
    if (ending.signal.aborted) {
      this.#leave()
      throw ending.signal.reason
    }
    const startMs = clock.monotonicMs()
    const late = (): void => ending.abort(tooLong(limits.timeMs))
    const cancel = limits.timeMs === Infinity ? undefined : clock.after(limits.timeMs, late)
    const working = work(ending.signal)
    const done = (): void => {
      this.#meanMs += MEAN_WEIGHT * (clock.monotonicMs() - startMs - this.#meanMs)
      this.#leave()
    }
    working.finally(done).catch(() => undefined)
    const ended = Promise.withResolvers<never>()
    const end = (): void => ended.reject(ending.signal.reason)
    ending.signal.addEventListener('abort', end)
    try {
      const answer = await Promise.race([working, ended.promise])
      this.#count('answered')
      return answer
    } finally {
      ending.signal.removeEventListener('abort', end)
      cancel?.()
    }
  }

  /** Resolves when the question may be worked on, which #leave() ends. */
  async #turn(tenant: string, signal: AbortSignal): Promise<void> {
    const { clock, limits } = this.#parts
    signal.throwIfAborted()
    if (this.#atWork < limits.atOnce) {
      this.#atWork++
      return
    }
    if (this.#waiting >= limits.waitingMax) this.#makeRoom(tenant)
    const turn = Promise.withResolvers<void>()
    const waiting: Waiting = { enter: turn.resolve, refuse: turn.reject }
    const forget = (error: unknown): void => {
      this.#remove(tenant, waiting)
      turn.reject(error)
    }
    const leave = (): void => forget(signal.reason)
    this.#add(tenant, waiting)
    signal.addEventListener('abort', leave)
    const late = (): void => forget(this.#overload())
    const cancel = limits.timeMs === Infinity ? undefined : clock.after(limits.timeMs, late)
    try {
      await turn.promise
    } finally {
      signal.removeEventListener('abort', leave)
      cancel?.()
    }
  }

  /** Throws QUERY_OVERLOADED unless another tenant has more waiting, whose newest goes instead. */
  #makeRoom(tenant: string): void {
    const own = this.#queues.get(tenant)?.length ?? 0
    let [most, longest]: [string, Waiting[]] = ['', []]
    for (const [name, queue] of this.#queues) {
      if (queue.length > longest.length) [most, longest] = [name, queue]
    }
    if (longest.length <= own + 1) throw this.#overload()
    const last = longest.at(-1)!
    this.#remove(most, last)
    last.refuse(this.#overload())
  }

  #add(tenant: string, waiting: Waiting): void {
    const queue = this.#queues.get(tenant)
    if (queue === undefined) this.#queues.set(tenant, [waiting])
    else queue.push(waiting)
    this.#waiting++
  }

  #remove(tenant: string, waiting: Waiting): void {
    const queue = this.#queues.get(tenant)
    const at = queue?.indexOf(waiting) ?? -1
    if (queue === undefined || at < 0) return
    queue.splice(at, 1)
    this.#waiting--
    if (queue.length === 0) this.#queues.delete(tenant)
  }

  /** The place goes to the next tenant's oldest, and that tenant behind the others. */
  #leave(): void {
    const [next] = this.#queues
    if (next === undefined) {
      this.#atWork--
      return
    }
    const [tenant, queue] = next
    const waiting = queue.shift()!
    this.#waiting--
    this.#queues.delete(tenant)
    if (queue.length > 0) this.#queues.set(tenant, queue)
    waiting.enter()
  }

  #overload(): WeirError {
    const { atOnce } = this.#parts.limits
    const seconds = Math.ceil(((this.#waiting + 1) * this.#meanMs) / atOnce / 1000)
    const retryAfterSeconds = Math.min(Math.max(seconds, 1), RETRY_AFTER_SECONDS_MAX)
    return new WeirError('QUERY_OVERLOADED', undefined, { details: { retryAfterSeconds } })
  }

  #count(outcome: Outcome): void {
    const { registry, kind } = this.#parts
    const help = 'Questions by how they ended.'
    registry.counter('weir_api_questions_total', help, { kind, outcome }).add()
  }
}

type Outcome = 'answered' | 'refused' | 'late' | 'gone' | 'failed'

function outcomeOf(error: unknown, reply: FastifyReply): Outcome {
  if (reply.raw.destroyed) return 'gone'
  if (!(error instanceof WeirError)) return 'failed'
  if (error.code === 'QUERY_OVERLOADED') return 'refused'
  return error.details['timeMs'] === undefined ? 'failed' : 'late'
}

function tooLong(timeMs: number): WeirError {
  const detail = `The query took longer than ${timeMs} ms`
  return new WeirError('QUERY_LIMIT_EXCEEDED', detail, { details: { limit: timeMs, timeMs } })
}
