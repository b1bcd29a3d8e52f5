/**
 * Whether a statement may run: its tree, as the database's own parser has it, is walked, and
 * whatever is not known to be harmless is refused. Names of tables must be views or common table
 * expressions; the tables behind the views have names that nobody can guess.
 */
import { WeirError } from '../errors/errors.ts'

export const VIEWS = ['telemetry', 'wide', 'aggregations', 'devices', 'alerts'] as const
export type View = (typeof VIEWS)[number]

/** Tables that are functions: these make rows of nothing. */
const TABLE_FUNCTIONS = new Set(['range', 'generate_series', 'unnest'])

/** They tell of the process, change it, or wait. */
const FUNCTIONS_REFUSED = new Set([
  ...['current_setting', 'getenv', 'getvariable', 'write_log', 'sleep_ms', 'setseed', 'stats'],
  ...['current_query', 'current_query_id', 'current_connection_id', 'current_transaction_id'],
  ...['txid_current', 'nextval', 'currval', 'parse_duckdb_log_message', 'json_deserialize_sql'],
  // It computes what is constant in a text that nobody has looked through.
  'json_serialize_plan',
])
const PREFIXES_REFUSED = /^(pg_|duckdb_|read_|pragma_|parquet_|query|glob|getenv)/

/** Of trees deeper than this the walk itself would be the attack. */
const DEPTH_MAX = 500

/** What `json_serialize_sql` says. */
interface Serialized {
  error: boolean
  error_type?: string
  error_message?: string
  statements?: unknown[]
}

export interface Statement {
  views: ReadonlySet<View>
}

const refused = (detail: string): WeirError => new WeirError('SQL_REFUSED', detail)

/** Errors: SQL_REFUSED, SQL_INVALID (a syntax error). */
export function checkStatement(serialized: string): Statement {
  const { error, error_type, error_message = '', statements = [] } = parse(serialized)
  if (error) {
    if (error_type === 'not implemented') throw refused('only SELECT is allowed')
    throw new WeirError('SQL_INVALID', error_message)
  }
  if (statements.length !== 1) throw refused(`${statements.length} statements; one is allowed`)
  const walk = new Walk()
  walk.check(statements[0], 0, undefined)
  return { views: walk.views }
}

function parse(serialized: string): Serialized {
  try {
    return JSON.parse(serialized) as Serialized
  } catch (cause) {
    throw refused(`it cannot be looked through: ${String(cause)}`)
  }
}

type Tree = Record<string, unknown>

/**
 * Common table expressions that a name may be of, the innermost first. Where none is in sight, the
 * database would look for the name among its own tables and files.
 */
interface Expressions {
  name: string
  outer: Expressions | undefined
}

class Walk {
  readonly views = new Set<View>()

  check(node: unknown, depth: number, known: Expressions | undefined): void {
    const children = childrenOf(node, depth)
    if (children.length === 0) return
    const tree = node as Tree
    if (!Array.isArray(node)) this.#checkNode(tree, known)
    const within = this.#checkExpressions(tree['cte_map'], depth, known)
    for (const [key, child] of children) {
      if (key === 'cte_map') continue
      this.check(child, depth + 1, ownName(tree, key, within))
    }
  }

  /** Each sees those before it, and what follows all of them. */
  #checkExpressions(
    map: unknown,
    depth: number,
    known: Expressions | undefined,
  ): Expressions | undefined {
    const { map: entries = [] } = (map ?? {}) as { map?: { key?: unknown; value?: unknown }[] }
    let within = known
    for (const { key, value } of entries) {
      this.check(value, depth + 1, within)
      within = { name: String(key).toLowerCase(), outer: within }
    }
    return within
  }

  #checkNode(node: Tree, known: Expressions | undefined): void {
    const { type } = node
    if (type === 'BASE_TABLE') this.#checkTable(node, known)
    if (type === 'TABLE_FUNCTION') checkTableFunction(node)
    if (typeof type === 'string' && /^(SHOW_REF|PIVOT|BOUND|DELIM_GET|COLUMN_DATA)/.test(type)) {
      throw refused(`${type} is not allowed`)
    }
    if (typeof node['function_name'] === 'string') checkFunction(node['function_name'])
  }

  #checkTable(node: Tree, known: Expressions | undefined): void {
    const name = String(node['table_name'])
    const isQualified = `${String(node['schema_name'])}${String(node['catalog_name'])}` !== ''
    const lower = name.toLowerCase()
    const view = VIEWS.find((one) => one === lower)
    if (isQualified || (view === undefined && !isAmong(known, lower))) {
      throw refused(`there is no ${name}; there are ${VIEWS.join(', ')}`)
    }
    if (node['at_clause'] !== null && node['at_clause'] !== undefined) {
      throw refused('AT is not allowed')
    }
    if (view !== undefined) this.views.add(view)
  }
}

/** What recurs sees itself, but not where it begins. */
function ownName(
  { type, cte_name: name }: Tree,
  key: string,
  outer: Expressions | undefined,
): Expressions | undefined {
  const isOwn =
    (type === 'RECURSIVE_CTE_NODE' && key === 'right') || (type === 'CTE_NODE' && key === 'child')
  return isOwn ? { name: String(name).toLowerCase(), outer } : outer
}

function isAmong(known: Expressions | undefined, name: string): boolean {
  for (let one = known; one !== undefined; one = one.outer) if (one.name === name) return true
  return false
}

function checkTableFunction(node: Tree): void {
  const { function_name: name } = (node['function'] ?? {}) as { function_name?: string }
  if (name !== undefined && TABLE_FUNCTIONS.has(name.toLowerCase())) return
  throw refused(`the table function ${name ?? '?'} is not allowed`)
}

function checkFunction(name: string): void {
  const lower = name.toLowerCase()
  if (!FUNCTIONS_REFUSED.has(lower) && !PREFIXES_REFUSED.test(lower)) return
  throw refused(`the function ${name} is not allowed`)
}

function childrenOf(node: unknown, depth: number): [string, unknown][] {
  if (depth > DEPTH_MAX) throw refused('it is nested too deep')
  if (typeof node !== 'object' || node === null) return []
  return Object.entries(node)
}
