import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TimeZone, type LocalTime } from './local-time.ts'

const at = (year: number, month: number, day: number, hour = 0, minute = 0): LocalTime => ({
  ...{ year, month, day, hour, minute },
  second: 0,
})
const iso = (zone: string, local: LocalTime): string | undefined => {
  const ms = new TimeZone(zone).toUtcMs(local)
  return ms === undefined ? undefined : new Date(ms).toISOString()
}

test('a zone without summer time has one offset', () => {
  assert.equal(iso('Asia/Shanghai', at(2013, 3, 1, 0)), '2013-02-28T16:00:00.000Z')
  assert.equal(iso('Asia/Kolkata', at(2024, 2, 29, 12)), '2024-02-29T06:30:00.000Z')
  assert.equal(iso('UTC', at(2024, 2, 29, 12)), '2024-02-29T12:00:00.000Z')
})

test('rules that a zone has left behind are kept: Shanghai had summer time in 1988', () => {
  assert.equal(iso('Asia/Shanghai', at(1988, 7, 1, 12)), '1988-07-01T03:00:00.000Z')
})

test('the hour that spring leaves out moves forward by the gap', () => {
  assert.equal(iso('Europe/Berlin', at(2024, 3, 31, 1, 59)), '2024-03-31T00:59:00.000Z')
  assert.equal(iso('Europe/Berlin', at(2024, 3, 31, 2, 30)), '2024-03-31T01:30:00.000Z')
  assert.equal(iso('Europe/Berlin', at(2024, 3, 31, 3, 0)), '2024-03-31T01:00:00.000Z')
})

test('the hour that autumn repeats is its first one', () => {
  assert.equal(iso('Europe/Berlin', at(2024, 10, 27, 2, 30)), '2024-10-27T00:30:00.000Z')
  assert.equal(iso('Europe/Berlin', at(2024, 10, 27, 3, 0)), '2024-10-27T02:00:00.000Z')
  assert.equal(iso('America/New_York', at(2024, 11, 3, 1, 30)), '2024-11-03T05:30:00.000Z')
  assert.equal(iso('Australia/Lord_Howe', at(2024, 4, 7, 1, 45)), '2024-04-06T14:45:00.000Z')
})

test('what a clock shows at a moment converts back to that moment, or to the earlier of two', () => {
  const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu']
  const minutes = fc.integer({ min: 0, max: (2100 - 1970) * 365 * 24 * 60 })
  fc.assert(
    fc.property(fc.constantFrom(...zones), minutes, (name, minute) => {
      const ms = minute * 60_000
      const shown = new Date(ms).toLocaleString('sv-SE', { timeZone: name })
      const [year, month, day, hour, mins] = shown.split(/[- :]/).map(Number)
      const back = new TimeZone(name).toUtcMs({
        ...{ year: year!, month: month!, day: day!, hour: hour!, minute: mins! },
        second: 0,
      })
      assert.ok(back !== undefined && back <= ms)
      const again = new Date(back).toLocaleString('sv-SE', { timeZone: name })
      assert.equal(again, shown)
    }),
  )
})

test('dates that do not exist and zones that do not exist are refused', () => {
  assert.equal(iso('UTC', at(2023, 2, 29)), undefined)
  assert.equal(iso('UTC', at(2023, 13, 1)), undefined)
  assert.equal(iso('UTC', at(2023, 1, 1, 24)), undefined)
  assert.equal(iso('Asia/Shanghai', at(Number.NaN, 1, 1)), undefined)
  assert.throws(() => new TimeZone('Mars/Olympus'), { code: 'CLI_USAGE_INVALID' })
})
