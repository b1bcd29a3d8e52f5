import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Silence } from './alerts.ts'
import { advance, ALERT_TIMES } from './alert-machine.ts'
import { eventOf } from './alerts-fixture.ts'
import { isSilenced } from './holding.ts'

/** Tuesday, 2026-11-24, 03:00 in UTC. */
const NOW_US = 1_795_489_200_000_000
const HOUR_US = 3_600_000_000

const { record } = advance(
  undefined,
  { kind: 'fired', event: eventOf(1, NOW_US) },
  { nowUs: NOW_US, times: ALERT_TIMES },
).alert!

const silence = (change: Partial<Silence> = {}): Silence => ({
  ...{ comment: '', fromUs: NOW_US, untilUs: NOW_US + HOUR_US },
  ...change,
})

test('A silence matches what it names, and all of what it does not, from its begin to its end', () => {
  for (const [change, expected] of [
    [{}, true],
    [{ deviceId: 'pump-01', ruleId: 'hot', severity: 'warning' }, true],
    [{ deviceId: 'pump-02' }, false],
    [{ ruleId: 'cold' }, false],
    [{ severity: 'critical' }, false],
  ] as const) {
    assert.equal(isSilenced(silence(change), record, NOW_US), expected, JSON.stringify(change))
  }
  assert.equal(isSilenced(silence(), record, NOW_US - 1), false)
  assert.equal(isSilenced(silence(), record, NOW_US + HOUR_US - 1), true)
  assert.equal(isSilenced(silence(), record, NOW_US + HOUR_US), false)
})

test('A maintenance window is within its hours and days by the clock of its place', () => {
  const weekly = silence({ fromUs: 0, untilUs: 2 * NOW_US })
  const night = { from: '22:00', to: '06:00', timeZone: 'Europe/Berlin' }
  const at = (change: Partial<Silence>): boolean =>
    isSilenced({ ...weekly, ...change }, record, NOW_US)
  assert.equal(at({ hours: night }), true)
  assert.equal(at({ hours: { ...night, timeZone: 'Asia/Tokyo' } }), false)
  // 04:00 of Tuesday in Berlin lies in the night that began on Monday.
  assert.equal(at({ hours: night, days: [1] }), true)
  assert.equal(at({ hours: night, days: [2] }), false)
})
