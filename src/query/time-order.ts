/**
 * Sorts one series' rows by time, in place and stable, so that of equal times the first arrived
 * stays first. Readings come almost sorted, which insertion does in one pass; what is far from
 * sorted (an import that runs backwards) falls over to a merge sort before it gets quadratic.
 */

/** Moves per row that insertion may spend: beyond it a merge sort (log2 n moves) is cheaper. */
const MOVES_PER_ROW = 8

/** Sorts rows [from, to) of both columns. */
export function sortByTime(
  timeUs: Float64Array,
  value: Float64Array,
  { from, to }: { from: number; to: number },
): void {
  let movesLeft = MOVES_PER_ROW * (to - from)
  for (let row = from + 1; row < to; row++) {
    const time = timeUs[row]!
    if (time >= timeUs[row - 1]!) continue
    const kept = value[row]!
    let place = row
    while (place > from && timeUs[place - 1]! > time) {
      timeUs[place] = timeUs[place - 1]!
      value[place] = value[place - 1]!
      place--
    }
    timeUs[place] = time
    value[place] = kept
    movesLeft -= row - place
    if (movesLeft < 0) return mergeSort(timeUs.subarray(from, to), value.subarray(from, to))
  }
}

function mergeSort(timeUs: Float64Array, value: Float64Array): void {
  const rows = timeUs.length
  let source: Columns = { timeUs, value }
  let target: Columns = { timeUs: new Float64Array(rows), value: new Float64Array(rows) }
  for (let width = 1; width < rows; width *= 2) {
    for (let left = 0; left < rows; left += 2 * width) {
      mergeRuns(source, target, { left, width })
    }
    ;[source, target] = [target, source]
  }
  if (source.timeUs !== timeUs) {
    timeUs.set(source.timeUs)
    value.set(source.value)
  }
}

interface Columns {
  timeUs: Float64Array
  value: Float64Array
}

function mergeRuns(
  source: Columns,
  target: Columns,
  { left, width }: { left: number; width: number },
): void {
  const rows = source.timeUs.length
  const middle = Math.min(left + width, rows)
  const end = Math.min(left + 2 * width, rows)
  let a = left
  let b = middle
  for (let out = left; out < end; out++) {
    const takesLeft = a < middle && (b >= end || source.timeUs[a]! <= source.timeUs[b]!)
    const from = takesLeft ? a++ : b++
    target.timeUs[out] = source.timeUs[from]!
    target.value[out] = source.value[from]!
  }
}
