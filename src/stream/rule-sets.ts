/**
 * The rules that look at a series, shared by all series that the same ones look at. A set has a
 * *band*: a reading within it breaches no rule, so that while nothing goes on it costs two
 * compares.
 */
import type { Rule, Threshold, Variable } from '../pipeline/pipeline.ts'
import { comparisonCode, NO_COMPARISON } from './comparisons.ts'
import { inwards } from './guards.ts'
import { cellKey, type Cell, type Layout, type ProgramEntry } from './rule-cells.ts'
import type { LiveRule } from './rule-book.ts'
import { SERIES_PACED, SERIES_RULED, SERIES_WINDOW_RULED } from './series-flags.ts'
import { metricKey, type SeriesKey } from './watched-devices.ts'

/**
 * Nothing needs to be decided while one comparison does not hold, the rule's *guard*: while its
 * metric stays within the band, readings of the rule's other metrics need not be looked at either.
 */
export interface SetProgram {
  entry: ProgramEntry
  /** NO_COMPARISON: each reading is to be looked at. */
  comparison: number
  threshold: number
  /** What is compared, and where the device's record has it. */
  variable: Variable
  place: number
  /** It is of this series' readings. */
  isOwn: boolean
  windowMs: number
}

/**
 * What the interpreter's rules make of a series: the same object wherever it is the same, since
 * what few lines of memory have stays in the cache, whatever rules single devices have besides.
 */
interface SetPart {
  programs: readonly SetProgram[]
  /** Where the device's record keeps this series' readings. */
  cell: Cell | undefined
  aggregates: { at: number; windowMs: number }[]
  windows: ProgramEntry[]
  bounds: Bounds
  users: number
}

/** What breaches no rule: of values, how far they go, and how fast, 1/s; NaN: each is looked at. */
interface Bounds {
  latest: [number, number]
  delta: [number, number]
  rate: [number, number]
  /** The last two are asked for. */
  isPaced: boolean
}

/** Of `paces`: delta from, to, rate from, to. */
export const PACE_STRIDE = 4

export interface RuleSet {
  /** A reading from `low` to `high`, two float32, breaches nothing; NaN: each is looked at. */
  low: number
  high: number
  /** It breaches none of `direct`. */
  directLow: number
  directHigh: number
  /** Rules that are one comparison of this series' reading. */
  direct: readonly LiveRule[]
  part: SetPart
  /** Series that use it. */
  users: number
  key: string
  partKey: string
}

/** Which series a set is for. */
export interface SetPlace {
  key: SeriesKey
  layout: Layout | undefined
  /** Others of the device have the same metric, and the last reading of any of them counts. */
  isShared: boolean
}

export class RuleSets {
  /** By number; 0 is none. */
  readonly sets: (RuleSet | undefined)[] = [undefined]
  /** By number, PACE_STRIDE numbers each: see Bounds. */
  paces = new Float64Array(64 * PACE_STRIDE)
  readonly #free: number[] = []
  readonly #numbers = new Map<string, number>()
  readonly #parts = new Map<string, SetPart>()
  /** Of lists that many devices share. */
  readonly #orders = new WeakMap<readonly LiveRule[], string>()

  /** The number of the set of these rules for a series of a device; 0 for none. */
  acquire(own: readonly LiveRule[], of: SetPlace): number {
    if (own.length === 0) return 0
    const layout = own.every(({ isDirect }) => isDirect) ? undefined : of.layout
    const kind = `${layout?.id ?? ''}:${of.key.name}:${of.isShared ? '*' : ''}`
    const text = `${kind}${this.#ordersOf(own)}`
    let number = this.#numbers.get(text)
    if (number === undefined) {
      number = this.#free.pop() ?? this.sets.length
      const set = this.#make(own, { ...of, layout }, { key: text, kind })
      this.sets[number] = set
      this.#setPace(number, set.part.bounds)
      this.#numbers.set(text, number)
    }
    this.sets[number]!.users++
    return number
  }

  /** SERIES_* of the series that have it. */
  flagsOf(number: number): number {
    const set = this.sets[number]
    if (set === undefined) return 0
    const { bounds, windows } = set.part
    const isWindowed = windows.length > 0
    return (
      SERIES_RULED | (bounds.isPaced ? SERIES_PACED : 0) | (isWindowed ? SERIES_WINDOW_RULED : 0)
    )
  }

  release(number: number): void {
    const set = this.sets[number]
    if (set === undefined || --set.users > 0) return
    this.#numbers.delete(set.key)
    this.sets[number] = undefined
    this.#free.push(number)
    if (--set.part.users === 0) this.#parts.delete(set.partKey)
  }

  #setPace(number: number, { delta, rate }: Bounds): void {
    if ((number + 1) * PACE_STRIDE > this.paces.length) {
      const more = new Float64Array(this.paces.length * 2)
      more.set(this.paces)
      this.paces = more
    }
    this.paces.set([...delta, ...rate], number * PACE_STRIDE)
  }

  #ordersOf(rules: readonly LiveRule[]): string {
    let orders = this.#orders.get(rules)
    if (orders === undefined) {
      orders = rules.map(({ order }) => order).join()
      this.#orders.set(rules, orders)
    }
    return orders
  }

  #make(
    rules: readonly LiveRule[],
    of: SetPlace,
    { key, kind }: { key: string; kind: string },
  ): RuleSet {
    const direct = rules.filter(({ isDirect }) => isDirect)
    const others = rules.filter(({ isDirect }) => !isDirect)
    const partKey = `${kind}${this.#ordersOf(others)}`
    let part = this.#parts.get(partKey)
    if (part === undefined) this.#parts.set(partKey, (part = makePart(others, of)))
    part.users++
    const [directLow, directHigh] = boundsOf(direct, of.key).latest
    const [low, high] = part.bounds.latest
    return {
      // NaN of either is NaN of both.
      low: inwards(Math.max(directLow, low), 1),
      high: inwards(Math.min(directHigh, high), -1),
      ...{ directLow, directHigh, direct },
      ...{ part, users: 0, key, partKey },
    }
  }
}

