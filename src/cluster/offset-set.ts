/**
 * A set of offsets, as bits: a chunk of 4 KiB for each 32,768 offsets of which there is one.
 *
 * Bits and not intervals: where every other offset is missing, as when each message comes by two
 * gateways, an interval takes 16 bytes and two bits take none to speak of; and wherever an offset
 * comes, what it costs is the same. Runs are found when they are asked for.
 */
const OFFSETS_IN_CHUNK = 1 << 15
const BITS = 32
const WORDS = OFFSETS_IN_CHUNK / BITS

/** Offsets from `start` on, before `end`. */
export interface Run {
  start: number
  end: number
}

export class OffsetSet {
  readonly #chunks = new Map<number, Uint32Array>()
  /** The one that was looked at last: mostly it is the next one, too. */
  #number = -1
  #chunk: Uint32Array | undefined

  get chunks(): number {
    return this.#chunks.size
  }

  has(offset: number): boolean {
    const chunk = this.#find(Math.floor(offset / OFFSETS_IN_CHUNK))
    if (chunk === undefined) return false
    const at = offset % OFFSETS_IN_CHUNK
    return ((chunk[at >>> 5]! >>> (at & 31)) & 1) === 1
  }

  add(offset: number): void {
    const number = Math.floor(offset / OFFSETS_IN_CHUNK)
    let chunk = this.#find(number)
    if (chunk === undefined) {
      chunk = new Uint32Array(WORDS)
      this.#chunks.set(number, chunk)
      this.#chunk = chunk
    }
    const at = offset % OFFSETS_IN_CHUNK
    chunk[at >>> 5]! |= 1 << (at & 31)
  }

  /** The same as each of them by itself, for long runs. */
  addRun({ start, end }: Run): void {
    for (let offset = start; offset < end;) {
      this.add(offset)
      const isWord = offset % BITS === 0 && end - offset >= BITS
      if (isWord) this.#chunk![(offset % OFFSETS_IN_CHUNK) >>> 5] = 0xffff_ffff
      offset += isWord ? BITS : 1
    }
  }

  /** The highest one below, or -1. */
  before(offset: number): number {
    let number = Math.floor((offset - 1) / OFFSETS_IN_CHUNK)
    let chunk = this.#chunks.get(number)
    let mask = (2 << ((offset - 1) & 31)) - 1
    for (let word = ((offset - 1) % OFFSETS_IN_CHUNK) >>> 5; number >= 0; word = WORDS - 1) {
      for (; chunk !== undefined && word >= 0; word--, mask = -1) {
        const bits = chunk[word]! & mask
        if (bits !== 0) return number * OFFSETS_IN_CHUNK + word * BITS + 31 - Math.clz32(bits)
      }
      number = this.#highestBelow(number)
      chunk = this.#chunks.get(number)
      mask = -1
    }
    return -1
  }

  #highestBelow(number: number): number {
    let highest = -1
    for (const one of this.#chunks.keys()) if (one < number && one > highest) highest = one
    return highest
  }

  /** Whole chunks; what else is below stays. */
  dropBelow(offset: number): void {
    const first = Math.floor(offset / OFFSETS_IN_CHUNK)
    for (const number of this.#chunks.keys()) if (number < first) this.#drop(number)
  }

  /** The offset behind the chunk that was dropped; there must be one. */
  dropLowest(): number {
    let lowest = Infinity
    for (const number of this.#chunks.keys()) lowest = Math.min(lowest, number)
    this.#drop(lowest)
    return (lowest + 1) * OFFSETS_IN_CHUNK
  }

  /** Of offsets from `from` on, ascending, with gaps between them. */
  *runs(from: number): Generator<Run, void, undefined> {
    /** -1 while no run is open. */
    let start = -1
    let next = 0
    for (const number of [...this.#chunks.keys()].sort((a, b) => a - b)) {
      const base = number * OFFSETS_IN_CHUNK
      if (start >= 0 && base !== next) {
        yield { start, end: next }
        start = -1
      }
      next = base + OFFSETS_IN_CHUNK
      const chunk = this.#chunks.get(number)!
      for (let word = Math.max(0, Math.floor((from - base) / BITS)); word < WORDS; word++) {
        const wordBase = base + word * BITS
        let bits = chunk[word]!
        if (from > wordBase) bits &= -1 << (from - wordBase)
        // From change to change.
        for (let at = 0; ;) {
          const rest = (start < 0 ? bits : ~bits) >>> at
          if (rest === 0) break
          at += 31 - Math.clz32(rest & -rest)
          if (start < 0) {
            start = wordBase + at
            continue
          }
          yield { start, end: wordBase + at }
          start = -1
        }
      }
    }
    if (start >= 0) yield { start, end: next }
  }

  #find(number: number): Uint32Array | undefined {
    if (number !== this.#number) {
      this.#number = number
      this.#chunk = this.#chunks.get(number)
    }
    return this.#chunk
  }

  #drop(number: number): void {
    this.#chunks.delete(number)
    this.#number = -1
    this.#chunk = undefined
  }
}
