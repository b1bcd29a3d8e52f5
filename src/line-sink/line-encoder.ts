/** Columns of readings into lines. */
import type { SeriesName } from '../batch/batch.ts'
import type { SinkBatch } from './line-sink.ts'
import {
  escapeMeasurement,
  escapeName,
  freeName,
  quoteText,
  toIdentifier,
  whyNotName,
  type Dialect,
} from './line-text.ts'

/** The longest line then has some tens of kilobytes: texts have 256 bytes. */
const LINE_FIELDS_MAX = 64

export interface Line {
  text: string
  /** How many readings are in it. */
  readings: number
  /** Why it must not be sent. */
  refusal: string | undefined
  table: Table
}

/** Where a line goes, as QuestDB must know it. */
export interface Table {
  name: string
  /** Of its dimensions. */
  columns: readonly string[]
}

/** What never changes of a series. */
interface Encoded {
  /** Measurement and tags. */
  head: string
  field: string
  refusal: string | undefined
  table: Table
}

export class LineEncoder {
  readonly #dialect: Dialect
  readonly #series = new WeakMap<SeriesName, Encoded>()

  constructor(dialect: Dialect) {
    this.#dialect = dialect
  }

  /** Readings beside each other of the same device, dimensions and time are one line. */
  *encode(batch: SinkBatch): Generator<Line> {
    let head = ''
    let timeUs = NaN
    let fields: string[] = []
    const names = new Set<string>()
    let last: Encoded | undefined
    const line = (): Line => ({
      text: `${head} ${fields.join(',')} ${timeUs}`,
      readings: fields.length,
      refusal: undefined,
      table: last!.table,
    })
    for (let row = 0; row < batch.count; row++) {
      const name = batch.names[batch.series[row]!]!
      if (name.kind === 'text' && !this.#dialect.hasTexts) continue
      const encoded = this.#find(name)
      const value = this.#valueOf(batch, row, name)
      const rowTimeUs = batch.timeUs[row]!
      const refusal = encoded.refusal ?? whyNotRow(value, rowTimeUs)
      if (refusal !== undefined) {
        const text = `${encoded.head} ${encoded.field}=${value ?? ''} ${rowTimeUs}`
        yield { text, readings: 1, refusal, table: encoded.table }
        continue
      }
      const isSameLine =
        encoded.head === head &&
        rowTimeUs === timeUs &&
        !names.has(encoded.field) &&
        names.size < LINE_FIELDS_MAX
      if (!isSameLine) {
        if (fields.length > 0) yield line()
        fields = []
        names.clear()
      }
      head = encoded.head
      timeUs = rowTimeUs
      last = encoded
      names.add(encoded.field)
      fields.push(`${encoded.field}=${value}`)
    }
    if (fields.length > 0) yield line()
  }

  /** Undefined when it is not finite. */
  #valueOf(batch: SinkBatch, row: number, { kind }: SeriesName): string | undefined {
    if (kind === 'text') return quoteText(batch.texts?.[row] ?? '', this.#dialect)
    const value = batch.value[row]!
    if (kind === 'boolean' && !this.#dialect.isNarrow) return value === 0 ? 'false' : 'true'
    // Without a suffix a number is a float everywhere.
    return Number.isFinite(value) ? String(value) : undefined
  }

  #find(name: SeriesName): Encoded {
    let encoded = this.#series.get(name)
    if (encoded === undefined) {
      encoded = this.#encode(name)
      this.#series.set(name, encoded)
    }
    return encoded
  }

  #encode(name: SeriesName): Encoded {
    const dialect = this.#dialect
    const { isNarrow } = dialect
    const toName = isNarrow ? toIdentifier : (given: string) => given
    const measured = name.dimensions.find(([key]) => key === 'measurement')?.[1] ?? ''
    const measurement = toName(measured === '' ? name.deviceType : measured)
    const dimensions = name.dimensions
      .filter(([key, value]) => (key !== 'measurement' || measured === '') && value !== '')
      .map(([key, value]): [string, string] => [toName(freeName(key)), value])
    const tags: [string, string][] = [
      ['tenant', name.tenant],
      ['device_id', name.deviceId],
      ...(isNarrow ? narrowTags(name) : []),
      ...dimensions,
    ]
    let field = freeName(name.metric)
    if (isNarrow) field = name.kind === 'text' ? 'text_value' : 'value'
    const refusal = this.#whyNot({ measurement, field, tags })
    const pairs = tags.map(
      ([key, value]) => `,${escapeName(key, dialect)}=${escapeName(value, dialect)}`,
    )
    return {
      head: escapeMeasurement(measurement, dialect) + pairs.join(''),
      field: escapeName(field, dialect),
      refusal,
      table: { name: measurement, columns: dimensions.map(([key]) => key) },
    }
  }

  #whyNot(line: { measurement: string; field: string; tags: [string, string][] }) {
    const { measurement, field, tags } = line
    for (const name of [measurement, field, ...tags.flat()]) {
      const reason = whyNotName(name, this.#dialect)
      if (reason !== undefined) return reason
    }
    if (this.#dialect.hasComments && measurement.startsWith('#')) {
      return 'a measurement that begins with "#" makes a comment of its line'
    }
    return this.#dialect.hasQuotedFields && field.includes('"')
      ? 'a field cannot have a quote in its name'
      : undefined
  }
}

const narrowTags = ({ metric, kind }: SeriesName): [string, string][] => [
  ['metric', metric],
  ['kind', kind],
]

function whyNotRow(value: string | undefined, timeUs: number): string | undefined {
  if (value === undefined) return 'the value is not finite'
  return Number.isSafeInteger(timeUs) ? undefined : 'the time is not an integer'
}
