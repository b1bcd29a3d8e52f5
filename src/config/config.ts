/**
 * The configuration: one schema per stage (`stages.ts`) gives types, defaults, checks and
 * docs/config.md. A flag beats an environment variable beats the file beats the default. Unknown
 * keys refuse to start, and all problems are reported at once.
 *
 * This is also the face of what checks any document that people write: `checkShape` and the rest.
 */
import Type, { type TObject, type TSchema } from 'typebox'
import { stringify } from 'yaml'
import { WeirError } from '../errors/errors.ts'
import { readDocument, sourceWithoutText } from './document.ts'
import { formatProblems, suggest, type Problem, type Source } from './problems.ts'
import { formatRefused, fromText, setting, toValue, toWritten, valueKey } from './settings.ts'
import type { SectionValues } from './settings.ts'
import { checkShape, expectation } from './shape.ts'
import { SECTIONS, TOP } from './stages.ts'
import { parseStores } from './stores.ts'

export { readDocument, sourceWithoutText } from './document.ts'
export { formatProblems, suggest, type Path, type Problem, type Source } from './problems.ts'
export { checkShape } from './shape.ts'
export { DURATION_PATTERN, formatDurationUs, formatTimeUs, parseDurationUs } from './units.ts'

type Sections = typeof SECTIONS

/** Durations are integer µs, under their key with `Us` behind it; sizes are bytes. */
export type Config = SectionValues<typeof TOP> & {
  [Name in keyof Sections]: SectionValues<Sections[Name]>
}

export interface ConfigSources {
  /** YAML (or JSON); `name` is for messages. */
  file?: { name: string; text: string } | undefined
  /** All of the environment; only `WEIR_…` of a stage counts. Example: `WEIR_HTTP_PORT`. */
  env?: Readonly<Record<string, string | undefined>> | undefined
  /** By path, as text or as in the file: `{ 'http.port': '0' }`. Undefined is unset. */
  flags?: Readonly<Record<string, unknown>> | undefined
}

/** One setting and its names. */
export interface SettingPlace {
  /** `http.port` */
  path: string
  /** `['http', 'port']` */
  keys: string[]
  /** `--http-port` */
  flag: string
  /** `WEIR_HTTP_PORT` */
  variable: string
  schema: TSchema
}

/** Every setting, in the order of docs/config.md. */
export const SETTINGS: readonly SettingPlace[] = [
  ...placesOf(TOP, []),
  ...Object.entries(SECTIONS).flatMap(([name, section]) => placesOf(section, [name])),
]

function placesOf(section: TObject, parents: string[]): SettingPlace[] {
  return Object.entries(section.properties).map(([key, schema]) => {
    const keys = [...parents, key]
    const words = keys.flatMap((part) => part.split(/(?=[A-Z])/)).map((word) => word.toLowerCase())
    const flag = `--${words.join('-')}`
    const variable = `WEIR_${words.join('_').toUpperCase()}`
    return { path: keys.join('.'), keys, flag, variable, schema }
  })
}

const ConfigFile = Type.Object(
  {
    ...Type.Partial(TOP).properties,
    ...Object.fromEntries(
      Object.entries(SECTIONS).map(([name, section]) => [
        name,
        Type.Optional(Type.Partial(section)),
      ]),
    ),
  },
  { additionalProperties: false, expected: 'a map such as {http: {port: 8080}}' },
)

type Layer = { source: Source; problems: Problem[]; find: (place: SettingPlace) => unknown }

/**
 * Throws CONFIG_VALUE_INVALID, or CONFIG_KEY_UNKNOWN when all that is wrong is unknown keys. The
 * message lists every problem with its place.
 */
export function loadConfig({ file, env = {}, flags = {} }: ConfigSources = {}): Config {
  const layers = [flagLayer(flags), environmentLayer(env), fileLayer(file)]
  const config: Record<string, unknown> = Object.fromEntries(
    Object.keys(SECTIONS).map((name) => [name, {}]),
  )
  for (const place of SETTINGS) {
    const [key, section] = place.keys.toReversed() as [string, string?]
    const target = section === undefined ? config : (config[section] as Record<string, unknown>)
    target[valueKey(key, place.schema)] = settle(place, layers)
  }
  const across = {
    source: sourceWithoutText('configuration'),
    problems: checkAcross(config as Config),
  }
  const wrong = [...layers, across].filter(({ problems }) => problems.length > 0)
  if (wrong.length > 0) throw invalid(wrong)
  return config as Config
}

