/** What goes into files of the object store, out of segments wherever they are. */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { Span } from '../query/query.ts'
import type { Ages } from './aging-plan.ts'
import type { ColdReadings } from './cold-files.ts'
import { Collected } from './collected.ts'
import { GrowingColumns } from './growing-columns.ts'
import type { SegmentFiles } from './segment-files.ts'
import { ANYWHERE, overlaps, type Segment, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'

/** Readings of one file, 20 bytes each while it is made. */
export const FILE_ROWS = 1 << 21
/** Series that are read together at most. */
const SERIES_AT_ONCE = 256

export interface MovedFilesParts {
  files: SegmentFiles
  directory: SeriesDirectory
  agesOf: (series: SeriesDefinition) => Ages
}

/** The readings of these series within the period, in the order of names: what one device says
 * lies together. */
export async function* movedFiles(
  { files, directory, agesOf }: MovedFilesParts,
  {
    sources,
    series,
    period,
  }: { sources: readonly Segment[]; series: readonly number[]; period: Span },
): AsyncGenerator<ColdReadings> {
  const moving = series
    .flatMap((number) => directory.get(number) ?? [])
    .map((one) => ({ series: one, file: fileOf(one, agesOf(one)), name: nameOf(one) }))
    .toSorted((a, b) => compare(a.file, b.file) || compare(a.name, b.name))
  let collected = new Collected()
  let size = 1
  for (let at = 0; at < moving.length;) {
    const { file } = moving[at]!
    let end = at + 1
    while (end < moving.length && end - at < size && moving[end]!.file === file) end++
    const group = moving.slice(at, end).map((one) => one.series)
    const before = collected.count
    await collect(files, sources, { group, period, into: collected })
    const rowsEach = Math.max(1, (collected.count - before) / group.length)
    size = Math.max(1, Math.min(SERIES_AT_ONCE, Math.floor(FILE_ROWS / 4 / rowsEach)))
    at = end
    const isLast = at === moving.length || moving[at]!.file !== file
    if (collected.count < FILE_ROWS && !isLast) continue
    if (collected.count > 0) yield collected.take((id) => directory.text(id))
    collected = new Collected()
  }
}

async function collect(
  files: SegmentFiles,
  sources: readonly Segment[],
  { group, period, into }: { group: readonly SeriesDefinition[]; period: Span; into: Collected },
): Promise<void> {
  const rows = new Map(group.map(({ series }) => [series, new GrowingColumns()]))
  const wanted = group.map(({ series }) => ({ series, spans: [period] }))
  await files.readReadings(sources, { wanted, isSorted: true }, (read) => {
    for (let row = 0; row < read.count; row++) {
      const own = rows.get(read.series[row]!)!
      // Of equal identities the first write comes first.
      if (own.count > 0 && own.timeUs[own.count - 1] === read.timeUs[row]) continue
      own.push(read.timeUs[row]!, read.value[row]!)
    }
  })
  for (const series of group) into.add(series, rows.get(series.series)!)
}

/** Of a file that is made of these, which are there until then. */
export function movedLabel(segments: SegmentSet, sources: readonly Segment[]) {
  const period = {
    startUs: Math.min(...sources.map(({ minTimeUs }) => minTimeUs)),
    endUs: Math.max(...sources.map(({ maxTimeUs }) => maxTimeUs)) + 1,
  }
  const hasRival = segments
    .list('readings')
    .some((one) => !sources.includes(one) && overlaps(one, { ...ANYWHERE, ...period }))
  return {
    firstOffset: Math.min(...sources.map(({ firstOffset }) => firstOffset)),
    lastOffset: Math.max(...sources.map(({ lastOffset }) => lastOffset)),
    hasUnverified: hasRival && sources.some(({ hasUnverified }) => hasUnverified),
  }
}

/** Series with the same are in one file: those of a folder that go on the same day. */
export const fileOf = ({ tenant, deviceType }: SeriesDefinition, { coldUs }: Ages): string =>
  JSON.stringify([tenant, deviceType, coldUs])

const nameOf = ({ deviceId, metric, dimensions }: SeriesDefinition): string =>
  JSON.stringify([deviceId, metric, dimensions])

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
