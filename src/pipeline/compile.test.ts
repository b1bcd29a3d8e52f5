import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { WeirError, type ErrorCode } from '../errors/errors.ts'
import { compilePipeline, defaultPlan, parsePipeline } from './compile.ts'
import { definePipeline } from './definition.ts'

const PUMP = `version: 1
types:
  pump:
    schemas:
      1:
        temperature: {unit: "°C", min: -40, max: 150, critical: true}
        running: {type: boolean, required: false}
`

function refusal(yaml: string): { code: ErrorCode; lines: string[] } {
  try {
    parsePipeline(yaml, 'weir.yaml')
  } catch (error) {
    assert.ok(error instanceof WeirError, String(error))
    return { code: error.code, lines: error.message.split('\n') }
  }
  return assert.fail(`was taken:\n${yaml}`)
}

test('every YAML block of docs/pipeline.md compiles', () => {
  const page = readFileSync(new URL('../../docs/pipeline.md', import.meta.url), 'utf8')
  const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block]) => block!)
  assert.ok(blocks.length >= 6)
  for (const block of blocks) assert.equal(parsePipeline(block, 'docs/pipeline.md').version, 1)
})

test('the default plan is the built-in type, two windows, and the times of the design', () => {
  const { types, windowsMs, time, detectors, rules } = defaultPlan()
  assert.deepEqual(types, {
    generic: {
      name: 'generic',
      isStrict: false,
      dimensions: [],
      timeSource: 'event',
      schemas: [],
    },
  })
  assert.deepEqual(windowsMs, [60_000, 300_000])
  assert.deepEqual(time, {
    disorderUs: 10e6,
    futureUs: 5e6,
    pastUs: 8 * 86_400e6,
    allowedLatenessUs: 3_600e6,
    idleTimeoutUs: 5e6,
    alertStalenessUs: 300e6,
  })
  assert.deepEqual([detectors, rules], [[], []])
})

test('a definition becomes a plan that survives the way to another thread', () => {
  const plan = parsePipeline(
    `${PUMP}time: {disorder: 500ms}
windows: [5m, 10s]
detectors: [{id: z, type: pump, metric: temperature, zscore: {n: 32, threshold: 4}}]
rules:
  - {id: hot, type: pump, device: p1, version: 3, when: "80 < temperature", for: 30s,
     severity: critical}`,
    'weir.yaml',
  )
  assert.deepEqual(structuredClone(plan), plan)
  assert.equal(plan.time.disorderUs, 500_000)
  assert.deepEqual(plan.windowsMs, [10_000, 300_000])
  assert.deepEqual(plan.detectors, [
    { id: 'z', type: 'pump', metric: 'temperature', kind: 'zscore', n: 32, threshold: 4 },
  ])
  assert.deepEqual(plan.types['pump']!.schemas[0]!.metrics, [
    {
      name: 'temperature',
      type: 'number',
      unit: '°C',
      min: -40,
      max: 150,
      isRequired: true,
      isCritical: true,
      values: undefined,
    },
    {
      name: 'running',
      type: 'boolean',
      unit: '',
      min: -Infinity,
      max: Infinity,
      isRequired: false,
      isCritical: false,
      values: undefined,
    },
  ])
  assert.deepEqual(plan.rules, [
    {
      id: 'hot',
      version: 3,
      type: 'pump',
      deviceIds: ['p1'],
      tags: {},
      on: 'readings',
      when: '80 < temperature',
      variables: [
        { of: 'latest', label: 'temperature', metric: 'temperature', kind: 'number', unit: '°C' },
      ],
      program: {
        instructions: [['constant', 80], ['metric', 0], ['less']],
        texts: [],
        stackDepthMax: 2,
        threshold: { variable: 0, comparison: 'greater', value: 80 },
        guards: [{ variable: 0, comparison: 'greater', value: 80 }],
      },
      clear: undefined,
      windowMs: 0,
      isEarly: false,
      silentUs: 0,
      forUs: 30_000_000,
      keepUs: 0,
      repeat: undefined,
      schedule: undefined,
      severity: 'critical',
      notify: undefined,
      summary: undefined,
      budget: undefined,
    },
  ])
})

test('an object, YAML and JSON compile to the same plan, whatever the order of keys', () => {
  const definition = definePipeline({
    version: 1,
    windows: ['1m'],
    time: { past: '1d', future: '1s' },
  })
  const plan = compilePipeline(definition)
  assert.deepEqual(parsePipeline(JSON.stringify(definition), 'a.json'), plan)
  const yaml = '# comment\ntime:\n  future: 1s\n  past: 1d\nwindows: [ 1m ]\nversion: 1\n'
  assert.deepEqual(parsePipeline(yaml, 'a.yaml'), plan)
  assert.notEqual(compilePipeline({ ...definition, windows: ['2m'] }).fingerprint, plan.fingerprint)
})

