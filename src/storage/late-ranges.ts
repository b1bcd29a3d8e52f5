/**
 * Event times of each series of which something was said behind its window: summaries of them, if
 * there were any by then, are to be made again. What was not committed when they are made again is
 * not in them, so ranges are kept apart by whether they are.
 */
import { addSpan, clipSpans, subtractSpans, type Span } from '../query/query.ts'

/** More of a series are joined: that costs time and never correctness. */
const RANGES_MAX = 16

export type RangesBySeries = ReadonlyMap<number, readonly Span[]>

/** All that was late at one moment, whatever is made again since. More may come to it. */
export class LateLook {
  readonly #layers: readonly RangesBySeries[]

  constructor(layers: readonly RangesBySeries[]) {
    this.#layers = layers
  }

  /** In order and apart. */
  of(series: number): readonly Span[] {
    const own = this.#layers.flatMap((layer) => layer.get(series) ?? [])
    return own.reduce<readonly Span[]>((joined, span) => addSpan(joined, span, RANGES_MAX), [])
  }

  /** All that have any. */
  get series(): Set<number> {
    return new Set(this.#layers.flatMap((layer) => [...layer.keys()]))
  }
}

export class LateRanges {
  /** Replaced, and not changed, when something is no longer late: a look keeps the old. */
  #committed: Map<number, readonly Span[]>
  /** Of them those for which summaries are made again now. */
  #renewing = new Map<number, readonly Span[]>()
  /** Of commits under way. */
  readonly #sealed = new Set<RangesBySeries>()
  #fresh = new Map<number, readonly Span[]>()

  constructor(known: RangesBySeries) {
    this.#committed = new Map(known)
  }

  add(series: number, span: Span): void {
    put(this.#fresh, series, [span])
  }

  /** Of readings that are in segments already. */
  addCommitted(series: number, span: Span): void {
    put(this.#committed, series, [span])
  }

  /** As it is now. */
  look(): LateLook {
    return new LateLook([...this.#written, this.#fresh])
  }

  get #written(): RangesBySeries[] {
    return [this.#committed, this.#renewing, ...this.#sealed]
  }

  /** What is in files, and no summary is made of it now. */
  get committed(): RangesBySeries {
    return this.#committed
  }

  /** What came since the last seal, and all that its series have with it. */
  seal(): { late: RangesBySeries; lateSealed: RangesBySeries[] } {
    const sealed = this.#fresh
    this.#sealed.add(sealed)
    this.#fresh = new Map()
    return { late: this.toCommit(sealed.keys()), lateSealed: [sealed] }
  }

  /** Of these series all but what came since the last seal. */
  toCommit(series: Iterable<number>): RangesBySeries {
    const all = new Map<number, readonly Span[]>()
    for (const one of series) {
      for (const layer of this.#written) put(all, one, layer.get(one) ?? [])
    }
    return all
  }

  /** Right after the catalogue's transaction, in the same turn. */
  commit(sealed: RangesBySeries): void {
    this.#sealed.delete(sealed)
    for (const [series, spans] of sealed) put(this.#committed, series, spans)
  }

  /**
   * The summaries of these series and spans are made again, of what is committed by now: what is
   * committed behind it is late again. Ends with renewed() or keep().
   */
  renew(series: Iterable<number>, spans: readonly Span[]): void {
    this.#committed = new Map(this.#committed)
    for (const one of series) {
      const own = this.#committed.get(one) ?? []
      const left = own.flatMap((span) => subtractSpans(span, spans))
      put(
        this.#renewing,
        one,
        own.flatMap((span) => clipSpans(span, spans)),
      )
      if (left.length > 0) this.#committed.set(one, left)
      else this.#committed.delete(one)
    }
  }

  /** What is to stay of their series once they count. */
  afterRenewal(): RangesBySeries {
    const stays = new Map<number, readonly Span[]>()
    for (const series of this.#renewing.keys()) {
      stays.set(series, [])
      for (const layer of [this.#committed, ...this.#sealed]) {
        put(stays, series, layer.get(series) ?? [])
      }
    }
    return stays
  }

  /** They count: in the turn of the catalogue's transaction. */
  renewed(): void {
    this.#renewing = new Map()
  }

  /** They could not be made. */
  keep(): void {
    const renewing = this.#renewing
    this.#renewing = new Map()
    for (const [series, spans] of renewing) put(this.#committed, series, spans)
  }
}

function put(layer: Map<number, readonly Span[]>, series: number, spans: readonly Span[]): void {
  for (const span of spans) {
    layer.set(series, addSpan(layer.get(series) ?? [], span, RANGES_MAX))
  }
}
