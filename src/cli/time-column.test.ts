import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TimeZone } from './local-time.ts'
import { parseTimestamp, timeReader } from './time-column.ts'

const shanghai = new TimeZone('Asia/Shanghai')
const noon = Date.parse('2024-05-01T12:00:00Z')

test('common formats give the same moment', () => {
  for (const text of [
    '2024-05-01T12:00:00Z',
    '2024-05-01 12:00:00Z',
    '2024-05-01T14:00:00+02:00',
    '2024-05-01T14:00:00.000+0200',
    '2024-05-01 20:00:00',
    '2024-05-01 20:00',
    '2024/5/1 20:00:00.0',
    ' 2024-05-01T20:00:00 ',
    '1714564800',
    '1714564800.0',
    '1714564800000',
  ])
    assert.equal(parseTimestamp(text, shanghai), noon, text)
})

test('digits below the millisecond are kept', () => {
  assert.equal(
    parseTimestamp('2024-05-01T12:00:00.123456Z', shanghai),
    '2024-05-01T12:00:00.123456Z',
  )
  assert.equal(
    parseTimestamp('2024-05-01 20:00:00.000250', shanghai),
    '2024-05-01T12:00:00.000250Z',
  )
})

test('what is no time is undefined: µs and ns, words, impossible dates', () => {
  for (const text of ['', 'yesterday', '1714564800000000', '2024-02-30', '12:00', '2024-05-01T12'])
    assert.equal(parseTimestamp(text, shanghai), undefined, text)
})

test('the parts of a time may be columns in any place', () => {
  const header = ['No', 'hour', 'day', 'month', 'year']
  const read = timeReader(header, ['year', 'month', 'day', 'hour'], shanghai)
  assert.equal(read(['1', '20', '1', '5', '2024']), noon)
  assert.equal(read(['1', '', '1', '5', '2024']), undefined)
})

test('a column that does not exist, or too few parts, is the user’s mistake', () => {
  const usage = { code: 'CLI_USAGE_INVALID' }
  assert.throws(() => timeReader(['a'], ['b'], shanghai), usage)
  assert.throws(() => timeReader(['year', 'month'], ['year', 'month'], shanghai), usage)
})
