/**
 * Erasures, from the request to what is known of them at the end:
 *
 *   begin()   durable, and from then on nothing of it is shown or stored any more
 *   run()     files, latest values, anomalies and dead letters are without it; may be called again
 *   finish()  with the signed receipt
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import { contains, type ReadingView } from '../query/query.ts'
import type { AnswerCache } from './answer-cache.ts'
import type { Catalogue } from './catalogue.ts'
import type { DefinitionFile } from './definition-file.ts'
import type { Eraser } from './eraser.ts'
import type { ErasedFile, Erasure } from './erasure-tables.ts'
import type { LastValues } from './last-values.ts'
import type { LateRanges } from './late-ranges.ts'
import type { Merger } from './merger.ts'
import type { RecentFleets } from './recent-fleets.ts'
import type { SeriesDirectory } from './series-directory.ts'
import type { Summariser } from './summariser.ts'
import type { Tombstones } from './tombstones.ts'

export interface ErasureWorkParts {
  catalogue: Catalogue
  directory: SeriesDirectory
  lastValues: LastValues
  tombstones: Tombstones
  eraser: Eraser
  merger: Merger
  late: LateRanges
  recentFleets: RecentFleets
  summariser: Summariser
  definitions: DefinitionFile
  view: () => ReadingView
  answers: AnswerCache
}

export class ErasureWork {
  readonly #parts: ErasureWorkParts

  constructor(parts: ErasureWorkParts) {
    this.#parts = parts
    for (const one of this.all()) {
      if (one.receipt === undefined) this.#hideSummaries(one)
    }
  }

  /** Nothing of it is shown from the call on; durable once it resolves. */
  begin(erasure: Erasure): Promise<void> {
    const { definitions, catalogue, tombstones, lastValues } = this.#parts
    catalogue.putErasure(erasure)
    tombstones.add(erasure)
    this.#hideSummaries(erasure)
    const span = { startUs: erasure.fromUs, endUs: erasure.toUs }
    for (const { series } of this.#seriesOf(erasure)) {
      this.#parts.answers.spanChanged(series, span)
      if (this.#isLastErased(series)) lastValues.clear(series)
    }
    return definitions.addErasure(erasure)
  }

  /** Errors: OBJECTS_UNAVAILABLE, and what the disk throws; done is what was done. */
  async run(id: string): Promise<{ erasure: Erasure; files: ErasedFile[] }> {
    const { catalogue, eraser, merger, summariser } = this.#parts
    const erasure = this.find(id)!
    const release = await merger.hold()
    try {
      await eraser.run(erasure)
      // What a fleet's hours had of it is made again without it.
      this.#hideSummaries(erasure)
      while (await summariser.renew(() => false));
    } finally {
      release()
    }
    for (const series of this.#seriesOf(erasure)) await this.#restoreLast(series)
    return { erasure: catalogue.eraseEvents(erasure), files: catalogue.erasures.files(id) }
  }

  finish(id: string, receipt: string): Promise<void> {
    const { catalogue, definitions } = this.#parts
    const erasure = { ...this.find(id)!, receipt }
    catalogue.putErasure(erasure)
    return definitions.addErasure(erasure)
  }

  find(id: string): Erasure | undefined {
    return this.all().find((erasure) => erasure.id === id)
  }

  all(): Erasure[] {
    return this.#parts.catalogue.erasures.all()
  }

  #seriesOf({ tenant, deviceIds }: Erasure): SeriesDefinition[] {
    return deviceIds.flatMap((id) => [...this.#parts.directory.ofDevice(tenant, id)])
  }

  /** Until they are made again the readings that are left tell. */
  #hideSummaries(erasure: Erasure): void {
    const span = { startUs: erasure.fromUs, endUs: erasure.toUs }
    const { late, recentFleets } = this.#parts
    for (const { series } of this.#seriesOf(erasure)) {
      late.addCommitted(series, span)
      recentFleets.erase(series, span)
    }
  }

  #isLastErased(series: number): boolean {
    const { lastValues, tombstones } = this.#parts
    const last = lastValues.get(series)
    if (last === undefined) return false
    return contains(tombstones.ofSeries(series), last.timeUs)
  }

  /** The latest of what is left; what came meanwhile is later still. */
  async #restoreLast({ series }: SeriesDefinition): Promise<void> {
    const { lastValues, view: open } = this.#parts
    if (lastValues.get(series) !== undefined) return
    const view = open()
    let latest: { timeUs: number; value: number } | undefined
    try {
      const spans = [{ startUs: -Infinity, endUs: Infinity }]
      await view.readings([{ series, spans }], ({ count, timeUs, value }) => {
        for (let row = 0; row < count; row++) {
          if (latest !== undefined && timeUs[row]! <= latest.timeUs) continue
          latest = { timeUs: timeUs[row]!, value: value[row]! }
        }
      })
    } finally {
      view.release()
    }
    const known = lastValues.get(series)
    if (latest !== undefined && !(known !== undefined && known.timeUs >= latest.timeUs)) {
      lastValues.set(series, latest)
    }
  }
}

interface SeriesSpan {
  series: number
  startUs: number
  endUs: number
}

/** Of all that was ever erased. */
function* erasedSpans(directory: SeriesDirectory, tombstones: Tombstones): Generator<SeriesSpan> {
  if (tombstones.isEmpty) return
  for (const { series } of directory.series()) {
    for (const span of tombstones.ofSeries(series)) yield { series, ...span }
  }
}

/** Where windows of minutes are to be computed from readings. */
export function* uncertainSpans(
  dirty: { entries(): Iterable<SeriesSpan> },
  {
    catalogue,
    directory,
    tombstones,
  }: Pick<ErasureWorkParts, 'catalogue' | 'directory' | 'tombstones'>,
): Generator<SeriesSpan> {
  yield* dirty.entries()
  yield* erasedSpans(directory, tombstones)
  const endUs = catalogue.rollupsFromUs
  if (endUs === 0) return
  for (const { series } of directory.series()) yield { series, startUs: -Infinity, endUs }
}

/** Of what may be in files still. */
export function* openSpans({
  catalogue,
  directory,
  tombstones,
}: Pick<ErasureWorkParts, 'catalogue' | 'directory' | 'tombstones'>): Generator<SeriesSpan> {
  const isAnyOpen = catalogue.erasures.all().some(({ receipt }) => receipt === undefined)
  if (isAnyOpen) yield* erasedSpans(directory, tombstones)
}
