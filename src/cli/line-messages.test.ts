import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineProtocolMessages, NdjsonMessages, scanLine } from './line-messages.ts'

test('the device of a line is the first of the tags that name one, with escapes undone', () => {
  const cases: [string, string, number][] = [
    ['m,name=truck_1,fleet=South a=1,b=2 1451606400000000000', 'truck_1', 2],
    ['m,name=x,device_id=y a=1', 'y', 1],
    ['m,name=,host=h a=1', 'h', 1],
    ['m,name=big\\ truck\\,1 a="x, y=z w",b=2i 1', 'big truck,1', 2],
    ['m\\,odd,device=d a="quote \\" here",b=t', 'd', 2],
    ['m a=1 1', '', 1],
  ]
  for (const [line, deviceId, readings] of cases)
    assert.deepEqual(scanLine(line), { deviceId, readings }, line)
})

test('lines arrive in pieces; comments and empty lines are none; the last needs no line end', () => {
  const messages = new LineProtocolMessages()
  const items = [
    ...messages.push('# comment\nm,host=a x'),
    ...messages.push('=1 1\r\n\nm,host=b y=2 2'),
    ...messages.end(),
  ]
  assert.deepEqual(
    items.map((item) => [item.line, item.kind === 'message' && item.text]),
    [
      [2, 'm,host=a x=1 1'],
      [4, 'm,host=b y=2 2'],
    ],
  )
})

test('a broken JSON line is refused by itself and leaves its neighbours alone', () => {
  const messages = new NdjsonMessages()
  const items = messages.push(
    '{"device":"a","ts":1,"t":2,"u":3}\n{"device":\n[1]\n{"device":"b","metrics":{"t":1}}\n',
  )
  assert.deepEqual(
    items.map((item) =>
      item.kind === 'message' ? [item.deviceId, item.readings] : [item.line, item.code],
    ),
    [
      ['a', 2],
      [2, 'TELEMETRY_JSON_INVALID'],
      [3, 'TELEMETRY_SHAPE_INVALID'],
      ['b', 1],
    ],
  )
})
