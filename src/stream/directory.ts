/**
 * The directory of series: what the log's definitions say about each number, reduced to one byte of
 * flags for the hot path. Definitions are never taken back, and a repeated one changes nothing.
 */
import type { Definitions, SeriesDefinition } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { Detectors } from './detectors.ts'
import type { StreamLimits } from './limits.ts'
import type { RuleEngine } from './rule-engine.ts'
import { SERIES_DETECTED, SERIES_KNOWN, SERIES_WINDOWED } from './series-flags.ts'

export class Directory {
  /** SERIES_* by series number; 0 is a series that was never defined. */
  readonly flags: Uint8Array
  readonly #limits: StreamLimits
  readonly #rules: RuleEngine
  readonly #detectors: Detectors
  #count = 0

  constructor(parts: {
    limits: StreamLimits
    flags: Uint8Array
    rules: RuleEngine
    detectors: Detectors
  }) {
    this.flags = parts.flags
    this.#limits = parts.limits
    this.#rules = parts.rules
    this.#detectors = parts.detectors
  }

  get count(): number {
    return this.#count
  }

  define(definitions: Definitions, ingestUs: number): void {
    for (const definition of definitions.series) this.#defineSeries(definition)
    this.#rules.define(definitions, ingestUs)
  }

  /** Flags of a series that must have been defined. */
  of(series: number): number {
    return this.flags[series] || raise(`series ${series} was never defined`)
  }

  #defineSeries(definition: SeriesDefinition): void {
    const { series, device, kind } = definition
    if (series >= this.#limits.seriesMax || device >= this.#limits.deviceMax)
      raise(`series ${series} of device ${device} is beyond the stream's limits`)
    if (this.flags[series] !== 0) return
    let flags = SERIES_KNOWN
    if (kind !== 'text') flags |= SERIES_WINDOWED
    if (kind === 'number' && this.#detectors.attach(definition)) flags |= SERIES_DETECTED
    this.flags[series] = flags
    this.#count++
  }
}

/** The gateway numbers series and devices within the limits, so this is a bug, not an input. */
function raise(detail: string): never {
  throw new WeirError('INTERNAL_FAULT', detail)
}
