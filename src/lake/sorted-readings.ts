/** Sorted readings, and how they are cut into files, row groups and pages. */
import type { SeriesName } from '../batch/batch.ts'
import { folderOf, READINGS_FOLDER } from './lake-columns.ts'

/** Rows [from, to) of one series. */
export interface Run {
  series: SeriesName
  from: number
  to: number
}

export interface SortedReadings {
  runs: Run[]
  timeUs: Float64Array
  value: Float64Array
  texts: readonly string[]
}

/** Mostly they are in order already. Stable. */
export function sortByTime(
  timeUs: Float64Array,
  value: Float64Array,
  { from, to }: { from: number; to: number },
): void {
  let row = from + 1
  while (row < to && timeUs[row]! >= timeUs[row - 1]!) row++
  if (row >= to) return
  const order = Uint32Array.from({ length: to - from }, (_, index) => from + index)
  order.sort((a, b) => timeUs[a]! - timeUs[b]!)
  timeUs.set(
    Float64Array.from(order, (row) => timeUs[row]!),
    from,
  )
  value.set(
    Float64Array.from(order, (row) => value[row]!),
    from,
  )
}

/** The rows of each folder, in the order of the folders. */
export function cutFolders({ runs, timeUs }: SortedReadings): Map<string, Run[]> {
  const folders = new Map<string, Run[]>()
  for (const { series, from, to } of runs) {
    for (let start = from; start < to;) {
      const { folder, endUs } = folderAt(series, timeUs[start]!)
      let end = to
      if (timeUs[to - 1]! >= endUs) for (end = start; timeUs[end]! < endUs;) end++
      const rows = folders.get(folder)
      if (rows === undefined) folders.set(folder, [{ series, from: start, to: end }])
      else rows.push({ series, from: start, to: end })
      start = end
    }
  }
  return folders
}

/** Of a series' readings from this time on, up to `endUs`. */
export function folderAt(
  { tenant, deviceType }: SeriesName,
  timeUs: number,
): { folder: string; endUs: number } {
  const place = `${folderOf('tenant', tenant)}/${folderOf('type', deviceType)}`
  const { year, month, endUs } = monthOf(timeUs)
  return { folder: `${READINGS_FOLDER}/${place}/year=${year}/month=${month}`, endUs }
}

/** In UTC. */
export function monthOf(timeUs: number): { year: number; month: number; endUs: number } {
  const date = new Date(Math.floor(timeUs / 1000))
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  // Not Date.UTC, for which the year 99 is 1999.
  const endUs = new Date(0).setUTCFullYear(year, month + 1, 1) * 1000
  return { year, month: month + 1, endUs }
}

/** The same rows in stretches of at most `rowsMax`. */
export function cutRows(runs: readonly Run[], rowsMax: number): Run[][] {
  const stretches: Run[][] = []
  let room = 0
  for (const { series, from, to } of runs) {
    for (let start = from; start < to;) {
      if (room === 0) {
        stretches.push([])
        room = rowsMax
      }
      const end = Math.min(to, start + room)
      stretches.at(-1)!.push({ series, from: start, to: end })
      room -= end - start
      start = end
    }
  }
  return stretches
}

export const countRows = (runs: readonly Run[]): number =>
  runs.reduce((sum, { from, to }) => sum + to - from, 0)
