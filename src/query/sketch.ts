/**
 * A mergeable sketch of values (DDSketch): values are counted in buckets, each a hundredth wider
 * than the one before, so that of any number of values, merged in any order, a quantile is within
 * half a percent of a value that has that rank.
 *
 *   bytes: varints: values that are 0 | buckets of values above 0 | buckets of those below
 *          buckets: how many | key of the first, zigzag | its count | then gap to the last, count
 *
 * Its own form is some 20 times larger; and its own merge() forgets what is below zero, and loses
 * buckets where one ends at key 0 (2.1.1): so the buckets are added one by one.
 */
import { DDSketch } from '@datadog/sketches-js'
import { WeirError } from '../errors/errors.ts'

/** Of answers from sketches. */
export const RELATIVE_ERROR = 0.005
/**
 * Of one sign, from the least to the greatest: a factor of 10 to the 35. What is further apart is
 * told by readings: an array of buckets from one to the other would take megabytes.
 */
const BUCKETS_MAX = 8192

/** Of a double: the least and the greatest are in bucket 71,000 or so. */
const KEY_MAX = 1 << 17

type Buckets = DDSketch['store']

export class Sketch {
  readonly #sketch = new DDSketch({ relativeAccuracy: RELATIVE_ERROR })

  add(value: number): void {
    this.#sketch.accept(value)
  }

  /** What toBytes() said of another. Errors: DATA_FILE_DAMAGED. */
  addBytes(bytes: Uint8Array): void {
    const reader = new Reader(bytes)
    const sketch = this.#sketch
    const zeros = reader.next()
    sketch.zeroCount += zeros
    sketch.count += zeros
    for (const buckets of [sketch.store, sketch.negativeStore]) {
      sketch.count += addBuckets(buckets, reader)
    }
  }

  /** Undefined: its values are too far apart to be kept. */
  toBytes(): Uint8Array | undefined {
    const { store, negativeStore, zeroCount } = this.#sketch
    const both = [store, negativeStore]
    if (both.some((one) => one.count > 0 && one.maxKey - one.minKey >= BUCKETS_MAX))
      return undefined
    const bytes: number[] = []
    put(bytes, zeroCount)
    for (const one of both) putBuckets(bytes, one)
    return Uint8Array.from(bytes)
  }

  /** `quantile` from 0 to 1; NaN of no values. */
  at(quantile: number): number {
    return this.#sketch.getValueAtQuantile(quantile)
  }
}

function putBuckets(bytes: number[], { bins, minKey, maxKey, offset, count }: Buckets): void {
  const keys: number[] = []
  for (let key = minKey; count > 0 && key <= maxKey; key++) {
    if (bins[key - offset]! > 0) keys.push(key)
  }
  put(bytes, keys.length)
  let last = 0
  for (const [at, key] of keys.entries()) {
    put(bytes, at === 0 ? zigzag(key) : key - last)
    put(bytes, bins[key - offset]!)
    last = key
  }
}

/** Returns how many values they have. */
function addBuckets(buckets: Buckets, reader: Reader): number {
  let total = 0
  let key = 0
  const length = reader.next()
  const added: [key: number, count: number][] = []
  for (let at = 0; at < length; at++) {
    key = at === 0 ? unzigzag(reader.next()) : key + reader.next()
    const count = reader.next()
    if (Math.abs(key) > KEY_MAX)
      throw new WeirError('DATA_FILE_DAMAGED', `bucket ${key} of a sketch`)
    added.push([key, count])
    total += count
  }
  // Nothing, into the last: the array grows once, and not with each of them, which takes as long.
  if (length > 0) buckets.add(key, 0)
  for (const [own, count] of added) buckets.add(own, count)
  return total
}

const zigzag = (key: number): number => (key < 0 ? -2 * key - 1 : 2 * key)
const unzigzag = (coded: number): number => (coded % 2 === 1 ? -(coded + 1) / 2 : coded / 2)

function put(bytes: number[], value: number): void {
  let left = value
  while (left >= 0x80) {
    bytes.push((left % 0x80) | 0x80)
    left = Math.floor(left / 0x80)
  }
  bytes.push(left)
}

class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  next(): number {
    let value = 0
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new WeirError('DATA_FILE_DAMAGED', 'a sketch ends too early')
      value += (byte % 0x80) * factor
      if (byte < 0x80) return value
    }
  }
}
