/**
 * Quantiles of the values of a step: exact while they are few, with interpolation between ranks;
 * beyond that a sketch (DDSketch) whose answers are within half a percent of a value that has that
 * rank. Of any number of values it takes some kilobytes.
 */
import { DDSketch } from '@datadog/sketches-js'

const EXACT_MAX = 4096
const RELATIVE_ACCURACY = 0.005

export class Quantiles {
  #values: number[] | undefined = []
  #sketch: DDSketch | undefined

  add(value: number): void {
    if (this.#values === undefined) return this.#sketch!.accept(value)
    this.#values.push(value)
    if (this.#values.length <= EXACT_MAX) return
    this.#sketch = new DDSketch({ relativeAccuracy: RELATIVE_ACCURACY })
    for (const one of this.#values) this.#sketch.accept(one)
    this.#values = undefined
  }

  /** `quantile` from 0 to 1. */
  at(quantile: number): number {
    if (this.#values === undefined) return this.#sketch!.getValueAtQuantile(quantile)
    const sorted = this.#values.toSorted((a, b) => a - b)
    const rank = quantile * (sorted.length - 1)
    const low = sorted[Math.floor(rank)]!
    const high = sorted[Math.ceil(rank)]!
    return low + (high - low) * (rank - Math.floor(rank))
  }
}
