/**
 * What is remembered of a device for rules that are more than one comparison: once per device and
 * metric, whatever the number of rules. Devices that must remember the same share a *layout*; each
 * has one record in an arena: length | device | layout | cells as the layout says.
 *
 *   latest      series that spoke last | sequence
 *   history     the same | newest by event time: value, time, sequence | the one before: the same
 *               | 1: what came since is not written down
 *   aggregate   window start | count | first to arrive | sum and squares of offsets from that |
 *               min | max | first: value, time | last: value, time
 *   device      what the registry says
 *
 * A sequence says when a value came: a rule does not know what was heard before it. The latest
 * value itself is where the hot path writes it (guards.ts), so that it need not come by here. Nor
 * need a history while values go on within their pace: it *follows*, the newest reading is the
 * series' last value at its highest event time, and the one before is not known.
 */
import type { DeviceFacts } from '../batch/batch.ts'
import type {
  Aggregate,
  DeviceVariable,
  MetricVariable,
  Rule,
  Variable,
} from '../pipeline/pipeline.ts'
import { Arena, recordsIn } from './arena.ts'
import type { Guards } from './guards.ts'
import type { LiveRule } from './rule-book.ts'
import type { Texts } from './rule-texts.ts'
import { metricKey, type DeviceName } from './watched-devices.ts'
import { aggregateOf } from './window-moments.ts'

const DEVICE = 1
const LAYOUT = 2
const CELLS = 3

/** Of a cell of readings. */
const SERIES = 0
const SEQUENCE = 1
const NEWEST = 2
const BEFORE = 5
const TIME_OF = 1
const SEQUENCE_OF = 2
const FOLLOWS = 8

/** Of an aggregate. */
const START = 0
const COUNT = 1
const PIVOT = 2
const OFFSETS = 3
const SQUARES = 4
const MIN = 5
const MAX = 6
const FIRST = 7
const FIRST_TIME = 8
const LAST = 9
const LAST_TIME = 10

const WIDTHS = { latest: 2, history: 9, aggregate: 11, device: 1 } as const
type CellKind = keyof typeof WIDTHS

/** One reading that is looked at. */
export interface Reading {
  series: number
  value: number
  eventUs: number
  /** The series' highest event time before it. */
  newestUs: number
}

export interface Cell {
  /** What it is of: `number temperature`, the same with a window, or a variable's label. */
  key: string
  kind: CellKind
  /** From the record's beginning. */
  at: number
}

/** A rule that is decided by the interpreter. */
export interface ProgramEntry {
  live: LiveRule
  /** Of each variable in the device's record; 0 for what no cell holds (of a window). */
  places: Int32Array
}

export interface Layout {
  id: number
  cells: readonly Cell[]
  length: number
  byKey: ReadonlyMap<string, Cell>
  /** Of the rules that were asked for. */
  entries: WeakMap<LiveRule, ProgramEntry>
}

const isHistory = ({ of }: Variable): boolean =>
  of === 'previous' || of === 'delta' || of === 'rate'
const aggregateKey = (variable: MetricVariable, windowMs: number): string =>
  `${windowMs} ${metricKey(variable.metric, variable.kind)}`
const deviceKey = ({ label, kind }: DeviceVariable): string => `${kind} of ${label}`

/** The key of the cell that a rule reads a variable from. */
export function cellKey({ windowMs }: Rule, variable: Variable): string {
  if (variable.of === 'device') return deviceKey(variable)
  if (windowMs > 0) return aggregateKey(variable, windowMs)
  return metricKey(variable.metric, variable.kind)
}

export class RuleCells {
  readonly arena = new Arena()
  /** Place of a device's record, or 0. */
  readonly of: Uint32Array
  readonly layouts: Layout[] = []
  /** Layouts are to be saved. */
  isChanged = true
  readonly #byText = new Map<string, Layout>()
  readonly #byRules = new WeakMap<readonly LiveRule[], Layout | undefined>()
  /** By device variable's cell key. */
  readonly #deviceVariables = new Map<string, DeviceVariable>()
  readonly #texts: Texts
  readonly #guards: Guards

  constructor(deviceMax: number, texts: Texts, guards: Guards) {
    this.of = new Uint32Array(deviceMax)
    this.#texts = texts
    this.#guards = guards
  }

  get bytesHeld(): number {
    return this.arena.bytesHeld + this.of.byteLength
  }

