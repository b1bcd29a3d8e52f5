import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EVERY_DAY, isTimeZone, isWithin, nextChangeUs, type Schedule } from './schedule.ts'

const BERLIN = 'Europe/Berlin'
const us = (iso: string): number => Date.parse(iso) * 1000
const iso = (timeUs: number): string => new Date(timeUs / 1000).toISOString().slice(0, 16)

const WORK: Schedule = { days: [1, 2, 3, 4, 5], from: '08:00', to: '18:00', timeZone: BERLIN }
const NIGHT: Schedule = { days: [5], from: '22:00', to: '06:00', timeZone: BERLIN }

test('hours are those of the wall, in winter and in summer', () => {
  // Monday, 12 January 2026: UTC + 1. Monday, 13 July 2026: UTC + 2.
  assert.equal(isWithin(WORK, us('2026-01-12T06:59:59Z')), false)
  assert.equal(isWithin(WORK, us('2026-01-12T07:00:00Z')), true)
  assert.equal(isWithin(WORK, us('2026-01-12T17:00:00Z')), false)
  assert.equal(isWithin(WORK, us('2026-07-13T06:00:00Z')), true)
  assert.equal(isWithin(WORK, us('2026-07-13T16:00:00Z')), false)
  assert.equal(isWithin(WORK, us('2026-07-12T10:00:00Z')), false, 'a Sunday')
})

test('a night belongs to the day on which it begins', () => {
  // Friday, 16 January 2026.
  assert.equal(isWithin(NIGHT, us('2026-01-16T03:00:00Z')), false)
  assert.equal(isWithin(NIGHT, us('2026-01-16T21:00:00Z')), true)
  assert.equal(isWithin(NIGHT, us('2026-01-17T04:59:00Z')), true)
  assert.equal(isWithin(NIGHT, us('2026-01-17T05:00:00Z')), false)
  assert.equal(isWithin(NIGHT, us('2026-01-17T22:00:00Z')), false)
})

test('the next change is an end, a beginning, or next week’s', () => {
  assert.equal(iso(nextChangeUs(WORK, us('2026-01-12T12:34:56Z'))), '2026-01-12T17:00')
  assert.equal(iso(nextChangeUs(WORK, us('2026-01-12T17:00:00Z'))), '2026-01-13T07:00')
  assert.equal(iso(nextChangeUs(WORK, us('2026-01-16T20:00:00Z'))), '2026-01-19T07:00')
  assert.equal(iso(nextChangeUs(NIGHT, us('2026-01-17T05:00:00Z'))), '2026-01-23T21:00')
})

test('on the nights when clocks are put right, what the wall shows counts', () => {
  const early = (from: string, to: string): Schedule => ({
    ...{ days: EVERY_DAY, timeZone: BERLIN },
    ...{ from, to },
  })
  // 29 March 2026: 02:00 becomes 03:00. That night has no 02:30.
  const never = early('02:15', '02:45')
  assert.equal(iso(nextChangeUs(never, us('2026-03-29T00:00:00Z'))), '2026-03-30T00:15')
  assert.equal(
    iso(nextChangeUs(early('01:30', '02:30'), us('2026-03-29T00:45:00Z'))),
    '2026-03-29T01:00',
  )
  // 25 October 2026: 03:00 becomes 02:00. What lies in that hour comes twice.
  const twice = us('2026-10-25T00:15:00Z')
  assert.equal(isWithin(never, twice), true)
  assert.equal(iso(nextChangeUs(never, twice)), '2026-10-25T00:45')
  assert.equal(iso(nextChangeUs(never, us('2026-10-25T00:45:00Z'))), '2026-10-25T01:15')
  // A day of work that has 25 hours around it ends by the wall.
  assert.equal(
    iso(nextChangeUs(early('01:00', '24:00'), us('2026-10-25T00:00:00Z'))),
    '2026-10-25T23:00',
  )
})

test('what never changes is looked at again after days, and a zone must exist', () => {
  const always: Schedule = { days: EVERY_DAY, from: '00:00', to: '24:00', timeZone: 'UTC' }
  const nowUs = us('2026-01-12T12:00:00Z')
  assert.equal(isWithin(always, nowUs), true)
  assert.equal(iso(nextChangeUs(always, nowUs)), '2026-01-20T12:00')
  assert.equal(isTimeZone('Asia/Kolkata'), true)
  assert.equal(isTimeZone('Mars/Olympus'), false)
})
