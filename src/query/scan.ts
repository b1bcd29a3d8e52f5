/**
 * A scan in steps: some devices are read at once, each series into columns of its own, and each
 * device's series are then brought together in the order of their times.
 *
 * How many devices a step takes follows from how many readings the one before had. One that turns
 * out to hold too many is dropped and read again in halves: of its devices, or of its time when it
 * is one device. So memory is bounded without knowing how often anybody sends.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { ReadingRows, ReadingView, ScanBlock, ScanStep, Span } from './query.ts'
import { sortByTime } from './time-order.ts'
import { TooMany } from './too-many.ts'

/** Some tens of megabytes: beside it what a step costs by itself is little. */
const ROWS_AIM = 1 << 20
const ROWS_MAX = 1 << 21
const FIRST_DEVICES = 4
/** From one step to the next: devices may send very differently. */
const GROWTH_MAX = 4

/** One consistent look at what is stored. */
export interface ScanLook {
  view: Pick<ReadingView, 'readings' | 'completeness'>
  text(id: number): string
}

export interface ScanSource {
  devicesTotal: number
  /** The wanted series, device by device. */
  devices: AsyncIterable<readonly SeriesDefinition[]> | Iterable<readonly SeriesDefinition[]>
  /** Devices that one look may be asked for. */
  devicesMax: number
  look<T>(
    devices: readonly (readonly SeriesDefinition[])[],
    run: (look: ScanLook) => Promise<T>,
  ): Promise<T>
  /** Lets others go first: it is called after each device. */
  pause(): Promise<void>
}

/** Devices in a span of their time. */
interface Part {
  devices: readonly (readonly SeriesDefinition[])[]
  span: Span
  /** Nothing of these devices comes after it. */
  isLast: boolean
}

/** V1, V2, V3 of ReadingScan. `rowsMax` is for tests. */
export async function* scanDevices(
  source: ScanSource,
  span: Span,
  rowsMax = ROWS_MAX,
): AsyncGenerator<ScanStep, void> {
  const reader = new PartReader(source, rowsMax)
  const { devicesTotal } = source
  let size = Math.min(FIRST_DEVICES, source.devicesMax)
  let devicesDone = 0
  for await (const devices of inGroups(source.devices, () => size)) {
    const parts: Part[] = [{ devices, span, isLast: true }]
    let rows = 0
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      const read = await reader.read(part)
      if (read === undefined) {
        parts.push(...halvesOf(part).toReversed())
        continue
      }
      rows += read.rows
      if (part.isLast) devicesDone += part.devices.length
      const { blocks, completeness } = read
      yield { blocks, devicesDone, devicesTotal, completeness }
    }
    const aimed = Math.round((devices.length * ROWS_AIM) / Math.max(rows, 1))
    size = Math.max(1, Math.min(aimed, size * GROWTH_MAX, source.devicesMax))
  }
}

async function* inGroups<T>(
  items: AsyncIterable<T> | Iterable<T>,
  size: () => number,
): AsyncGenerator<T[]> {
  let group: T[] = []
  for await (const item of items) {
    group.push(item)
    if (group.length < size()) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}

function halvesOf({ devices, span, isLast }: Part): [Part, Part] {
  if (devices.length > 1) {
    const half = devices.length >> 1
    return [
      { devices: devices.slice(0, half), span, isLast },
      { devices: devices.slice(half), span, isLast },
    ]
  }
  const middleUs = Math.floor((span.startUs + span.endUs) / 2)
  return [
    { devices, span: { startUs: span.startUs, endUs: middleUs }, isLast: false },
    { devices, span: { startUs: middleUs, endUs: span.endUs }, isLast },
  ]
}

class PartReader {
  readonly #source: ScanSource
  readonly #rowsMax: number
  /** Used again from step to step. */
  readonly #columns: SeriesColumns[] = []

  constructor(source: ScanSource, rowsMax: number) {
    this.#source = source
    this.#rowsMax = rowsMax
  }

  /** Undefined when it holds too many readings. */
  async read(
    part: Part,
  ): Promise<{ blocks: ScanBlock[]; rows: number; completeness: number } | undefined> {
    const columns = this.#columnsOf(part.devices)
    // A reading of each series at one µs is as little as there can be.
    const isDivisible = part.devices.length > 1 || part.span.endUs - part.span.startUs > 1
    const rowsMax = isDivisible ? this.#rowsMax : Infinity
    try {
      return await this.#source.look(part.devices, async (look) => {
        const rows = await collect(look, part.span, { columns, rowsMax })
        const blocks: ScanBlock[] = []
        for (const series of part.devices) {
          const own = series.map((one) => columns.get(one.series)!)
          for (const one of own) sortByTime(one.timeUs, one.value, { from: 0, to: one.count })
          const { isLast } = part
          blocks.push(blockOf(series, { columns: own, text: (id) => look.text(id), isLast }))
          await this.#source.pause()
        }
        return { blocks, rows, completeness: look.view.completeness }
      })
    } catch (error) {
      if (error instanceof TooMany) return undefined
      throw error
    }
  }

  #columnsOf(devices: readonly (readonly SeriesDefinition[])[]): Map<number, SeriesColumns> {
    const columns = devices.flat().map(({ series }, at) => {
      const own = (this.#columns[at] ??= new SeriesColumns())
      own.count = 0
      return [series, own] as const
    })
    // What a busy device took is not kept for the rest of the scan.
    this.#columns.length = columns.length
    return new Map(columns)
  }
}