  /** What rules that are more than a comparison need; undefined for nothing. */
  layoutFor(rules: readonly LiveRule[]): Layout | undefined {
    if (!this.#byRules.has(rules)) this.#byRules.set(rules, this.#layoutFor(rules))
    return this.#byRules.get(rules)
  }

  #layoutFor(rules: readonly LiveRule[]): Layout | undefined {
    const kinds = new Map<string, CellKind>()
    for (const { rule } of rules) {
      for (const variable of rule.variables) {
        const key = cellKey(rule, variable)
        const isReading = variable.of !== 'device' && rule.on === 'readings'
        if (variable.of === 'device') {
          this.#deviceVariables.set(key, variable)
          kinds.set(key, 'device')
        } else if (isReading && isHistory(variable)) kinds.set(key, 'history')
        else if (isReading) kinds.set(key, kinds.get(key) ?? 'latest')
        else if (rule.isEarly) kinds.set(key, 'aggregate')
      }
    }
    return kinds.size === 0
      ? undefined
      : this.#layout([...kinds].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** Gives the device a record of this layout; what it remembers of the same things stays. */
  assign(device: number, layout: Layout | undefined): void {
    const was = this.of[device]!
    if (was > 0 && this.arena.table[was + LAYOUT] === layout?.id) return
    let at = 0
    if (layout !== undefined) {
      at = this.arena.allocate(layout.length)
      this.arena.table[at + DEVICE] = device
      this.arena.table[at + LAYOUT] = layout.id
      for (const cell of layout.cells) this.#clear(at, cell)
    }
    this.of[device] = at
    if (was === 0) return
    const { cells } = this.layouts[this.arena.table[was + LAYOUT]!]!
    if (layout !== undefined) this.#copy(this.arena.table, { from: was, cells }, { at, layout })
    this.arena.free(was)
  }

  /** Fills in what the registry says. */
  describe(device: number, name: DeviceName, facts: DeviceFacts | undefined): void {
    const at = this.of[device]!
    if (at === 0) return
    for (const cell of this.layouts[this.arena.table[at + LAYOUT]!]!.cells)
      if (cell.kind === 'device') {
        const variable = this.#deviceVariables.get(cell.key)!
        this.arena.table[at + cell.at] = this.#said(variable, name, facts)
      }
    this.arena.mark(at)
  }

  /** A reading of the metric whose cell is at `at`. */
  store(at: number, kind: CellKind, reading: Reading, sequence: number): void {
    const { table } = this.arena
    const { series, value, eventUs } = reading
    table[at + SERIES] = series
    table[at + SEQUENCE] = sequence
    if (kind !== 'history') return
    // What is not newer changes nothing of how the values went on.
    if (eventUs <= table[at + NEWEST + TIME_OF]!) return
    for (let i = 0; i < 3; i++) table[at + BEFORE + i] = table[at + NEWEST + i]!
    table[at + NEWEST] = value
    table[at + NEWEST + TIME_OF] = eventUs
    table[at + NEWEST + SEQUENCE_OF] = sequence
  }

  /** The series whose readings a history only follows; undefined when all is written down. */
  followed(at: number): number | undefined {
    const { table } = this.arena
    return table[at + FOLLOWS] === 1 ? table[at + SERIES]! : undefined
  }

  /** From here on the history follows, if the newest reading is that of `eventUs`. */
  follow(at: number, eventUs: number): boolean {
    const { table } = this.arena
    if (table[at + NEWEST + TIME_OF] !== eventUs) return false
    table[at + FOLLOWS] = 1
    return true
  }

  /** It follows no more: the newest reading was this one. */
  settle(at: number, value: number, eventUs: number): void {
    const { table } = this.arena
    table[at + FOLLOWS] = 0
    if (eventUs === table[at + NEWEST + TIME_OF]) return
    table.fill(NaN, at + BEFORE, at + FOLLOWS)
    table[at + NEWEST] = value
    table[at + NEWEST + TIME_OF] = eventUs
  }

  /** A reading of the window that is under way; what belongs to one before it is too late. */
  aggregate(at: number, windowMs: number, reading: Reading): void {
    const { table } = this.arena
    const { value, eventUs } = reading
    const startUs = windowStart(eventUs, windowMs)
    if (startUs < table[at + START]!) return
    if (startUs > table[at + START]!) {
      table.fill(0, at + COUNT, at + WIDTHS.aggregate)
      table[at + START] = startUs
      table[at + PIVOT] = value
      table[at + MIN] = Infinity
      table[at + MAX] = -Infinity
      table[at + FIRST_TIME] = Infinity
      table[at + LAST_TIME] = -Infinity
    }
    const offset = value - table[at + PIVOT]!
    table[at + COUNT]! += 1
    table[at + OFFSETS]! += offset
    table[at + SQUARES]! += offset * offset
    if (value < table[at + MIN]!) table[at + MIN] = value
    if (value > table[at + MAX]!) table[at + MAX] = value
    if (eventUs < table[at + FIRST_TIME]!) {
      table[at + FIRST] = value
      table[at + FIRST_TIME] = eventUs
    }
    if (eventUs > table[at + LAST_TIME]!) {
      table[at + LAST] = value
      table[at + LAST_TIME] = eventUs
    }
  }

  /** NaN where it is not known. `startUs`: of the window that is decided. */
  read(at: number, { of }: Variable, since: number, startUs: number): number {
    const { table } = this.arena
    if (of === 'device') return table[at]!
    if (startUs > -Infinity) return table[at + START] === startUs ? this.#aggregated(at, of) : NaN
    if (of === 'latest')
      return table[at + SEQUENCE]! >= since ? this.#guards.lastOf(table[at + SERIES]!) : NaN
    if (table[at + FOLLOWS] === 1 || !(table[at + BEFORE + SEQUENCE_OF]! >= since)) return NaN
    const before = table[at + BEFORE]!
    if (of === 'previous') return before
    const delta = table[at + NEWEST]! - before
    if (of === 'delta') return delta
    return delta / ((table[at + NEWEST + TIME_OF]! - table[at + BEFORE + TIME_OF]!) / 1e6)
  }

  /** Where a device keeps what; undefined where it does not. */
  placeOf(device: number, key: string): number | undefined {
    const at = this.of[device]!
    if (at === 0) return undefined
    const cell = this.layouts[this.arena.table[at + LAYOUT]!]!.byKey.get(key)
    return cell && at + cell.at
  }

  /** The metric’s readings are as if they had never been. */
  forget(device: number, key: string): void {
    const at = this.of[device]!
    if (at === 0) return
    for (const cell of this.layouts[this.arena.table[at + LAYOUT]!]!.cells)
      if (cell.kind !== 'device' && cell.key.replace(/^\d+ /, '') === key) this.#clear(at, cell)
    this.arena.mark(at)
  }

  /** Takes over what was saved of devices that have a record. */
  restore(table: Float64Array, layouts: readonly Cell[][]): void {
    for (const from of recordsIn(table)) {
      const at = this.of[table[from + DEVICE]!] ?? 0
      if (at === 0) continue
      const layout = this.layouts[this.arena.table[at + LAYOUT]!]!
      this.#copy(table, { from, cells: layouts[table[from + LAYOUT]!]! }, { at, layout })
    }
  }

  #layout(kinds: [string, CellKind][]): Layout {
    const text = JSON.stringify(kinds)
    const known = this.#byText.get(text)
    if (known !== undefined) return known
    let length = CELLS
    const cells = kinds.map(([key, kind]): Cell => {
      const at = length
      length += WIDTHS[kind]
      return { key, kind, at }
    })
    const byKey = new Map(cells.map((cell) => [cell.key, cell]))
    const entries = new WeakMap<LiveRule, ProgramEntry>()
    const layout = { id: this.layouts.length, cells, length, byKey, entries }
    this.layouts.push(layout)
    this.#byText.set(text, layout)
    this.isChanged = true
    return layout
  }

