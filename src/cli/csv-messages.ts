/** CSV records to messages: which column is the time, which the device, which are metrics. */
import { WeirError } from '../errors/errors.ts'
import { CsvParser } from './csv.ts'
import { TimeZone } from './local-time.ts'
import type { ReplayItem } from './replay-item.ts'
import { columnPlace, timeReader, type Timestamp } from './time-column.ts'

export interface CsvMapping {
  /** Columns of the time, see `timeReader`. */
  time: string[]
  zone: string
  /** Column of the device's id, or the id itself when no column has this name. */
  device: string
  /** Columns to send; undefined: all that are neither time nor device. */
  metrics: string[] | undefined
  skip: string[]
  separator: string
}

type Kind = 'number' | 'boolean' | 'text'

interface Column {
  name: string
  place: number
  kind: Kind | undefined
}

/** Records that are looked at before the first is sent, to tell numbers from text. */
const SAMPLE_RECORDS = 1000
const ABSENT = new Set(['', 'na', 'n/a', 'nan', 'null', '-'])
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/

const isAbsent = (text: string): boolean => ABSENT.has(text.trim().toLowerCase())

function kindOf(text: string): Kind {
  const trimmed = text.trim()
  if (NUMBER.test(trimmed)) return 'number'
  return /^(true|false)$/i.test(trimmed) ? 'boolean' : 'text'
}

export class CsvMessages {
  readonly #mapping: CsvMapping
  readonly #zone: TimeZone
  readonly #parser: CsvParser
  #header: string[] | undefined
  #columns: Column[] = []
  #readTime: (record: string[]) => Timestamp = () => undefined
  #readDevice: (record: string[]) => string = () => ''
  /** Records that wait until the kinds are known; undefined afterwards. */
  #sample: string[][] | undefined = []
  #records = 0

  constructor(mapping: CsvMapping) {
    this.#mapping = mapping
    this.#zone = new TimeZone(mapping.zone)
    this.#parser = new CsvParser(mapping.separator)
  }

  push(text: string): ReplayItem[] {
    return this.#take(this.#parser.push(text))
  }

  end(): ReplayItem[] {
    const items = this.#take(this.#parser.end())
    return [...items, ...this.#release()]
  }

  #take(records: string[][]): ReplayItem[] {
    if (this.#header === undefined) {
      const header = records.shift()
      if (header === undefined) return []
      this.#begin(header)
    }
    if (this.#sample === undefined) return records.map((record) => this.#toItem(record))
    this.#sample.push(...records)
    return this.#sample.length >= SAMPLE_RECORDS ? this.#release() : []
  }

  #begin(header: string[]): void {
    const { time, device, metrics, skip } = this.#mapping
    this.#header = header
    this.#readTime = timeReader(header, time, this.#zone)
    const devicePlace = header.indexOf(device)
    this.#readDevice = devicePlace < 0 ? () => device : (record) => record[devicePlace] ?? ''
    for (const name of skip) columnPlace(header, name)
    const others = header.filter((name) => !time.includes(name) && name !== device)
    this.#columns = (metrics ?? others)
      .filter((name) => !skip.includes(name))
      .map((name) => ({ name, place: columnPlace(header, name), kind: undefined }))
    if (this.#columns.length === 0)
      throw new WeirError('CLI_USAGE_INVALID', 'no column is left to be a metric')
  }

  /** A column is a number (or boolean) when every value of the sample is one; else it is text. */
  #release(): ReplayItem[] {
    const sample = this.#sample ?? []
    this.#sample = undefined
    for (const column of this.#columns) {
      const values = sample.map((record) => record[column.place] ?? '')
      const kinds = new Set(values.filter((value) => !isAbsent(value)).map(kindOf))
      const [only] = kinds
      column.kind = kinds.size > 1 ? 'text' : only
    }
    return sample.map((record) => this.#toItem(record))
  }

  #toItem(record: string[]): ReplayItem {
    // The header is line 1. Line ends inside quotes are not counted: a record is what people see.
    const line = ++this.#records + 1
    const ts = this.#readTime(record)
    if (ts === undefined) {
      const shown = this.#mapping.time.map((name) => record[this.#header?.indexOf(name) ?? -1])
      return refusal(line, 'TIME_FORMAT_INVALID', `the time is "${shown.join(' ')}"`)
    }
    const metrics: Record<string, number | boolean | string> = {}
    let readings = 0
    for (const column of this.#columns) {
      const text = record[column.place]
      if (text === undefined || isAbsent(text)) continue
      column.kind ??= kindOf(text)
      metrics[column.name] = convert(text.trim(), column.kind)
      readings++
    }
    if (readings === 0) return refusal(line, 'TELEMETRY_METRICS_EMPTY', 'every value is absent')
    const device = this.#readDevice(record).trim()
    const text = JSON.stringify({ device, ts, metrics })
    return { kind: 'message', line, deviceId: device, readings, text }
  }
}

const refusal = (line: number, code: string, detail: string): ReplayItem => ({
  kind: 'refusal',
  line,
  code,
  detail,
})

/** What does not fit the column's kind is sent as it is: the server refuses it and keeps it. */
function convert(text: string, kind: Kind): number | boolean | string {
  if (kind === 'number' && NUMBER.test(text)) return Number(text)
  if (kind === 'boolean' && kindOf(text) === 'boolean') return text.toLowerCase() === 'true'
  return text
}
