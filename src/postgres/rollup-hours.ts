/** Hours of some series: as they are kept, and of the readings where they are not, or are late. */
import {
  alignOutwards,
  clipSpans,
  contains,
  subtractSpans,
  ToldWindows,
  type ReadingRows,
  type ReadingView,
  type Span,
} from '../query/query.ts'
import { PARTIAL_SERIES, PARTIAL_START_MS } from '../stream/stream.ts'
import { WindowSum, type SummedRow } from './rollup-rows.ts'
import { HOUR_MS, type Hours } from './rollup-tables.ts'
import { spanIn } from './rollup-telling.ts'

const HOUR_US = HOUR_MS * 1000

type Consume = (hour: SummedRow) => void

/** Each hour that has readings comes once, in no order. */
export async function readHours(
  view: ReadingView,
  { series, hours }: { series: readonly number[]; hours: Hours },
  consume: Consume,
): Promise<void> {
  const span = spanIn(hours)
  const told = await readKept(view, { series, span }, consume)
  const wanted = series.flatMap((one) => {
    const spans = subtractSpans(span, told.get(one) ?? [])
    return spans.length === 0 ? [] : [{ series: one, spans }]
  })
  const sums = new HourSums()
  await view.readings(wanted, (rows) => sums.add(rows))
  for (const sum of sums.all()) consume(sum.sum())
}

/** Those with a sketch. Returns of which hours that is so. */
async function readKept(
  view: ReadingView,
  { series, span }: { series: readonly number[]; span: Span },
  consume: Consume,
): Promise<ReadonlyMap<number, readonly Span[]>> {
  const [kept] = clipSpans(span, [view.sparse?.(HOUR_MS) ?? { startUs: 0, endUs: 0 }])
  if (kept === undefined) return new Map()
  const covered = new Map(
    series.map((one) => [
      one,
      subtractSpans(kept, alignOutwards(view.dirty(one, HOUR_MS), HOUR_US)),
    ]),
  )
  const told = new ToldWindows(HOUR_US)
  const what = { windowMs: HOUR_MS, span: kept, hasSketches: true }
  await view.partials(series, what, (row, sketch) => {
    const [one, startUs] = [row[PARTIAL_SERIES]!, row[PARTIAL_START_MS]! * 1000]
    if (sketch === undefined || !contains(covered.get(one)!, startUs)) return
    told.add(one, startUs)
    consume({ row: row.slice(), sketch })
  })
  return told.of(covered, kept)
}

/** Of readings, of which each hour's come in the order of their times. */
class HourSums {
  /** By series, by start. */
  readonly #sums = new Map<number, Map<number, WindowSum>>()

  add({ count, series, timeUs, value }: ReadingRows): void {
    let [sum, own, endUs]: [WindowSum | undefined, number, number] = [undefined, -1, -Infinity]
    for (let row = 0; row < count; row++) {
      const time = timeUs[row]!
      if (sum === undefined || series[row] !== own || time >= endUs || time < endUs - HOUR_US) {
        own = series[row]!
        endUs = (Math.floor(time / HOUR_US) + 1) * HOUR_US
        sum = this.#sumOf(own, (endUs - HOUR_US) / 1000)
      }
      sum.addReading(time, value[row]!)
    }
  }

  #sumOf(series: number, startMs: number): WindowSum {
    let own = this.#sums.get(series)
    if (own === undefined) this.#sums.set(series, (own = new Map()))
    let sum = own.get(startMs)
    if (sum === undefined) {
      own.set(startMs, (sum = new WindowSum({ series, windowMs: HOUR_MS, startMs })))
    }
    return sum
  }

  *all(): Generator<WindowSum> {
    for (const own of this.#sums.values()) yield* own.values()
  }
}
