/**
 * One page of readings as they are, in the order of time and, at one time, of series. A page begins
 * behind a place, not after a count: what comes in meanwhile is neither told twice nor pushes
 * anything out of a page. How wide a stretch holds a page nobody knows before: it is tried, wider
 * where little is found and narrower where there is too much, so that memory is bounded and empty
 * years cost a few looks.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import { inTimeOrder, type Point } from './downsample.ts'
import type { Page, PagePlace, ReadingView, Span } from './query.ts'
import { TooMany } from './too-many.ts'

const FIRST_WIDTH_US = 3_600_000_000
/** Longer than all time that there is; as it stands in cursors it must be exact. */
const WIDTH_US_MAX = Number.MAX_SAFE_INTEGER
const WIDER = 8
const NARROWER = 4
/** A stretch that holds more pages than this is cut. */
const PAGES_PER_STRETCH = 4
const ROWS_MIN = 4096

export interface PageRead {
  points: Point[]
  /** Undefined: there is nothing behind, for now. */
  next: PagePlace | undefined
}

export async function readPage(
  view: ReadingView,
  series: readonly SeriesDefinition[],
  { startUs, endUs, page }: Span & { page: Page },
): Promise<PageRead> {
  const { limit, after } = page
  const rowsMax = Math.max(limit * PAGES_PER_STRETCH, ROWS_MIN)
  const points: Point[] = []
  let fromUs = Math.max(startUs, after?.timeUs ?? startUs)
  let widthUs = after?.widthUs ?? FIRST_WIDTH_US
  while (fromUs < endUs && points.length <= limit) {
    const toUs = Math.min(endUs, fromUs + widthUs)
    // A reading of each series at one µs is as little as there can be.
    const max = widthUs > 1 ? rowsMax : Infinity
    const found = await readStretch(view, series, { startUs: fromUs, endUs: toUs, max })
    if (found === undefined) {
      widthUs = Math.max(1, Math.floor(Math.min(widthUs, toUs - fromUs) / NARROWER))
      continue
    }
    points.push(...found.filter((point) => isBehind(point, after)).toSorted(inTimeOrder))
    fromUs = toUs
    if (found.length * WIDER < limit) widthUs = Math.min(widthUs * WIDER, WIDTH_US_MAX)
  }
  if (points.length <= limit) return { points, next: undefined }
  points.length = limit
  const { timeUs, series: last } = points.at(-1)!
  return { points, next: { timeUs, series: last, widthUs } }
}

const isBehind = ({ timeUs, series }: Point, after: PagePlace | undefined): boolean =>
  after === undefined || timeUs > after.timeUs || (timeUs === after.timeUs && series > after.series)

/** Undefined when there are more rows than `max`. */
async function readStretch(
  view: ReadingView,
  series: readonly SeriesDefinition[],
  { startUs, endUs, max }: Span & { max: number },
): Promise<Point[] | undefined> {
  const points: Point[] = []
  const wanted = series.map((one) => ({ series: one.series, spans: [{ startUs, endUs }] }))
  try {
    await view.readings(wanted, (rows) => {
      if (points.length + rows.count > max) throw new TooMany()
      for (let row = 0; row < rows.count; row++) {
        const point = { timeUs: rows.timeUs[row]!, value: rows.value[row]! }
        points.push({ ...point, series: rows.series[row]! })
      }
    })
  } catch (error) {
    if (error instanceof TooMany) return undefined
    throw error
  }
  return points
}