/** Whether a rule that readings decide is in the set. */
export function isIn({ direct, part }: RuleSet, live: LiveRule): boolean {
  if (live.isDirect) return direct.includes(live)
  for (const { entry } of part.programs) if (entry.live === live) return true
  return false
}

const isOfMetric = (variable: Variable, { name }: SeriesKey): boolean =>
  variable.of !== 'device' && metricKey(variable.metric, variable.kind) === name

function makePart(others: readonly LiveRule[], { key, layout, isShared }: SetPlace): SetPart {
  const entryOf = (live: LiveRule): ProgramEntry => {
    const known = layout?.entries.get(live)
    if (known !== undefined) return known
    const placeOf = (variable: Variable): number =>
      layout?.byKey.get(cellKey(live.rule, variable))?.at ?? 0
    const entry = { live, places: Int32Array.from(live.rule.variables, placeOf) }
    layout?.entries.set(live, entry)
    return entry
  }
  const windowed = others.filter(({ rule }) => rule.on === 'window')
  const early = windowed.filter(({ rule }) => rule.isEarly)
  const onReadings = others.filter(({ rule }) => rule.on === 'readings')
  const windowsMs = new Set(early.map(({ rule }) => rule.windowMs))
  const cell = onReadings.length > 0 ? layout?.byKey.get(key.name) : undefined
  const isOpen = isShared && cell !== undefined
  return {
    programs: [...onReadings, ...early].map((live) => programOf(entryOf(live), key)),
    bounds: isOpen ? OPEN : boundsOf([...onReadings, ...early], key),
    ...{ cell, windows: windowed.map(entryOf), users: 0 },
    aggregates: [...windowsMs].flatMap((windowMs) => {
      const at = layout?.byKey.get(`${windowMs} ${key.name}`)?.at
      return at === undefined ? [] : [{ at, windowMs }]
    }),
  }
}

function programOf(entry: ProgramEntry, key: SeriesKey): SetProgram {
  const { rule } = entry.live
  const guard = guardOf(rule)
  const variable = rule.variables[guard?.variable ?? 0]!
  return {
    ...{ entry, variable, isOwn: isOfMetric(variable, key), windowMs: rule.windowMs },
    comparison: guard ? comparisonCode(guard.comparison) : NO_COMPARISON,
    ...{ threshold: guard?.value ?? NaN, place: entry.places[guard?.variable ?? 0]! },
  }
}

const OPEN: Bounds = {
  ...{ latest: [NaN, NaN], delta: [NaN, NaN], rate: [NaN, NaN], isPaced: false },
}

function boundsOf(rules: readonly LiveRule[], key: SeriesKey): Bounds {
  const all: [number, number] = [-Infinity, Infinity]
  const bounds: Bounds = { latest: [...all], delta: [...all], rate: [...all], isPaced: false }
  for (const { rule, isOfOneMetric } of rules) {
    const own = rule.variables.filter((variable) => isOfMetric(variable, key))
    const guard = guardOf(rule)
    // A running window is of every reading.
    if (guard === undefined || rule.isEarly) return OPEN
    const variable = rule.variables[guard.variable]!
    const isPaced = own.some(({ of }) => of !== 'latest')
    // Another metric's reading may ask at any time which way the values went.
    if (isPaced && !isOfOneMetric) return OPEN
    bounds.isPaced ||= isPaced
    if (!isOfMetric(variable, key)) continue
    const { of } = variable
    if (of !== 'latest' && of !== 'delta' && of !== 'rate') return OPEN
    narrow(bounds[of], guard)
  }
  return bounds
}

/** Leaves of a band what a comparison does not hold for. */
function narrow(band: [number, number], { comparison, value }: Threshold): void {
  if (comparison === 'greater') band[1] = Math.min(band[1], value)
  else if (comparison === 'greater-or-equal') band[1] = Math.min(band[1], neighbour(value, -1))
  else if (comparison === 'less') band[0] = Math.max(band[0], value)
  else band[0] = Math.max(band[0], neighbour(value, 1))
}

/** A comparison without which the rule's condition cannot hold: of a metric, not of a tag. */
function guardOf({ program, variables }: Rule): Threshold | undefined {
  const guards = program.guards.filter(({ variable }) => variables[variable]!.of !== 'device')
  return guards.find(({ variable }) => variables[variable]!.of === 'latest') ?? guards[0]
}

const bits = new BigInt64Array(1)
const double = new Float64Array(bits.buffer)

/** The next double above (1) or below (-1). */
function neighbour(value: number, direction: 1 | -1): number {
  if (value === 0) return direction * Number.MIN_VALUE
  double[0] = value
  bits[0]! += value > 0 === direction > 0 ? 1n : -1n
  return double[0]
}
