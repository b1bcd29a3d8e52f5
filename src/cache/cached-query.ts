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
import type {
  EventsFilter,
  GroupsAnswer,
  GroupsQuestion,
  LatestQuestion,
  Query,
  ReadingsAnswer,
  ReadingsQuestion,
  WindowsAnswer,
  WindowsQuestion,
} from '../query/query.ts'
import type { Clock } from '../world/world.ts'
import type { Cache } from './cache.ts'

/** Raise it when an answer's shape changes: versions that run at once then share nothing. */
const FORMAT = 2
const SETTLED_TTL_MS = 2 * 60_000
const RECENT_TTL_MS = 1000
const MARGIN_US = 5 * 60_000_000

type Answer = ReadingsAnswer | WindowsAnswer | GroupsAnswer

interface Flight {
  startMs: number
  answer: Promise<Answer>
}

export interface CachedQueryParts {
  query: Query
  cache: Cache
  clock: Clock
  /** The pipeline's. */
  allowedLatenessUs: number
}

export class CachedQuery implements Query {
  readonly #query: Query
  readonly #cache: Cache
  readonly #clock: Clock
  readonly #unsettledUs: number
  readonly #flights = new Map<string, Flight>()
  readonly #text = { encoder: new TextEncoder(), decoder: new TextDecoder() }

  constructor({ query, cache, clock, allowedLatenessUs }: CachedQueryParts) {
    this.#query = query
    this.#cache = cache
    this.#clock = clock
    this.#unsettledUs = allowedLatenessUs + MARGIN_US
  }

  readings(question: ReadingsQuestion): Promise<ReadingsAnswer> {
    return this.#answer({
      key: keyOf('readings', question),
      endUs: question.endUs,
      ask: () => this.#query.readings(question),
    })
  }

  windows(question: WindowsQuestion): Promise<WindowsAnswer> {
    return this.#answer({
      key: keyOf('windows', question),
      // The last window that starts in the span ends behind it.
      endUs: question.endUs + question.windowMs * 1000,
      ask: () => this.#query.windows(question),
    })
  }

  groups(question: GroupsQuestion): Promise<GroupsAnswer> {
    return this.#answer({
      key: keyOf('groups', question),
      endUs: question.endUs,
      ask: () => this.#query.groups(question),
    })
  }

  latest(tenant: string, deviceId: string): ReturnType<Query['latest']> {
    return this.#query.latest(tenant, deviceId)
  }

  latestOfMetric(question: LatestQuestion): ReturnType<Query['latestOfMetric']> {
    return this.#query.latestOfMetric(question)
  }

  anomalies(filter: EventsFilter): ReturnType<Query['anomalies']> {
    return this.#query.anomalies(filter)
  }

  deadLetters(filter: EventsFilter): ReturnType<Query['deadLetters']> {
    return this.#query.deadLetters(filter)
  }

  completeness(): Promise<number> {
    return this.#query.completeness()
  }

  /** Equal questions that are under way at once ask once; a failure is told to all of them. */
  #answer<A extends Answer>(asked: Asked<A>): Promise<A> {
    const { key } = asked
    const startMs = this.#clock.monotonicMs()
    const isOld = asked.endUs <= this.#clock.nowUs() - this.#unsettledUs
    const known = this.#flights.get(key)
    const joinMs = isOld ? SETTLED_TTL_MS : RECENT_TTL_MS
    // The key says which kind of question it was.
    if (known !== undefined && startMs - known.startMs < joinMs) return known.answer as Promise<A>
    const answer = this.#find({ ...asked, startMs, isOld }).finally(() => {
      if (this.#flights.get(key)?.answer === answer) this.#flights.delete(key)
    })
    this.#flights.set(key, { startMs, answer })
    return answer
  }

  async #find<A extends Answer>(asked: Started<A>): Promise<A> {
    const kept = await this.#cache.get(asked.key)
    const cached = kept === undefined ? undefined : this.#read<A>(kept)
    if (cached !== undefined) return { ...cached, meta: { ...cached.meta, cached: true } }
    const answer = await asked.ask()
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
  key: string
  /** Nothing behind it is in the answer. */
  endUs: number
  ask: () => Promise<A>
}

interface Started<A> extends Asked<A> {
  startMs: number
  /** Its span was settled when it was asked. */
  isOld: boolean
}

/** All that is asked, the tenant first. JSON keeps apart what is apart. */
const keyOf = (
  kind: 'readings' | 'windows' | 'groups',
  { tenant, ...question }: ReadingsQuestion | WindowsQuestion | GroupsQuestion,
): string => JSON.stringify([tenant, FORMAT, kind, question], inOrderOfNames)

/** Whoever names the same in another order asks the same. */
function inOrderOfNames(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const entries: [string, unknown][] = value instanceof Map ? [...value] : Object.entries(value)
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
