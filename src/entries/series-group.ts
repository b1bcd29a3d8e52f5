/**
 * The series of one device with the same dimensions: found by the bytes of the metric's name, and
 * first where the metric stood in the message before, since a device says the same again and again.
 */
import { latin1 } from './latin1.ts'

const text = new TextEncoder()

interface KnownMetric {
  name: Uint8Array
  series: number
}

export class SeriesGroup {
  readonly dimensions: [string, string][]
  /** By kind, by place in the map. */
  readonly #expected: [KnownMetric[], KnownMetric[], KnownMetric[]] = [[], [], []]
  /** By kind and name, one character a byte. */
  readonly #metrics = new Map<string, KnownMetric>()

  constructor(dimensions: [string, string][]) {
    this.dimensions = dimensions
  }

  add(kind: number, metric: string, series: number): void {
    const name = text.encode(metric)
    this.#metrics.set(keyOf(kind, name, 0, name.length), { name, series })
  }

  /** Forgets a metric that was added. */
  remove(kind: number, metric: string): void {
    const name = text.encode(metric)
    this.#metrics.delete(keyOf(kind, name, 0, name.length))
    this.#expected[kind] = []
  }

  /** The series whose metric is bytes[start, end), or -1. */
  find(kind: number, place: number, bytes: Uint8Array, start: number, end: number): number {
    const expected = this.#expected[kind]![place]
    if (expected !== undefined && isSame(expected.name, bytes, start, end)) return expected.series
    const known = this.#metrics.get(keyOf(kind, bytes, start, end))
    if (known === undefined) return -1
    this.#expected[kind]![place] = known
    return known.series
  }
}

function isSame(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false
  for (let at = 0; at < name.length; at++) if (name[at] !== bytes[start + at]) return false
  return true
}

const keyOf = (kind: number, bytes: Uint8Array, start: number, end: number): string =>
  kind + latin1(bytes, start, end)