  #clear(at: number, { at: place, kind }: Cell): void {
    const { table } = this.arena
    table.fill(NaN, at + place, at + place + WIDTHS[kind])
    if (kind === 'history') table[at + place + NEWEST + TIME_OF] = -Infinity
    if (kind === 'aggregate') table[at + place + START] = -Infinity
  }

  /** Cells of the same things; a history that is less now is a latest value still. */
  #copy(
    source: Float64Array,
    { from, cells }: { from: number; cells: readonly Cell[] },
    { at, layout }: { at: number; layout: Layout },
  ): void {
    for (const { key, kind, at: place } of cells) {
      const cell = layout.byKey.get(key)
      if (cell === undefined || kind === 'device') continue
      const width = Math.min(WIDTHS[kind], WIDTHS[cell.kind])
      for (let i = 0; i < width; i++) this.arena.table[at + cell.at + i] = source[from + place + i]!
    }
    this.arena.mark(at)
  }

  #said(
    { field, tag, kind }: DeviceVariable,
    { deviceId, deviceType }: DeviceName,
    facts: DeviceFacts | undefined,
  ): number {
    const said = {
      id: deviceId,
      type: facts?.deviceType ?? deviceType,
      location: facts?.location,
      tag: facts?.tags[tag],
    }[field]
    if (said === undefined) return NaN
    if (kind === 'text') return this.#texts.numberOf(said)
    return said.trim() === '' || !Number.isFinite(Number(said)) ? NaN : Number(said)
  }

  #aggregated(at: number, of: MetricVariable['of']): number {
    const { table } = this.arena
    const count = table[at + COUNT]!
    const offsets = table[at + OFFSETS]!
    const squares = Math.max(0, table[at + SQUARES]! - (offsets * offsets) / count)
    return aggregateOf(of as Aggregate, {
      ...{ count, squares, mean: table[at + PIVOT]! + offsets / count },
      sum: count * table[at + PIVOT]! + offsets,
      ...{ min: table[at + MIN]!, max: table[at + MAX]! },
      ...{ first: table[at + FIRST]!, firstUs: table[at + FIRST_TIME]! },
      ...{ last: table[at + LAST]!, lastUs: table[at + LAST_TIME]! },
    })
  }
}

export const windowStart = (eventUs: number, windowMs: number): number =>
  Math.floor(eventUs / (windowMs * 1000)) * windowMs * 1000
