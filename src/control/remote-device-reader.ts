/**
 * A device reader over a registry that must be asked over a network. What was asked for once is
 * remembered for a while; what several callers need at once goes in one question.
 *
 * How old an answer may be:
 *
 *   found       `foundMs`. So long a token that was replaced is still accepted, and no longer while
 *               the registry answers. A token that does not fit what is remembered is asked for, so
 *               that a new one is accepted at once; each id at most once in `notFoundMs`.
 *   not found   `notFoundMs`, from the answer on: short, since it may be registered any moment, but
 *               a stranger who knocks again and again is a question a second, not a thousand.
 *   away        While the registry does not answer, what was found goes on counting up to `awayMs`
 *               after it was asked for last: a fleet that loses its connections during a restart of
 *               the database gets back in. Nobody can replace a token in a registry that is away;
 *               but a gateway that alone is cut off from it may accept a replaced one for `awayMs`.
 */
import type { Clock } from '../world/world.ts'
import { isDeviceId } from './control.ts'
import type { Device, DeviceReader, PrepareNeed } from './control.ts'
import { DeviceCache, type KnownDevice } from './device-cache.ts'
import type { DeviceRow } from './device-row.ts'
import { areHashesEqual, hashSecret } from './secrets.ts'

export interface RemoteReaderOptions {
  /** Rows and ids not found that are remembered; some 500 bytes each. */
  devicesMax: number
  foundMs: number
  notFoundMs: number
  /** 0: nothing counts beyond its time. */
  awayMs: number
  /** Questions under way at once. */
  questionsMax: number
  /** For one question; at most half of `foundMs`, or its answer could be too old to use. */
  timeoutMs: number
}

export const REMOTE_READER_DEFAULTS: RemoteReaderOptions = {
  devicesMax: 100_000,
  foundMs: 30_000,
  notFoundMs: 1000,
  awayMs: 300_000,
  questionsMax: 2,
  timeoutMs: 2000,
}

/** Rows of those ids of a tenant that are registered. Fails with CONTROL_UNAVAILABLE, in time. */
export interface DeviceSource {
  ask(tenant: string, ids: readonly string[]): Promise<DeviceRow[]>
  close(): Promise<void>
}

interface Question {
  tenant: string
  ids: Set<string>
  answered: PromiseWithResolvers<void>
}

const IDS_PER_QUESTION_MAX = 1000
/** Asked again a little early, so that what prepare() found fresh is so when it is looked at. */
const FRESH_PART = 0.9

export class RemoteDeviceReader implements DeviceReader {
  /** Totals since start. */
  readonly statistics = { questions: 0, failures: 0 }
  readonly #source: DeviceSource
  readonly #clock: Clock
  readonly #options: RemoteReaderOptions
  readonly #cache: DeviceCache
  readonly #idsMax: number
  readonly #waiting: Question[] = []
  readonly #underWay = new Set<Question>()
  #isScheduled = false

  constructor(source: DeviceSource, clock: Clock, given: Partial<RemoteReaderOptions> = {}) {
    const options = { ...REMOTE_READER_DEFAULTS, ...given }
    if (options.timeoutMs * 2 > options.foundMs) {
      throw new RangeError(`foundMs ${options.foundMs} is below twice ${options.timeoutMs}`)
    }
    this.#source = source
    this.#clock = clock
    this.#options = options
    this.#cache = new DeviceCache(options.devicesMax)
    // All of one answer must be there when those who asked look at it.
    this.#idsMax = Math.min(IDS_PER_QUESTION_MAX, options.devicesMax)
  }

  /** What is remembered now. */
  get deviceCount(): number {
    return this.#cache.size
  }

