/**
 * What statements of SQL read on a cluster: of each device that a statement can see its readings
 * and windows, as questions of it would get them, out of PostgreSQL and the lake into files of this
 * machine, which the process that runs statements may read.
 *
 * A device is as it is at one moment; another may be as it is a moment later. Places where what is
 * stored may not be seen (erased devices) are those of `loadDevice()`, as for all questions.
 */
import type { SeriesDefinition } from '../batch/batch.ts'
import type { SqlStore } from '../embedded/sql-desk.ts'
import type { SqlNeeds } from '../embedded/sql-needs.ts'
import { WeirError } from '../errors/errors.ts'
import type { DeviceLooks } from '../postgres/query-devices.ts'
import type { DeviceLook } from '../postgres/query-source.ts'
import { QuestionTexts } from '../postgres/query-texts.ts'
import {
  addSpan,
  alignOutwards,
  clipSpans,
  type ReadingRows,
  type ScanQuestion,
  type Span,
} from '../query/query.ts'
import type { SqlFileSet } from '../sql/sql.ts'
import { PARTIAL_SERIES } from '../stream/stream.ts'
import type { Disk } from '../world/world.ts'
import { NumberFile } from './number-file.ts'

export interface StatementSourceParts {
  tables: DeviceLooks
  disk: Disk
  /** For temporary files: it is there, and nobody else can look into it. */
  folder: string
  windowsMs: readonly number[]
  /** Readings and windows of one statement. */
  rowsMax: number
  /** Of the files of all statements under way. */
  bytesMax: number
}

/**
 * In the order of the places of a partial, and one more: of a key there is one here, where other
 * files have several, of which the highest offset counts.
 */
const PARTIAL_NAMES = [
  ...['series', 'window_ms', 'start_ms', 'is_late', 'count', 'sum', 'min', 'max', 'mean'],
  ...['squares', 'first', 'first_time', 'last', 'last_time', 'offset'],
]
const READING_NAMES = ['series', 'time_us', 'value']

/** What PostgreSQL can compare with. */
const ANY_TIME: Span = { startUs: -8e15, endUs: 8e15 }

export class StatementSource implements SqlStore {
  readonly #parts: StatementSourceParts
  #bytes = 0
  #statements = 0

  constructor(parts: StatementSourceParts) {
    this.#parts = parts
  }

  async open(needs: SqlNeeds, signal: AbortSignal): ReturnType<SqlStore['open']> {
    try {
      return await this.#bring(needs, signal)
    } catch (error) {
      if ((error as WeirError).code !== 'OBJECT_MISSING') throw error
      // A file went away behind a look: a new one knows what took its place.
      return this.#bring(needs, signal)
    }
  }

