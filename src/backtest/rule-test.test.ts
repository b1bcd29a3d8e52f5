import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseTests } from '../pipeline/compile.ts'
import { runRuleTest, type TestResult } from './rule-test.ts'

const run = (tests: string): TestResult[] => {
  const parsed = parseTests(
    `version: 1
types: { pump: { schemas: { 1: { t: { unit: "°C" }, mode: { type: text, required: false } } } } }
windows: [1m]
rules:
  - { id: hot, type: pump, when: t > 80, for: 30s }
  - { id: off, type: pump, when: 'mode == "off"' }
  - { id: mean, type: pump, when: avg(t) > 80, window: 1m }
  - { id: quiet, type: pump, silent: { interval: 1m, count: 3 } }
  - { id: north, type: pump, when: t > 50, tags: { site: north } }
  - id: office
    type: pump
    when: t > 90
    schedule: { days: [mon], from: "08:00", to: "18:00", timeZone: Europe/Berlin }
tests:
${tests}`,
    'pipeline.yaml',
  )
  return parsed.tests.map((one) => runRuleTest(parsed.plan, one))
}

test('readings, clock, windows, silence, tags and schedules are those of the stream', () => {
  const results = run(`
  - name: for
    device: { type: pump }
    rules: [hot]
    readings:
      - { at: 10s, every: 10s, times: 6, t: 81 }
      - { at: 70s, t: 79 }
    expect: [{ at: 40s, rule: hot, state: firing }, { at: 70s, rule: hot, state: resolved }]
  - name: fires without a further reading
    device: { type: pump }
    rules: [hot]
    until: 5m
    readings: [{ at: 10s, t: 81 }]
    expect: [{ at: 40s, rule: hot, state: firing }]
  - name: texts
    device: { type: pump }
    rules: [off]
    readings: [{ at: 1s, every: 1s, t: 1, mode: [auto, "off", auto] }]
    expect: [{ at: 2s, rule: off, state: firing }, { at: 3s, rule: off, state: resolved }]
  - name: a window closes with the allowed disorder
    device: { type: pump }
    rules: [mean]
    until: 2m
    readings: [{ at: 5s, every: 10s, times: 6, t: 85 }]
    expect: [{ at: 69999ms, rule: mean, state: firing }]
  - name: silence
    device: { type: pump }
    rules: [quiet]
    readings: [{ at: 10s, t: 1 }, { at: 5m, t: 1 }]
    expect: [{ at: 190s, rule: quiet, state: firing }, { at: 5m, rule: quiet, state: resolved }]
  - name: tags that fit
    device: { type: pump, tags: { site: north } }
    rules: [north]
    readings: [{ at: 1s, t: 51 }]
    expect: [{ at: 1s, rule: north, state: firing }]
  - name: tags that do not
    device: { type: pump, tags: { site: south } }
    rules: [north]
    readings: [{ at: 1s, t: 51 }]
    expect: []
  - name: a Monday, from eight
    device: { type: pump }
    start: 2026-01-05T07:59:00+01:00
    rules: [office]
    readings: [{ at: 30s, every: 30s, t: [95, 95] }]
    expect: [{ at: 1m, rule: office, state: firing }]
  - name: a Sunday
    device: { type: pump }
    start: 2026-01-04T08:00:00+01:00
    rules: [office]
    readings: [{ at: 30s, every: 30s, t: [95, 95] }]
    expect: []`)
  assert.deepEqual(
    results.filter(({ isPassed }) => !isPassed),
    [],
  )
  assert.equal(results.length, 9)
})

test('the tests on the page pass', () => {
  const page = readFileSync(new URL('../../docs/pipeline.md', import.meta.url), 'utf8')
  const blocks = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, block]) => block!)
  const results = blocks.flatMap((block) => {
    const { plan, tests } = parseTests(block, 'docs/pipeline.md')
    return tests.map((one) => runRuleTest(plan, one))
  })
  assert.ok(results.length >= 2)
  assert.deepEqual(
    results.filter(({ isPassed }) => !isPassed),
    [],
  )
})

test('what differs is told both ways; all rules count unless some are named', () => {
  const [result] = run(`
  - name: wrong
    device: { type: pump, tags: { site: north } }
    until: 1m
    readings: [{ at: 10s, t: 81 }]
    expect: [{ at: 41s, rule: hot, state: firing }]`)
  assert.equal(result!.isPassed, false)
  assert.deepEqual(result!.missing, [{ atUs: 41e6, ruleId: 'hot', state: 'firing' }])
  assert.deepEqual(
    result!.unexpected.map(({ atUs, ruleId }) => [atUs / 1e6, ruleId]),
    [
      [10, 'north'],
      [40, 'hot'],
    ],
  )
})
