import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Environment } from '@marcbachmann/cel-js'
import fc from 'fast-check'
import type { ValueKind } from '../batch/batch.ts'
import { compileCondition, ConditionError } from './condition.ts'
import type { Scope } from './condition-kinds.ts'
import type { Program, Variable } from './pipeline.ts'
import { run } from './program.ts'

const PUMP: Scope = {
  kinds: new Map<string, ValueKind>([
    ['t', 'number'],
    ['p', 'number'],
    ['on', 'boolean'],
    ['hot', 'boolean'],
    ['mode', 'text'],
    ['last', 'text'],
  ]),
  ambiguous: new Set(),
  isOpen: false,
  title: 'type pump',
  units: new Map([['t', '°C']]),
  isWindowed: false,
}
const GENERIC: Scope = {
  ...{ kinds: new Map(), ambiguous: new Set(), isOpen: true, title: 'no type' },
  ...{ units: new Map(), isWindowed: false },
}
const WINDOWED: Scope = { ...PUMP, isWindowed: true }

interface Condition {
  variables: Variable[]
  program: Program
}

function compile(text: string, scope: Scope): Condition {
  const variables: Variable[] = []
  return { program: compileCondition(text, scope, variables), variables }
}

/** A dictionary as the gateway fills it; "absent" is never in it. */
const DICTIONARY = ['idle', 'run', 'fault']

type Values = Record<string, number | boolean | string>

function holds({ variables, program }: Condition, values: Values): boolean {
  const numbers = variables.map(({ label }) => {
    const value = values[label]!
    return typeof value === 'string' ? DICTIONARY.indexOf(value) : Number(value)
  })
  return run(
    program,
    Float64Array.from(numbers),
    new Float64Array(program.stackDepthMax),
    (index) => DICTIONARY.indexOf(program.texts[index]!),
  )
}

function refusal(text: string, scope: Scope = PUMP): string {
  try {
    compile(text, scope)
  } catch (error) {
    assert.ok(error instanceof ConditionError)
    return error.message
  }
  return assert.fail(`${text} was taken`)
}

test('one metric compared with a constant is a threshold, also when mirrored or folded', () => {
  const threshold = (text: string) => compile(text, PUMP).program.threshold
  assert.deepEqual(threshold('t > 80'), { variable: 0, comparison: 'greater', value: 80 })
  assert.deepEqual(threshold('80 < t'), { variable: 0, comparison: 'greater', value: 80 })
  assert.deepEqual(threshold('80.5 >= t'), {
    ...{ variable: 0, comparison: 'less-or-equal', value: 80.5 },
  })
  assert.deepEqual(threshold('t < -(2 + 3) * 4'), {
    ...{ variable: 0, comparison: 'less', value: -20 },
  })
  assert.equal(threshold('t > p'), undefined)
  assert.equal(threshold('t == 3'), undefined)
  assert.equal(threshold('on == true'), undefined)
  assert.equal(threshold('t > 80 && on'), undefined)
})

test('conditions decide over numbers, booleans and texts', () => {
  const values: Values = { t: 81, p: 2, on: true, hot: false, mode: 'run', last: 'idle' }
  const expected: [string, boolean][] = [
    ['t > 80 && on', true],
    ['t > 80 && !on', false],
    ['hot || t % 2 == 1', true],
    ['on ? t > 100 : t > 0', false],
    ['mode == "run" && last != "run"', true],
    ['mode == last', false],
    ['mode in ["run", "fault"]', true],
    ['t in [79, 80]', false],
    ['t in [80, -81, 81]', true],
    ['(t - 1) / 4 == 20 && -p < 0', true],
    ['on == true', true],
    ['on != hot', true],
    ['(on ? mode : last) == "run"', true],
    ['mode == "absent"', false],
    ['mode != "absent"', true],
  ]
  for (const [text, result] of expected)
    assert.equal(holds(compile(text, PUMP), values), result, text)
})

test('guards are the comparisons without which the condition cannot hold', () => {
  const guards = (text: string) =>
    compile(text, PUMP).program.guards.map(
      ({ variable, comparison, value }) => `${variable} ${comparison} ${value}`,
    )
  assert.deepEqual(guards('t > 80'), ['0 greater 80'])
  assert.deepEqual(guards('on && 80 < t && (p >= 3 && hot)'), [
    '1 greater 80',
    '2 greater-or-equal 3',
  ])
  assert.deepEqual(guards('(t > 80 || on) && p < t && p < 5'), ['2 less 5'])
  assert.deepEqual(guards('!(t > 80)'), [])
  assert.deepEqual(guards('t > 80 || p > 2'), [])
})

