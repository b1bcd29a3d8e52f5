/**
 * What of readings and windows a statement can see at most, out of its tree: conditions that every
 * row of a view must meet before anything else is done with it. Only what is simple is understood,
 * the rest narrows nothing:
 *
 *   FROM view [AS name], alone or joined        WHERE of the same SELECT: AND and OR of
 *   ts, window_start  < <= = >= > BETWEEN       a time that needs no row
 *   device_id, metric  = IN                     texts
 *
 * Why that is right: a row that fails a condition of WHERE is in no answer, wherever it came from.
 * A join gives rows that have it or, of an outer join, nulls in its place, which fail the same
 * conditions. Samples, ASOF and positional joins look at other rows: those narrow nothing.
 */
import { VIEWS, type View } from './check-statement.ts'
import { constantTime, textOf, type Tree } from './constant-times.ts'
import { ANYTHING, bothOf, eitherOf, type SqlScope } from './scope.ts'

/** Views without a scope are not in the statement. */
export type Scopes = Partial<Record<ReadingsView, SqlScope>>
export type ReadingsView = 'telemetry' | 'wide' | 'aggregations'

const TIMES: Record<ReadingsView, string> = {
  ...{ telemetry: 'ts', wide: 'ts', aggregations: 'window_start' },
}
/** No column of theirs is called as one that conditions are taken of, but `device_id`. */
const BESIDE: readonly string[] = ['devices', 'alerts'] satisfies View[]

const JOINS = new Set(['INNER', 'LEFT', 'RIGHT', 'OUTER', 'SEMI', 'ANTI'])
/** In these a name without a table that both have is the left one's, or equal. */
const JOINS_OF_NAMES = new Set(['INNER', 'LEFT'])

/** Each is a question to the database; further ones narrow nothing. */
const TIMES_MAX = 64

/** µs of a time that is SQL; undefined: it is none. */
export type TimeOf = (sql: string) => Promise<number | undefined>

/** `statement`: one that was checked, as the parser has it. */
export async function scopesOf(statement: unknown, timeOf: TimeOf): Promise<Scopes> {
  const reader = new ScopeReader(timeOf, hasViewNames(statement))
  await reader.walk(statement)
  return reader.scopes
}

/** Whether a common table expression is called as a view is. */
function hasViewNames(node: unknown): boolean {
  if (typeof node !== 'object' || node === null) return false
  return Object.entries(node).some(([key, child]) => {
    if (key === 'cte_map') {
      const { map = [] } = child as { map?: { key?: unknown }[] }
      if (map.some(({ key: name }) => isView(String(name)))) return true
    }
    return hasViewNames(child)
  })
}

const isView = (name: string): boolean => VIEWS.some((view) => view === name.toLowerCase())

interface Table {
  node: Tree
  /** As conditions call it. */
  name: string
  view: ReadingsView | undefined
}

interface From {
  tables: Table[]
  /** What else is in it. */
  conditions: unknown[]
  joins: Set<string>
}

class ScopeReader {
  readonly scopes: Scopes = {}
  readonly #timeOf: TimeOf
  readonly #isShadowed: boolean
  #timesLeft = TIMES_MAX

  constructor(timeOf: TimeOf, isShadowed: boolean) {
    this.#timeOf = timeOf
    this.#isShadowed = isShadowed
  }

  async walk(node: unknown): Promise<void> {
    if (typeof node !== 'object' || node === null) return
    const tree = node as Tree
    if (tree['type'] === 'SELECT_NODE') return this.#select(tree)
    if (tree['type'] === 'BASE_TABLE') this.#note(readingsView(tree), ANYTHING)
    for (const child of Object.values(node)) await this.walk(child)
  }

  #note(view: ReadingsView | undefined, scope: SqlScope): void {
    if (view === undefined) return
    const known = this.scopes[view]
    this.scopes[view] = known === undefined ? scope : eitherOf(known, scope)
  }

  async #select(node: Tree): Promise<void> {
    const { from_table: table, where_clause: where, ...others } = node
    for (const child of Object.values(others)) await this.walk(child)
    await this.walk(where)
    const isSampled = node['sample'] != null
    const from = isSampled || this.#isShadowed ? undefined : fromOf(table)
    if (from === undefined) return this.walk(table)
    for (const one of from.tables) {
      if (one.view === undefined) await this.walk(one.node)
      else this.#note(one.view, await this.#scope(where, new Columns(one, one.view, from)))
    }
    await this.walk(from.conditions)
  }

  async #scope(node: unknown, columns: Columns): Promise<SqlScope> {
    const tree = (node ?? {}) as Tree
    const children = Array.isArray(tree['children']) ? (tree['children'] as unknown[]) : []
    switch (tree['type']) {
      case 'CONJUNCTION_AND':
      case 'CONJUNCTION_OR': {
        const scopes: SqlScope[] = []
        for (const child of children) scopes.push(await this.#scope(child, columns))
        if (scopes.length === 0) return ANYTHING
        return scopes.reduce(tree['type'] === 'CONJUNCTION_AND' ? bothOf : eitherOf)
      }
      case 'COMPARE_BETWEEN':
        return bothOf(
          await this.#compared(columns.of(tree['input']), '>=', tree['lower']),
          await this.#compared(columns.of(tree['input']), '<=', tree['upper']),
        )
      case 'COMPARE_IN':
        return inList(columns.of(children[0]), children.slice(1))
      default:
        return this.#comparison(tree, columns)
    }
  }

  async #comparison(tree: Tree, columns: Columns): Promise<SqlScope> {
    const direction = DIRECTIONS[String(tree['type'])]
    if (tree['class'] !== 'COMPARISON' || direction === undefined) return ANYTHING
    const { left, right } = tree
    const [column, other] = [columns.of(left), columns.of(right)]
    if (column !== undefined) return this.#compared(column, direction, right)
    return this.#compared(other, MIRRORED[direction], left)
  }

  async #compared(
    column: Column | undefined,
    direction: Direction,
    value: unknown,
  ): Promise<SqlScope> {
    if (column === undefined) return ANYTHING
    if (column !== 'time') return direction === '=' ? inList(column, [value]) : ANYTHING
    const time = constantTime(value)
    if (time === undefined || this.#timesLeft === 0) return ANYTHING
    this.#timesLeft--
    const timeUs = await this.#timeOf(time.sql)
    if (timeUs === undefined) return ANYTHING
    const startUs = direction.startsWith('<') ? -Infinity : timeUs
    // It is computed again when the statement runs, and is later then.
    const isEndless = direction.startsWith('>') || time.isMoving
    const endUs = isEndless ? Infinity : direction === '<' ? timeUs : timeUs + 1
    return { ...ANYTHING, startUs, endUs }
  }
}

