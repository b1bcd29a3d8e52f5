import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compilePipeline, defaultPlan, parsePipeline } from './compile.ts'
import { retentionOf } from './retention.ts'

const DAY_US = 86_400e6

test('without a word readings are hot for 7 days, warm for 90, and cold for 7 years', () => {
  const { hotUs, warmUs, coldUs, isExportedFirst, only } = defaultPlan().retention
  assert.deepEqual([hotUs, warmUs, coldUs], [7 * DAY_US, 90 * DAY_US, 2557 * DAY_US])
  assert.equal(isExportedFirst, false)
  assert.deepEqual(only, [])
})

test('the first of `only` that fits counts, and has from above what it does not say', () => {
  const { retention } = compilePipeline({
    version: 1,
    types: { truck: { schemas: { 1: { fuel: { unit: 'l' }, speed: { unit: 'km/h' } } } } },
    retention: {
      ...{ warm: '30d', cold: '365d', export: true },
      only: [
        { tenant: 'acme', type: 'truck', metric: 'speed', cold: '30d' },
        { type: 'truck', hot: '1d', warm: '2d' },
      ],
    },
  })
  const days = (tenant: string, deviceType: string, metric: string): number[] => {
    const { hotUs, warmUs, coldUs } = retentionOf(retention, { tenant, deviceType, metric })
    return [hotUs / DAY_US, warmUs / DAY_US, coldUs / DAY_US]
  }
  assert.deepEqual(days('acme', 'truck', 'speed'), [7, 30, 30])
  assert.deepEqual(days('other', 'truck', 'speed'), [1, 2, 365])
  assert.deepEqual(days('acme', 'generic', 'speed'), [7, 30, 365])
  assert.equal(retention.isExportedFirst, true)
})

test('ages that do not ascend, an unknown type and a day too short are told with their line', () => {
  const yaml = `version: 1
retention:
  hot: 12h
  warm: 30d
  cold: 10d
  only:
    - type: trucks
      warm: 1d
`
  assert.throws(
    () => parsePipeline(yaml, 'weir.yaml'),
    (error: Error) => {
      assert.match(error.message, /weir.yaml:3.*hot.*found 12h, expected at least 1d/)
      assert.match(error.message, /weir.yaml:5.*cold.*found 10d, expected at least warm \(30d\)/)
      assert.match(error.message, /weir.yaml:7.*type.*found "trucks", expected one of generic/)
      return true
    },
  )
})
