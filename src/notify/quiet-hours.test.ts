import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { quietUntilUs, refusalOfQuietHours, type QuietHours } from './quiet-hours.ts'

const MINUTE_US = 60_000_000
const usOf = (time: string): number => Date.parse(time) * 1000
const textOf = (us: number | undefined): string | undefined =>
  us === undefined ? undefined : new Date(us / 1000).toISOString().slice(0, 16)

const night = (timeZone: string): QuietHours => ({ from: '22:00', to: '07:00', timeZone })
const berlin = night('Europe/Berlin')

/** In 2026 Berlin goes forward on 29 March at 01:00Z and back on 25 October at 01:00Z. */
const TABLE: [string, QuietHours, string, string | undefined][] = [
  ['the evening of winter', berlin, '2026-01-10T21:00Z', '2026-01-11T06:00'],
  ['a minute before it', berlin, '2026-01-10T20:59Z', undefined],
  ['the end of it', berlin, '2026-01-11T06:00Z', undefined],
  ['the minute before its end', berlin, '2026-01-11T05:59:59Z', '2026-01-11T06:00'],
  ['noon', berlin, '2026-01-11T11:00Z', undefined],
  ['the evening of summer', berlin, '2026-07-10T20:00Z', '2026-07-11T05:00'],
  ['the night that is an hour shorter', berlin, '2026-03-28T21:00Z', '2026-03-29T05:00'],
  ['within it, after the change', berlin, '2026-03-29T01:00Z', '2026-03-29T05:00'],
  ['the night that is an hour longer', berlin, '2026-10-24T20:00Z', '2026-10-25T06:00'],
  ['within it, the hour that comes twice', berlin, '2026-10-25T00:30Z', '2026-10-25T06:00'],
  ['within it, for the second time', berlin, '2026-10-25T01:30Z', '2026-10-25T06:00'],
  [
    'an end that does not exist that night',
    { ...berlin, to: '02:30' },
    '2026-03-29T00:59Z',
    '2026-03-29T01:00',
  ],
  [
    'hours of which the wall shows none that night',
    { ...berlin, from: '02:00', to: '03:00' },
    '2026-03-29T01:00Z',
    undefined,
  ],
  [
    'an end that comes twice, the first time',
    { ...berlin, to: '02:30' },
    '2026-10-25T00:15Z',
    '2026-10-25T00:30',
  ],
  [
    'an end that comes twice, the second time',
    { ...berlin, to: '02:30' },
    '2026-10-25T01:15Z',
    '2026-10-25T01:30',
  ],
  ['an offset of 5:45', night('Asia/Kathmandu'), '2026-01-10T16:15Z', '2026-01-11T01:15'],
  [
    'a change of half an hour',
    night('Australia/Lord_Howe'),
    '2026-04-04T12:00Z',
    '2026-04-04T20:30',
  ],
  ['west of Greenwich', night('America/New_York'), '2026-11-01T03:00Z', '2026-11-01T12:00'],
  ['by day', { ...berlin, from: '09:00', to: '17:00' }, '2026-01-10T12:00Z', '2026-01-10T16:00'],
  ['until midnight', { ...berlin, to: '00:00' }, '2026-01-10T22:00Z', '2026-01-10T23:00'],
  ['never', { ...berlin, to: '22:00' }, '2026-01-10T21:00Z', undefined],
]

for (const [name, hours, now, expected] of TABLE)
  test(`Quiet hours: ${name}`, () => {
    assert.equal(textOf(quietUntilUs(hours, usOf(now))), expected)
  })

/** What the wall shows, asked in another way. */
function wallTime(us: number, timeZone: string): string {
  const how = { timeZone, timeStyle: 'short', hourCycle: 'h23' } as const
  return new Intl.DateTimeFormat('en-GB', how).format(us / 1000)
}

const isQuiet = ({ from, to, timeZone }: QuietHours, us: number): boolean => {
  const now = wallTime(us, timeZone)
  return from <= to ? now >= from && now < to : now >= from || now < to
}

const time = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 }))
  .map((parts) => parts.map((part) => String(part).padStart(2, '0')).join(':'))
const zone = fc.constantFrom(
  ...['Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'UTC'],
  ...['America/St_Johns', 'Africa/Casablanca', 'Pacific/Chatham'],
)
/** Around the changes of that year, and anywhere. */
const minute = fc.oneof(
  fc.integer({ min: 0, max: 2880 }).map((at) => usOf('2026-03-28T00:00Z') + at * MINUTE_US),
  fc.integer({ min: 0, max: 2880 }).map((at) => usOf('2026-10-24T00:00Z') + at * MINUTE_US),
  fc.integer({ min: 0, max: 525_600 }).map((at) => usOf('2026-01-01T00:00Z') + at * MINUTE_US),
)

test('Quiet hours end at the first minute at which the wall shows none of them', () => {
  fc.assert(
    fc.property(time, time, zone, minute, (from, to, timeZone, nowUs) => {
      const hours = { from, to, timeZone }
      let expected: number | undefined
      if (isQuiet(hours, nowUs)) {
        expected = nowUs
        while (isQuiet(hours, expected)) expected += MINUTE_US
      }
      assert.equal(textOf(quietUntilUs(hours, nowUs)), textOf(expected))
    }),
    { numRuns: 150 },
  )
})

test('Hours and zones that do not exist are refused by name', () => {
  assert.equal(refusalOfQuietHours(berlin), undefined)
  assert.match(refusalOfQuietHours({ ...berlin, from: '24:00' }) ?? '', /24:00/)
  assert.match(refusalOfQuietHours({ ...berlin, to: '7:00' }) ?? '', /7:00/)
  assert.match(refusalOfQuietHours(night('Europe/Atlantis')) ?? '', /Atlantis/)
})
