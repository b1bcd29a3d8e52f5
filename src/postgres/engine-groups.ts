/**
 * Questions about many devices over months that are in the lake, answered by another engine where
 * that is worth it. It is asked for whole months; the rest is looked at as ever, and so is all of
 * it when the engine does not answer. Either way the answer is the same.
 */
import { WeirError } from '../errors/errors.ts'
import {
  PartialsAsker,
  type EnginePartial,
  type EngineSteps,
  type PartialsParts,
} from '../lake-engine/lake-engine.ts'
import { gridOf, type Aggregate, type GroupsQuestion, type ToldGroups } from '../query/query.ts'
import {
  PARTIAL_COUNT,
  PARTIAL_MAX,
  PARTIAL_MEAN,
  PARTIAL_MIN,
  PARTIAL_SQUARES,
  PARTIAL_START_MS,
  PARTIAL_STRIDE,
  PARTIAL_SUM,
} from '../stream/stream.ts'
import { planEngine, type EnginePlan } from './engine-plan.ts'
import type { QueryDatabase } from './query-database.ts'

export interface EngineUse extends PartialsParts {
  /** Fewer in the lake are read by ourselves. */
  readingsMin: number
  /** Told of each question that it was asked, and of those that it failed. */
  done?: (failure: WeirError | undefined) => void
}

/** Sums of any order; `first` and `last` of equal times are the series' numbers' business. */
const AGGREGATES: readonly Aggregate[] = ['avg', 'min', 'max', 'sum', 'count', 'stddev']
const SECOND_US = 1_000_000
const AWAY = 'ENGINE_UNAVAILABLE'
/** Who was away is not waited for again so soon. */
const AWAY_MS = 30_000
/** Of a calendar: so many fit into a statement. */
const STARTS_MAX = 2000

export class EngineGroups {
  readonly #use: EngineUse
  readonly #asker: PartialsAsker
  #awayUntilMs = -Infinity

  constructor(use: EngineUse) {
    this.#use = use
    this.#asker = new PartialsAsker(use)
  }

  /**
   * Undefined: it was not asked. Errors: QUERY_FAILED, STORAGE_UNAVAILABLE, the signal's reason; if
   * the engine fails, that is told.
   */
  async tell(
    database: QueryDatabase,
    question: GroupsQuestion,
    signal?: AbortSignal,
  ): Promise<ToldGroups | undefined> {
    if (!AGGREGATES.includes(question.aggregate) || question.startUs >= question.endUs)
      return undefined
    const steps = stepsOf(question)
    if (steps === undefined) return undefined
    const plan = await database.snapshot(
      (ask) => planEngine(ask, question, this.#use.readingsMin),
      signal,
    )
    return plan && this.#ask(question, { plan, steps }, signal)
  }

  async #ask(
    question: GroupsQuestion,
    { plan, steps }: { plan: EnginePlan; steps: EngineSteps },
    signal: AbortSignal | undefined,
  ): Promise<ToldGroups | undefined> {
    const { engine, clock, done } = this.#use
    const beginMs = clock.monotonicMs()
    if (beginMs < this.#awayUntilMs) return notTold(plan, { kind: engine.kind, failed: AWAY })
    const { tenant, metric, groups, startUs, endUs } = question
    const { files, dimensions } = plan
    const what = { tenant, metric, groups, startUs, endUs, files, dimensions, steps }
    try {
      const answer = await this.#asker.ask(what, signal)
      if (answer === undefined) return undefined
      done?.(undefined)
      const { statements, partials } = answer
      const duration_ms = Math.round(clock.monotonicMs() - beginMs)
      return {
        ...{ series: plan.series, isBoolean: plan.areBooleans, spans: plan.spans },
        ...{ filesRead: files.length, partials: partials.map(partialOf) },
        engine: { kind: engine.kind, readings: plan.readings, statements, duration_ms },
      }
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof WeirError)) throw error
      done?.(error)
      const nowMs = clock.monotonicMs()
      if (error.code === AWAY) this.#awayUntilMs = nowMs + AWAY_MS
      const duration_ms = Math.round(nowMs - beginMs)
      return notTold(plan, { kind: engine.kind, failed: error.code, duration_ms })
    }
  }
}

function notTold(
  { series, areBooleans: isBoolean }: EnginePlan,
  how: { kind: string; failed: string; duration_ms?: number },
): ToldGroups {
  const engine = { readings: 0, statements: 0, duration_ms: 0, ...how }
  return { series, isBoolean, spans: [], filesRead: 0, partials: [], engine }
}

function partialOf(partial: EnginePartial): ToldGroups['partials'][number] {
  const row = new Float64Array(PARTIAL_STRIDE)
  row[PARTIAL_START_MS] = partial.timeUs / 1000
  row[PARTIAL_COUNT] = partial.count
  row[PARTIAL_SUM] = partial.sum
  row[PARTIAL_MIN] = partial.min
  row[PARTIAL_MAX] = partial.max
  row[PARTIAL_MEAN] = partial.mean
  row[PARTIAL_SQUARES] = partial.squares
  return { group: partial.group, row }
}

/** Undefined: not of whole seconds, or too many. */
function stepsOf(question: GroupsQuestion): EngineSteps | undefined {
  const { stepUs, calendar, startUs, endUs } = question
  if (calendar === undefined) {
    if (stepUs === undefined) return { kind: 'all' }
    return stepUs % SECOND_US === 0 ? { kind: 'width', widthUs: stepUs } : undefined
  }
  const grid = gridOf(question)
  const [first, last] = [grid.indexOf(startUs), grid.indexOf(endUs - 1)]
  if (last - first >= STARTS_MAX) return undefined
  const startsUs = Array.from({ length: last - first + 1 }, (_, at) => grid.startUsOf(first + at))
  const areWhole = startsUs.every((us) => us % SECOND_US === 0)
  return areWhole ? { kind: 'starts', startsUs } : undefined
}
