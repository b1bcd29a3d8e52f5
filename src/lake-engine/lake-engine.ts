/**
 * Another engine over the lake's files, for what is much to read: Trino or Athena. One statement of
 * SQL, and its rows as they come.
 *
 * E1 Every row comes once, in pages, with the columns' names and types in the engine's own words.
 *    Numbers are numbers, booleans booleans, and all else is text.
 * E2 Nothing goes on at the engine for nobody: the caller leaves the generator, its signal is
 *    aborted or a limit is reached, and the statement is cancelled.
 * E3 Limits of time, rows and bytes end a run with ENGINE_LIMIT_EXCEEDED.
 * E4 An engine that is away for some seconds is ENGINE_UNAVAILABLE; what another try cannot mend is
 *    ENGINE_REFUSED, with the engine's words. No secret is in any of them.
 */
import type { Clock, Random } from '../world/world.ts'

export interface EngineColumn {
  name: string
  /** In lower case: `bigint`, `double`, `varchar`, `timestamp(6)`. */
  type: string
}

export type EngineValue = number | string | boolean | null

export interface EnginePage {
  columns: readonly EngineColumn[]
  rows: readonly EngineValue[][]
}

export interface EngineLimits {
  timeoutMs: number
  rowsMax: number
  /** As they come over the network. */
  bytesMax: number
}

export interface LakeEngine {
  /** `trino` or `athena`. */
  readonly kind: string
  /** Characters of one statement. */
  readonly statementLengthMax: number
  /**
   * Errors: ENGINE_UNAVAILABLE, ENGINE_REFUSED, ENGINE_LIMIT_EXCEEDED; the signal's reason once it
   * is aborted.
   */
  run(statement: string, limits: EngineLimits, signal?: AbortSignal): AsyncGenerator<EnginePage>
  /** What makes the table's new folders known; undefined: they are known at once. */
  refreshOf(table: string): string | undefined
  /** Ends what is under way. */
  close(): void
}

export interface EngineWorld {
  clock: Clock
  random: Random
}

/** A text as SQL has it, whatever is in it. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

export { PartialsAsker } from './partials.ts'
export type {
  EngineFile,
  EnginePartial,
  EngineSteps,
  PartialsParts,
  PartialsQuestion,
} from './partials.ts'