test('functions of a metric and the registry’s words are variables of their own', () => {
  const said = (text: string, scope = PUMP) =>
    compile(text, scope).variables.map((one) => [
      one.label,
      one.kind,
      one.of === 'device' ? one.field : one.unit,
    ])
  assert.deepEqual(said('rate(t) > 1 && abs(delta(t)) > 2 && previous(t) < t'), [
    ['rate(t)', 'number', '°C/s'],
    ['delta(t)', 'number', '°C'],
    ['previous(t)', 'number', '°C'],
    ['t', 'number', '°C'],
  ])
  assert.deepEqual(said('t > number(device.tags.limit) && device.tags["site"] == "a"'), [
    ['t', 'number', '°C'],
    ['number(device.tags.limit)', 'number', 'tag'],
    ['device.tags.site', 'text', 'tag'],
  ])
  assert.deepEqual(said('metrics["device.id"] > 1 && device.location != "x"', GENERIC), [
    ['device.id', 'number', ''],
    ['device.location', 'text', 'location'],
  ])
  assert.deepEqual(said('avg(t) > 3 && count(on) > 2', WINDOWED), [
    ['avg(t)', 'number', '°C'],
    ['count(on)', 'boolean', '1'],
  ])
  assert.deepEqual(said('previous(mode) == "x" && rate(a) > 1', GENERIC), [
    ['previous(mode)', 'text', ''],
    ['rate(a)', 'number', ''],
  ])
  assert.equal(holds(compile('abs(t - p) > 2', PUMP), { t: 1, p: 4 }), true)
})

test('two texts that the dictionary does not know differ', () => {
  const condition = compile('(on ? "a" : "b") == "b"', PUMP)
  assert.equal(holds(condition, { on: true }), false)
  assert.equal(holds(condition, { on: false }), true)
})

test('metrics are named plainly, with dots or in brackets, and numbered by first use', () => {
  const condition = compile('metrics["PM2.5"] > 1 && cpu.load > 2 && metrics["PM2.5"] < 9', GENERIC)
  assert.deepEqual(
    condition.variables.map(({ label }) => label),
    ['PM2.5', 'cpu.load'],
  )
  assert.equal(holds(condition, { 'PM2.5': 3, 'cpu.load': 3 }), true)
  assert.equal(holds(condition, { 'PM2.5': 3, 'cpu.load': 2 }), false)
})

test('without a schema the kind of a metric follows from its use', () => {
  const kinds = (text: string) => compile(text, GENERIC).variables.map(({ kind }) => kind)
  assert.deepEqual(kinds('a > 1 && b && c == "x"'), ['number', 'boolean', 'text'])
  assert.deepEqual(kinds('a == b && b == c && c == "x"'), ['text', 'text', 'text'])
  assert.deepEqual(kinds('(a ? b : c) == "x"'), ['boolean', 'text', 'text'])
  assert.deepEqual(kinds('a in ["x"] || b == false'), ['text', 'boolean'])
  assert.deepEqual(kinds('a == b'), ['number', 'number'])
})

