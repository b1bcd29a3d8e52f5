/** Brings what a plan says, partials and readings, into the steps of each series. */
import { PARTIAL_SERIES, PARTIAL_START_MS } from '../stream/stream.ts'
import type { ReadingRows, ReadingView } from './query.ts'
import { spansOf, type RollupPlan } from './rollup-plan.ts'
import { contains } from './spans.ts'
import type { Steps } from './steps.ts'

export async function readSteps(
  view: ReadingView,
  { parts, raw }: RollupPlan,
  stepsOf: (series: number) => Steps,
): Promise<void> {
  for (const { covered, windowMs } of parts) {
    const series = [...covered].flatMap(([one, spans]) => (spans.length > 0 ? one : []))
    for (const span of spansOf(covered)) {
      await view.partials(series, { windowMs, span }, (row) => {
        const id = row[PARTIAL_SERIES]!
        const spans = covered.get(id) ?? []
        if (contains(spans, row[PARTIAL_START_MS]! * 1000)) stepsOf(id).addPartial(row)
      })
    }
  }
  await view.readings(raw, (rows) => {
    for (const run of runsOf(rows)) stepsOf(run.series[0]!).addReadings(run)
  })
}

/** Rows of one series each, which are mostly all of it. */
function* runsOf(rows: ReadingRows): Generator<ReadingRows> {
  const { count, series, timeUs, value } = rows
  let from = 0
  for (let row = 1; row <= count; row++) {
    if (row < count && series[row] === series[from]) continue
    yield {
      count: row - from,
      series: series.subarray(from, row),
      timeUs: timeUs.subarray(from, row),
      value: value.subarray(from, row),
    }
    from = row
  }
}
