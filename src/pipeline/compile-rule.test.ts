import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WeirError, type ErrorCode } from '../errors/errors.ts'
import { compileRule, parsePipeline } from './compile.ts'
import type { RuleDefinition } from './pipeline.ts'

const PUMP = `version: 1
types:
  pump:
    schemas:
      1: {temperature: {unit: "°C"}}
`

test('a rule alone compiles against a plan’s types, to data that survives JSON', () => {
  const plan = parsePipeline(PUMP, 'weir.yaml')
  const rule = compileRule(
    {
      ...{ id: 'r', type: 'pump', device: 'b', devices: ['b', 'a'], tags: { site: 'x' } },
      ...{ when: 'avg(temperature) > 80', clear: 'max(temperature) < 75', window: '5m' },
      ...{ early: true, for: '1m', keep: '2m', repeat: { count: 3, within: '1h' } },
      schedule: { days: ['sat', 'mon'], from: '08:00', to: '24:00', timeZone: 'Europe/Berlin' },
      ...{ notify: ['me'], summary: 'hot', budget: { alerts: 5, per: '1d' } },
    },
    plan,
  )
  // What is undefined is left out of JSON, and is undefined again.
  assert.deepEqual(
    { ...rule, type: 'pump' },
    { ...rule, ...(JSON.parse(JSON.stringify(rule)) as object) },
  )
  assert.deepEqual(rule.deviceIds, ['a', 'b'])
  assert.deepEqual(
    rule.variables.map(({ label }) => label),
    ['avg(temperature)', 'max(temperature)'],
  )
  assert.equal(rule.clear!.threshold!.variable, 1)
  assert.deepEqual(
    [rule.on, rule.windowMs, rule.forUs, rule.keepUs],
    ['window', 300_000, 60e6, 120e6],
  )
  assert.deepEqual(rule.repeat, { count: 3, withinUs: 3_600e6 })
  assert.deepEqual(rule.schedule!.days, [1, 6])
  assert.deepEqual(rule.budget, { alerts: 5, perUs: 86_400e6 })
  const silent = compileRule({ id: 's', silent: { interval: '10s', count: 3 } }, plan)
  assert.deepEqual([silent.on, silent.when, silent.silentUs], ['silence', 'silent for 30 s', 30e6])
})

test('a rule alone is refused with every problem, by its own keys', () => {
  const plan = parsePipeline(PUMP, 'weir.yaml')
  const refused = (definition: object): [string, string] => {
    try {
      compileRule(definition as RuleDefinition, plan)
    } catch (error) {
      assert.ok(error instanceof WeirError)
      return [error.code, error.message]
    }
    return assert.fail(`was taken: ${JSON.stringify(definition)}`)
  }
  const when = 'temperature > 80'
  const silent = { interval: '10s', count: 3 }
  const expected: [object, ErrorCode, RegExp][] = [
    [
      { id: 'r', type: 'pump', when: 'tmp > 1' },
      'PIPELINE_RULE_INVALID',
      /rule when: rule r: found the metric/,
    ],
    [
      { id: 'r', type: 'pump', when, clear: 'x <' },
      'PIPELINE_RULE_INVALID',
      /rule clear: rule r: not valid/,
    ],
    [
      { id: 'r', typ: 'pump', when },
      'PIPELINE_DEFINITION_INVALID',
      /typ: unknown key; did you mean "type"/,
    ],
    [
      { id: 'r', type: 'fan', when },
      'PIPELINE_DEFINITION_INVALID',
      /type: found "fan", expected a declared/,
    ],
    [{ id: 'r' }, 'PIPELINE_DEFINITION_INVALID', /"when" is missing/],
    [{ id: 'r', when, silent }, 'PIPELINE_DEFINITION_INVALID', /silent: found "when" and "silent"/],
    [
      { id: 'r', silent, for: '1m' },
      'PIPELINE_DEFINITION_INVALID',
      /for: found it beside "silent"/,
    ],
    [
      { id: 'r', silent: { interval: '1ms', count: 3 } },
      'PIPELINE_DEFINITION_INVALID',
      /expected 1s or more/,
    ],
    [
      { id: 'r', when, early: true },
      'PIPELINE_DEFINITION_INVALID',
      /early: found it without a window/,
    ],
    [
      { id: 'r', when: 'avg(temperature) > 1', window: '7m' },
      'PIPELINE_DEFINITION_INVALID',
      /window: found 7m, expected one of the windows \(1m, 5m\)/,
    ],
    [
      { id: 'r', when, schedule: { from: '08:00', to: '08:00', timeZone: 'Mars' } },
      'PIPELINE_DEFINITION_INVALID',
      /timeZone: found "Mars"[\s\S]*to: found 08:00, expected another time/,
    ],
    [
      { id: 'r', when, schedule: { from: '24:00', to: '08:00', timeZone: 'UTC' } },
      'PIPELINE_DEFINITION_INVALID',
      /from: found "24:00", expected a time such as/,
    ],
    [
      { id: 'r', when, repeat: { count: 1, within: '1m' } },
      'PIPELINE_DEFINITION_INVALID',
      /repeat\.count: found 1/,
    ],
    [
      { id: 'r', when, tags: {} },
      'PIPELINE_DEFINITION_INVALID',
      /tags: found \{\}, expected a map/,
    ],
  ]
  for (const [definition, code, message] of expected) {
    const [actual, text] = refused(definition)
    assert.equal(actual, code, text)
    assert.match(text, message)
  }
})
