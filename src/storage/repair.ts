/**
 * Makes a lost or damaged catalogue again, from what it was about: segments on this disk,
 * `definitions.lines` beside them, cold files and their manifests. The server is stopped. A crash
 * at any moment leaves a folder that can be repaired again: the new catalogue takes its name last.
 *
 *   readings         all segments and cold files that are whole; repeats are resolved when they are
 *                    read, since files that a merge had replaced may be among them
 *   rollups          of minutes go: windows are computed from readings. Summaries stay, and where
 *                    there are readings they are made again in the background
 *   erasures         stay; one that a file still holds something of is carried out again
 *   state            starts anew, as when `state.bin` is damaged: see lost-state.ts
 *   events           anomalies and dead letters are taken from the damaged catalogue, as far as its
 *                    rows are whole; from a lost one there are none
 */
import { WeirError } from '../errors/errors.ts'
import type { Objects } from '../objects/objects.ts'
import type { Disk, World } from '../world/world.ts'
import { Catalogue, type CommitRecord } from './catalogue.ts'
import { readManifests, type FoundManifest } from './cold-manifests.ts'
import { DEFINITION_FILE, readDefinitions, type KeptDefinitions } from './definition-file.ts'
import { FoundFiles, type FoundSegments } from './found-files.ts'
import type { RangesBySeries } from './late-ranges.ts'
import { salvageEvents, type SalvagedEvents } from './salvage-events.ts'
import { ANYWHERE, overlaps, type Segment } from './segment-set.ts'

const CATALOGUE = 'catalogue.db'
const MADE = 'catalogue.db.repair'
/** What SQLite keeps beside a database. */
const SIDES = ['-wal', '-shm', '-journal']

export interface RepairParts {
  /** The data folder. */
  folder: string
  world: Pick<World, 'disk' | 'clock'>
  /** Of cold files; undefined: readings never leave this disk. */
  objects: Objects | undefined
  /** The first offset that the log still has. */
  logFirstOffset: number
}

export interface Repair {
  /** True: nothing was done. */
  isIntact: boolean
  segments: number
  coldFiles: number
  readings: number
  series: number
  erasures: number
  /** Anomalies and dead letters that could be kept. */
  events: number
  /** What is not in any answer from now on, and why. */
  lost: { file: string; problem: string }[]
  /** The log goes on here. */
  nextOffset: number
}

/**
 * Errors: CATALOGUE_UNREPAIRABLE when names are missing, OBJECTS_UNAVAILABLE, OBJECT_FROZEN,
 * DATA_FORMAT_NEWER, and what the disk throws.
 */
export async function repairCatalogue(parts: RepairParts): Promise<Repair> {
  const { folder, world } = parts
  const { disk } = world
  const path = `${folder}/${CATALOGUE}`
  if (await isIntact(disk, path)) return { ...NOTHING_DONE, isIntact: true }
  for (const end of ['', ...SIDES]) {
    if (await disk.exists(`${folder}/${MADE}${end}`)) await disk.remove(`${folder}/${MADE}${end}`)
  }
  const segmentsFolder = `${folder}/segments`
  await disk.makeFolder(segmentsFolder)
  const kept = await readDefinitions(disk, `${segmentsFolder}/${DEFINITION_FILE}`)
  const cold = parts.objects === undefined ? NO_COLD : await readManifests(parts.objects)
  const finder = await FoundFiles.open(world, folder)
  const found = await finder.find(kept).finally(() => finder.close())
  checkNames(kept, { found, cold: cold.found })
  const events = (await disk.exists(path)) ? salvageEvents(path) : NO_EVENTS
  const made = fill(`${folder}/${MADE}`, { parts, kept, found, cold: cold.found, events })
  await putInPlace(disk, folder)
  const alone = cold.alone.map((file) => ({ file, problem: 'it has no manifest' }))
  return { ...made, lost: [...found.lost, ...alone] }
}

const NOTHING_DONE = {
  ...{ segments: 0, coldFiles: 0, readings: 0, series: 0, erasures: 0, events: 0 },
  ...{ lost: [], nextOffset: 0 },
}
const NO_EVENTS: SalvagedEvents = { anomalies: [], dead_letters: [] }
const NO_COLD = { found: [] as FoundManifest[], alone: [] as string[] }

/** Whether it can be opened, and all that it says of files and names is right. */
async function isIntact(disk: Disk, path: string): Promise<boolean> {
  if (!(await disk.exists(path))) return false
  try {
    const catalogue = Catalogue.open(path, { mustExist: true })
    try {
      readThrough(catalogue)
      return true
    } finally {
      catalogue.close()
    }
  } catch (error) {
    if ((error as { code?: string }).code === 'DATA_FILE_DAMAGED') return false
    throw error
  }
}

/** Errors: DATA_FILE_DAMAGED. */
function readThrough(catalogue: Catalogue): void {
  for (const { isCold, file } of catalogue.segments()) if (isCold) catalogue.cold.runs(file)
  for (const { id } of catalogue.erasures.all()) catalogue.erasures.files(id)
  const { coveredOffset, rollupsFromUs, summaries } = catalogue
  const read: unknown[] = [coveredOffset, rollupsFromUs, summaries.summedUp, summaries.late()]
  read.push(catalogue.stateParts(), catalogue.definitions(), catalogue.dirtyRanges())
  read.push(catalogue.coverage(), catalogue.cold.pending())
}

