/**
 * Records of different lengths in one flat table of float64, which is checkpointed in blocks. A
 * record begins with its length, a multiple of 8; one that was given back begins with the negative
 * of it, and is used again for the same length.
 */

/** The table is checkpointed in blocks of this many float64. */
const BLOCK_SHIFT = 12
export const ARENA_BLOCK = 1 << BLOCK_SHIFT
/** Place 0 is no record's, so that it can stand for none. */
const BEGIN = 8

export class Arena {
  table = new Float64Array(ARENA_BLOCK)
  /** Float64 in use; records lie back to back from place 8 on. */
  length = BEGIN
  /** 1 where a block changed since the last checkpoint. */
  #changed = new Uint8Array(1).fill(1)
  readonly #free = new Map<number, number[]>()

  get bytesHeld(): number {
    return this.table.byteLength
  }

  /** The place of a record with room for `needed` float64, the length included; all else is 0. */
  allocate(needed: number): number {
    const length = (needed + 7) & ~7
    const at = this.#free.get(length)?.pop() ?? this.#extend(length)
    this.table.fill(0, at, at + length)
    this.table[at] = length
    this.mark(at)
    return at
  }

  free(at: number): void {
    const length = this.table[at]!
    this.mark(at)
    this.table[at] = -length
    const free = this.#free.get(length)
    if (free === undefined) this.#free.set(length, [at])
    else free.push(at)
  }

  /** The record changed. */
  mark(at: number): void {
    this.#changed[at >> BLOCK_SHIFT] = 1
    // It may straddle blocks.
    const last = (at + this.table[at]! - 1) >> BLOCK_SHIFT
    for (let block = (at >> BLOCK_SHIFT) + 1; block <= last; block++) this.#changed[block] = 1
  }

  /** Blocks that changed since the last call: `[index, copy]`. */
  takeChanged(): [number, Float64Array<ArrayBuffer>][] {
    const taken: [number, Float64Array<ArrayBuffer>][] = []
    for (const [block, isChanged] of this.#changed.entries()) {
      if (isChanged === 0) continue
      const to = Math.min((block + 1) * ARENA_BLOCK, this.length)
      if (block * ARENA_BLOCK < to) taken.push([block, this.table.slice(block * ARENA_BLOCK, to)])
    }
    this.#changed.fill(0)
    return taken
  }

  #extend(length: number): number {
    const at = this.length
    this.length += length
    if (this.length <= this.table.length) return at
    let room = this.table.length * 2
    while (room < this.length) room *= 2
    const grown = new Float64Array(room)
    grown.set(this.table)
    this.table = grown
    const changed = new Uint8Array(room >> BLOCK_SHIFT)
    changed.set(this.#changed)
    this.#changed = changed
    return at
  }
}

/** The places of the records in a table that was checkpointed. */
export function* recordsIn(table: Float64Array): Generator<number> {
  for (let at = BEGIN; at < table.length; at += Math.abs(table[at]!)) if (table[at]! > 0) yield at
}