test('what cannot be compiled is refused with what was found, what is expected and where', () => {
  const expected: [string, RegExp][] = [
    ['t >', /^not valid CEL: .*\(at character 4 of/],
    [
      'tt > 80',
      /found the metric "tt", which type pump does not have; did you mean "t"\?.*character 1/,
    ],
    [
      '1 < 2 && size(mode) > 1',
      /the function size\(\) is not supported in rules \(at character 10/,
    ],
    ['mode.startsWith("a")', /the method \.startsWith\(\) is not supported/],
    ['mode < "b"', /found < on a text, expected numbers/],
    ['t', /found a number, expected a condition/],
    ['t + mode > 3', /found mode, which is a text, expected a number \(at character 5/],
    ['t == on', /found on, which is a boolean, expected a number/],
    ['t && on', /found t, which is a number, expected a boolean/],
    ['on ? t : mode', /found mode, which is a text, expected a number/],
    ['t in []', /expected a list of 1 to 64 constants/],
    ['t in [p]', /found p, expected a constant/],
    ['t in p', /expected a list of 1 to 64 constants/],
    ['t == null', /the constant null is not supported/],
    ['t > 5u', /the constant 5u is not supported/],
    ['[1] == [t]', /a list outside "in" is not supported/],
    ['t > 5 / 2', /division of two whole constants/],
    ['t > 1.0 / 0.0', /a constant that is Infinity/],
    ['t > 9007199254740993', /expected a whole number below 2\^53/],
    ['1 < 2', /found no metric/],
    ['device.type == "pump"', /found no metric/],
    ['avg(t) > 1', /found avg\(\), which is of a window.*\(at character 1 /],
    ['rate(on) > 1', /found rate\(on\), which is a boolean, expected a number/],
    ['rate(t + p) > 1', /found rate\(t \+ p\), expected rate\(\) of one metric/],
    ['number(t) > 1', /found number\(\) of something else/],
    ['abs(on) > 1', /found on, which is a boolean, expected a number/],
    ['t > device.tags.limit', /found device\.tags\.limit, which is a text, expected a number/],
  ]
  for (const [text, message] of expected) assert.match(refusal(text), message, text)
  assert.match(refusal('t > 1', WINDOWED), /found t, expected what the window says.*avg\(t\)/)
  assert.match(refusal('delta(t) > 1', WINDOWED), /found delta\(\), which is of readings/)
  assert.match(refusal('avg(mode) > 1', WINDOWED), /found avg\(mode\), which is a text/)
  const ambiguous = { ...PUMP, ambiguous: new Set(['t']) }
  assert.match(refusal('t > 1', ambiguous), /whose kind differs between schemas/)
})

test('a condition that would run for long is refused, and a deep one compiles in no time', () => {
  const list = `[${Array.from({ length: 60 }, (_, index) => index).join(',')}]`
  assert.match(
    refusal(`t + t + t + t + t + t + t + t + t + t in ${list}`),
    /more than 1000 operations/,
  )
  const deep = `${'(a == '.repeat(100)}true${')'.repeat(100)}`
  assert.equal(compile(deep, GENERIC).variables[0]!.kind, 'boolean')
})

const number = fc.constantFrom(-2.5, -1, 0, 0.5, 1, 3, 80)
const literal = number.map((value) => {
  const text = Number.isInteger(value) ? value.toFixed(1) : String(value)
  return value < 0 ? `(${text})` : text
})

/**
 * Random expressions of each kind, written so that CEL proper takes them too: every number has a
 * fraction, `%` (whole numbers only in CEL) is left out.
 */
const expressions = fc.letrec<{ number: string; boolean: string; text: string }>((tie) => {
  const join = (kind: 'number' | 'boolean' | 'text', operators: string[]) =>
    fc
      .tuple(tie(kind), fc.constantFrom(...operators), tie(kind))
      .map(([left, operator, right]) => `(${left} ${operator} ${right})`)
  const choice = (kind: 'number' | 'boolean' | 'text') =>
    fc
      .tuple(tie('boolean'), tie(kind), tie(kind))
      .map(([condition, left, right]) => `(${condition} ? ${left} : ${right})`)
  const texts = fc.constantFrom('"idle"', '"run"', '"fault"', '"absent"', '"other"')
  const membership = (kind: 'number' | 'text', item: fc.Arbitrary<string>) =>
    fc
      .tuple(tie(kind), fc.array(item, { minLength: 1, maxLength: 3 }))
      .map(([value, items]) => `(${value} in [${items.join(', ')}])`)
  const positive = literal.filter((text) => !text.startsWith('('))
  return {
    number: fc.oneof(
      { maxDepth: 3 },
      fc.oneof(literal, fc.constantFrom('t', 'p')),
      join('number', ['+', '-', '*', '/']),
      tie('number').map((operand) => `(-${operand})`),
      choice('number'),
    ),
    boolean: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom('on', 'hot', 'true', 'false'),
      join('number', ['<', '<=', '>', '>=', '==', '!=']),
      join('boolean', ['&&', '||', '==', '!=']),
      join('text', ['==', '!=']),
      tie('boolean').map((operand) => `(!${operand})`),
      membership('number', positive),
      membership('text', texts),
      choice('boolean'),
    ),
    text: fc.oneof(
      { maxDepth: 2 },
      fc.oneof(texts, fc.constantFrom('mode', 'last')),
      choice('text'),
    ),
  }
})

test('a compiled condition agrees with CEL itself, for random expressions and values', () => {
  const cel = new Environment()
  for (const name of ['t', 'p']) cel.registerVariable(name, 'double')
  for (const name of ['on', 'hot']) cel.registerVariable(name, 'bool')
  for (const name of ['mode', 'last']) cel.registerVariable(name, 'string')
  const word = fc.constantFrom(...DICTIONARY)
  const values = fc.record({
    t: number,
    p: number,
    on: fc.boolean(),
    hot: fc.boolean(),
    mode: word,
    last: word,
  })
  let compared = 0
  fc.assert(
    fc.property(expressions.boolean, values, (text, context) => {
      let condition: Condition
      try {
        condition = compile(text, PUMP)
      } catch (error) {
        // Conditions without a metric and constants such as 1.0 / 0.0 are refused, rightly.
        assert.match((error as Error).message, /found no metric|found a constant that is/)
        return
      }
      compared++
      assert.equal(holds(condition, context), cel.evaluate(text, context), text)
    }),
    { numRuns: 3_000 },
  )
  assert.ok(compared > 1_000, `only ${compared} expressions were compared`)
})

test('any text is compiled or refused with a ConditionError, never another failure', () => {
  const words = fc.constantFrom(
    't',
    'on',
    'mode',
    '80',
    '"a"',
    '>',
    '==',
    '&&',
    '!',
    '(',
    ')',
    '[',
    ']',
    '?',
    ':',
    'in',
    '.',
    '-',
    '{',
    '}',
    ',',
    'size',
    'rate',
    'avg',
    'number',
    'device',
    'tags',
  )
  const text = fc.oneof(
    fc.string(),
    fc.array(words, { maxLength: 12 }).map((parts) => parts.join(' ')),
  )
  fc.assert(
    fc.property(text, fc.boolean(), (source, isOpen) => {
      try {
        compile(source, isOpen ? GENERIC : PUMP)
      } catch (error) {
        assert.ok(error instanceof ConditionError, String(error))
      }
    }),
    { numRuns: 3_000 },
  )
})
