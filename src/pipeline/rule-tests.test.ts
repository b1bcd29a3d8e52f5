import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compilePipeline, parseTests } from './compile.ts'

const TYPES = {
  pump: {
    schemas: { 1: { temperature: { unit: '°C' }, mode: { type: 'text', required: false } } },
  },
}
const RULES = [{ id: 'hot', type: 'pump', when: 'temperature > 80' }]

const problemsOf = (tests: unknown): string[] => {
  try {
    compilePipeline({ version: 1, types: TYPES, rules: RULES, tests })
    return []
  } catch (error) {
    return (error as Error).message.split('\n').filter((line) => line.startsWith('pipeline '))
  }
}

const oneTest = (more: object) => [
  { name: 'one', device: { type: 'pump' }, readings: [], expect: [], ...more },
]

test('readings are laid out in time: lists in turn, repeats, several metrics a message', () => {
  const { tests } = parseTests(
    JSON.stringify({
      ...{ version: 1, types: TYPES, rules: RULES },
      tests: oneTest({
        start: '2026-01-05T08:00:00+01:00',
        until: '1m',
        readings: [
          { at: '10s', every: '5s', times: 3, temperature: [81, 82], mode: 'auto' },
          { at: '1s', temperature: 20 },
        ],
        expect: [{ at: '10s', rule: 'hot', state: 'firing' }],
      }),
    }),
    'pipeline',
  )
  const [one] = tests
  const { startUs, endUs, readings, expected, device, line } = one!
  assert.equal(startUs, Date.UTC(2026, 0, 5, 7) * 1000)
  assert.equal(endUs, startUs + 60e6)
  assert.equal(line, 1)
  assert.deepEqual([device.deviceId, device.deviceType], ['device-1', 'pump'])
  assert.deepEqual(
    readings.map(({ timeUs, metric, value }) => [(timeUs - startUs) / 1e6, metric, value]),
    [
      [1, 'temperature', 20],
      ...[10, 15, 20].flatMap((at, turn) => [
        [at, 'temperature', [81, 82, 81][turn]],
        [at, 'mode', 'auto'],
      ]),
    ],
  )
  assert.deepEqual(expected, [{ atUs: 10e6, ruleId: 'hot', state: 'firing' }])
})

test('without an end a test ends with what it names last', () => {
  const endOf = (more: object): number => {
    const definition = { version: 1, types: TYPES, rules: RULES, tests: oneTest(more) }
    const { startUs, endUs } = parseTests(JSON.stringify(definition), 'pipeline').tests[0]!
    return (endUs - startUs) / 1e6
  }
  assert.equal(endOf({ readings: [{ at: '30s', temperature: 1 }] }), 30)
  assert.equal(endOf({ expect: [{ at: '90s', rule: 'hot', state: 'firing' }] }), 90)
  assert.equal(endOf({}), 0)
})

test('what is wrong with a test is told with the rest, each at its place', () => {
  const cases: [object, RegExp][] = [
    [{ readings: [{ at: '1s', temprature: 1 }] }, /readings\[0\]\.temprature: .*"temperature"/],
    [{ readings: [{ at: '1s', temperature: 'x' }] }, /temperature: found "x", expected a number/],
    [{ readings: [{ at: '1s' }] }, /readings\[0\]: found no metric/],
    [{ readings: [{ at: '1s', times: 3, temperature: 1 }] }, /expected "every"/],
    [{ readings: [{ at: '1s', temperature: [1, 2] }] }, /found 2 readings, expected "every"/],
    [{ readings: [{ at: '1s', every: '1s', temperature: 1 }] }, /expected "times" or a list/],
    [{ readings: [{ at: 'soon', temperature: 1 }] }, /readings\[0\]\.at: found "soon"/],
    [
      { readings: [{ at: '1s', every: '1s', times: 100_000, temperature: 1, mode: 'a' }] },
      /readings: found 200000 readings, expected at most 100000/,
    ],
    [{ expect: [{ at: '1s', rule: 'hut', state: 'firing' }] }, /rule: found "hut".*"hot"/],
    [{ expect: [{ at: '1s', rule: 'hot', state: 'fired' }] }, /state: found "fired"/],
    [{ rules: ['cold'] }, /rules\[0\]: found "cold", expected a rule/],
    [{ device: { type: 'pomp' } }, /device\.type: found "pomp".*"pump"/],
    [{ start: '2026-13-05T08:00:00Z' }, /start: found 2026-13-05T08:00:00Z, which is no date/],
    [{ nmae: 1 }, /nmae: unknown key; did you mean "name"/],
  ]
  for (const [more, expected] of cases) {
    const problems = problemsOf(oneTest(more))
    assert.equal(problems.length, 1, `${String(expected)}: ${problems.join('; ')}`)
    assert.match(problems[0]!, expected)
  }
  assert.match(problemsOf([...oneTest({}), ...oneTest({})])[0]!, /found "one" a second time/)
})

test('a test may name a rule that has problems of its own, which are told once', () => {
  const definition = {
    ...{ version: 1, types: TYPES, rules: [{ id: 'hot', type: 'pump', when: 'temp > 80' }] },
    tests: oneTest({ expect: [{ at: '1s', rule: 'hot', state: 'firing' }] }),
  }
  assert.throws(() => compilePipeline(definition), { code: 'PIPELINE_RULE_INVALID' })
})