/** The value of the first layer that sets it. What is wrong is noted, and the default stands in. */
function settle(place: SettingPlace, layers: Layer[]): unknown {
  const { schema, keys } = place
  for (const { problems, find } of layers) {
    const written = find(place)
    if (written === undefined) continue
    const value = checkShape(schema, written).length === 0 ? toValue(schema, written) : undefined
    if (value !== undefined) return value
    const message = `found ${formatRefused(schema, written)}, expected ${expectation(schema)}`
    problems.push({ path: keys, message })
  }
  return toValue(schema, setting(schema).default)
}

function flagLayer(flags: Readonly<Record<string, unknown>>): Layer {
  const paths = SETTINGS.map(({ path }) => path)
  const problems: Problem[] = Object.keys(flags)
    .filter((path) => flags[path] !== undefined && !paths.includes(path))
    .map((path) => ({
      path: [path],
      message: `unknown key${suggest(path, paths)}`,
      isUnknownKey: true,
    }))
  return {
    source: sourceWithoutText('flags'),
    problems,
    find: ({ path, schema }) => {
      const value = flags[path]
      return typeof value === 'string' ? fromText(schema, value) : value
    },
  }
}

/** Variables of a stage are ours; other `WEIR_…` may be the client's or anyone's. */
function environmentLayer(env: Readonly<Record<string, string | undefined>>): Layer {
  const variables = SETTINGS.map(({ variable }) => variable)
  const ours = Object.keys(SECTIONS).map((name) => `WEIR_${name.toUpperCase()}_`)
  const problems: Problem[] = Object.keys(env)
    .filter((name) => ours.some((prefix) => name.startsWith(prefix)) && !variables.includes(name))
    .map((name) => ({
      path: [name],
      message: `unknown key${suggest(name, variables)}`,
      isUnknownKey: true,
    }))
  return {
    source: sourceWithoutText('environment'),
    problems,
    find: ({ variable, schema }) => {
      const value = env[variable]
      return value === undefined ? undefined : fromText(schema, value)
    },
  }
}

function fileLayer(file: ConfigSources['file']): Layer {
  const { value, source, problems } = readDocument(file?.text ?? '', file?.name ?? 'configuration')
  // Wrong values are found when they are settled, since a flag may stand in for one; here it is
  // unknown keys and sections that are no maps.
  const shape = problems.length > 0 ? [] : checkShape(ConfigFile, value)
  const paths = new Set(SETTINGS.map(({ path }) => path))
  problems.push(...shape.filter(({ path }) => !paths.has(path.slice(0, 2).join('.'))))
  const find = ({ keys }: SettingPlace): unknown =>
    keys.reduce<unknown>(
      (node, key) => (isMap(node) && Object.hasOwn(node, key) ? node[key] : undefined),
      value,
    )
  return { source, problems, find }
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What no single setting can say. */
function checkAcross({ mqtt, postgres }: Config): Problem[] {
  const problems: Problem[] = []
  if (mqtt.connectPacketBytesMax > mqtt.packetBytesMax)
    problems.push({
      path: ['mqtt', 'connectPacketBytesMax'],
      message: 'found more than mqtt.packetBytesMax, expected at most that',
    })
  const stores = parseStores(postgres.stores)
  if ('problem' in stores) {
    problems.push({ path: ['postgres', 'stores'], message: stores.problem })
  }
  return problems
}

function invalid(layers: { source: Source; problems: Problem[] }[]): WeirError {
  const problems = layers.flatMap((layer) => layer.problems)
  const areKeys = problems.every(({ isUnknownKey }) => isUnknownKey === true)
  const message = layers.map((layer) => formatProblems(layer.problems, layer.source)).join('\n')
  return new WeirError(areKeys ? 'CONFIG_KEY_UNKNOWN' : 'CONFIG_VALUE_INVALID', message, {
    details: { problems },
  })
}

/**
 * The whole configuration as YAML that `loadConfig` reads again; secrets print as `***`, of which
 * `postgres.stores` then says that they are no stores.
 */
export function printConfig(config: Config): string {
  const written: Record<string, unknown> = {}
  for (const { keys, schema } of SETTINGS) {
    const [key, section] = keys.toReversed() as [string, string?]
    const from = (section === undefined ? config : config[section as keyof Sections]) as object
    const value = (from as Record<string, unknown>)[valueKey(key, schema)]
    const to = section === undefined ? written : ((written[section] ??= {}) as typeof written)
    to[key] = toWritten(schema, value)
  }
  return stringify(written)
}
