/** Readings in memory, in the order they came; sorted by series and time for the files. */
import type { SeriesName } from '../batch/batch.ts'
import type { BatchOffset, ErasedTimes, LakeBatch, TopicOffset } from './lake.ts'
import { sortByTime, type SortedReadings } from './sorted-readings.ts'

const ROWS_AT_FIRST = 1 << 16

/** What tells one series from others, in the order of the rows. */
const nameOf = ({ tenant, deviceType, deviceId, metric, dimensions, kind }: SeriesName): string =>
  JSON.stringify([tenant, deviceType, deviceId, metric, dimensions, kind])

export const partitionOf = ({ topic, partition }: { topic: string; partition: number }): string =>
  `${topic} ${partition}`

export class CollectedReadings {
  count = 0
  readonly #erasedTimes: ErasedTimes
  readonly #offsets = new Map<string, BatchOffset>()
  readonly #names: { series: SeriesName; name: string }[] = []
  readonly #isText: boolean[] = []
  /** By number; of nearly all it is empty. */
  readonly #erased: ReturnType<ErasedTimes>[] = []
  readonly #numbers = new Map<string, number>()
  /** Numbers from 1 by place, 0 is not known yet: mostly the same names come again, or more. */
  readonly #known = new Map<readonly SeriesName[], Uint32Array>()
  readonly #texts: string[] = []
  readonly #textNumbers = new Map<string, number>()
  #series = new Uint32Array(ROWS_AT_FIRST)
  #timeUs = new Float64Array(ROWS_AT_FIRST)
  #value = new Float64Array(ROWS_AT_FIRST)

  /** Without what was erased. */
  constructor(erasedTimes: ErasedTimes = () => []) {
    this.#erasedTimes = erasedTimes
  }

  add(batch: LakeBatch): void {
    this.#reserve(batch.count)
    const { names } = batch
    const numbers = this.#numbersOf(names)
    let at = this.count
    for (let row = 0; row < batch.count; row++) {
      const place = batch.series[row]!
      const number = (numbers[place] ||= this.#numberOf(names[place]!) + 1) - 1
      const timeUs = batch.timeUs[row]!
      if (this.#isErased(number, timeUs)) continue
      this.#series[at] = number
      this.#timeUs[at] = timeUs
      const value = batch.value[row]!
      this.#value[at++] = this.#isText[number]! ? this.#textNumberOf(batch.texts[value]!) : value
    }
    this.count = at
    for (const offset of batch.offsets) this.#offsets.set(partitionOf(offset), offset)
  }

  #isErased(number: number, timeUs: number): boolean {
    const spans = this.#erased[number]!
    if (spans.length === 0) return false
    return spans.some(({ startUs, endUs }) => startUs <= timeUs && timeUs < endUs)
  }

  /** Of all batches, as they are now. */
  offsets(): TopicOffset[] {
    return [...this.#offsets.values()].map(({ taken, ...offset }) =>
      taken === undefined ? offset : { ...offset, taken: taken() },
    )
  }

  #numbersOf(names: readonly SeriesName[]): Uint32Array {
    const known = this.#known.get(names)
    if (known !== undefined && known.length >= names.length) return known
    const numbers = new Uint32Array(known === undefined ? names.length : 2 * names.length)
    if (known !== undefined) numbers.set(known)
    this.#known.set(names, numbers)
    return numbers
  }

  #numberOf(series: SeriesName): number {
    const name = nameOf(series)
    let number = this.#numbers.get(name)
    if (number === undefined) {
      number = this.#names.push({ series, name }) - 1
      this.#isText.push(series.kind === 'text')
      this.#erased.push(this.#erasedTimes(series.tenant, series.deviceId))
      this.#numbers.set(name, number)
    }
    return number
  }

  #textNumberOf(text: string): number {
    let number = this.#textNumbers.get(text)
    if (number === undefined) {
      number = this.#texts.push(text) - 1
      this.#textNumbers.set(text, number)
    }
    return number
  }

  #reserve(count: number): void {
    const rows = this.count + count
    if (rows <= this.#series.length) return
    const length = Math.max(rows, 2 * this.#series.length)
    const grow = <T extends { set(from: T): void }>(from: T, to: T): T => (to.set(from), to)
    this.#series = grow(this.#series, new Uint32Array(length))
    this.#timeUs = grow(this.#timeUs, new Float64Array(length))
    this.#value = grow(this.#value, new Float64Array(length))
  }

  /** Of one series in the order of time; of equal times in the order they came. */
  sorted(): SortedReadings {
    const ranked = this.#names
      .map(({ series, name }, number) => ({ series, name, number }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
    const ends = new Uint32Array(ranked.length)
    for (let row = 0; row < this.count; row++) ends[this.#series[row]!]!++
    const starts = new Uint32Array(ranked.length)
    let start = 0
    for (const { number } of ranked) {
      starts[number] = start
      start += ends[number]!
      ends[number] = start
    }
    const timeUs = new Float64Array(this.count)
    const value = new Float64Array(this.count)
    const next = starts.slice()
    for (let row = 0; row < this.count; row++) {
      const to = next[this.#series[row]!]!++
      timeUs[to] = this.#timeUs[row]!
      value[to] = this.#value[row]!
    }
    const runs = ranked.map(({ series, number }) => {
      const run = { series, from: starts[number]!, to: ends[number]! }
      sortByTime(timeUs, value, run)
      return run
    })
    return { runs, timeUs, value, texts: this.#texts }
  }
}
