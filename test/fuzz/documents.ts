/** What people write: pipeline definitions, conditions, configurations. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { loadConfig, printConfig, SETTINGS, type Config } from '../../src/config/config.ts'
import { setting } from '../../src/config/settings.ts'
import { WeirError, type ErrorCode } from '../../src/errors/errors.ts'
import { compilePipeline, parsePipeline } from '../../src/pipeline/compile.ts'
import { mutatedText } from './bytes.ts'
import { claim, type FuzzTarget } from './claim.ts'

const DEMO = readFileSync(
  fileURLToPath(new URL('../../src/fleet/demo.pipeline.yaml', import.meta.url)),
  'utf8',
)

/** The longest that a document of a few kilobytes may take. */
const MS_MAX = 2000

/** The result, or undefined after one of these codes; anything else thrown is a bug. */
function tried<T>(codes: ErrorCode[], action: () => T): T | undefined {
  const startMs = performance.now()
  try {
    return action()
  } catch (error) {
    if (!(error instanceof WeirError)) throw error
    assert.ok(codes.includes(error.code), error.code)
    assert.ok(error.message.length > 0)
    return undefined
  } finally {
    assert.ok(performance.now() - startMs < MS_MAX, 'it took too long')
  }
}

const PIPELINE_CODES: ErrorCode[] = ['PIPELINE_DEFINITION_INVALID', 'PIPELINE_RULE_INVALID']
const CONFIG_CODES: ErrorCode[] = ['CONFIG_KEY_UNKNOWN', 'CONFIG_VALUE_INVALID']

/** Plain data as YAML could hold it, keys of definitions among it. */
const key = fc.oneof(
  fc.constantFrom(
    ...[
      'version',
      'types',
      'schemas',
      'windows',
      'rules',
      'detectors',
      'time',
      'when',
      'for',
      'id',
    ],
    ...['type', 'metric', 'zscore', '__proto__', 'constructor', '1', 'unit', 'min', 'max', ''],
  ),
  fc.string({ maxLength: 4 }),
)
const leaf = fc.oneof(
  fc.constantFrom<unknown>(
    1,
    0,
    -1,
    Infinity,
    NaN,
    true,
    null,
    '5m',
    '1s',
    'temperature > 80',
    [],
    {},
  ),
  fc.string({ maxLength: 12 }),
  fc.double(),
)
const anything = fc.letrec((tie) => ({
  node: fc.oneof(
    { maxDepth: 5 },
    leaf,
    fc.dictionary(key, tie('node'), { maxKeys: 4 }),
    fc.array(tie('node'), { maxLength: 3 }),
  ),
})).node

/** Conditions out of CEL's words, some of them sentences. */
const condition = fc
  .array(
    fc.constantFrom(
      ...['temperature', 'running', 'mode', 'nobody', '>', '>=', '<', '==', '!=', '&&', '||', '!'],
      ...[
        '(',
        ')',
        '+',
        '-',
        '*',
        '/',
        '%',
        '?',
        ':',
        '.',
        ',',
        '[',
        ']',
        'in',
        'true',
        'null',
        '"x"',
      ],
      ...[
        '80',
        '-1',
        '1.5',
        '1e400',
        '9223372036854775808',
        '0x1F',
        "'",
        '"',
        'size(mode)',
        'has(',
      ],
    ),
    { maxLength: 14 },
  )
  .map((words) => words.join(' '))
const nestedCondition = fc
  .tuple(fc.constantFrom('(', '!', '-', '[', 'size(', '1 + (', 'true ? ('), fc.nat({ max: 3000 }))
  .map(([open, depth]) => `${open.repeat(depth)}temperature > 1`)

const compileCondition = (when: string): unknown =>
  tried(PIPELINE_CODES, () =>
    compilePipeline({
      version: 1,
      types: {
        pump: {
          schemas: {
            1: { temperature: { unit: '°C', min: -40, max: 150 }, running: { type: 'boolean' } },
          },
        },
      },
      rules: [{ id: 'fuzzed', type: 'pump', when, severity: 'warning' }],
    }),
  )

const settingText = fc.oneof(
  fc.constantFrom(
    '1s',
    '10 MiB',
    '0',
    '-1',
    '1e3',
    'true',
    '999999999999',
    'null',
    '[a, b]',
    '{a: 1}',
  ),
  fc.string({ maxLength: 10 }),
)
const settingPath = fc.constantFrom(...SETTINGS.map(({ path }) => path), 'mqtt.prot', '__proto__.x')

/** A configuration that was taken prints as one that is taken again, alike. */
function configHolds(sources: Parameters<typeof loadConfig>[0]): void {
  const config = tried(CONFIG_CODES, () => loadConfig(sources))
  if (config === undefined) return
  const text = printConfig(config)
  assert.deepEqual(loadConfig({ file: { name: 'printed', text } }), withoutSecrets(config))
}

/** As it is printed: what is secret is there, and nobody sees it. */
function withoutSecrets(config: Config): Config {
  const masked = structuredClone(config) as unknown as Record<string, Record<string, unknown>>
  for (const { keys, schema } of SETTINGS) {
    const [section = '', key = ''] = keys
    if (setting(schema).isSecret === true) masked[section]![key] = hide(masked[section]![key])
  }
  return masked as unknown as Config
}

function hide(secret: unknown): unknown {
  if (Array.isArray(secret)) return secret.map(hide)
  return secret === '' ? '' : '***'
}

const CONFIG = printConfig(loadConfig())

export const documentsTarget: FuzzTarget = {
  name: 'documents',
  claims: [
    claim(
      'a changed pipeline definition compiles, or every problem is named',
      250,
      fc.property(mutatedText(fc.constant(DEMO)), (text) => {
        tried(PIPELINE_CODES, () => parsePipeline(text, 'fuzzed.yaml'))
      }),
    ),
    claim(
      'any data as a pipeline definition compiles, or every problem is named',
      600,
      fc.property(anything, (data) => {
        tried(PIPELINE_CODES, () => compilePipeline(data))
      }),
    ),
    claim(
      'any text as a pipeline definition compiles, or every problem is named',
      400,
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        tried(PIPELINE_CODES, () => parsePipeline(text, 'fuzzed.yaml'))
      }),
    ),
    claim(
      'any words as a condition compile, or the problem is named',
      1000,
      fc.property(
        fc.oneof(condition, mutatedText(condition)),
        (when) => void compileCondition(when),
      ),
    ),
    claim(
      'a condition that nests thousands of levels deep is refused',
      40,
      fc.property(nestedCondition, (when) => void compileCondition(when)),
    ),
    claim(
      'a changed configuration is taken and prints as it is, or every problem is named',
      300,
      fc.property(mutatedText(fc.constant(CONFIG)), (text) => {
        configHolds({ file: { name: 'fuzzed.yaml', text } })
      }),
    ),
    claim(
      'flags and variables are taken or named, whatever they hold',
      500,
      fc.property(settingPath, settingText, fc.boolean(), (path, text, isFlag) => {
        const variable = SETTINGS.find((one) => one.path === path)?.variable ?? 'WEIR_MQTT_PROT'
        configHolds(isFlag ? { flags: { [path]: text } } : { env: { [variable]: text } })
      }),
    ),
  ],
}
