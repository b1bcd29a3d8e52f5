import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReportJson, RuleReportJson } from '../api/routes/backtests.ts'
import { formatReport, sparkline } from './rules-backtest.ts'
import { formatTest } from './rules-test.ts'

const DAY_MS = 86_400_000
const START_MS = Date.UTC(2026, 0, 1)

const rule = (more: Partial<RuleReportJson> = {}): RuleReportJson => ({
  ...{ rule_id: 'hot', severity: 'critical', episodes: 97, alerts: 41, flapping: 0, devices: 12 },
  ...{ firing_ms: 1000, budget: undefined },
  days: [41, 0, 0].map((alerts, day) => ({
    ...{ start: START_MS + day * DAY_MS, episodes: alerts, alerts },
  })),
  noisiest: [{ device_id: 'pump-7\u001b[31m', episodes: 3, alerts: 2 }],
  longest: [{ device_id: 'pump-7', triggered_at: START_MS, resolved_at: null }],
  ...more,
})

const report = (...rules: RuleReportJson[]): ReportJson => ({
  ...{ start: START_MS, end: START_MS + 3 * DAY_MS, readings: 1_234_567, devices: 1000 },
  ...{ completeness: 1, rules },
})

test('a report says how often and for how many, where and when', () => {
  assert.equal(
    formatReport(report(rule())),
    `1,234,567 readings of 1,000 devices in 3 days

hot (critical)
  would have fired 41 times for 12 devices, from 97 episodes
  █··  alerts a day, 2026-01-01 to 2026-01-03, at most 41
  noisiest  pump-7\\u001b[31m 2
  longest   pump-7 still (2026-01-01T00:00Z)`,
  )
})

test('nothing, once, a budget, and what was not there to be read', () => {
  const budget = { alerts: 3, per_ms: 7 * DAY_MS, most: 3, most_from: START_MS, is_kept: true }
  const quiet = rule({ alerts: 0, episodes: 0, budget })
  const text = formatReport({ ...report(quiet), completeness: 0.456 })
  assert.match(text, /Not everything was there to be read: 45 %/)
  assert.match(text, /would not have fired\n {2}budget of 3 per 7d kept: at most 3/)
  const exceeded = rule({
    alerts: 1,
    devices: 1,
    flapping: 1,
    budget: { ...budget, is_kept: false },
  })
  const loud = formatReport(report(exceeded))
  assert.match(loud, /would have fired once for 1 device, from 97 episodes/)
  assert.match(loud, /1 alert flapping/)
  assert.match(loud, /budget of 3 per 7d EXCEEDED/)
})

test('a bar a day; many days share one; a day with one alert is seen beside one of many', () => {
  assert.equal(sparkline([0, 1, 4, 8]), '·▁▄█')
  assert.equal(sparkline([1, 1000]), '▁█')
  assert.equal(sparkline(Array.from({ length: 366 }, () => 2)).length, 53)
})

test('a test that fails shows what was said beside what was expected', () => {
  const event = (atUs: number, state: 'firing' | 'resolved') => ({ atUs, ruleId: 'hot', state })
  const late = event(41e6, 'firing')
  const early = event(40e6, 'firing')
  const end = event(60.5e6, 'resolved')
  const result = { isPassed: false, found: [early, end], missing: [late], unexpected: [early] }
  assert.equal(
    formatTest('hot', 'weir.yaml:7', result),
    `FAIL  hot  (weir.yaml:7)
      - expected and not said, + said and not expected
      +      40s  hot firing
      -      41s  hot firing
         60500ms  hot resolved`,
  )
  const passed = { ...result, isPassed: true }
  assert.equal(formatTest('hot', 'weir.yaml:7', passed), 'ok    hot')
})
