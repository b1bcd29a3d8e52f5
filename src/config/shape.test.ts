import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import Type from 'typebox'
import { Value } from 'typebox/value'
import { formatPath, nearest, suggest } from './problems.ts'
import { checkShape } from './shape.ts'
import { formatBytes, formatDurationUs, parseBytes, parseDurationUs } from './units.ts'

const Shape = Type.Object(
  {
    a: Type.Integer({ minimum: 1, maximum: 9 }),
    b: Type.Optional(Type.Array(Type.Enum(['x', 'y']), { minItems: 1, maxItems: 2 })),
    c: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-c]$' }), Type.Number({ exclusiveMinimum: 0 }), {
        additionalProperties: false,
        minProperties: 1,
      }),
    ),
    d: Type.Optional(
      Type.Union([Type.Boolean(), Type.String({ pattern: '^z' })], { expected: 'a z' }),
    ),
    e: Type.Optional(Type.Literal(1)),
  },
  { additionalProperties: false },
)

test('the shape checker takes what TypeBox takes, and nothing else', () => {
  const odd = fc.constantFrom<unknown>(0, 1.5, 10, 'x', null, Infinity, NaN, [], {})
  const near = (value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
    fc.oneof({ weight: 5, arbitrary: value }, { weight: 1, arbitrary: odd })
  const fields = {
    a: near(fc.integer({ min: 0, max: 10 })),
    b: near(fc.array(fc.constantFrom('x', 'x', 'y', 'z'), { maxLength: 3 })),
    c: near(fc.dictionary(fc.constantFrom('a', 'b', 'b', 'd'), fc.constantFrom(1, 0.5, 0))),
    d: near(fc.constantFrom(true, 'z1', 'a')),
    e: near(fc.constant(1)),
  }
  const keys = fc.subarray(['b', 'c', 'd', 'e', 'f'] as const)
  const document = near(
    fc.record({ ...fields, f: odd }).chain((all) =>
      keys.map((chosen) => ({
        a: all.a,
        ...Object.fromEntries(chosen.map((key) => [key, all[key]])),
      })),
    ),
  )
  let taken = 0
  fc.assert(
    fc.property(document, (data) => {
      const isTaken = checkShape(Shape, data).length === 0
      if (isTaken) taken++
      assert.equal(isTaken, Value.Check(Shape, data))
    }),
    { numRuns: 2_000 },
  )
  assert.ok(taken > 100, `only ${taken} documents were taken`)
})

test('a typo gets the nearest known word, another word the list of the known', () => {
  const known = ['temperature', 'unit', 'required']
  assert.equal(nearest('temprature', known), 'temperature')
  assert.equal(nearest('Unti', known), 'unit')
  assert.equal(nearest('zzz', known), undefined)
  assert.equal(suggest('zzz', ['a', 'b']), '; known are a, b')
  assert.equal(suggest('zzz', []), '')
})

test('a path reads as it would be written in code', () => {
  assert.equal(formatPath(['rules', 0, 'when']), 'rules[0].when')
})

test('durations and sizes are read as written, and written in the largest exact unit', () => {
  assert.deepEqual(
    ['500ms', '10s', '5m', '1h', '8d'].map(parseDurationUs),
    [5e5, 1e7, 3e8, 3.6e9, 6.912e11],
  )
  assert.deepEqual(
    ['', '5', '5 m', '1.5h', '-1s', '5us', '999999999999d'].map(parseDurationUs),
    Array(7).fill(undefined),
  )
  assert.deepEqual(
    ['1 B', '64KiB', '8 MiB', '1 GiB'].map(parseBytes),
    [1, 65_536, 8_388_608, 1_073_741_824],
  )
  assert.deepEqual(['', '1', '1 KB', '-1 B'].map(parseBytes), Array(4).fill(undefined))
  fc.assert(
    fc.property(fc.nat({ max: 1e12 }), (count) => {
      assert.equal(parseDurationUs(formatDurationUs(count * 1000)), count * 1000)
      assert.equal(parseBytes(formatBytes(count)), count)
    }),
  )
})
