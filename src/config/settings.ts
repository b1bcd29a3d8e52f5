/**
 * One setting: its TypeBox schema, which gives type, default, check and documentation, and how it
 * travels between a file, a flag, an environment variable and the program. Durations and sizes are
 * written with units; the program gets µs under the key's name with `Us` behind it, and bytes.
 */
import Type, { type Static, type TSchema } from 'typebox'
import { formatFound } from './problems.ts'
import { keywords } from './shape.ts'
import {
  BYTES_PATTERN,
  DURATION_PATTERN,
  formatBytes,
  formatDurationUs,
  parseBytes,
  parseDurationUs,
} from './units.ts'

/** What a duration's schema stands for in `Config`. */
declare const durationMark: unique symbol
export type Duration = string & { [durationMark]: true }

/** `host` → `host: string`; `connectTimeout` → `connectTimeoutUs: number`. */
type Values<Section> = {
  [
    Key in keyof Section & string as Section[Key] extends Duration ? `${Key}Us` : Key
  ]: Section[Key] extends Duration ? number : Section[Key]
}

export type SectionValues<Section extends TSchema> = Values<Static<Section>>

type Kind = 'text' | 'integer' | 'bytes' | 'duration' | 'texts' | 'boolean'

/** Keywords of ours in a setting's schema. */
interface SettingKeywords {
  kind: Kind
  default: unknown
  description: string
  isSecret?: boolean
}

export function setting(schema: TSchema): SettingKeywords {
  return schema as unknown as SettingKeywords
}

export function text(value: string, description: string) {
  return Type.String({ kind: 'text', default: value, description, pattern: '^.{1,1024}$' })
}

/** Empty: not given. */
export function optionalText(description: string) {
  return Type.String({ kind: 'text', default: '', description, pattern: '^.{0,1024}$' })
}

/** Printed as `***`, wherever it goes. */
export function secret(description: string) {
  return Type.String({ kind: 'text', default: '', description, isSecret: true })
}

export function integer(value: number, [minimum, maximum]: [number, number], description: string) {
  return Type.Integer({ kind: 'integer', default: value, minimum, maximum, description })
}

export function boolean(value: boolean, description: string) {
  return Type.Boolean({ kind: 'boolean', default: value, description })
}

export function port(value: number, description: string) {
  return integer(value, [0, 65_535], description)
}

export function bytes(value: string, [minimum, maximum]: [string, string], description: string) {
  return Type.Unsafe<number>({
    anyOf: [
      Type.Integer({ minimum: parseBytes(minimum)!, maximum: parseBytes(maximum)! }),
      Type.String({ pattern: BYTES_PATTERN }),
    ],
    kind: 'bytes',
    default: value,
    minimum: parseBytes(minimum),
    maximum: parseBytes(maximum),
    expected: `bytes from ${minimum} to ${maximum}`,
    description,
  })
}

export function duration(value: string, [minimum, maximum]: [string, string], description: string) {
  return Type.Unsafe<Duration>({
    type: 'string',
    pattern: DURATION_PATTERN,
    kind: 'duration',
    default: value,
    minimum: parseDurationUs(minimum),
    maximum: parseDurationUs(maximum),
    expected: `a duration from ${minimum} to ${maximum}`,
    description,
  })
}

export function texts(value: string[], description: string) {
  const item = Type.String({ pattern: '^.{1,1024}$', expected: 'a text' })
  return Type.Array(item, { kind: 'texts', default: value, description, maxItems: 100 })
}

/** Each of them is printed as `***`. */
export function secrets(description: string) {
  const item = Type.String({ pattern: '^.{1,1024}$', expected: 'a text' })
  return Type.Array(item, {
    ...{ kind: 'texts', default: [] as string[], description, maxItems: 100 },
    isSecret: true,
  })
}

/** The name of a key in `Config`. */
export function valueKey(key: string, schema: TSchema): string {
  return setting(schema).kind === 'duration' ? `${key}Us` : key
}

/**
 * A written value that fits the schema, as the program takes it. Undefined when a duration or size
 * is out of range: a pattern cannot say that.
 */
export function toValue(schema: TSchema, written: unknown): unknown {
  const { kind } = setting(schema)
  if (kind === 'bytes')
    return within(schema, typeof written === 'string' ? parseBytes(written) : (written as number))
  if (kind === 'duration') return within(schema, parseDurationUs(written as string))
  return written
}

function within(schema: TSchema, value: number | undefined): number | undefined {
  const { minimum = -Infinity, maximum = Infinity } = keywords(schema)
  return value !== undefined && value >= minimum && value <= maximum ? value : undefined
}

/** The inverse of `toValue`, for people; secrets stay secret. */
export function toWritten(schema: TSchema, value: unknown): unknown {
  const { kind, isSecret } = setting(schema)
  if (isSecret === true && Array.isArray(value)) return value.map(() => '***')
  if (isSecret === true) return value === '' ? '' : '***'
  if (kind === 'bytes') return formatBytes(value as number)
  return kind === 'duration' ? formatDurationUs(value as number) : value
}

/** What a flag or environment variable says, as a file would: numbers unquoted, lists by commas. */
export function fromText(schema: TSchema, argument: string): unknown {
  const { kind } = setting(schema)
  if (kind === 'texts') return argument === '' ? [] : argument.split(',').map((part) => part.trim())
  if (kind === 'boolean' && /^(true|false)$/.test(argument)) return argument === 'true'
  const isNumber = (kind === 'integer' || kind === 'bytes') && /^-?\d+$/.test(argument)
  return isNumber ? Number(argument) : argument
}

/** A value that was refused, as a person may see it. */
export function formatRefused(schema: TSchema, value: unknown): string {
  return setting(schema).isSecret === true ? '***' : formatFound(value)
}
