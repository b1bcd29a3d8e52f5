/**
 * What falls due, earliest first: a binary heap of (time, rank, item). Equal times come in order of
 * rank, so that the order never depends on the history of the heap.
 */
interface Due {
  atUs: number
  rank: number
  item: number
}

const isBefore = (a: Due, b: Due): boolean =>
  a.atUs < b.atUs || (a.atUs === b.atUs && a.rank < b.rank)

export class DueQueue {
  readonly #heap: Due[] = []

  /** Infinity when empty. */
  get nextUs(): number {
    return this.#heap[0]?.atUs ?? Infinity
  }

  push(due: Due): void {
    const heap = this.#heap
    let at = heap.push(due) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(due, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = due
  }

  /** What falls due first. The queue must not be empty. */
  pop(): Due {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}
