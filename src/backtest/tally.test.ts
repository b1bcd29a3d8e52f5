import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileRule, defaultPlan } from '../pipeline/compile.ts'
import type { RuleDefinition } from '../pipeline/pipeline.ts'
import type { RuleEvent } from '../stream/stream.ts'
import { RuleTally } from './tally.ts'

const MINUTE_US = 60e6
const HOUR_US = 60 * MINUTE_US
const DAY_US = 24 * HOUR_US
/** A day, a half, and the last one begun. */
const SPAN = { startUs: 100 * DAY_US + DAY_US / 2, endUs: 103 * DAY_US + HOUR_US }

const tallyOf = (more: Partial<RuleDefinition> = {}): RuleTally =>
  new RuleTally(compileRule({ id: 'hot', when: 'value > 1', ...more }, defaultPlan()), SPAN)

/**
 * Episodes as `[begin, length]` in minutes from the span's start; without length it still fires.
 */
function events(deviceId: string, ...episodes: [number, number?][]): RuleEvent[] {
  return episodes.flatMap(([begin, length]) => {
    const triggeredAtUs = SPAN.startUs + begin * MINUTE_US
    const fired: RuleEvent = {
      ...{ id: `${deviceId} ${begin}`, tenant: 'default', ruleId: 'hot', ruleVersion: 1, deviceId },
      ...{ severity: 'warning', state: 'firing', triggeredAtUs, resolvedAtUs: undefined },
      ...{ breachEventTimeUs: triggeredAtUs, values: {} },
      reason: { kind: 'condition', condition: 'value > 1' },
    }
    if (length === undefined) return [fired]
    const resolvedAtUs = triggeredAtUs + length * MINUTE_US
    return [fired, { ...fired, state: 'resolved', resolvedAtUs }]
  })
}

test('K2 what follows within five minutes is one alert, beyond it another', () => {
  const tally = tallyOf()
  tally.add(events('a', [0, 1], [6, 1], [12.5, 1]))
  tally.add([])
  const { episodes, alerts, devices, firingUs, flapping } = tally.report()
  assert.deepEqual([episodes, alerts, devices, flapping], [3, 2, 1, 0])
  assert.equal(firingUs, 3 * MINUTE_US)
})

test('K2 what comes and goes often is folded for longer', () => {
  const tally = tallyOf()
  tally.add(events('a', [0, 1], [5, 1], [10, 1], [15, 1], [20, 1], [40, 1], [80, 1]))
  const { episodes, alerts, flapping } = tally.report()
  assert.deepEqual([episodes, alerts, flapping], [7, 2, 1])
})

test('days are those of UTC, the first to the last of the span', () => {
  const tally = tallyOf()
  tally.add(events('a', [0, 1], [11 * 60, 1], [12 * 60, 1], [60 * 60]))
  assert.deepEqual(
    tally
      .report()
      .days.map(({ startUs, episodes, alerts }) => [startUs / DAY_US, episodes, alerts]),
    [
      [100, 2, 2],
      [101, 1, 1],
      [102, 0, 0],
      [103, 1, 1],
    ],
  )
})

test('the noisiest devices and the longest episodes come first; what still fires counts', () => {
  const tally = tallyOf()
  tally.add(events('b', [0, 1], [60, 1], [120, 1]))
  tally.add(events('a', [0, 30], [60, 1]))
  for (let n = 0; n < 30; n++) tally.add(events(`c${n}`, [0, 2]))
  tally.add(events('d', [60 * 60]))
  const { noisiest, longest } = tally.report()
  assert.equal(noisiest.length, 10)
  assert.deepEqual(
    noisiest.slice(0, 3).map(({ deviceId, alerts }) => [deviceId, alerts]),
    [
      ['b', 3],
      ['a', 2],
      ['c0', 1],
    ],
  )
  assert.deepEqual(
    longest.slice(0, 3).map(({ deviceId }) => deviceId),
    ['d', 'a', 'c0'],
  )
  assert.equal(longest[0]!.resolvedAtUs, undefined)
})

test('a budget holds for each stretch from the end backwards', () => {
  const budget = (alerts: number) => {
    const tally = tallyOf({ budget: { alerts, per: '1d' } })
    // Two before and three behind one in the morning, 13 hours after the start.
    tally.add(events('a', [740, 1], [760, 1], [790, 1], [810, 1], [830, 1]))
    return tally.report().budget!
  }
  const { most, mostFromUs, isKept } = budget(3)
  assert.deepEqual([most, isKept], [3, true])
  assert.equal(mostFromUs, SPAN.endUs - 2 * DAY_US)
  assert.equal(budget(2).isKept, false)
  assert.equal(tallyOf().report().budget, undefined)
})
