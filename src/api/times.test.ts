import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseEarlier, parseStep, parseTime } from './times.ts'

const refused = { code: 'API_PARAMETER_INVALID' }

test('RFC 3339 is what Date reads, to the microsecond, at any offset', () => {
  const offsets = fc.record({
    sign: fc.constantFrom('+', '-'),
    hour: fc.nat(23),
    minute: fc.nat(59),
  })
  const two = (count: number) => String(count).padStart(2, '0')
  fc.assert(
    fc.property(
      fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true }),
      fc.nat(999),
      offsets,
      (date, us, { sign, hour, minute }) => {
        const offset = `${sign}${two(hour)}:${two(minute)}`
        const local = date.toISOString().slice(0, 23)
        const text = `${local}${String(us).padStart(3, '0')}${offset}`
        assert.equal(parseTime(text, 'start'), Date.parse(`${local}${offset}`) * 1000 + us)
      },
    ),
  )
})

test('milliseconds, whole or with a fraction, and the other spellings of RFC 3339', () => {
  assert.equal(parseTime('1767225600000', 'start'), 1767225600000000)
  assert.equal(parseTime('0.5', 'start'), 500)
  assert.equal(parseTime('-1', 'start'), -1000)
  assert.equal(parseTime('1970-01-01t00:00:01z', 'start'), 1_000_000)
  assert.equal(parseTime('1970-01-01 00:00:01.1234567Z', 'start'), 1_123_456)
  assert.equal(parseTime('2016-12-31T23:59:60Z', 'start'), Date.UTC(2017, 0, 1) * 1000)
  assert.equal(parseTime('2024-02-29T00:00:00Z', 'start'), Date.UTC(2024, 1, 29) * 1000)
})

test('what is no time is refused with the parameter’s name', () => {
  const wrong = [
    '',
    'now',
    '2026-01-01',
    '2026-01-01T00:00:00',
    '2026-02-30T00:00:00Z',
    '2025-02-29T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:60:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-01T00:00:00+24:00',
    '1e12',
    '0x10',
    ' 1',
    '9007199254741',
    '99999999999999999',
  ]
  for (const text of wrong)
    assert.throws(() => parseTime(text, 'end'), { ...refused, message: /^end: / }, text)
})

test('any text is a time or refused, never NaN', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\d:.TZ+-]{1,30}$/)), (text) => {
      try {
        assert.ok(Number.isSafeInteger(parseTime(text, 'x')))
      } catch (error) {
        assert.equal((error as { code: string }).code, refused.code)
      }
    }),
  )
})

test('steps are milliseconds or durations, above zero', () => {
  assert.equal(parseStep('1500', 'step'), 1_500_000)
  assert.equal(parseStep('5m', 'step'), 300_000_000)
  for (const text of ['0', '0s', '-1', '1.5s', '1w', '', 'm']) {
    assert.throws(() => parseStep(text, 'step'), { ...refused, message: /^step: / }, text)
  }
})

test('what is compared with is a whole number of steps', () => {
  const of = (unit: 'day' | 'week' | 'month' | 'year', count = 1) => ({
    stepUs: undefined,
    calendar: { unit, count, timeZone: 'UTC' },
  })
  assert.deepEqual(parseEarlier('90m', { stepUs: undefined }), { us: 5_400e6 })
  assert.deepEqual(parseEarlier('1w', { stepUs: 3_600e6 }), { us: 7 * 86_400e6 })
  assert.deepEqual(parseEarlier('7d', of('day')), { steps: 7 })
  assert.deepEqual(parseEarlier('1w', of('day')), { steps: 7 })
  assert.deepEqual(parseEarlier('14d', of('week')), { steps: 2 })
  assert.deepEqual(parseEarlier('1y', of('month', 3)), { steps: 4 })
  for (const [text, question] of [
    ['90m', { stepUs: 3_600e6 }],
    ['1mo', { stepUs: 3_600e6 }],
    ['24h', of('day')],
    ['3d', of('week')],
    ['31d', of('month')],
    ['1mo', of('year')],
    ['1mo', of('day')],
    ['soon', of('day')],
  ] as const) {
    assert.throws(() => parseEarlier(text, question), refused, text)
  }
})