/** Returns how many rows there are. Throws TooMany. */
async function collect(
  look: ScanLook,
  span: Span,
  { columns, rowsMax }: { columns: ReadonlyMap<number, SeriesColumns>; rowsMax: number },
): Promise<number> {
  const wanted = [...columns.keys()].map((series) => ({ series, spans: [span] }))
  let total = 0
  await look.view.readings(wanted, (rows) => {
    total += rows.count
    if (total > rowsMax) throw new TooMany()
    for (let from = 0; from < rows.count;) {
      const series = rows.series[from]!
      let to = from + 1
      while (to < rows.count && rows.series[to] === series) to++
      columns.get(series)!.add(rows, from, to)
      from = to
    }
  })
  return total
}

/** The readings of one series while they are collected. */
class SeriesColumns {
  timeUs = new Float64Array(64)
  value = new Float64Array(64)
  count = 0

  add(rows: ReadingRows, from: number, to: number): void {
    const count = this.count + to - from
    if (count > this.timeUs.length) this.#grow(count)
    this.timeUs.set(rows.timeUs.subarray(from, to), this.count)
    this.value.set(rows.value.subarray(from, to), this.count)
    this.count = count
  }

  #grow(least: number): void {
    const rows = Math.max(least, this.timeUs.length * 2)
    const timeUs = new Float64Array(rows)
    const value = new Float64Array(rows)
    timeUs.set(this.timeUs.subarray(0, this.count))
    value.set(this.value.subarray(0, this.count))
    this.timeUs = timeUs
    this.value = value
  }
}

interface BlockParts {
  columns: readonly SeriesColumns[]
  text: (id: number) => string
  isLast: boolean
}

function blockOf(
  series: readonly SeriesDefinition[],
  { columns, text, isLast }: BlockParts,
): ScanBlock {
  const ids = new Set<number>()
  for (const [at, { kind }] of series.entries()) {
    if (kind !== 'text') continue
    const { value, count } = columns[at]!
    for (let row = 0; row < count; row++) ids.add(value[row]!)
  }
  const texts = [...ids].map((id): [number, string] => [id, text(id)])
  return { series, texts, isLast, ...merge(columns) }
}

type Merged = Pick<ScanBlock, 'count' | 'timeUs' | 'value' | 'place'>

function merge(columns: readonly SeriesColumns[]): Merged {
  const filled = columns.filter(({ count }) => count > 0)
  const first = columns[0]!
  if (filled.length === 0 || (filled.length === 1 && filled[0] === first)) {
    const { count } = first
    const timeUs = first.timeUs.slice(0, count)
    return { count, timeUs, value: first.value.slice(0, count), place: undefined }
  }
  const count = columns.reduce((sum, own) => sum + own.count, 0)
  const merged = {
    count,
    timeUs: new Float64Array(count),
    value: new Float64Array(count),
    place: new Uint16Array(count),
  }
  interleave(columns, merged)
  return merged
}

/** By time, and of one time by place: a message's readings stay together, in one order. */
function interleave(columns: readonly SeriesColumns[], into: Merged): void {
  const next = new Uint32Array(columns.length)
  // Behind the last of a series, a time that is never the lowest.
  const headUs = Float64Array.from(columns, ({ timeUs, count }) =>
    count > 0 ? timeUs[0]! : Infinity,
  )
  for (let row = 0; row < into.count;) {
    let lowestUs = Infinity
    for (let place = 0; place < headUs.length; place++) {
      if (headUs[place]! < lowestUs) lowestUs = headUs[place]!
    }
    for (let place = 0; place < headUs.length; place++) {
      if (headUs[place] !== lowestUs) continue
      const { timeUs, value, count } = columns[place]!
      const at = next[place]!++
      into.timeUs[row] = lowestUs
      into.value[row] = value[at]!
      into.place![row++] = place
      headUs[place] = at + 1 < count ? timeUs[at + 1]! : Infinity
    }
  }
}
