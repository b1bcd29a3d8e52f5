/**
 * What a statement of SQL reads of storage: segments, which stay until it is done, and dictionaries
 * as files of lines, which are written again only when they have grown.
 */
import type { Disk } from '../world/world.ts'
import { overlaps, type Segment, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import type { StorageOptions } from './storage-options.ts'

/** Below the data folder; emptied at each start. */
export const SQL_FOLDER = 'spill'

export interface SqlFiles {
  readings: string[]
  overlapping: string[]
  cold: string[]
  overlappingCold: string[]
  rollups: string[]
  series: string
  texts: string
  dirty: string
  /** Undefined: none of it is in the files. */
  erased: string | undefined
  release: () => void
}

export interface SqlFilesParts {
  /** The data folder. */
  folder: string
  disk: Disk
  segments: SegmentSet
  directory: SeriesDirectory
  options: Pick<StorageOptions, 'aging'>
  /** Where windows must be computed from readings, µs. */
  dirty: () => Iterable<{ series: number; startUs: number; endUs: number }>
  /** What is erased, and may be in files still. */
  erased: () => Iterable<{ series: number; startUs: number; endUs: number }>
  /** The path of a cold file; undefined: it is in a bucket, and not read. */
  coldPath: (file: string) => string | undefined
}

let dirtyFiles = 0

/** µs; undefined: for ever. */
function keptUs(series: number, { directory, options }: SqlFilesParts): number | undefined {
  const definition = directory.get(series)
  const age = definition === undefined ? undefined : options.aging?.agesOf(definition).coldUs
  return age === Infinity ? undefined : age
}

export async function sqlFiles(parts: SqlFilesParts): Promise<SqlFiles> {
  const { folder, disk, segments, directory } = parts
  const intact = (kind: Segment['kind']): Segment[] =>
    segments.list(kind).filter((segment) => segments.isIntact(segment))
  const readings = intact('readings')
  const rollups = intact('rollup')
  const unpin = segments.pin([...readings, ...rollups])
  const place = ({ file }: Segment): string => `${folder}/segments/${file}`
  const onDisk = readings.filter(({ isCold }) => !isCold)
  const coldPlaces = (of: readonly Segment[]): string[] =>
    of.flatMap(({ isCold, file }) => (isCold ? (parts.coldPath(file) ?? []) : []))
  const rivals = withRivals(readings)
  const { series, texts } = directory.all()
  const dirty = `${folder}/${SQL_FOLDER}/dirty-${dirtyFiles++}.ndjson`
  const erased = `${dirty}.erased`
  const release = (): void => {
    unpin()
    for (const file of [dirty, erased]) disk.remove(file).catch(() => undefined)
  }
  try {
    const rows = series.map((one) => ({
      ...{ series: one.series, tenant: one.tenant, device_id: one.deviceId, metric: one.metric },
      ...{ kind: one.kind, tags: JSON.stringify(Object.fromEntries(one.dimensions)) },
      kept_us: keptUs(one.series, parts) ?? null,
    }))
    const spill = `${folder}/${SQL_FOLDER}`
    await writeLines(disk, dirty, spanRows(parts.dirty()))
    const erasedRows = spanRows(parts.erased())
    const isAnyErased = erasedRows.length > 0
    if (isAnyErased) await writeLines(disk, erased, erasedRows)
    const seriesFile = `${spill}/series-${series.length}.ndjson`
    const textsFile = `${spill}/texts-${texts.length}.ndjson`
    if (!(await disk.exists(seriesFile))) await writeLines(disk, seriesFile, rows)
    if (!(await disk.exists(textsFile))) {
      await writeLines(
        disk,
        textsFile,
        texts.map(([id, text]) => ({ id, text })),
      )
    }
    return {
      readings: onDisk.map(place),
      overlapping: rivals.filter(({ isCold }) => !isCold).map(place),
      cold: coldPlaces(readings),
      overlappingCold: coldPlaces(rivals),
      rollups: rollups.map(place),
      ...{ series: seriesFile, texts: textsFile, dirty, release },
      erased: isAnyErased ? erased : undefined,
    }
  } catch (error) {
    release()
    throw error
  }
}

const spanRows = (spans: Iterable<{ series: number; startUs: number; endUs: number }>) =>
  [...spans].map(({ series, startUs, endUs }) => ({
    ...{ series, start_us: Math.max(startUs, -9e15), end_us: endUs },
  }))

/** Those that may repeat an identity, and those of which they may; in the order of writes. */
function withRivals(segments: readonly Segment[]): Segment[] {
  const unsure = segments.filter(({ hasUnverified }) => hasUnverified)
  const boxOf = ({ minTimeUs, maxTimeUs, minSeries, maxSeries }: Segment) => ({
    ...{ startUs: minTimeUs, endUs: maxTimeUs + 1, minSeries, maxSeries },
  })
  return segments.filter((one) => unsure.some((other) => overlaps(one, boxOf(other))))
}

async function writeLines(disk: Disk, path: string, rows: readonly unknown[]): Promise<void> {
  // A statement that runs reads no file that is being written.
  const temporary = `${path}.tmp`
  const file = await disk.open(temporary, 'create')
  try {
    await file.truncate(0)
    const text = rows.map((row) => JSON.stringify(row)).join('\n')
    await file.write(Buffer.from(`${text}\n`), 0)
  } finally {
    await file.close()
  }
  await disk.rename(temporary, path)
}