  async #bring(needs: SqlNeeds, signal: AbortSignal): ReturnType<SqlStore['open']> {
    const { tables, bytesMax } = this.#parts
    let bytes = 0
    const took = (more: number): void => {
      bytes += more
      this.#bytes += more
      if (this.#bytes > bytesMax) throw limit('bytes of temporary files', bytesMax)
    }
    const path = `${this.#parts.folder}/statement-${this.#statements++}`
    const copy = await StatementCopy.create(path, { ...this.#parts, needs, took })
    const release = async (): Promise<void> => {
      await copy.remove()
      this.#bytes -= bytes
    }
    try {
      const question = { ...needs.all, hasPartials: needs.windows !== undefined }
      await tables.eachDevice(question, (look) => copy.take(look), signal)
      signal.throwIfAborted()
      return { files: await copy.finish(), release }
    } catch (error) {
      await release()
      throw error instanceof Error && 'syscall' in error
        ? new WeirError('QUERY_FAILED', `temporary files: ${error.message}`, { cause: error })
        : error
    }
  }
}

interface CopyParts extends StatementSourceParts {
  needs: SqlNeeds
  took: (bytes: number) => void
}

class StatementCopy {
  readonly #path: string
  readonly #parts: CopyParts
  readonly #readings: NumberFile
  readonly #partials: NumberFile
  readonly #texts = new QuestionTexts()
  #textCount = 0
  readonly #series: string[] = []
  readonly #dirty: string[] = []
  readonly #partial = new Float64Array(PARTIAL_NAMES.length)

  private constructor(path: string, parts: CopyParts, files: readonly [NumberFile, NumberFile]) {
    this.#path = path
    this.#parts = parts
    this.#readings = files[0]
    this.#partials = files[1]
  }

  static async create(path: string, parts: CopyParts): Promise<StatementCopy> {
    const { disk, took } = parts
    const readings = { disk, took, names: READING_NAMES }
    const partials = { disk, took, names: PARTIAL_NAMES }
    return new StatementCopy(path, parts, [
      await NumberFile.create(`${path}-readings.parquet`, readings),
      await NumberFile.create(`${path}-partials.parquet`, partials),
    ])
  }

  /** Of one device. */
  async take(look: DeviceLook): Promise<void> {
    const { readings, windows } = this.#parts.needs
    const device = new DeviceCopy(look, (one) => this.#number(one))
    if (readings !== undefined) {
      for (const series of device.asked(readings)) device.want(series, ANY_TIME, readings)
    }
    if (windows !== undefined) await this.#takeWindows(device, windows)
    const wanted = device.wanted()
    if (wanted.length > 0) await look.view.readings(wanted, (rows) => this.#add(device, rows))
    if (look.view.completeness < 1) throw damaged(look)
    await this.#readings.flush()
    await this.#partials.flush()
  }

  async #takeWindows(device: DeviceCopy, windows: ScanQuestion): Promise<void> {
    const { needs, windowsMs } = this.#parts
    const { view } = device.look
    const asked = device.asked(windows).filter(({ kind }) => kind !== 'text')
    const ids = asked.map(({ series }) => series)
    if (ids.length === 0) return
    const span = clipSpans(ANY_TIME, [windows])[0]
    for (const windowMs of windowsMs) {
      for (const series of asked) {
        for (const dirty of view.dirty(series.series, windowMs)) {
          const [whole] = alignOutwards([dirty], windowMs * 1000)
          if (!device.want(series, whole!, needs.windowReadings!)) continue
          this.#addDirty(device.numberOf(series.series), dirty)
        }
      }
      if (span === undefined) continue
      await view.partials(ids, { windowMs, span }, (row) => this.#addPartial(device, row))
    }
  }

  #number(one: SeriesDefinition): number {
    const number = this.#series.length
    const { tenant, deviceId, metric, kind, dimensions } = one
    const row = {
      ...{ series: number, tenant, device_id: deviceId, metric, kind },
      ...{ tags: JSON.stringify(Object.fromEntries(dimensions)), kept_us: null },
    }
    this.#series.push(JSON.stringify(row))
    return number
  }

  #addDirty(series: number, { startUs, endUs }: Span): void {
    this.#dirty.push(JSON.stringify({ series, start_us: startUs, end_us: endUs }))
  }

  #add(device: DeviceCopy, { count, series, timeUs, value }: ReadingRows): void {
    const numbers = Float64Array.from(series.subarray(0, count), (id) => device.numberOf(id))
    const values = device.isText(series[0]!)
      ? value.map((id) => this.#textId(device.look.text(id)))
      : value
    this.#readings.add(count, [numbers, timeUs, values])
    this.#count()
  }

  #textId(text: string): number {
    const id = this.#texts.idOf(text)
    this.#textCount = Math.max(this.#textCount, id + 1)
    return id
  }

  #addPartial(device: DeviceCopy, row: Float64Array): void {
    this.#partial.set(row)
    this.#partial[PARTIAL_SERIES] = device.numberOf(row[PARTIAL_SERIES]!)
    this.#partials.addRow(this.#partial)
    this.#count()
  }

