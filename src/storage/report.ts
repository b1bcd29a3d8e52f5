/** What storage holds, tier by tier, and how long its disk will do. */
import type { Clock, Disk } from '../world/world.ts'
import type { Catalogue } from './catalogue.ts'
import type { Merger } from './merger.ts'
import type { Segment, SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import type { AgingOptions } from './storage-options.ts'
import type { StorageStatistics } from './storage.ts'
import type { Summariser } from './summariser.ts'
import { tiersNow } from './tiers.ts'

const DAY_US = 86_400_000_000
const HOUR_US = 3_600_000_000
/** The rate at which a disk fills is that of the last days. */
const RATE_DAYS = 7

export interface TierReport {
  tier: 'hot' | 'warm' | 'cold' | 'rollups'
  files: number
  /** Of rollups, windows. */
  rows: number
  bytes: number
  /** Event times, µs; undefined without files. */
  oldestUs: number | undefined
  newestUs: number | undefined
}

export interface StorageReport {
  tiers: TierReport[]
  readingsInMemory: number
  segmentsDamaged: number
  /** Segments that wait to be merged. */
  mergeDebt: number
  diskFreeBytes: number
  /** Of readings, files only; undefined with less than an hour of them. */
  bytesPerDay: number | undefined
  /** At that rate; undefined when it will not be, since readings leave the disk in time. */
  diskFullInDays: number | undefined
}

/** Of what is in files; memory and commits are somebody else's to say. */
export function fileStatistics({
  segments,
  merger,
  summariser,
}: {
  segments: SegmentSet
  merger: Merger
  summariser: Summariser
}) {
  const readings = segments.list('readings')
  return {
    readingsStored: readings.reduce((sum, { rows }) => sum + rows, 0),
    segmentCount: segments.all().length,
    segmentsDamaged: segments.damagedCount,
    mergeDebt: merger.debt,
    summedUpToUs: summariser.summedUpToUs,
    bytesOnDisk: segments.bytes,
  } satisfies Partial<StorageStatistics>
}

export async function reportStorage(
  parts: {
    segments: SegmentSet
    clock: Clock
    disk: Disk
    catalogue: Catalogue
    directory: SeriesDirectory
  },
  {
    folder,
    statistics,
    aging,
  }: { folder: string; statistics: StorageStatistics; aging: AgingOptions | undefined },
): Promise<StorageReport> {
  const { segments, clock, disk, directory } = parts
  const readings = segments.list('readings')
  const rollups = segments.rollups()
  const onDisk = [...readings.filter(({ isCold }) => !isCold), ...rollups]
  const freeBytes = await disk.freeBytes(folder)
  const perDay = bytesPerDay(readings, clock.nowUs())
  const ages = directory.series().map((one) => aging?.agesOf(one).warmUs ?? Infinity)
  const { readingsInMemory, segmentsDamaged, mergeDebt } = statistics
  return {
    tiers: reportTiers({ readings, rollups }, tiersNow({ aging }, parts).tierOf),
    ...{ readingsInMemory, segmentsDamaged, mergeDebt },
    ...{ diskFreeBytes: freeBytes, bytesPerDay: perDay },
    diskFullInDays: diskFullInDays({
      ...{ perDay, freeBytes, usedBytes: onDisk.reduce((sum, { bytes }) => sum + bytes, 0) },
      keptDays: ages.reduce((most, one) => Math.max(most, one), 0) / DAY_US,
    }),
  }
}

function reportTiers(
  { readings, rollups }: { readings: readonly Segment[]; rollups: readonly Segment[] },
  tierOf: (segment: Segment) => string,
): TierReport[] {
  const byTier = Map.groupBy(readings, tierOf)
  return [
    tierReport('hot', byTier.get('hot') ?? []),
    tierReport('warm', byTier.get('warm') ?? []),
    tierReport('cold', byTier.get('cold') ?? []),
    tierReport('rollups', rollups),
  ]
}

function tierReport(tier: TierReport['tier'], segments: readonly Segment[]): TierReport {
  const report: TierReport = {
    ...{ tier, files: segments.length, rows: 0, bytes: 0 },
    ...{ oldestUs: undefined, newestUs: undefined },
  }
  for (const { rows, bytes, minTimeUs, maxTimeUs } of segments) {
    report.rows += rows
    report.bytes += bytes
    report.oldestUs = Math.min(report.oldestUs ?? Infinity, minTimeUs)
    report.newestUs = Math.max(report.newestUs ?? -Infinity, maxTimeUs)
  }
  return report
}

/** Of files on this disk, by what came in the last week. */
export function bytesPerDay(readings: readonly Segment[], nowUs: number): number | undefined {
  const recent = readings.filter(
    ({ isCold, maxTimeUs }) => !isCold && nowUs - maxTimeUs < RATE_DAYS * DAY_US,
  )
  const firstUs = recent.reduce((least, { minTimeUs }) => Math.min(least, minTimeUs), Infinity)
  // What reaches further back is rather a backlog than a slow device.
  const spanUs = Math.min(RATE_DAYS * DAY_US, nowUs - firstUs)
  if (!(spanUs >= HOUR_US)) return undefined
  return (recent.reduce((sum, { bytes }) => sum + bytes, 0) / spanUs) * DAY_US
}

/** When the disk is full, if readings stay on it for `keptDays`. */
export function diskFullInDays({
  perDay,
  freeBytes,
  usedBytes,
  keptDays,
}: {
  perDay: number | undefined
  freeBytes: number
  usedBytes: number
  keptDays: number
}): number | undefined {
  if (perDay === undefined || perDay <= 0) return undefined
  const neverMore = perDay * keptDays
  if (neverMore <= usedBytes + freeBytes) return undefined
  return Math.max(0, freeBytes / perDay)
}
