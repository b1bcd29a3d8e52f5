/**
 * What a statement of SQL reads of storage: segments, which stay until it is done, and dictionaries
 * as files of lines, which are written again only when they have grown.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import { WeirError } from '../errors/errors.ts'
import type { ScanQuestion, Span } from '../query/query.ts'
import type { Disk } from '../world/world.ts'
import type { Catalogue } from './catalogue.ts'
import type { SegmentChecks } from './segment-checks.ts'
import { ANYWHERE, overlaps, type Segment, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import type { StorageOptions } from './storage-options.ts'

/** Below the data folder; emptied at each start. */
export const SQL_FOLDER = 'spill'

export interface SqlFiles {
  readings: string[]
  overlapping: string[]
  cold: string[]
  overlappingCold: string[]
  uncertainCold: string[]
  rollups: string[]
  series: string
  texts: string
  dirty: string
  /** Undefined: none of it is in the files. */
  erased: string | undefined
  /** See SqlFileSet. */
  shownFromUs: number | undefined
  release: () => void
}

/** Of a statement; undefined: it sees none of it. */
export interface SqlQuestion {
  readings: ScanQuestion | undefined
  /** Its span is of their starts. */
  windows: ScanQuestion | undefined
  /** What windows that it sees may be computed from. */
  windowReadings: ScanQuestion | undefined
  /** The longest of the windows. */
  windowUs: number
}

/** Paths of cold files, in their order, which stay until they are released. */
export type ColdPaths = (
  files: readonly Segment[],
) => Promise<{ paths: string[]; release: () => void }>

export interface SqlFilesParts {
  /** The data folder. */
  folder: string
  disk: Disk
  catalogue: Catalogue
  segments: SegmentSet
  directory: SeriesDirectory
  checks: SegmentChecks
  options: Pick<StorageOptions, 'aging'>
  /** Cold files that hold nothing that is to be seen, and may have gone. */
  pastAge: () => readonly Segment[]
  /** Where windows must be computed from readings, µs. */
  dirty: () => Iterable<SeriesSpan>
  /** What is erased, and may be in files still. */
  erased: () => Iterable<SeriesSpan>
  coldPaths: ColdPaths
}

interface SeriesSpan {
  series: number
  startUs: number
  endUs: number
}

/** JSON and SQL have no infinity. */
const EVER_US = -9e15

let dirtyFiles = 0
let temporaryFiles = 0

/** µs; undefined: for ever. */
function keptUs(
  series: number,
  { directory, options }: Pick<SqlFilesParts, 'directory' | 'options'>,
): number | undefined {
  const definition = directory.get(series)
  const age = definition === undefined ? undefined : options.aging?.agesOf(definition).coldUs
  return age === Infinity ? undefined : age
}

/** Errors: DATA_FILE_DAMAGED, and those of `coldPaths`. */
export async function sqlFiles(parts: SqlFilesParts, question: SqlQuestion): Promise<SqlFiles> {
  const { folder, segments } = parts
  const seen = (kind: Segment['kind'], ...asked: (Span | undefined)[]): Segment[] =>
    segments.list(kind).filter((one) => asked.some((span) => isWithin(one, span)))
  const readings = seen('readings', question.readings, question.windowReadings)
  const rollups = seen('rollup', question.windows)
  const releases = [segments.pin([...readings, ...rollups])]
  const release = (): void => releases.forEach((one) => one())
  // Of the moment of the files: what is erased from now on is in them still.
  const spans = { dirty: [...parts.dirty()], erased: [...parts.erased()] }
  try {
    await parts.checks.ensure([...readings, ...rollups])
    for (const one of readings) if (!segments.isIntact(one)) throw damaged(one)
    const isWhole = (rollup: Segment): boolean => segments.isIntact(rollup)
    for (const one of rollups) if (!isWhole(one)) spans.dirty.push(...windowsOf(one, parts))
    const place = ({ file }: Segment): string => `${folder}/segments/${file}`
    const onDisk = readings.filter(({ isCold }) => !isCold)
    const rivals = withRivals(readings)
    const wanted = coldFiles(readings, parts, { ...question, dirty: spans.dirty })
    const cold = await parts.coldPaths(wanted.all)
    releases.push(cold.release)
    const coldPaths = (of: (segment: Segment) => boolean): string[] =>
      cold.paths.filter((_, at) => of(wanted.all[at]!))
    return {
      readings: onDisk.map(place),
      overlapping: rivals.filter(({ isCold }) => !isCold).map(place),
      cold: cold.paths,
      overlappingCold: coldPaths((one) => rivals.includes(one)),
      uncertainCold: coldPaths((one) => wanted.uncertain.has(one)),
      rollups: rollups.filter(isWhole).map(place),
      ...(await writeDictionaries(parts, releases)),
      ...(await writeSpans(parts, spans, releases)),
      shownFromUs: shownFromUs(parts),
      release,
    }
  } catch (error) {
    release()
    throw error
  }
}

/** What was not exported yet stays in sight, whatever its age: who exports must see it. */
function shownFromUs({ catalogue, options }: SqlFilesParts): number | undefined {
  if (options.aging?.isExportedFirst !== true) return undefined
  return Math.max(catalogue.exportedBeforeUs, EVER_US)
}

/** Readings tell what a damaged file of windows does not. */
const windowsOf = (rollup: Segment, { directory }: SqlFilesParts): SeriesSpan[] =>
  directory
    .series()
    .filter(({ series }) => rollup.minSeries <= series && series <= rollup.maxSeries)
    .map(({ series }) => ({
      ...{ series, startUs: rollup.minTimeUs, endUs: rollup.maxTimeUs + 1 },
    }))