  #count(): void {
    const { rowsMax } = this.#parts
    if (this.#readings.rows + this.#partials.rows <= rowsMax) return
    throw limit('readings and windows', rowsMax)
  }

  async finish(): Promise<SqlFileSet> {
    await Promise.all([this.#readings.finish(), this.#partials.finish()])
    const texts = Array.from({ length: this.#textCount }, (_, id) =>
      JSON.stringify({ id, text: this.#texts.text(id) }),
    )
    const lists = { series: this.#series, texts, dirty: this.#dirty }
    for (const [name, lines] of Object.entries(lists)) await this.#writeLines(name, lines)
    const place = (name: string): string => `${this.#path}-${name}`
    return {
      rows: [place('readings.parquet')],
      rollups: [place('partials.parquet')],
      ...{ series: place('series'), texts: place('texts'), dirty: place('dirty') },
      ...{ readings: [], overlapping: [], cold: [], overlappingCold: [], uncertainCold: [] },
      ...{ erased: undefined, shownFromUs: undefined },
    }
  }

  async #writeLines(name: string, lines: readonly string[]): Promise<void> {
    const { disk, took } = this.#parts
    const bytes = Buffer.from(`${lines.join('\n')}\n`)
    took(bytes.length)
    const file = await disk.open(`${this.#path}-${name}`, 'create')
    await file.write(bytes, 0).finally(() => file.close())
  }

  async remove(): Promise<void> {
    await Promise.all([this.#readings.close(), this.#partials.close()])
    for (const name of ['readings.parquet', 'partials.parquet', 'series', 'texts', 'dirty']) {
      await this.#parts.disk.remove(`${this.#path}-${name}`).catch(() => undefined)
    }
  }
}

/** What is wanted of one device, and what its series are called among all. */
class DeviceCopy {
  readonly look: DeviceLook
  readonly #nameSeries: (one: SeriesDefinition) => number
  readonly #numbers = new Map<number, number>()
  readonly #kinds: Map<number, SeriesDefinition['kind']>
  readonly #spans = new Map<number, Span[]>()

  constructor(look: DeviceLook, nameSeries: (one: SeriesDefinition) => number) {
    this.look = look
    this.#nameSeries = nameSeries
    this.#kinds = new Map(look.series.map(({ series, kind }) => [series, kind]))
  }

  /** They have numbers from then on. */
  asked({ deviceIds, metrics }: ScanQuestion): SeriesDefinition[] {
    const asked = this.look.series.filter(
      ({ deviceId, metric }) =>
        (deviceIds?.includes(deviceId) ?? true) && (metrics?.includes(metric) ?? true),
    )
    for (const one of asked) {
      if (!this.#numbers.has(one.series)) this.#numbers.set(one.series, this.#nameSeries(one))
    }
    return asked
  }

  /** What of the span is in the other one; false: nothing. */
  want({ series }: SeriesDefinition, span: Span, within: Span): boolean {
    const [common] = clipSpans(within, [span])
    if (common === undefined) return false
    this.#spans.set(series, addSpan(this.#spans.get(series) ?? [], common, Infinity))
    return true
  }

  wanted(): { series: number; spans: Span[] }[] {
    return [...this.#spans].map(([series, spans]) => ({ series, spans }))
  }

  numberOf(series: number): number {
    return this.#numbers.get(series)!
  }

  isText(series: number): boolean {
    return this.#kinds.get(series) === 'text'
  }
}

/** An answer without some of its rows would look like one with all. */
const damaged = ({ series: [first] }: DeviceLook): WeirError =>
  new WeirError(
    'DATA_FILE_DAMAGED',
    `a file of the lake with readings of ${first?.deviceId}: leave them out by ts or device_id`,
  )

const limit = (what: string, value: number): WeirError =>
  new WeirError(
    'QUERY_LIMIT_EXCEEDED',
    `It needs more than ${value} ${what}: narrow ts, device_id or metric`,
    { details: { limit: value } },
  )
