import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filled } from './fill.ts'
import { gridOf, startOfStepBehind, stepsBefore, type CalendarStep } from './step-grid.ts'

const startsOf = (calendar: CalendarStep, from: string, to: string): string[] => {
  const [startUs, endUs] = [Date.parse(from) * 1000, Date.parse(to) * 1000]
  const grid = gridOf({ stepUs: undefined, calendar, startUs, endUs, pointsMax: 1000 })
  const starts: string[] = []
  for (let step = grid.indexOf(startUs); grid.startUsOf(step) < endUs; step++) {
    starts.push(new Date(grid.startUsOf(step) / 1000).toISOString())
    assert.equal(grid.indexOf(grid.startUsOf(step)), step)
    assert.equal(grid.indexOf(grid.startUsOf(step + 1) - 1), step)
  }
  return starts
}

test('days are as long as they are where people ask: 23, 24 and 25 hours', () => {
  const day: CalendarStep = { unit: 'day', count: 1, timeZone: 'Europe/Berlin' }
  assert.deepEqual(startsOf(day, '2026-03-28T12:00:00Z', '2026-03-30T12:00:00Z'), [
    '2026-03-27T23:00:00.000Z',
    '2026-03-28T23:00:00.000Z',
    '2026-03-29T22:00:00.000Z',
  ])
  assert.deepEqual(startsOf(day, '2026-10-24T22:00:00Z', '2026-10-26T12:00:00Z'), [
    '2026-10-24T22:00:00.000Z',
    '2026-10-25T23:00:00.000Z',
  ])
})

test('a day whose midnight is left out begins when the clock goes on', () => {
  const day: CalendarStep = { unit: 'day', count: 1, timeZone: 'America/Sao_Paulo' }
  const starts = startsOf(day, '2018-11-03T12:00:00Z', '2018-11-05T12:00:00Z')
  assert.deepEqual(starts, [
    '2018-11-03T03:00:00.000Z',
    '2018-11-04T03:00:00.000Z',
    '2018-11-05T02:00:00.000Z',
  ])
})

test('weeks begin on Mondays, months and years on their first day, several in steps from 1970', () => {
  const of = (unit: CalendarStep['unit'], count = 1): CalendarStep => ({
    unit,
    count,
    timeZone: 'UTC',
  })
  assert.deepEqual(startsOf(of('week'), '2026-11-29T00:00:00Z', '2026-12-01T00:00:00Z'), [
    '2026-11-23T00:00:00.000Z',
    '2026-11-30T00:00:00.000Z',
  ])
  assert.deepEqual(startsOf(of('month', 3), '2026-01-15T00:00:00Z', '2026-08-01T00:00:00Z'), [
    '2026-01-01T00:00:00.000Z',
    '2026-04-01T00:00:00.000Z',
    '2026-07-01T00:00:00.000Z',
  ])
  assert.deepEqual(startsOf(of('year'), '1969-06-01T00:00:00Z', '1970-06-01T00:00:00Z'), [
    '1969-01-01T00:00:00.000Z',
    '1970-01-01T00:00:00.000Z',
  ])
})

test('windows fit into steps of zones that are whole hours away, and not of others', () => {
  const at = (timeZone: string) => {
    const [startUs, endUs] = [Date.parse('2026-01-01Z') * 1000, Date.parse('2026-01-05Z') * 1000]
    const calendar: CalendarStep = { unit: 'day', count: 1, timeZone }
    return gridOf({ stepUs: undefined, calendar, startUs, endUs, pointsMax: 100 })
  }
  assert.ok(at('Europe/Berlin').takesWindows(3_600e6))
  assert.ok(!at('Asia/Kolkata').takesWindows(3_600e6))
  assert.ok(at('Asia/Kolkata').takesWindows(300e6))
})

test('steps without readings are filled as asked', () => {
  const grid = gridOf({ stepUs: 10, startUs: 0, endUs: 60, pointsMax: 10 })
  const points = (): [number, number | null][] => [
    [10, 1],
    [40, 4],
  ]
  const values = (fill: 'none' | 'null' | 'zero' | 'previous' | 'linear') =>
    filled(points(), { fill, grid, startUs: 0, endUs: 60, pointsMax: 10 }).map(([, value]) => value)
  assert.deepEqual(values('none'), [1, 4])
  assert.deepEqual(values('null'), [null, 1, null, null, 4, null])
  assert.deepEqual(values('zero'), [0, 1, 0, 0, 4, 0])
  assert.deepEqual(values('previous'), [null, 1, 1, 1, 4, 4])
  assert.deepEqual(values('linear'), [null, 1, 2, 3, 4, null])
  // A step with readings keeps what it has, also nothing: one reading deviates from none.
  const one = (fill: 'zero' | 'previous' | 'linear') =>
    filled([...points(), [20, null]], { fill, grid, startUs: 0, endUs: 60, pointsMax: 10 }).map(
      ([, value]) => value,
    )
  assert.deepEqual(one('zero'), [0, 1, null, 0, 4, 0])
  assert.deepEqual(one('previous'), [null, 1, null, 1, 4, 4])
  assert.deepEqual(one('linear'), [null, 1, null, 3, 4, null])
  assert.throws(
    () => filled(points(), { fill: 'null', grid, startUs: 0, endUs: 60, pointsMax: 5 }),
    {
      code: 'QUERY_LIMIT_EXCEEDED',
    },
  )
})

test('zero is false among booleans, and nothing among texts', () => {
  const grid = gridOf({ stepUs: 10, startUs: 0, endUs: 30, pointsMax: 10 })
  const zero = (value: boolean | string) =>
    filled([[10, value]], { fill: 'zero', grid, startUs: 0, endUs: 30, pointsMax: 10 })
  assert.deepEqual(
    zero(true).map(([, value]) => value),
    [false, true, false],
  )
  assert.deepEqual(
    zero('on').map(([, value]) => value),
    [null, 'on', null],
  )
})

test('so many steps before, by the wall: over summer time, and in shorter months', () => {
  const of = (unit: CalendarStep['unit'], count: number, timeZone = 'Europe/Berlin') =>
    ({ unit, count, timeZone }) satisfies CalendarStep
  const before = (step: CalendarStep, time: string, steps: number): string =>
    new Date(stepsBefore(step, Date.parse(time) * 1000, steps) / 1000).toISOString()
  const day = of('day', 1)
  assert.equal(before(day, '2026-03-30T22:00:00.125Z', 7), '2026-03-23T23:00:00.125Z')
  assert.equal(before(day, '2026-10-27T11:30:00Z', 2), '2026-10-25T11:30:00.000Z')
  // Half past two was left out on that day.
  assert.equal(before(day, '2026-03-30T00:30:00Z', 1), '2026-03-29T01:30:00.000Z')
  assert.equal(before(of('week', 2), '2026-04-06T22:00:00Z', 1), '2026-03-23T23:00:00.000Z')
  const month = of('month', 1, 'UTC')
  assert.equal(before(month, '2026-03-31T12:00:00Z', 1), '2026-02-28T12:00:00.000Z')
  assert.equal(before(month, '2026-03-01T00:00:00Z', 14), '2025-01-01T00:00:00.000Z')
  assert.equal(before(of('year', 1, 'UTC'), '2024-02-29T00:00:00Z', 1), '2023-02-28T00:00:00.000Z')
  const startUs = startOfStepBehind(day, Date.parse('2026-03-23T23:00:00Z') * 1000, 7)
  assert.equal(new Date(startUs / 1000).toISOString(), '2026-03-30T22:00:00.000Z')
})