/** An answer without some of its rows would look like one with all. */
function damaged({ file, minTimeUs, maxTimeUs }: Segment): WeirError {
  const [from, to] = [minTimeUs, maxTimeUs].map((us) => new Date(us / 1000).toISOString())
  const detail = `${file}, which has readings of ${from} to ${to}: leave them out by ts, or repair it`
  return new WeirError('DATA_FILE_DAMAGED', detail)
}

const isWithin = (segment: Segment, span: Span | undefined): boolean =>
  span !== undefined && overlaps(segment, { ...ANYWHERE, startUs: span.startUs, endUs: span.endUs })

/** In the order of writes. */
function coldFiles(
  readings: readonly Segment[],
  parts: SqlFilesParts,
  question: SqlQuestion & { dirty: readonly SeriesSpan[] },
): { all: Segment[]; uncertain: Set<Segment> } {
  const cold = readings.filter(({ isCold }) => isCold)
  if (cold.length === 0) return { all: [], uncertain: new Set() }
  const gone = parts.pastAge()
  const of = (asked: ScanQuestion | undefined): Segment[] =>
    asked === undefined ? [] : cold.filter((one) => !gone.includes(one) && has(one, asked, parts))
  const isUncertain = (segment: Segment): boolean =>
    question.dirty.some(({ series, startUs, endUs }) =>
      // Windows are computed whole.
      overlaps(segment, {
        ...{ startUs: startUs - question.windowUs, endUs: endUs + question.windowUs },
        ...{ minSeries: series, maxSeries: series },
      }),
    )
  const uncertain = new Set(of(question.windowReadings).filter(isUncertain))
  const seen = new Set([...of(question.readings), ...uncertain])
  return { all: cold.filter((one) => seen.has(one)), uncertain }
}

/** Whether a cold file may have readings that are asked for. */
function has(
  segment: Segment,
  question: ScanQuestion,
  { catalogue, directory }: SqlFilesParts,
): boolean {
  if (!isWithin(segment, question)) return false
  const { tenant, deviceIds, metrics } = question
  return catalogue.cold.runs(segment.file).series.some((series) => {
    const one = directory.get(series)
    return (
      one?.tenant === tenant &&
      (deviceIds?.includes(one.deviceId) ?? true) &&
      (metrics?.includes(one.metric) ?? true)
    )
  })
}

/** Written again only when they have grown. */
async function writeDictionaries(
  { disk, ...parts }: SqlFilesParts,
  releases: (() => void)[],
): Promise<{ series: string; texts: string }> {
  const { series, texts } = parts.directory.all()
  const spill = `${parts.folder}/${SQL_FOLDER}`
  const seriesFile = `${spill}/series-${series.length}.ndjson`
  const textsFile = `${spill}/texts-${texts.length}.ndjson`
  releases.push(useFile(disk, seriesFile), useFile(disk, textsFile))
  if (!(await disk.exists(seriesFile))) {
    const rows = series.map((one) => sqlSeries(one, keptUs(one.series, parts)))
    await writeLines(disk, seriesFile, rows)
  }
  if (!(await disk.exists(textsFile))) {
    const rows = texts.map(([id, text]) => ({ id, text }))
    await writeLines(disk, textsFile, rows)
  }
  return { series: seriesFile, texts: textsFile }
}

/** Statements that read a dictionary, by its path; and the newest of each kind, which stays. */
const users = new Map<string, number>()
const newest = new Map<string, string>()

/** Returns the end of the use. What nobody uses goes when there is a newer one. */
function useFile(disk: Disk, path: string): () => void {
  const kind = path.slice(0, path.lastIndexOf('-'))
  const before = newest.get(kind)
  newest.set(kind, path)
  users.set(path, (users.get(path) ?? 0) + 1)
  const drop = (old: string | undefined): void => {
    if (old === undefined || old === newest.get(kind) || users.has(old)) return
    disk.remove(old).catch(() => undefined)
  }
  drop(before)
  return () => {
    const left = users.get(path)! - 1
    if (left > 0) users.set(path, left)
    else users.delete(path)
    drop(path)
  }
}

/** A line of the dictionary of series. */
const sqlSeries = (one: SeriesDefinition, keptUs: number | undefined) => ({
  ...{ series: one.series, tenant: one.tenant, device_id: one.deviceId, metric: one.metric },
  ...{ kind: one.kind, tags: JSON.stringify(Object.fromEntries(one.dimensions)) },
  kept_us: keptUs ?? null,
})

async function writeSpans(
  { folder, disk }: SqlFilesParts,
  { dirty, erased }: { dirty: readonly SeriesSpan[]; erased: readonly SeriesSpan[] },
  releases: (() => void)[],
): Promise<{ dirty: string; erased: string | undefined }> {
  const path = `${folder}/${SQL_FOLDER}/dirty-${dirtyFiles++}.ndjson`
  const erasedPath = `${path}.erased`
  releases.push(() => {
    for (const file of [path, erasedPath]) disk.remove(file).catch(() => undefined)
  })
  await writeLines(disk, path, spanRows(dirty))
  if (erased.length > 0) await writeLines(disk, erasedPath, spanRows(erased))
  return { dirty: path, erased: erased.length > 0 ? erasedPath : undefined }
}

const spanRows = (spans: readonly SeriesSpan[]) =>
  spans.map(({ series, startUs, endUs }) => ({
    ...{ series, start_us: Math.max(startUs, EVER_US), end_us: endUs },
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
  // A statement that runs reads no file that is being written; and two may write the same at once.
  const temporary = `${path}.${temporaryFiles++}.tmp`
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
