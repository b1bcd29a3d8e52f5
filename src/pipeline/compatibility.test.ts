import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compilePipeline } from './compile.ts'
import {
  compareSchemas,
  compareVersions,
  describeVersions,
  type BreakingChange,
} from './compatibility.ts'
import type { MetricDefinition, SchemaDefinition } from './definition.ts'

function compare(older: SchemaDefinition, newer: SchemaDefinition): BreakingChange[] {
  const base = { t: { unit: 'K' } }
  const schemas = { 1: { ...base, ...older }, 2: { ...base, ...newer } }
  const [first, second] = compilePipeline({ version: 1, types: { a: { schemas } } }).types['a']!
    .schemas
  return compareSchemas(first!, second!)
}

test('each change of a metric breaks the directions that the documentation says', () => {
  const m = (definition: MetricDefinition): SchemaDefinition => ({
    m: { unit: 'K', ...definition },
  })
  const text = (values?: string[]): SchemaDefinition => ({
    m: values === undefined ? { type: 'text' } : { type: 'text', values },
  })
  const expected: [SchemaDefinition, SchemaDefinition, BreakingChange['breaks'][]][] = [
    [m({}), m({ critical: true }), []],
    [{}, m({ required: false }), []],
    [{}, m({}), ['backward']],
    [m({}), {}, ['both']],
    [m({ required: false }), {}, ['backward']],
    [m({}), text(), ['both']],
    [m({}), m({ unit: '°C' }), ['both']],
    [m({ min: 0, max: 9 }), m({ min: 1, max: 8 }), ['backward', 'backward']],
    [m({ min: 0, max: 9 }), m({ min: -1 }), ['forward', 'forward']],
    [m({}), m({ max: 9 }), ['backward']],
    [m({ required: false }), m({}), ['backward']],
    [m({}), m({ required: false }), ['forward']],
    [text(['a', 'b']), text(['b', 'c']), ['backward', 'forward']],
    [text(), text(['a']), ['backward']],
    [text(['a']), text(), ['forward']],
  ]
  for (const [older, newer, breaks] of expected)
    assert.deepEqual(
      compare(older, newer).map((change) => change.breaks),
      breaks,
      JSON.stringify([older, newer]),
    )
})

test('consecutive versions are compared, and the result names metric and change', () => {
  const plan = compilePipeline({
    version: 1,
    types: {
      pump: {
        schemas: {
          1: { t: { unit: 'K', max: 150 } },
          2: { t: { unit: 'K', max: 120 } },
          4: { t: { unit: 'K', max: 120 }, p: { unit: 'Pa', required: false } },
          5: { t: { unit: '°C', max: 120 } },
        },
      },
    },
  })
  assert.deepEqual(compareVersions(plan), [
    {
      type: 'pump',
      from: 1,
      to: 2,
      compatibility: 'forward',
      changes: [{ metric: 't', breaks: 'backward', change: 'max went from 150 to 120' }],
    },
    { type: 'pump', from: 2, to: 4, compatibility: 'full', changes: [] },
    {
      type: 'pump',
      from: 4,
      to: 5,
      compatibility: 'none',
      changes: [
        { metric: 't', breaks: 'both', change: 'unit went from "K" to "°C"' },
        { metric: 'p', breaks: 'backward', change: 'removed' },
      ],
    },
  ])
  assert.deepEqual(describeVersions(plan), [
    'pump@1 to pump@2: forward compatible; breaks: t max went from 150 to 120 (backward)',
    'pump@2 to pump@4: compatible both ways',
    'pump@4 to pump@5: not compatible; ' +
      'breaks: t unit went from "K" to "°C" (both), p removed (backward)',
  ])
})
