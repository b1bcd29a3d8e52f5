/**
 * QuestDB's tables, made before their first line: one that a line makes would keep repeats. The
 * keys of a table are the time and all its symbols, and grow with it.
 */
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import type { Table } from './line-encoder.ts'
import type { Requests } from './requests.ts'

const OWN_SYMBOLS = ['tenant', 'device_id', 'metric', 'kind']
/** Others may add columns at the same time, and what was changed is seen a moment later. */
const TRIES_MAX = 20
const RETRY_MS = 100

export class QuestTables {
  readonly #requests: Requests
  readonly #url: string
  readonly #clock: Clock
  /** Columns by table, in lower case, as QuestDB compares them. */
  readonly #known = new Map<string, Set<string>>()

  constructor(parts: { requests: Requests; url: string; clock: Clock }) {
    this.#requests = parts.requests
    this.#url = parts.url
    this.#clock = parts.clock
  }

  /**
   * Makes the table and its columns where they are not there. Returns why that cannot be.
   * Errors: SINK_UNAVAILABLE, SINK_REFUSED.
   */
  async prepare({ name, columns }: Table): Promise<string | undefined> {
    const known = this.#known.get(name.toLowerCase())
    const added = columns.filter((column) => known?.has(column.toLowerCase()) !== true)
    if (known !== undefined && added.length === 0) return undefined
    const table = quote(name)
    const wanted = known === undefined ? [...OWN_SYMBOLS, ...added] : added
    const steps = wanted.map(
      (column) => `ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS ${quote(column)} SYMBOL`,
    )
    if (known === undefined) steps.unshift(creationOf(table))
    for (const step of steps) {
      const { reason } = await this.#ask(step)
      if (reason !== undefined) return reason
    }
    const reason = await this.#spreadKeys(name, columns)
    if (reason !== undefined) return reason
    const all = [...(known ?? []), ...columns.map((column) => column.toLowerCase())]
    this.#known.set(name.toLowerCase(), new Set(all))
    return undefined
  }

  async #spreadKeys(name: string, columns: readonly string[]): Promise<string | undefined> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (tries > 0) {
        await new Promise<void>((resolve) => void this.#clock.after(RETRY_MS, resolve))
      }
      const shown = await this.#ask(`SHOW COLUMNS FROM ${quote(name)}`)
      if (shown.reason !== undefined) return shown.reason
      const symbols = readColumns(shown.text).filter(({ type }) => type === 'SYMBOL')
      const names = new Set(symbols.map(({ column }) => column.toLowerCase()))
      const isComplete = [...OWN_SYMBOLS, ...columns].every((one) => names.has(one.toLowerCase()))
      if (!isComplete) continue
      if (symbols.every(({ upsertKey }) => upsertKey)) return undefined
      const keys = ['timestamp', ...symbols.map(({ column }) => quote(column))]
      const { reason } = await this.#ask(
        `ALTER TABLE ${quote(name)} DEDUP ENABLE UPSERT KEYS(${keys.join(', ')})`,
      )
      if (reason !== undefined) return reason
    }
    throw new WeirError('SINK_UNAVAILABLE', `QuestDB: the keys of the table ${name} do not settle`)
  }

  #ask(sql: string) {
    return this.#requests.get(`${this.#url}?query=${encodeURIComponent(sql)}`)
  }
}

const creationOf = (table: string): string =>
  `CREATE TABLE IF NOT EXISTS ${table} (tenant SYMBOL, device_id SYMBOL, metric SYMBOL, kind SYMBOL,
     value DOUBLE, text_value VARCHAR, timestamp TIMESTAMP) TIMESTAMP(timestamp) PARTITION BY DAY WAL
     DEDUP UPSERT KEYS(timestamp, ${OWN_SYMBOLS.join(', ')})`

/** Names have no quotes: `toIdentifier` took them out. */
const quote = (name: string): string => `"${name}"`

interface Column {
  column: string
  type: string
  upsertKey: boolean
}

function readColumns(text: string): Column[] {
  const { columns, dataset } = JSON.parse(text) as {
    columns: { name: string }[]
    dataset: unknown[][]
  }
  const place = (name: keyof Column): number => columns.findIndex((column) => column.name === name)
  const [column, type, upsertKey] = [place('column'), place('type'), place('upsertKey')]
  return dataset.map((row) => ({
    column: row[column] as string,
    type: row[type] as string,
    upsertKey: row[upsertKey] as boolean,
  }))
}