type Direction = '<' | '<=' | '>' | '>=' | '='
const MIRRORED: Record<Direction, Direction> = {
  ...{ '<': '>', '<=': '>=', '>': '<', '>=': '<=', '=': '=' },
}
const DIRECTIONS: Record<string, Direction> = {
  COMPARE_EQUAL: '=',
  COMPARE_LESSTHAN: '<',
  COMPARE_LESSTHANOREQUALTO: '<=',
  COMPARE_GREATERTHAN: '>',
  COMPARE_GREATERTHANOREQUALTO: '>=',
}

function inList(column: Column | undefined, nodes: readonly unknown[]): SqlScope {
  if (column === undefined || column === 'time') return ANYTHING
  const names = nodes.map(textOf)
  if (!names.every((name) => name !== undefined)) return ANYTHING
  return { ...ANYTHING, [column === 'device_id' ? 'deviceIds' : 'metrics']: names }
}

type Column = 'time' | 'device_id' | 'metric'

/** Which column of one view a name of WHERE is. */
class Columns {
  readonly #table: Table
  readonly #time: string
  readonly #hasOwnNames: boolean
  /** What has no table's name before it is this view's, or equal to it. */
  readonly #isPlain: boolean

  constructor(table: Table, view: ReadingsView, { tables, joins }: From) {
    this.#table = table
    this.#time = TIMES[view]
    const { column_name_alias: renamed } = table.node
    this.#hasOwnNames = !Array.isArray(renamed) || renamed.length > 0
    this.#isPlain =
      tables.every((one) => one === table || isBeside(one)) &&
      [...joins].every((join) => JOINS_OF_NAMES.has(join))
  }

  of(node: unknown): Column | undefined {
    const { class: kind, column_names: names } = (node ?? {}) as Tree
    if (kind !== 'COLUMN_REF' || !Array.isArray(names) || this.#hasOwnNames) return undefined
    const path = names.map((name) => String(name).toLowerCase())
    const isOwn = path.length === 1 ? this.#isPlain : path[0] === this.#table.name
    if (!isOwn || path.length > 2) return undefined
    const name = path.at(-1)!
    if (name === this.#time) return 'time'
    return name === 'device_id' || name === 'metric' ? name : undefined
  }
}

const isBeside = ({ node }: Table): boolean =>
  node['type'] === 'BASE_TABLE' && BESIDE.includes(String(node['table_name']).toLowerCase())

function readingsView(node: Tree): ReadingsView | undefined {
  const name = String(node['table_name']).toLowerCase()
  return Object.hasOwn(TIMES, name) ? (name as ReadingsView) : undefined
}

/** Undefined where conditions do not hold for each row of a table before all else. */
function fromOf(node: unknown): From | undefined {
  const from: From = { tables: [], conditions: [], joins: new Set() }
  if (!collect(node, from)) return undefined
  const names = from.tables.map(({ name }) => name)
  return new Set(names).size === names.length ? from : undefined
}

function collect(node: unknown, from: From): boolean {
  if (typeof node !== 'object' || node === null) return false
  const tree = node as Tree
  if (tree['sample'] != null) return false
  if (tree['type'] !== 'JOIN') {
    const isTable = tree['type'] === 'BASE_TABLE'
    const alias = String(tree['alias'] ?? '')
    const name = (alias === '' ? String(tree['table_name'] ?? '') : alias).toLowerCase()
    from.tables.push({ node: tree, name, view: isTable ? readingsView(tree) : undefined })
    return true
  }
  const { left, right, ...others } = tree
  const join = String(tree['join_type'])
  const kind = String(tree['ref_type'])
  if (!JOINS.has(join) || (kind !== 'REGULAR' && kind !== 'CROSS')) return false
  from.conditions.push(others)
  from.joins.add(join)
  return collect(left, from) && collect(right, from)
}