/** Numbers without a name are readings that no question finds. */
function checkNames(
  kept: KeptDefinitions,
  { found, cold }: { found: FoundSegments; cold: readonly FoundManifest[] },
): void {
  const used = new Set(found.series.keys())
  for (const { runs } of cold) for (const series of runs.series) used.add(series)
  const missing = [...used].filter((series) => !kept.series.has(series))
  if (missing.length === 0) return
  throw new WeirError(
    'CATALOGUE_UNREPAIRABLE',
    `segments/${DEFINITION_FILE} lacks the names of ${missing.length} of ${used.size} series`,
  )
}

interface Filling {
  parts: RepairParts
  kept: KeptDefinitions
  found: FoundSegments
  cold: readonly FoundManifest[]
  events: SalvagedEvents
}

function fill(path: string, { parts, kept, found, cold, events }: Filling): Omit<Repair, 'lost'> {
  const coldFiles = inOrder(cold).map((one) => withRivals(one, { found, cold }))
  const covering = [...found.readings, ...found.rollups, ...coldFiles.map((one) => one.segment)]
  const offset = covering.reduce(
    (most, { lastOffset }) => Math.max(most, lastOffset),
    Math.max(-1, parts.logFirstOffset - 1),
  )
  const erasures = [...kept.erasures.values()].map((erasure) =>
    found.unerased.has(erasure.id) ? { ...erasure, receipt: undefined } : erasure,
  )
  const segments = [...found.readings, ...found.summaries]
  const late = lateOf({ found, cold, kept })
  const record: CommitRecord = {
    ...{ offset, committedAtUs: parts.world.clock.nowUs(), segments, events: [], state: [] },
    definitions: [{ series: [...kept.series.values()], texts: [...kept.texts] }],
    // Windows of minutes are computed from readings: nobody knows which of them were late.
    ...{ dirty: late, coverage: found.coverage, late },
  }
  const catalogue = Catalogue.open(path, { mustExist: false })
  try {
    catalogue.makeOf(record, { cold: coldFiles, summedUp: found.summedUp, erasures, events })
  } finally {
    catalogue.close()
  }
  const all = [...found.readings, ...coldFiles.map(({ segment }) => segment)]
  return {
    ...{ isIntact: false, segments: segments.length, coldFiles: coldFiles.length },
    readings: all.reduce((sum, { rows }) => sum + rows, 0),
    ...{ series: kept.series.size, erasures: erasures.length, nextOffset: offset + 1 },
    events: events.anomalies.length + events.dead_letters.length,
  }
}

/** As they were moved: of equal readings the first counts. */
const inOrder = (cold: readonly FoundManifest[]): FoundManifest[] => {
  const partOf = ({ segment }: FoundManifest): number =>
    Number(/-(\d+)\.parquet$/.exec(segment.file)?.[1] ?? 0)
  return cold.toSorted(
    (a, b) => a.segment.lastOffset - b.segment.lastOffset || partOf(a) - partOf(b),
  )
}

/** What a crash left of a move may hold the same readings. */
function withRivals(
  one: FoundManifest,
  { found, cold }: { found: FoundSegments; cold: readonly FoundManifest[] },
): FoundManifest {
  const { minSeries, maxSeries, minTimeUs, maxTimeUs } = one.segment
  const box = { ...ANYWHERE, minSeries, maxSeries, startUs: minTimeUs, endUs: maxTimeUs + 1 }
  const others: Segment[] = [...found.readings, ...cold.map(({ segment }) => segment)]
  const isUnsure = others.some((other) => other.file !== one.segment.file && overlaps(other, box))
  return isUnsure ? { ...one, segment: { ...one.segment, hasUnverified: true } } : one
}

/** Where there are readings, or were until they were erased, they tell until it is summed up. */
function lateOf({ found, cold, kept }: Pick<Filling, 'found' | 'cold' | 'kept'>): RangesBySeries {
  const spans = new Map(found.series)
  for (const { segment, runs } of cold) {
    for (const series of runs.series) {
      const known = spans.get(series) ?? { startUs: Infinity, endUs: -Infinity }
      spans.set(series, {
        startUs: Math.min(known.startUs, segment.minTimeUs),
        endUs: Math.max(known.endUs, segment.maxTimeUs + 1),
      })
    }
  }
  const erased = [...kept.erasures.values()]
  return new Map(
    [...kept.series.values()].flatMap(({ series, tenant, deviceId }) => {
      const touching = erased
        .filter((one) => one.tenant === tenant && one.deviceIds.includes(deviceId))
        .map(({ fromUs: startUs, toUs: endUs }) => ({ startUs, endUs }))
      const own = [...touching, spans.get(series)].filter((span) => span !== undefined)
      if (own.length === 0) return []
      const startUs = Math.min(...own.map((span) => span.startUs))
      return [[series, [{ startUs, endUs: Math.max(...own.map((span) => span.endUs)) }]]]
    }),
  )
}

/** The old one stays beside it, for whoever wants to look. */
async function putInPlace(disk: Disk, folder: string): Promise<void> {
  let number = 1
  const aside = (): string => `${folder}/${CATALOGUE}.damaged-${number}`
  while (await disk.exists(aside())) number++
  // What SQLite has beside it first: it would be taken for the new one's.
  for (const end of [...SIDES, '']) {
    const path = `${folder}/${CATALOGUE}${end}`
    if (await disk.exists(path)) await disk.rename(path, `${aside()}${end}`)
  }
  await disk.rename(`${folder}/${MADE}`, `${folder}/${CATALOGUE}`)
  await disk.syncFolder(folder)
}
