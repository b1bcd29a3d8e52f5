/**
 * Checks a document against a TypeBox schema, for people. TypeBox's own `Value.Errors` stops at
 * eight errors (a process-wide setting), repeats itself on unions and knows no nearest key; what is
 * needed here is every problem once, in the reader's words. The schemas keep to this subset:
 * object, record, array, string, number, integer, boolean, enum, const, and a union that carries
 * its own words in `expected`.
 */
import type { TSchema } from 'typebox'
import { formatFound, suggest, type Path, type Problem } from './problems.ts'

/** The keywords of the subset, as TypeBox writes them. */
interface Keywords {
  type?: string
  const?: unknown
  enum?: unknown[]
  anyOf?: TSchema[]
  properties?: Record<string, TSchema>
  patternProperties?: Record<string, TSchema>
  required?: string[]
  items?: TSchema
  pattern?: string
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  minItems?: number
  maxItems?: number
  minProperties?: number
  maxProperties?: number
  /** Ours: what is expected, as a noun phrase. */
  expected?: string
}

export function keywords(schema: TSchema): Keywords {
  return schema
}

const count = (value: number): string => value.toLocaleString('en-US')

function range({ minimum, maximum, exclusiveMinimum }: Keywords): string {
  if (minimum !== undefined && maximum !== undefined)
    return ` from ${count(minimum)} to ${count(maximum)}`
  if (minimum !== undefined) return ` of at least ${count(minimum)}`
  if (exclusiveMinimum !== undefined) return ` above ${count(exclusiveMinimum)}`
  return maximum === undefined ? '' : ` of at most ${count(maximum)}`
}

/** What a schema takes, as a noun phrase: `a whole number from 2 to 1,024`. */
export function expectation(schema: TSchema): string {
  const words = keywords(schema)
  if (words.expected !== undefined) return words.expected
  if (words.const !== undefined) return formatFound(words.const)
  if (words.enum !== undefined) return `one of ${words.enum.map(formatFound).join(', ')}`
  switch (words.type) {
    case 'object':
      return 'a map of keys and values'
    case 'array':
      return words.items === undefined ? 'a list' : `a list, each item ${expectation(words.items)}`
    case 'integer':
      return `a whole number${range(words)}`
    case 'number':
      return `a number${range(words)}`
    case 'boolean':
      return 'true or false'
    default:
      return 'a text'
  }
}

/** Every problem, in the order of the schema's keys. Unknown keys are problems. */
export function checkShape(schema: TSchema, value: unknown, path: Path = []): Problem[] {
  const words = keywords(schema)
  if (words.anyOf !== undefined) {
    const fits = words.anyOf.some((option) => checkShape(option, value, path).length === 0)
    return fits ? [] : mismatch(schema, value, path)
  }
  if (words.type === 'object') return checkMap(schema, value, path)
  if (words.type === 'array') return checkList(schema, value, path)
  return isScalarValid(words, value) ? [] : mismatch(schema, value, path)
}

function mismatch(schema: TSchema, value: unknown, path: Path): Problem[] {
  return [{ path, message: `found ${formatFound(value)}, expected ${expectation(schema)}` }]
}

function isScalarValid(words: Keywords, value: unknown): boolean {
  if (words.const !== undefined) return value === words.const
  if (words.enum !== undefined) return words.enum.includes(value)
  switch (words.type) {
    case 'boolean':
      return typeof value === 'boolean'
    case 'string':
      return (
        typeof value === 'string' &&
        (words.pattern === undefined || new RegExp(words.pattern, 'u').test(value))
      )
    case 'integer':
    case 'number':
      return isNumberValid(words, value)
    default:
      throw new TypeError(`the shape checker does not know the schema type ${words.type}`)
  }
}

function isNumberValid(words: Keywords, value: unknown): boolean {
  if (typeof value !== 'number' || !Number.isFinite(value)) return false
  if (words.type === 'integer' && !Number.isSafeInteger(value)) return false
  return (
    value >= (words.minimum ?? -Infinity) &&
    value <= (words.maximum ?? Infinity) &&
    (words.exclusiveMinimum === undefined || value > words.exclusiveMinimum)
  )
}

function checkMap(schema: TSchema, value: unknown, path: Path): Problem[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return mismatch(schema, value, path)
  const words = keywords(schema)
  const entries = Object.entries(value)
  const known = Object.keys(words.properties ?? {})
  const problems: Problem[] = (words.required ?? [])
    .filter((key) => !Object.hasOwn(value, key))
    .map((key) => ({
      path: [...path, key],
      message: `missing, expected ${expectation(words.properties![key]!)}`,
    }))
  if (entries.length < (words.minProperties ?? 0) || entries.length > (words.maxProperties ?? 1e9))
    problems.push(...mismatch(schema, value, path))
  for (const [key, item] of entries) {
    const property = propertySchema(words, key)
    if (property !== undefined) problems.push(...checkShape(property, item, [...path, key]))
    else problems.push(unknownKey(words, [...path, key], known))
  }
  return problems
}

function propertySchema(words: Keywords, key: string): TSchema | undefined {
  if (words.properties !== undefined && Object.hasOwn(words.properties, key))
    return words.properties[key]
  const patterns = Object.entries(words.patternProperties ?? {})
  return patterns.find(([pattern]) => new RegExp(pattern, 'u').test(key))?.[1]
}

function unknownKey(words: Keywords, path: Path, known: string[]): Problem {
  const key = String(path.at(-1))
  if (words.patternProperties === undefined)
    return { path, message: `unknown key${suggest(key, known)}`, isUnknownKey: true }
  return { path, message: `found this name, expected ${words.expected ?? 'another form'}` }
}

function checkList(schema: TSchema, value: unknown, path: Path): Problem[] {
  const { items, minItems = 0, maxItems = Infinity } = keywords(schema)
  if (!Array.isArray(value)) return mismatch(schema, value, path)
  const problems =
    value.length < minItems || value.length > maxItems
      ? [{ path, message: `found ${value.length} items, expected ${minItems} to ${maxItems}` }]
      : []
  if (items === undefined) return problems
  return [
    ...problems,
    ...value.flatMap((item: unknown, index) => checkShape(items, item, [...path, index])),
  ]
}
