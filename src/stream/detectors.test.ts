import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Detectors } from './detectors.ts'
import { LIMITS, PLAN, SERIES } from './script.ts'

test('anomalies of two devices have two ids, also under the same number and at one time', () => {
  const idOf = (deviceId: string): string => {
    const detectors = new Detectors(PLAN.detectors, LIMITS.seriesMax)
    detectors.attach({ ...SERIES[0]!, deviceId })
    for (const value of [1, 2, 1, 2, 1]) detectors.observe(0, value, 1)
    detectors.observe(0, 1000, 2)
    return detectors.take()[0]!.id
  }
  assert.notEqual(idOf('one'), idOf('other'))
  assert.equal(idOf('one'), idOf('one'))
})
