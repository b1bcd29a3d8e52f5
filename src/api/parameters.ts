/**
 * Checks what came from outside against a TypeBox schema and says, in a person's words, what is
 * wrong with it: parameters (texts that become numbers and lists as the schema says) and JSON
 * bodies.
 */
import { Compile, type Validator } from 'typebox/compile'
import type { Static, TObject, TSchema } from 'typebox'
import type { TLocalizedValidationError } from 'typebox/error'
import { suggest } from '../config/config.ts'
import { WeirError } from '../errors/errors.ts'

/** JSON nested deeper than this is an attack or a mistake: no body of the API needs more than 3. */
const JSON_DEPTH_MAX = 32

/** Reads one schema's parameters from texts. Throws API_PARAMETER_INVALID naming the parameter. */
export function parameterReader<T extends TObject>(
  schema: T,
): (texts: Record<string, unknown>) => Static<T> {
  const validator = Compile(schema) as Validator
  const properties = schema.properties as Record<string, { type?: string }>
  const known = Object.keys(properties)
  return (texts) => {
    const values: Record<string, unknown> = {}
    for (const [name, text] of Object.entries(texts)) {
      const property = properties[name]
      if (property === undefined || !Object.hasOwn(properties, name)) {
        throw invalidParameter(name, `is not a parameter here${suggest(name, known)}`)
      }
      values[name] = convert(name, text, property.type)
    }
    const missing = (schema.required ?? []).find((name) => !Object.hasOwn(values, name))
    if (missing !== undefined) throw invalidParameter(missing, 'is required')
    if (!validator.Check(values)) {
      const [error] = validator.Errors(values)
      const name = error?.instancePath.split('/')[1] ?? 'query'
      throw invalidParameter(name, explain(error))
    }
    return values as Static<T>
  }
}

/** Reads one schema's JSON body. Throws API_BODY_INVALID naming the place. */
export function bodyReader<T extends TSchema>(schema: T): (bytes: Uint8Array) => Static<T> {
  const validator = Compile(schema) as Validator
  const known = Object.keys((schema as { properties?: object }).properties ?? {})
  return (bytes) => {
    const value = parseJson(bytes)
    if (validator.Check(value)) return value as Static<T>
    throw new WeirError('API_BODY_INVALID', bodyProblem(validator.Errors(value), known))
  }
}

function bodyProblem(errors: TLocalizedValidationError[], known: string[]): string {
  const unknown = errors.find((error) => error.keyword === 'additionalProperties')
  if (unknown?.keyword === 'additionalProperties') {
    const [name = ''] = unknown.params.additionalProperties
    return `${name} is not a key here${suggest(name, known)}`
  }
  const missing = errors.find((error) => error.keyword === 'required')
  if (missing?.keyword === 'required') return `${missing.params.requiredProperties[0]} is required`
  const [error] = errors
  const place = error?.instancePath.slice(1).replaceAll('/', '.') ?? ''
  return `${place === '' ? 'the body' : place} ${explain(error)}`
}

/** The keyword's own sentence, with what is allowed where the sentence alone would not say it. */
function explain(error: TLocalizedValidationError | undefined): string {
  if (error?.keyword === 'enum') return `must be one of ${error.params.allowedValues.join(', ')}`
  return error?.message ?? 'is invalid'
}

/** Of `name=value`, as shapes ask for it. */
export function parsePair(pair: string): [name: string, value: string] {
  const at = pair.indexOf('=')
  return [pair.slice(0, at), pair.slice(at + 1)]
}

export const invalidParameter = (name: string, problem: string): WeirError =>
  new WeirError('API_PARAMETER_INVALID', `${name}: ${problem}`, { details: { parameter: name } })

function convert(name: string, text: unknown, type: string | undefined): unknown {
  if (type === 'array') return Array.isArray(text) ? text : [text]
  if (typeof text !== 'string') throw invalidParameter(name, 'is given more than once')
  if (type === 'integer' && /^-?\d{1,15}$/.test(text)) return Number(text)
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  return text
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) throw new WeirError('API_BODY_INVALID', 'the body is empty')
  checkDepth(bytes)
  try {
    return JSON.parse(decoder.decode(bytes))
  } catch (cause) {
    const problem = cause instanceof SyntaxError ? cause.message : 'it is not UTF-8'
    throw new WeirError('API_BODY_INVALID', `the body is not valid JSON: ${problem}`, { cause })
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Counts brackets outside of texts, before the parser builds anything. */
function checkDepth(bytes: Uint8Array): void {
  let depth = 0
  let isInText = false
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]
    if (isInText) {
      if (byte === BACKSLASH) index++
      else if (byte === QUOTE) isInText = false
    } else if (byte === QUOTE) isInText = true
    else if (byte === 0x7b || byte === 0x5b) depth++
    else if (byte === 0x7d || byte === 0x5d) depth--
    if (depth > JSON_DEPTH_MAX) {
      throw new WeirError('API_BODY_INVALID', `the body nests deeper than ${JSON_DEPTH_MAX} levels`)
    }
  }
}
