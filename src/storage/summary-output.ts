/** Files of summaries that are made; they do not count yet. */
import type { SegmentFiles } from './segment-files.ts'
import { segmentFile, type Segment, type SegmentSet } from './segment-set.ts'
import { KeptRows } from './summary-rows.ts'

interface SummaryOutputParts {
  segments: SegmentSet
  files: SegmentFiles
  /** Of one key the highest counts. */
  offset: number
}

export class SummaryOutput {
  readonly #parts: SummaryOutputParts
  readonly series: KeptRows
  readonly fleets: KeptRows
  /** Of fleets. */
  readonly minutes: KeptRows
  readonly written: Segment[] = []

  /** `readingBytes`: of a reading in the files that are summed up. */
  constructor(parts: SummaryOutputParts, readingBytes: number) {
    this.#parts = parts
    this.series = new KeptRows(readingBytes)
    this.fleets = new KeptRows(readingBytes)
    this.minutes = new KeptRows(readingBytes)
  }

  async write(kind: 'summary' | 'fleet' | 'minutes'): Promise<void> {
    const { files, segments, offset } = this.#parts
    const kept = { summary: this.series, fleet: this.fleets, minutes: this.minutes }
    const { rows, sketches } = kept[kind].take()
    if (rows.length === 0) return
    const file = segmentFile(kind, { first: offset, last: offset, part: segments.nextPart() })
    const also = kind === 'minutes' ? { offset } : { offset, sketches }
    const written = await files.writePartials(file, rows, also)
    const label = { kind, file, firstOffset: offset, lastOffset: offset, hasUnverified: false }
    this.written.push({ ...label, ...written })
  }

  async end(): Promise<Segment[]> {
    await this.write('summary')
    await this.write('fleet')
    await this.write('minutes')
    return this.written
  }
}
