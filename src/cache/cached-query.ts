/**
 * Answers of `readings` and `windows` questions, kept for those who ask the same again: a page that
 * ten people have open, or that asks every few seconds. All other questions go through.
 *
 * How long an answer stays true depends on how old its span is.
 *
 * - Readings come into a span while it is the present, and late ones for the allowed lateness
 *   after it. The window's row is computed again once its end plus that lateness has passed. After
 *   a margin (disorder of 10 s, clocks that differ, a writer that is some minutes behind, the
 *   recomputation itself) an answer is *settled*: only a backlog of a device that was offline for
 *   longer than the lateness still changes it. So it may live for minutes, not for ever: a person
 *   who waits for such a backlog sees it SETTLED_TTL_MS late at most.
 * - Of a younger span nobody can tell when the next reading comes. Its answer lives for a second:
 *   as old as the page's own next question, and enough for many who ask at once.
 * - An answer that says itself that it is not complete is never settled.
 *
 * The time to live counts from the moment that the question was asked, since the answer is a look
 * at what was stored some time after that. The same limit holds for joining an equal question that
 * is under way: who joins gets nothing older than a cache would have given.
 */
import { Flights, questionKey } from '../query/query.ts'
import type {
  EventsFilter,
  GroupsAnswer,
  GroupsQuestion,
  Query,
  ReadingsAnswer,
  ReadingsQuestion,
  WindowsAnswer,
  WindowsQuestion,
} from '../query/query.ts'
import type { Clock } from '../world/world.ts'
import type { Cache } from './cache.ts'

/** Raise it when an answer's shape changes: versions that run at once then share nothing. */
const FORMAT = 3
const SETTLED_TTL_MS = 2 * 60_000
const RECENT_TTL_MS = 1000
const MARGIN_US = 5 * 60_000_000

type Answer = ReadingsAnswer | WindowsAnswer | GroupsAnswer

export interface CachedQueryParts {
  query: Query
  cache: Cache
  clock: Clock
  /** The pipeline's. */
  allowedLatenessUs: number
  /**
   * Part of the key of the tenant's answers: another one from the moment on at which answers of
   * before must not be given any more, because something was erased.
   */
  version: (tenant: string) => Promise<string>
}

export class CachedQuery implements Query {
  readonly #query: Query
  readonly #cache: Cache
  readonly #clock: Clock
  readonly #version: CachedQueryParts['version']
  readonly #unsettledUs: number
  /** By when it was asked, monotonic ms. */
  readonly #flights = new Flights<number>()
  readonly #text = { encoder: new TextEncoder(), decoder: new TextDecoder() }

  constructor({ query, cache, clock, allowedLatenessUs, version }: CachedQueryParts) {
    this.#version = version
    this.#query = query
    this.#cache = cache
    this.#clock = clock
    this.#unsettledUs = allowedLatenessUs + MARGIN_US
  }

  readings(question: ReadingsQuestion, signal?: AbortSignal): Promise<ReadingsAnswer> {
    return this.#answer({
      tenant: question.tenant,
      key: questionKey(`readings ${FORMAT}`, question),
      endUs: question.endUs,
      ask: (ending) => this.#query.readings(question, ending),
      signal,
    })
  }

  windows(question: WindowsQuestion, signal?: AbortSignal): Promise<WindowsAnswer> {
    return this.#answer({
      tenant: question.tenant,
      key: questionKey(`windows ${FORMAT}`, question),
      // The last window that starts in the span ends behind it.
      endUs: question.endUs + question.windowMs * 1000,
      ask: (ending) => this.#query.windows(question, ending),
      signal,
    })
  }

  groups(question: GroupsQuestion, signal?: AbortSignal): Promise<GroupsAnswer> {
    return this.#answer({
      tenant: question.tenant,
      key: questionKey(`groups ${FORMAT}`, question),
      endUs: question.endUs,
      ask: (ending) => this.#query.groups(question, ending),
      signal,
    })
  }

  latest(tenant: string, deviceId: string): ReturnType<Query['latest']> {
    return this.#query.latest(tenant, deviceId)
  }

  latestOfMetric: Query['latestOfMetric'] = (...asked) => this.#query.latestOfMetric(...asked)

  anomalies(filter: EventsFilter): ReturnType<Query['anomalies']> {
    return this.#query.anomalies(filter)
  }

  deadLetters(filter: EventsFilter): ReturnType<Query['deadLetters']> {
    return this.#query.deadLetters(filter)
  }

  completeness(): Promise<number> {
    return this.#query.completeness()
  }

  /** Equal questions that are under way at once ask once: see Flights. */
  async #answer<A extends Answer>(question: Asked<A>): Promise<A> {
    const version = await this.#version(question.tenant)
    const asked = { ...question, key: `${question.key} ${version}` }
    const startMs = this.#clock.monotonicMs()
    const isOld = asked.endUs <= this.#clock.nowUs() - this.#unsettledUs
    const joinMs = isOld ? SETTLED_TTL_MS : RECENT_TTL_MS
    return this.#flights.ask(asked.key, {
      mark: startMs,
      mayJoin: (begunMs) => startMs - begunMs < joinMs,
      start: (ending) => this.#find({ ...asked, startMs, isOld }, ending),
      signal: asked.signal,
    })
  }

  async #find<A extends Answer>(asked: Started<A>, ending: AbortSignal): Promise<A> {
    const kept = await this.#cache.get(asked.key)
    const cached = kept === undefined ? undefined : this.#read<A>(kept)
    if (cached !== undefined) return { ...cached, meta: { ...cached.meta, cached: true } }
    const answer = await asked.ask(ending)
    this.#keep(asked, answer)
    return answer
  }

  /** Nobody waits for it. */
  #keep<A extends Answer>({ key, startMs, isOld }: Started<A>, answer: A): void {
    const ttlMs = isOld && answer.meta.completeness === 1 ? SETTLED_TTL_MS : RECENT_TTL_MS
    const leftMs = ttlMs - (this.#clock.monotonicMs() - startMs)
    if (leftMs <= 0) return
    void this.#cache.set(key, this.#text.encoder.encode(JSON.stringify(answer)), leftMs)
  }

  /** As an answer leaves as JSON anyway, it is the same when it comes back from it. */
  #read<A extends Answer>(kept: Uint8Array): A | undefined {
    try {
      return JSON.parse(this.#text.decoder.decode(kept)) as A
    } catch {
      return undefined
    }
  }
}

interface Asked<A> {
  tenant: string
  key: string
  /** Nothing behind it is in the answer. */
  endUs: number
  ask: (ending: AbortSignal) => Promise<A>
  signal: AbortSignal | undefined
}

interface Started<A> extends Asked<A> {
  startMs: number
  /** Its span was settled when it was asked. */
  isOld: boolean
}
