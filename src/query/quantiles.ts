/**
 * Quantiles of the values of a step: exact while they are few and each is known, with interpolation
 * between ranks; beyond that of a sketch, which takes some kilobytes of any number of values.
 */
import { RELATIVE_ERROR, Sketch } from './sketch.ts'

const EXACT_MAX = 4096

export class Quantiles {
  #values: number[] | undefined = []
  #sketch: Sketch | undefined

  add(value: number): void {
    if (this.#values === undefined) return this.#sketch!.add(value)
    this.#values.push(value)
    if (this.#values.length > EXACT_MAX) this.#beginSketch()
  }

  /** Of other values: see Sketch. Errors: DATA_FILE_DAMAGED. */
  addSketch(bytes: Uint8Array): void {
    this.#beginSketch().addBytes(bytes)
  }

  #beginSketch(): Sketch {
    if (this.#sketch !== undefined) return this.#sketch
    this.#sketch = new Sketch()
    for (const one of this.#values ?? []) this.#sketch.add(one)
    this.#values = undefined
    return this.#sketch
  }

  /** How far from a value of the rank that was asked for: 0, exact, or RELATIVE_ERROR of it. */
  get relativeError(): number {
    return this.#values === undefined ? RELATIVE_ERROR : 0
  }

  /** `quantile` from 0 to 1. */
  at(quantile: number): number {
    if (this.#values === undefined) return this.#sketch!.at(quantile)
    const sorted = this.#values.toSorted((a, b) => a - b)
    const rank = quantile * (sorted.length - 1)
    const low = sorted[Math.floor(rank)]!
    const high = sorted[Math.ceil(rank)]!
    return low + (high - low) * (rank - Math.floor(rank))
  }
}
