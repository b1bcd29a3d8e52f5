/** What all series of a fleet had in an hour, and in its minutes. */
import { addPartial, addReading, emptyPartial, Sketch } from '../query/query.ts'
import { PARTIAL_COUNT, PARTIAL_SERIES, PARTIAL_START_MS } from '../stream/stream.ts'
import { HOUR_MS, MINUTE_MS } from './rollup-coverage.ts'
import type { KeptRows, WindowReadings } from './summary-rows.ts'

const MINUTES = HOUR_MS / MINUTE_MS

interface FleetHour {
  row: Float64Array
  sketch: Sketch | undefined
  /** In order; undefined: nobody wants them. */
  minutes: Float64Array[] | undefined
}

export interface FleetSumsParts {
  fleetOf: (series: number) => number
  /** Whether the minutes of an hour are wanted: then it takes readings only. */
  hasMinutes: (fleet: number, startMs: number) => boolean
}

export class FleetSums {
  readonly #parts: FleetSumsParts
  /** By start, by fleet. */
  readonly #sums = new Map<number, Map<number, FleetHour>>()

  constructor(parts: FleetSumsParts) {
    this.#parts = parts
  }

  /** An hour of a series. */
  add(row: Float64Array, { timeUs, value }: WindowReadings): void {
    const { minutes, sketch } = this.#addRow(row)
    for (const one of value) sketch.add(one)
    if (minutes === undefined) return
    const startUs = row[PARTIAL_START_MS]! * 1000
    for (let at = 0; at < timeUs.length; at++) {
      const minute = Math.floor((timeUs[at]! - startUs) / (MINUTE_MS * 1000))
      addReading(minutes[minute]!, timeUs[at]!, value[at]!)
    }
  }

  addSketched(row: Float64Array, sketch: Uint8Array): void {
    this.#addRow(row).sketch.addBytes(sketch)
  }

  #addRow(row: Float64Array): FleetHour & { sketch: Sketch } {
    const sum = this.#sum(this.#parts.fleetOf(row[PARTIAL_SERIES]!), row[PARTIAL_START_MS]!)
    addPartial(sum.row, row)
    sum.sketch ??= new Sketch()
    return sum as FleetHour & { sketch: Sketch }
  }

  /** Of an hour in which there may be nothing, that is told. */
  begin(fleet: number, startMs: number): void {
    this.#sum(fleet, startMs)
  }

  #sum(fleet: number, startMs: number): FleetHour {
    let ofHour = this.#sums.get(startMs)
    if (ofHour === undefined) this.#sums.set(startMs, (ofHour = new Map()))
    const known = ofHour.get(fleet)
    if (known !== undefined) return known
    const sum = {
      row: emptyPartial({ series: fleet, windowMs: HOUR_MS, startMs }),
      sketch: undefined,
      minutes: this.#parts.hasMinutes(fleet, startMs) ? minutesOf(fleet, startMs) : undefined,
    }
    ofHour.set(fleet, sum)
    return sum
  }

  /** The minutes of an hour together or not at all: one without readings is told by its row. */
  keepIn({ fleets, minutes: kept }: { fleets: KeptRows; minutes: KeptRows }): void {
    for (const ofHour of this.#sums.values()) {
      for (const { row, sketch, minutes } of ofHour.values()) {
        fleets.keep(row, () => sketch?.toBytes())
        if (minutes !== undefined) kept.keepTogether(minutes, row[PARTIAL_COUNT]!)
      }
    }
  }
}

const minutesOf = (fleet: number, hourMs: number): Float64Array[] =>
  Array.from({ length: MINUTES }, (_, at) =>
    emptyPartial({ series: fleet, windowMs: MINUTE_MS, startMs: hourMs + at * MINUTE_MS }),
  )
