/**
 * Aggregates of many series' readings by group and step, asked of the lake's table as a few
 * statements with GROUP BY, each over exactly the files that it names.
 *
 * **No answer is taken on trust.** A table may lack a folder that came today, and a file may have
 * gone meanwhile; an engine tells of neither. So no condition on time leaves out a row: what is
 * outside of the span is a group of its own, and the rows of all groups together are the rows that
 * the catalogue of files has of these series. If they are not, new folders are looked for, and it
 * is asked once more; and then it is ENGINE_TABLE_STALE. And times that are cut to less than µs
 * may be in another step, so each answer says of what type they were.
 */
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import type { EngineLimits, EngineValue, LakeEngine } from './lake-engine.ts'
import { partialStatements, type PartialStatement, type TimeType } from './partial-statement.ts'

/** Of the lake's store, all of one tenant. */
export interface EngineFile {
  /** `readings/tenant=…/…/cold-7.parquet`. */
  key: string
  year: number
  /** From 1. */
  month: number
  deviceType: string
  /** Of its rows those that are of the series asked for. */
  rows: number
}

/** Widths and starts are whole seconds; the first start is not behind the span's. */
export type EngineSteps =
  | { kind: 'all' }
  | { kind: 'width'; widthUs: number }
  | { kind: 'starts'; startsUs: readonly number[] }

export interface PartialsQuestion {
  tenant: string
  metric: string
  /** What readings are wanted of, µs; the end is excluded. */
  startUs: number
  endUs: number
  files: readonly EngineFile[]
  steps: EngineSteps
  /** As for GroupsQuestion. */
  groups: 'all' | 'type' | 'device' | ReadonlyMap<string, string>
  /** Only series with one of these, as the lake's column has them; undefined: any. */
  dimensions: readonly string[] | undefined
}

/** Of texts only `count` means anything. */
export interface EnginePartial {
  group: string
  /** Any time of its step, µs. */
  timeUs: number
  count: number
  sum: number
  min: number
  max: number
  mean: number
  /** The centred sum of squares. */
  squares: number
}

export interface EnginePartials {
  /** A group and step may come several times, of different files. */
  partials: EnginePartial[]
  /** That were run for them. */
  statements: number
}

export interface PartialsParts {
  engine: LakeEngine
  /** With catalogue and schema, or database. */
  table: string
  /** Of the lake, as the engine names it: `s3://bucket`. */
  location: string
  /** Of each statement. */
  limits: EngineLimits
  clock: Clock
}

/** New folders are looked for so often at most: an engine lists the whole lake for it. */
const REFRESH_INTERVAL_MS = 600_000

export class PartialsAsker {
  readonly #parts: PartialsParts
  #timeType: Promise<TimeType> | undefined
  #refreshedMs = -Infinity

  constructor(parts: PartialsParts) {
    this.#parts = parts
  }

  /**
   * Undefined: it does not fit into statements. Errors: those of LakeEngine, ENGINE_TABLE_STALE.
   */
  async ask(question: PartialsQuestion, signal?: AbortSignal): Promise<EnginePartials | undefined> {
    try {
      return await this.#ask(question, signal)
    } catch (error) {
      // Perhaps the table is another now.
      this.#timeType = undefined
      throw error
    }
  }

  async #ask(
    question: PartialsQuestion,
    signal: AbortSignal | undefined,
  ): Promise<EnginePartials | undefined> {
    this.#timeType ??= this.#findTimeType(signal)
    const { engine, table, location } = this.#parts
    const place = { table, location, time: await this.#timeType }
    const lengthMax = engine.statementLengthMax
    const statements = partialStatements(question, { ...place, lengthMax })
    if (statements === undefined) return undefined
    const partials: EnginePartial[] = []
    for (const statement of statements) {
      const own = await this.#rowsOf(statement, place.time, signal)
      partials.push(...own)
    }
    return { partials, statements: statements.length }
  }

  /** It reads no file. */
  async #findTimeType(signal: AbortSignal | undefined): Promise<TimeType> {
    const { engine, table, limits } = this.#parts
    let type = ''
    const statement = `SELECT typeof(max("time")) FROM ${table} WHERE FALSE`
    for await (const { rows } of engine.run(statement, limits, signal)) type = nameOf(rows[0]?.[0])
    if (type === 'bigint' || type === 'timestamp(6)') return type
    const detail = `${table} has times as ${type}, which are cut; they must be timestamp(6) (hive.timestamp-precision=MICROSECONDS) or bigint (weir lake ddl --times bigint)`
    throw new WeirError('ENGINE_REFUSED', detail)
  }

  async #rowsOf(
    statement: PartialStatement,
    time: TimeType,
    signal: AbortSignal | undefined,
  ): Promise<EnginePartial[]> {
    let read = await this.#run(statement, time, signal)
    if (read.rows < statement.rows && (await this.#refresh(signal))) {
      read = await this.#run(statement, time, signal)
    }
    if (read.rows === statement.rows) return read.partials
    const { table } = this.#parts
    const detail = `${table} shows ${read.rows} of ${statement.rows} rows of ${statement.files} files`
    throw new WeirError('ENGINE_TABLE_STALE', detail)
  }

  async #run(
    { text, groupOf, timeOf }: PartialStatement,
    time: TimeType,
    signal: AbortSignal | undefined,
  ): Promise<{ partials: EnginePartial[]; rows: number }> {
    const { engine, limits, table } = this.#parts
    const partials: EnginePartial[] = []
    let rows = 0
    for await (const page of engine.run(text, limits, signal)) {
      for (const [group = null, step = null, type, ...values] of page.rows) {
        if (nameOf(type) !== time)
          throw new WeirError('ENGINE_REFUSED', `${table} has times as ${nameOf(type)} now`)
        const [count = 0, sum = 0, min = 0, max = 0, mean = 0, squares = 0] = values.map(numberOf)
        rows += count
        // Outside of the span.
        if (step === null) continue
        const place = { group: groupOf(group), timeUs: timeOf(Number(step)) }
        partials.push({ ...place, count, sum, min, max, mean, squares })
      }
    }
    return { partials, rows }
  }

  /** Whether it was tried. */
  async #refresh(signal: AbortSignal | undefined): Promise<boolean> {
    const { engine, table, limits, clock } = this.#parts
    const statement = engine.refreshOf(table)
    const nowMs = clock.monotonicMs()
    if (statement === undefined || nowMs - this.#refreshedMs < REFRESH_INTERVAL_MS) return false
    this.#refreshedMs = nowMs
    for await (const page of engine.run(statement, limits, signal)) void page
    return true
  }
}

const nameOf = (type: EngineValue | undefined): string => String(type).toLowerCase()

/** Texts have no values. */
const numberOf = (value: EngineValue): number => (value === null ? 0 : Number(value))