test('schema versions come in ascending order, and only those that are active are so', () => {
  const metric = { t: { unit: 'K' } }
  const plan = compilePipeline({
    version: 1,
    types: { a: { active: [2, 10], schemas: { 10: metric, 2: metric, 1: metric } } },
  })
  const versions = plan.types['a']!.schemas.map(({ version, isActive }) => [version, isActive])
  assert.deepEqual(versions, [
    [1, false],
    [2, true],
    [10, true],
  ])
})

test('all problems are reported at once, each with line, key, what was found and expected', () => {
  const { code, lines } = refusal(`version: 1
types:
  pump:
    schemas:
      1: {temperature: {uint: "°C"}}
  fan:
    dimension: [cpu]
    schemas:
      1: {speed: {unit: rpm, min: 5, max: 1}, load: {}}
window: [1m]
windows: [10s, 15s]
time: {past: 8 days}
detectors:
  - {id: d, type: fam, metric: speed, zscore: {n: 1, threshold: 0}}
rules:
  - {id: r, type: pum, when: temperature > 1}
  - {id: r, when: "x >"}
`)
  assert.equal(code, 'PIPELINE_DEFINITION_INVALID')
  assert.deepEqual(lines, [
    '10 problems:',
    'weir.yaml:5:25 types.pump.schemas.1.temperature.uint: unknown key; did you mean "unit"?',
    'weir.yaml:7:5 types.fan.dimension: unknown key; did you mean "dimensions"?',
    'weir.yaml:10:1 window: unknown key; did you mean "windows"?',
    'weir.yaml:11:16 windows[1]: found 15s, expected a multiple of the smallest window (10s)',
    'weir.yaml:12:8 time.past: found "8 days", ' +
      'expected a duration such as 500ms, 10s, 5m, 1h or 8d',
    'weir.yaml:14:48 detectors[0].zscore.n: found 1, expected a whole number from 2 to 1,024',
    'weir.yaml:14:54 detectors[0].zscore.threshold: found 0, expected a number above 0',
    'weir.yaml:16:13 rules[0].type: found "pum", expected a declared type; did you mean "pump"?',
    'weir.yaml:17:6 rules[1].id: found "r" a second time, expected ids to be unique',
    'weir.yaml:17:13 rules[1].when: rule r: not valid CEL: ' +
      'Unexpected token: EOF (at character 4 of "x >")',
  ])
})

test('problems of conditions alone have a code of their own', () => {
  const { code, lines } = refusal(`${PUMP}rules: [{id: hot, type: pump, when: temprature > 80}]`)
  assert.equal(code, 'PIPELINE_RULE_INVALID')
  assert.match(
    lines[0]!,
    /^weir\.yaml:8:31 rules\[0\]\.when: rule hot: found the metric "temprature"/,
  )
  assert.match(lines[0]!, /, which type pump .*did you mean "temperature"\?/)
})

