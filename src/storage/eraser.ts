/**
 * Erases devices' readings from files: each that may hold some is written anew without them, one
 * transaction a file, so that a crash leaves an erasure that goes on where it was. What of it is
 * still there meanwhile nobody sees: see Tombstones.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { WeirError } from '../errors/errors.ts'
import type { Span } from '../query/query.ts'
import type { Clock } from '../world/world.ts'
import type { Catalogue } from './catalogue.ts'
import type { ColdFiles, ColdReadings } from './cold-files.ts'
import type { ErasedFile, Erasure } from './erasure-tables.ts'
import { GrowingColumns } from './growing-columns.ts'
import { putCold } from './put-cold.ts'
import type { SegmentChecks } from './segment-checks.ts'
import type { SegmentFiles } from './segment-files.ts'
import { ANYWHERE, isOfFleets, segmentFile, type Segment, type SegmentSet } from './segment-set.ts'
import type { SeriesDirectory } from './series-directory.ts'
import { Collected } from './collected.ts'
import type { Pace } from './turns.ts'

export interface EraserParts {
  catalogue: Catalogue
  segments: SegmentSet
  files: SegmentFiles
  checks: SegmentChecks
  cold: ColdFiles | undefined
  directory: SeriesDirectory
  clock: Clock
  pace: Pace
  /** Of segments, by its name. */
  removeFile: (file: string) => Promise<void>
}

export class Eraser {
  readonly #parts: EraserParts

  constructor(parts: EraserParts) {
    this.#parts = parts
  }

  /**
   * Nothing is merged meanwhile, and what was in memory at the request is in segments by now.
   * Errors: OBJECTS_UNAVAILABLE and what the disk throws; done is what was done.
   */
  async run(erasure: Erasure): Promise<void> {
    const { segments, directory } = this.#parts
    const { tenant, deviceIds, fromUs, toUs } = erasure
    const series = deviceIds.flatMap((id) => [...directory.ofDevice(tenant, id)])
    const without = {
      series: new Set(series.map((one) => one.series)),
      span: { startUs: fromUs, endUs: toUs },
    }
    for (const segment of segments.all()) {
      // Those of fleets are made again of what is left.
      if (isOfFleets(segment) || !mayHold(segment, without)) continue
      if (segment.isCold) await this.#rewriteCold(erasure, segment, without)
      else await this.#rewrite(erasure, segment, without)
    }
  }

  async #rewrite(erasure: Erasure, segment: Segment, without: Without): Promise<void> {
    const { files, segments, checks } = this.#parts
    await checks.check(segment)
    // What is damaged cannot be read, and is deleted as it is.
    const isIntact = segments.isIntact(segment)
    const { kind, firstOffset: first, lastOffset: last, hasUnverified } = segment
    const file = segmentFile(kind, { first, last, part: segments.nextPart() })
    const box = { ...ANYWHERE, without }
    const written = !isIntact
      ? undefined
      : kind === 'readings'
        ? await files.mergeReadings(file, [segment], box)
        : await files.mergeRollups(file, [segment], box)
    const after: Segment | undefined =
      written === undefined
        ? undefined
        : { kind, file, firstOffset: first, lastOffset: last, hasUnverified, ...written }
    if (after?.rows === segment.rows) return this.#parts.removeFile(after.file)
    if (after !== undefined) checks.trust([after])
    this.#replace(erasure, segment, after, kind === 'readings' ? 'disk' : 'rollups')
  }

  #replace(
    erasure: Erasure,
    segment: Segment,
    after: Segment | undefined,
    place: ErasedFile['place'],
  ): void {
    const { catalogue, segments } = this.#parts
    const added = after === undefined ? [] : [after]
    catalogue.replaceSegments([segment], added, [], () =>
      catalogue.erasures.addFile(erasure.id, erasedFile(segment, after, place)),
    )
    segments.replace([segment], added)
  }

  async #rewriteCold(erasure: Erasure, segment: Segment, without: Without): Promise<void> {
    const { cold, catalogue, segments, directory } = this.#parts
    if (cold === undefined) return
    const numbers = [...cold.seriesOf(segment)]
    if (!numbers.some((series) => without.series.has(series))) return
    const collected = new Collected()
    try {
      for (const number of numbers) {
        const series = directory.get(number)
        if (series === undefined) continue
        collected.add(series, await this.#coldRows(segment, series, without))
      }
    } catch (cause) {
      if ((cause as WeirError).code !== 'OBJECT_FROZEN') throw cause
      return this.#leave(erasure, segment)
    }
    if (collected.count === segment.rows) return
    const record = (after: Segment | undefined) => (): void =>
      catalogue.erasures.addFile(erasure.id, erasedFile(segment, after, 'cold'))
    if (collected.count === 0) {
      catalogue.replaceSegments([segment], [], [], record(undefined))
      segments.replace([segment], [])
      return
    }
    const readings: ColdReadings = collected.take((id) => directory.text(id))
    const folder = segment.file.slice(0, segment.file.lastIndexOf('/'))
    const { firstOffset, lastOffset, hasUnverified } = segment
    const label = { firstOffset, lastOffset, hasUnverified }
    const put = await putCold({ ...this.#parts, cold }, readings, { folder, label })
    catalogue.replaceSegments([segment], [], [put], record(put.segment))
    segments.replace([segment], [put.segment])
  }

  /** Nobody is shown it, and the receipt names it. */
  #leave(erasure: Erasure, { file, crc: crcBefore }: Segment): void {
    const { catalogue } = this.#parts
    const none = { fileAfter: undefined, crcAfter: undefined, rows: 0 }
    catalogue.replaceSegments([], [], [], () =>
      catalogue.erasures.addFile(erasure.id, { file, place: 'frozen', crcBefore, ...none }),
    )
  }

  async #coldRows(
    segment: Segment,
    { series }: SeriesDefinition,
    without: Without,
  ): Promise<GrowingColumns> {
    const kept = new GrowingColumns()
    const { startUs, endUs } = without.span
    const isTouched = without.series.has(series)
    const wanted = [{ series, spans: [{ startUs: -Infinity, endUs: Infinity }] }]
    for await (const { timeUs, value, from, to } of this.#parts.cold!.rows(segment, { wanted })) {
      for (let row = from; row < to; row++) {
        if (isTouched && startUs <= timeUs[row]! && timeUs[row]! < endUs) continue
        kept.push(timeUs[row]!, value[row]!)
      }
    }
    return kept
  }
}

interface Without {
  series: ReadonlySet<number>
  span: Span
}

function mayHold(segment: Segment, { series, span }: Without): boolean {
  if (segment.minTimeUs >= span.endUs) return false
  // Of rollups a window may begin before and reach into it.
  if (segment.kind === 'readings' && segment.maxTimeUs < span.startUs) return false
  return [...series].some((one) => segment.minSeries <= one && one <= segment.maxSeries)
}

const erasedFile = (
  before: Segment,
  after: Segment | undefined,
  place: ErasedFile['place'],
): ErasedFile => ({
  ...{ file: before.file, place, crcBefore: before.crc },
  ...{ fileAfter: after?.file, crcAfter: after?.crc, rows: before.rows - (after?.rows ?? 0) },
})
