/** Rows of one or several series collected for a query: two columns that double when full. */
export class GrowingColumns {
  timeUs = new Float64Array(256)
  value = new Float64Array(256)
  count = 0

  push(timeUs: number, value: number): void {
    if (this.count === this.timeUs.length) this.#grow()
    this.timeUs[this.count] = timeUs
    this.value[this.count++] = value
  }

  #grow(): void {
    const timeUs = new Float64Array(this.count * 2)
    const value = new Float64Array(this.count * 2)
    timeUs.set(this.timeUs)
    value.set(this.value)
    this.timeUs = timeUs
    this.value = value
  }

  /** Turns rows [from, count) around: a walk finds the newest arrived first. */
  reverseFrom(from: number): void {
    this.timeUs.subarray(from, this.count).reverse()
    this.value.subarray(from, this.count).reverse()
  }

  /** Of rows [from, count), sorted by time, keeps the first of equal times. */
  dropRepeatsFrom(from: number): void {
    let kept = from
    for (let row = from; row < this.count; row++) {
      if (kept > from && this.timeUs[row] === this.timeUs[kept - 1]) continue
      this.timeUs[kept] = this.timeUs[row]!
      this.value[kept++] = this.value[row]!
    }
    this.count = kept
  }
}