test('each check refuses what it is there for', () => {
  const expected: [string, RegExp][] = [
    ['', /version: missing, expected 1/],
    ['- 1', /found \[1\], expected a pipeline definition/],
    ['version: 2', /version: found 2, expected 1/],
    ['version: [1', /is not valid YAML at 1:/],
    ['version: 1\nversion: 1', /is not valid YAML at 2:1: Map keys must be unique/],
    [
      'version: 1\ntypes: {a b: {}}',
      /types\.a b: found this name, expected a map of device type names/,
    ],
    ['version: 1\ntypes: {a: {}}', /types\.a: "schemas" is missing/],
    [
      'version: 1\ntypes: {a: {schemas: {}}}',
      /types\.a\.schemas: found {}, expected a map of schema versions/,
    ],
    ['version: 1\ntypes: {a: {schemas: {0: {t: {unit: K}}}}}', /schemas\.0: found this name/],
    [
      'version: 1\ntypes: {a: {schemas: {1: {t: {unit: K, min: 1, max: 1}}}}}',
      /t\.min: found 1, expected less than max \(1\)/,
    ],
    [
      'version: 1\ntypes: {a: {schemas: {1: {t: {type: text, max: 1}}}}}',
      /t\.max: found a bound, expected none/,
    ],
    [
      'version: 1\ntypes: {a: {schemas: {1: {t: {type: boolean, values: [a]}}}}}',
      /t\.values: found values, expected none/,
    ],
    [
      'version: 1\ntypes: {a: {schemas: {1: {t: {type: text, values: [a, a]}}}}}',
      /t\.values\[1\]: found "a" a second time/,
    ],
    [
      'version: 1\ntypes: {a: {active: [3], schemas: {1: {t: {unit: K}}}}}',
      /a\.active\[0\]: found version 3, which has no schema/,
    ],
    [
      'version: 1\ntypes: {a: {dimensions: [x, x], schemas: {1: {t: {unit: K}}}}}',
      /a\.dimensions\[1\]: found "x" a second time/,
    ],
    [
      'version: 1\ntypes: {generic: {schemas: {1: {t: {unit: K}}}}}',
      /types\.generic\.schemas: found schemas, expected none/,
    ],
    ['version: 1\nwindows: []', /windows: found 0 items, expected 1 to 8/],
    ['version: 1\nwindows: [1m, 60s]', /windows\[1\]: found 60s a second time/],
    ['version: 1\nwindows: [500ms]', /windows\[0\]: found 500ms, expected from 1s to 1d/],
    ['version: 1\nwindows: [60]', /windows\[0\]: found 60, expected a duration/],
    [
      'version: 1\ntime: {past: 999999999d}',
      /time\.past: found 999999999d, expected below 285 years/,
    ],
    [
      `${PUMP}detectors: [{id: d, type: pump, metric: speed, zscore: {n: 2, threshold: 1}}]`,
      /found "speed", which type pump .* does not have; known are temperature, running/,
    ],
    [
      `${PUMP}detectors: [{id: d, metric: running, zscore: {n: 2, threshold: 1}}]`,
      /found "running", which is a boolean, expected a number/,
    ],
    [
      `${PUMP}rules: [{id: a, type: pump, when: running, for: 5}]`,
      /rules\[0\]\.for: found 5, expected a duration/,
    ],
    [
      `${PUMP}rules: [{id: a, type: pump, when: running, severity: Very Bad}]`,
      /expected a severity/,
    ],
    [
      `${PUMP}rules: [{id: a, type: pump, when: true}]`,
      /rules\[0\]\.when: found true, expected a condition/,
    ],
  ]
  for (const [yaml, message] of expected)
    assert.match(refusal(yaml).lines.join('\n'), message, yaml)
})

test('a rule may only name metrics that every active schema has, of one kind', () => {
  const definition = (active: number[]) => `version: 1
types:
  a:
    active: [${active.join(', ')}]
    schemas:
      1: {t: {unit: K}, old: {unit: K}, mode: {type: text}}
      2: {t: {unit: K}, new: {unit: K}, mode: {unit: "1"}}
rules: [{id: r, type: a, when: `
  const compile = (active: number[], when: string) =>
    parsePipeline(`${definition(active)}${when}}]`, 'weir.yaml')
  assert.equal(compile([1, 2], 't > 1').rules.length, 1)
  assert.equal(compile([2], 'new > 1').rules.length, 1)
  assert.throws(
    () => compile([1, 2], 'new > 1'),
    /metric "new", which type a \(in every active schema\) does not have/,
  )
  assert.throws(
    () => compile([1, 2], 'mode > 1'),
    /metric "mode", whose kind differs between schemas/,
  )
})

test('a document whose aliases multiply is refused', () => {
  const levels = Array.from(
    { length: 9 },
    (_, level) => `a${level + 1}: &a${level + 1} [${Array(9).fill(`*a${level}`).join(', ')}]`,
  )
  assert.throws(() => parsePipeline(`a0: &a0 [x]\n${levels.join('\n')}`, 'weir.yaml'), WeirError)
})

test('any data and any text are compiled or refused with a WeirError', () => {
  const piece = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(1, -1, 0.5, null, true, '1m', '10s', 't > 1', 'pump', 'number', 'text', 'K'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom(
          'version',
          'types',
          'pump',
          'schemas',
          '1',
          't',
          'unit',
          'type',
          'min',
          'rules',
          'id',
          'when',
          'for',
          'detectors',
          'metric',
          'zscore',
          'n',
          'threshold',
          'windows',
          'time',
          '__proto__',
        ),
        tie('value'),
        { maxKeys: 4 },
      ),
    ),
  })).value
  const isWeirError = (compile: () => unknown): void => {
    try {
      compile()
    } catch (error) {
      assert.ok(error instanceof WeirError, String((error as Error).stack))
    }
  }
  const definition = fc.record(
    {
      version: fc.constant(1),
      types: piece,
      rules: piece,
      detectors: piece,
      windows: piece,
      time: piece,
    },
    { requiredKeys: ['version'] },
  )
  fc.assert(
    fc.property(fc.oneof(piece, definition), (value) => isWeirError(() => compilePipeline(value))),
    { numRuns: 1_000 },
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) =>
      isWeirError(() => parsePipeline(text, 'a')),
    ),
    { numRuns: 500 },
  )
})
