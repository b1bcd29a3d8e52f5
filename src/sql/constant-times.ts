/** Times that conditions of a statement compare with, as SQL again, made of few known parts. */
import { quote } from './quote.ts'

export type Tree = Record<string, unknown>

export interface ConstantTime {
  sql: string
  /** It is later when it is computed later. */
  isMoving: boolean
}

const NOW = new Set(['now', 'get_current_timestamp', 'transaction_timestamp', 'current_timestamp'])
const TODAY = new Set(['today', 'current_date'])
/** Of constants they make the same each time. */
const FIXED = new Set([
  ...['to_years', 'to_months', 'to_weeks', 'to_days', 'to_hours', 'to_minutes', 'to_seconds'],
  ...['to_milliseconds', 'to_microseconds', 'trunc', 'make_timestamp', 'make_date', 'epoch_ms'],
  ...['to_timestamp', '*'],
])
/** None is finer than the microseconds of a view. */
const TYPES = new Set([
  ...['TIMESTAMP', 'TIMESTAMP WITH TIME ZONE', 'DATE', 'INTERVAL', 'VARCHAR'],
  ...['INTEGER', 'BIGINT', 'DOUBLE'],
])
/** What is later of a later time. */
const TIME_TYPES = new Set(['TIMESTAMP', 'TIMESTAMP WITH TIME ZONE', 'DATE'])
const INTEGERS = new Set(['INTEGER', 'BIGINT'])
const DEPTH_MAX = 20

/** Undefined: it is not understood. */
export function constantTime(node: unknown, depth = 0): ConstantTime | undefined {
  if (typeof node !== 'object' || node === null || depth > DEPTH_MAX) return undefined
  const tree = node as Tree
  switch (tree['class']) {
    case 'CONSTANT':
      return fixed(literalOf(tree))
    case 'CAST':
      return castOf(tree, depth)
    case 'FUNCTION':
      return functionOf(tree, depth)
    default:
      return undefined
  }
}

const fixed = (sql: string | undefined): ConstantTime | undefined =>
  sql === undefined ? undefined : { sql, isMoving: false }

/** Of a constant that is a text. */
export function textOf(node: unknown): string | undefined {
  const { class: kind, value } = (node ?? {}) as { class?: unknown; value?: Value }
  if (kind !== 'CONSTANT' || value?.type?.id !== 'VARCHAR' || value.is_null !== false) {
    return undefined
  }
  return typeof value.value === 'string' ? value.value : undefined
}

interface Value {
  type?: { id?: string }
  is_null?: boolean
  value?: unknown
}

function literalOf(tree: Tree): string | undefined {
  const text = textOf(tree)
  if (text !== undefined) return quote(text)
  const { type, is_null, value } = (tree['value'] ?? {}) as Value
  const isInteger = INTEGERS.has(type?.id ?? '') && is_null === false && Number.isInteger(value)
  return isInteger ? `(${String(value)})` : undefined
}

function castOf(tree: Tree, depth: number): ConstantTime | undefined {
  const { id } = (tree['cast_type'] ?? {}) as { id?: string }
  const child = constantTime(tree['child'], depth + 1)
  if (child === undefined || id === undefined || !TYPES.has(id)) return undefined
  if (tree['try_cast'] !== false || (child.isMoving && !TIME_TYPES.has(id))) return undefined
  return { ...child, sql: `CAST(${child.sql} AS ${id})` }
}

function functionOf(tree: Tree, depth: number): ConstantTime | undefined {
  const name = String(tree['function_name']).toLowerCase()
  const nodes = Array.isArray(tree['children']) ? (tree['children'] as unknown[]) : []
  if (tree['filter'] != null || tree['distinct'] === true) return undefined
  const children = nodes.map((child) => constantTime(child, depth + 1))
  if (!children.every((child) => child !== undefined)) return undefined
  const [first, second] = children
  if (NOW.has(name)) return first === undefined ? { sql: 'now()', isMoving: true } : undefined
  if (TODAY.has(name)) return first === undefined ? { sql: 'today()', isMoving: true } : undefined
  if (name === '+' || name === '-') {
    if (first === undefined || second === undefined || children.length !== 2) return undefined
    // What is taken away of a later time would be more.
    if (second.isMoving && (name === '-' || first.isMoving)) return undefined
    const isMoving = first.isMoving || second.isMoving
    return { sql: `(${first.sql} ${name} ${second.sql})`, isMoving }
  }
  if (name === 'date_trunc') {
    if (first?.isMoving !== false || second === undefined) return undefined
    return { sql: `date_trunc(${first.sql}, ${second.sql})`, isMoving: second.isMoving }
  }
  if (!FIXED.has(name) || children.some(({ isMoving }) => isMoving)) return undefined
  const parts = children.map(({ sql }) => sql)
  return fixed(name === '*' ? `(${parts.join(' * ')})` : `${name}(${parts.join()})`)
}