  prepare(
    tenant: string,
    ids: readonly string[],
    need: PrepareNeed = {},
  ): Promise<void> | undefined {
    const missing = ids.filter((id) => !this.#isKnown(tenant, id, need))
    return missing.length === 0 ? undefined : this.#answered(tenant, missing, need)
  }

  find(tenant: string, id: string): Device | undefined {
    const known = this.#cache.get(tenant, id)
    return known !== undefined && this.#counts(known, 1) ? known.device : undefined
  }

  authenticate(tenant: string, id: string, token: string): Device | undefined {
    // Hashed before the look-up, so that an unknown id costs what a wrong token costs.
    const hash = hashSecret(token)
    const known = this.#cache.get(tenant, id)
    if (known?.tokenHash === undefined || !this.#counts(known, 1)) return undefined
    return areHashesEqual(known.tokenHash, hash) ? known.device : undefined
  }

  close(): Promise<void> {
    return this.#source.close()
  }

  #isKnown(tenant: string, id: string, { token, isNew = false }: PrepareNeed): boolean {
    // Nobody can have registered it; and the database would refuse the whole question for a NUL.
    if (!isDeviceId(id)) return true
    const known = this.#cache.get(tenant, id)
    if (known === undefined) return false
    const isJustAnswered =
      this.#clock.monotonicMs() - known.answeredMs < this.#options.notFoundMs && !isNew
    if (known.device === undefined) return isJustAnswered
    if (!this.#counts(known, FRESH_PART)) return false
    return token === undefined || hasToken(known, token) || isJustAnswered
  }

  /** Whether something found may be used; `part` of its time to live is allowed. */
  #counts(known: KnownDevice, part: number): boolean {
    const nowMs = this.#clock.monotonicMs()
    return nowMs < known.askedMs + this.#options.foundMs * part || nowMs < known.heldUntilMs
  }

  async #answered(tenant: string, ids: readonly string[], need: PrepareNeed): Promise<void> {
    const questions = new Set(ids.map((id) => this.#question(tenant, id, need)))
    try {
      await Promise.all([...questions].map(({ answered }) => answered.promise))
    } catch (error) {
      const isServed = (id: string): boolean =>
        this.#isKnown(tenant, id, need) || this.#holds(tenant, id, need)
      if (!ids.every(isServed)) throw error
    }
  }

  /** The registry is away: whether what is remembered of this device counts all the same. */
  #holds(tenant: string, id: string, { token }: PrepareNeed): boolean {
    const { awayMs, notFoundMs } = this.#options
    const known = this.#cache.get(tenant, id)
    if (known?.device === undefined) return false
    const nowMs = this.#clock.monotonicMs()
    const endMs = known.askedMs + awayMs
    if (nowMs >= endMs || (token !== undefined && !hasToken(known, token))) return false
    known.heldUntilMs = Math.min(endMs, nowMs + notFoundMs)
    return true
  }

  /** The question that answers for this id: one under way, one that waits, or a new one. */
  #question(tenant: string, id: string, { token, isNew = false }: PrepareNeed): Question {
    const isFor = (question: Question): boolean => question.tenant === tenant
    // What was asked before this moment may not know what happened just now.
    if (token === undefined && !isNew) {
      for (const question of this.#underWay)
        if (isFor(question) && question.ids.has(id)) return question
    }
    const hasRoom = ({ ids }: Question): boolean => ids.has(id) || ids.size < this.#idsMax
    let question = this.#waiting.find((one) => isFor(one) && hasRoom(one))
    if (question === undefined) {
      question = { tenant, ids: new Set(), answered: Promise.withResolvers() }
      this.#waiting.push(question)
      this.#schedule()
    }
    question.ids.add(id)
    return question
  }

  /** All sockets that are readable now get into one question. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#clock.soon(() => {
      this.#isScheduled = false
      this.#askNext()
    })
  }

  #askNext(): void {
    while (this.#underWay.size < this.#options.questionsMax) {
      const question = this.#waiting.shift()
      if (question === undefined) return
      this.#underWay.add(question)
      void this.#ask(question)
    }
  }

  async #ask(question: Question): Promise<void> {
    const { tenant, ids, answered } = question
    const askedMs = this.#clock.monotonicMs()
    this.statistics.questions++
    try {
      const rows = await this.#source.ask(tenant, [...ids])
      const answeredMs = this.#clock.monotonicMs()
      this.#cache.take({ tenant, ids, askedMs, answeredMs }, rows)
      answered.resolve()
    } catch (error) {
      this.statistics.failures++
      answered.reject(error)
    }
    this.#underWay.delete(question)
    this.#askNext()
  }
}

function hasToken({ tokenHash }: KnownDevice, token: string): boolean {
  return tokenHash !== undefined && areHashesEqual(tokenHash, hashSecret(token))
}
