/** What one question about a metric has to know before its readings: few rows, all by index. */
import type { SeriesDefinition, ValueKind } from '../batch/batch.ts'
import { addSpan, type ReadingSource, type ReadingView, type Span } from '../query/query.ts'
import type { ColdFiles } from './cold-files.ts'
import { loadColdRuns, type ColdRun } from './cold-tables.ts'
import { KIND_CODES } from './postgres.ts'
import type { Ask, Row } from './query-database.ts'
import { QuestionTexts } from './query-texts.ts'
import { PostgresView } from './reading-view.ts'
import { erasedOfDevice } from './tombstones.ts'

/** More are joined: that costs time at a question and never correctness. */
const DIRTY_RANGES_MAX = 16

export interface SourceOptions {
  rowsMax: number
  /** Sizes that partials are made of, ascending. */
  windowsMs: readonly number[]
  coldFiles: ColdFiles
}

/** Where a device's rows are. */
export interface DevicePlace {
  tenant: string
  deviceId: string
  deviceHash: number
}

export interface SeriesRow extends Row {
  id: number
  device_id: string
  device_type: string
  metric: string
  dimensions: string
  kind: number
}

const KINDS = new Map<number, ValueKind>(
  Object.entries(KIND_CODES).map(([kind, code]) => [code, kind as ValueKind]),
)

export const kindOf = (code: number): ValueKind => KINDS.get(code) ?? 'number'

/** `hasPartials`: the question may be answered from partials. */
export async function loadSource(
  ask: Ask,
  { device, metric, hasPartials }: { device: DevicePlace; metric: string; hasPartials: boolean },
  options: SourceOptions,
): Promise<ReadingSource> {
  const look = await loadDevice(ask, { device, metrics: [metric], hasPartials }, options)
  const { series, view, text } = look
  return { series: () => series, text, view: () => view }
}

/** What there is of a device at one moment. */
export interface DeviceLook {
  series: SeriesDefinition[]
  view: ReadingView
  text: (id: number) => string
}

/** `metrics`: undefined for all that it has. */
export async function loadDevice(
  ask: Ask,
  {
    device,
    metrics,
    hasPartials,
  }: { device: DevicePlace; metrics: readonly string[] | undefined; hasPartials: boolean },
  { rowsMax, windowsMs, coldFiles }: SourceOptions,
): Promise<DeviceLook> {
  const series = await loadSeries(ask, device, metrics)
  const ids = series.map(({ series }) => series)
  const kinds = new Map(series.map(({ series, kind }) => [series, kind]))
  const texts = new QuestionTexts()
  const erased = await erasedOfDevice(ask, device)
  const view = new PostgresView({
    ...{ ask, texts, rowsMax, deviceHash: device.deviceHash },
    isText: (id) => kinds.get(id) === 'text',
    coverage: hasPartials ? await loadCoverage(ask, { device, ids, windowsMs }) : [],
    dirty: hasPartials ? await loadDirty(ask, ids) : new Map(),
    erased: () => erased,
    cold: { files: coldFiles, runs: await loadCold(ask, ids) },
  })
  return { series, view, text: (id) => texts.text(id) }
}

/** By series. */
export const loadCold = async (ask: Ask, ids: readonly number[]): Promise<Map<number, ColdRun[]>> =>
  Map.groupBy(await loadColdRuns(ask, ids), ({ series }) => series)

async function loadSeries(
  ask: Ask,
  { tenant, deviceId }: DevicePlace,
  metrics: readonly string[] | undefined,
): Promise<SeriesDefinition[]> {
  const rows = await ask<SeriesRow>(
    `SELECT id, device_id, device_type, metric, dimensions, kind FROM series
     WHERE tenant = $1 AND device_id = $2 AND (metric = ANY ($3) OR $3 IS NULL)`,
    [tenant, deviceId, metrics ?? null],
  )
  return rows.map((row) => seriesOf(row, tenant))
}

export const seriesOf = (
  { id, device_id, device_type, metric, dimensions, kind }: SeriesRow,
  tenant: string,
): SeriesDefinition => ({
  ...{ series: id, tenant, deviceId: device_id, deviceType: device_type, metric },
  kind: kindOf(kind),
  // Devices have numbers in frames only.
  device: 0,
  dimensions: JSON.parse(dimensions) as [string, string][],
})

/**
 * The partition's, of the newest generation that has any, but of each window size from the first
 * partial that these series have: a size that the pipeline was given later has none from before.
 */
async function loadCoverage(
  ask: Ask,
  {
    device,
    ids,
    windowsMs,
  }: { device: DevicePlace; ids: readonly number[]; windowsMs: readonly number[] },
): Promise<ReadingView['coverage']> {
  const rows = await ask<{ window_ms: number; from_ms: number; to_ms: number }>(
    `SELECT size.window_ms, min(first.start_ms) AS from_ms, watermark_ms + 1 AS to_ms
     FROM (
       SELECT from_ms, watermark_ms FROM coverage
       WHERE partition = ($1::integer & 2147483647) % partitions ORDER BY generation DESC LIMIT 1
     ) AS coverage
     CROSS JOIN unnest($2::integer[]) AS wanted (series)
     CROSS JOIN unnest($3::integer[]) AS size (window_ms)
     CROSS JOIN LATERAL (
       SELECT start_ms FROM window_partial
       WHERE window_partial.series = wanted.series AND window_partial.window_ms = size.window_ms
         AND start_ms >= coverage.from_ms AND NOT is_late
       ORDER BY start_ms LIMIT 1
     ) AS first
     GROUP BY size.window_ms, watermark_ms
     ORDER BY size.window_ms`,
    [device.deviceHash, ids, windowsMs],
  )
  return rows.map(({ window_ms, from_ms, to_ms }) => ({
    ...{ windowMs: window_ms, fromMs: from_ms, toMs: to_ms },
  }))
}

async function loadDirty(ask: Ask, ids: readonly number[]): Promise<Map<number, Span[]>> {
  const rows = await ask<{ series: number; from_ms: number; to_ms: number }>(
    `SELECT series, from_ms, to_ms FROM dirty_range WHERE series = ANY ($1::integer[])
     ORDER BY series, from_ms`,
    [ids],
  )
  const dirty = new Map<number, Span[]>()
  for (const { series, from_ms, to_ms } of rows) {
    const span = { startUs: from_ms * 1000, endUs: to_ms * 1000 }
    dirty.set(series, addSpan(dirty.get(series) ?? [], span, DIRTY_RANGES_MAX))
  }
  return dirty
}
