/** What one question about a metric has to know before its readings: few rows, all by index. */
import type { SeriesDefinition, ValueKind } from '../batch/batch.ts'
import { addSpan, type ReadingSource, type ReadingView, type Span } from '../query/query.ts'
import type { ColdFiles } from './cold-files.ts'
import { ColdRuns } from './cold-runs.ts'
import { Fleets } from './fleet-hours.ts'
import { KIND_CODES } from './postgres.ts'
import type { Ask, Row } from './query-database.ts'
import { QuestionTexts } from './query-texts.ts'
import { PostgresView } from './reading-view.ts'
import { loadLate, loadProgress } from './rollup-tables.ts'
import { Telling, type StreamCoverage } from './rollup-telling.ts'
import { erasedOfSeries, type ErasedOf } from './tombstones.ts'

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
  options: SourceOptions,
): Promise<DeviceLook> {
  const series = await loadSeries(ask, device, metrics)
  const runs = new ColdRuns(ask)
  await runs.load(series.map((one) => one.series))
  const hashOf = (): number => device.deviceHash
  const { view, texts } = await openView(ask, { series, hashOf, hasPartials, runs }, options)
  return { series, view, text: (id) => texts.text(id) }
}

/** Of all series of one tenant and metric that are asked for. */
export async function loadGroupsView(
  ask: Ask,
  { series, hashDevice }: { series: readonly SeriesDefinition[]; hashDevice: HashDevice },
  options: SourceOptions,
): Promise<ReadingView> {
  const hashes = new Map(
    series.map((one) => [one.series, hashDevice(one.tenant, one.deviceId)] as const),
  )
  const hashOf = (id: number): number => hashes.get(id)!
  const what = { series, hashOf, hasPartials: true, hasFleets: true, runs: new ColdRuns(ask) }
  return (await openView(ask, what, options)).view
}

export type HashDevice = (tenant: string, deviceId: string) => number

async function openView(
  ask: Ask,
  {
    series,
    hashOf,
    hasPartials,
    hasFleets = false,
    runs,
  }: {
    series: readonly SeriesDefinition[]
    hashOf: (series: number) => number
    hasPartials: boolean
    hasFleets?: boolean
    runs: ColdRuns
  },
  { rowsMax, windowsMs, coldFiles }: SourceOptions,
): Promise<{ view: PostgresView; texts: QuestionTexts }> {
  const ids = series.map((one) => one.series)
  const kinds = new Map(series.map((one) => [one.series, one.kind]))
  const texts = new QuestionTexts()
  const summedUp = hasPartials ? await loadProgress(ask) : undefined
  const late = summedUp === undefined ? new Map() : await loadLate(ask, 'late_hour', ids)
  const erased = await erasedOfSeries(ask, series)
  const telling = new Telling({
    streams: hasPartials ? await loadCoverage(ask, { series, hashOf, windowsMs }) : new Map(),
    dirty: hasPartials ? withErased(await loadDirty(ask, ids), ids, erased) : new Map(),
    ...{ summedUp, late },
  })
  const isAsked = hasFleets && summedUp !== undefined
  const view = new PostgresView({
    ...{ ask, texts, rowsMax, hashOf, telling, erased },
    isText: (id) => kinds.get(id) === 'text',
    fleets: isAsked ? await Fleets.load(ask, series, { summedUp, late }) : undefined,
    cold: { files: coldFiles, runs },
  })
  return { view, texts }
}

/** The stream's partials that touch what was erased are gone, or are to go. */
const withErased = (
  dirty: ReadonlyMap<number, readonly Span[]>,
  ids: readonly number[],
  erased: ErasedOf,
): Map<number, readonly Span[]> =>
  new Map(
    ids.map((id) => [
      id,
      erased(id).reduce<readonly Span[]>(
        (spans, span) => addSpan(spans, span, Infinity),
        dirty.get(id) ?? [],
      ),
    ]),
  )

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
 * partial that the device's series have: a size that the pipeline was given later has none from
 * before.
 */
async function loadCoverage(
  ask: Ask,
  {
    series,
    hashOf,
    windowsMs,
  }: {
    series: readonly SeriesDefinition[]
    hashOf: (series: number) => number
    windowsMs: readonly number[]
  },
): Promise<ReadonlyMap<number, StreamCoverage>> {
  const devices = [...Map.groupBy(series, ({ deviceId }) => deviceId).values()]
  const rows = await ask<CoverageRow>(COVERAGE, [
    devices.flatMap((own) => own.map((one) => one.series)),
    devices.flatMap((own) => own.map((one) => hashOf(one.series))),
    devices.flatMap((own, device) => own.map(() => device)),
    windowsMs,
  ])
  const byDevice = Map.groupBy(rows, ({ device }) => device)
  const coverages = new Map<number, StreamCoverage>()
  for (const [device, own] of byDevice) {
    const coverage = own.map(({ window_ms, from_ms, to_ms }) => ({
      ...{ windowMs: window_ms, fromMs: from_ms, toMs: to_ms },
    }))
    for (const one of devices[device]!) coverages.set(one.series, coverage)
  }
  return coverages
}

interface CoverageRow extends Row {
  device: number
  window_ms: number
  from_ms: number
  to_ms: number
}

const COVERAGE = `
  SELECT device, size.window_ms, min(first.start_ms) AS from_ms, min(watermark_ms) + 1 AS to_ms
  FROM unnest($1::integer[], $2::integer[], $3::integer[]) AS wanted (series, hash, device)
  CROSS JOIN LATERAL (
    SELECT from_ms, watermark_ms FROM coverage
    WHERE partition = (wanted.hash & 2147483647) % partitions ORDER BY generation DESC LIMIT 1
  ) AS coverage
  CROSS JOIN unnest($4::integer[]) AS size (window_ms)
  CROSS JOIN LATERAL (
    SELECT start_ms FROM window_partial
    WHERE window_partial.series = wanted.series AND window_partial.window_ms = size.window_ms
      AND start_ms >= coverage.from_ms AND NOT is_late
    ORDER BY start_ms LIMIT 1
  ) AS first
  GROUP BY device, size.window_ms
  ORDER BY device, size.window_ms`

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
