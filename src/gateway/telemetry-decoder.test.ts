import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MESSAGE_CLOCK_SKEWED, MESSAGE_WITHOUT_TIME } from '../batch/batch.ts'
import { NOW_US, TestGateway } from './testing.ts'

const NOW_MS = NOW_US / 1000

/** Codes of the rejections of one body. */
function codes(body: string, device?: string): string[] {
  const gateway = new TestGateway()
  gateway.json(body, device)
  return gateway.decoder.outcome.rejected.map(({ code }) => code)
}

test('nested and flat messages give the same readings', () => {
  const gateway = new TestGateway()
  gateway.json(`{"ts":${NOW_MS},"metrics":{"temperature":21.5,"running":true}}`, 'pump-1')
  gateway.json(`{"ts":${NOW_MS},"temperature":21.5,"running":true}`, 'pump-1')
  const { messages } = gateway.take()
  assert.deepEqual(messages[0], {
    device: 'pump-1',
    eventTimeUs: NOW_US,
    flags: 0,
    hasIdentity: false,
    readings: { temperature: 21.5, running: 1 },
  })
  assert.deepEqual(messages[1], messages[0])
})

for (const [why, body, code] of [
  ['not JSON', '{"temperature":21.5', 'TELEMETRY_JSON_INVALID'],
  ['no object', '42', 'TELEMETRY_SHAPE_INVALID'],
  ['a metric of no schema', '{"temperature":1,"humidity":2}', 'TELEMETRY_METRIC_UNKNOWN'],
  ['a required metric missing', '{"pressure":2}', 'TELEMETRY_METRIC_MISSING'],
  ['a wrong type', '{"temperature":"21"}', 'TELEMETRY_TYPE_MISMATCH'],
  ['out of range', '{"temperature":151}', 'TELEMETRY_VALUE_OUT_OF_RANGE'],
  ['an overflow', '{"temperature":1e999}', 'TELEMETRY_VALUE_NOT_FINITE'],
  ['null', '{"temperature":null}', 'TELEMETRY_VALUE_NOT_FINITE'],
  ['no metrics', '{"metrics":{}}', 'TELEMETRY_METRICS_EMPTY'],
  ['an unknown version', '{"schema":"pump@9","temperature":1}', 'TELEMETRY_SCHEMA_UNKNOWN'],
  ['seconds', `{"ts":${NOW_MS / 1000},"temperature":1}`, 'TIME_UNIT_WRONG'],
  ['nanoseconds', `{"ts":${NOW_MS}000000,"temperature":1}`, 'TIME_UNIT_WRONG'],
  ['nine days ago', `{"ts":${NOW_MS - 9 * 864e5},"temperature":1}`, 'TIME_TOO_OLD'],
  ['no time at all', '{"ts":"yesterday","temperature":1}', 'TIME_FORMAT_INVALID'],
  ['another device', '{"device":"pump-2","temperature":1}', 'GATEWAY_DEVICE_FORBIDDEN'],
  ['a stray key', '{"metrics":{"temperature":1},"x":1}', 'TELEMETRY_SHAPE_INVALID'],
  ['a long text', `{"temperature":1,"mode":"${'x'.repeat(65)}"}`, 'TELEMETRY_TEXT_TOO_LONG'],
] as const) {
  test(`refused with ${code}: ${why}`, () => assert.deepEqual(codes(body, 'pump-1'), [code]))
}

test('an integer beyond 2^53 is refused, not rounded', () => {
  assert.deepEqual(codes('{"x":9007199254740993}', 'generic-1'), ['TELEMETRY_INTEGER_TOO_LARGE'])
})

test('row 83: the longest integer is refused, not rounded; what has an exponent is a float', () => {
  for (const digits of [16, 21, 22, 30, 300]) {
    const body = `{"x":-1${'2'.repeat(digits)}}`
    assert.deepEqual(codes(body, 'generic-1'), ['TELEMETRY_INTEGER_TOO_LARGE'], body)
  }
  assert.deepEqual(codes('{"x":1.5e300}', 'generic-1'), [])
  assert.deepEqual(codes(`{"x":0.${'1'.repeat(30)}}`, 'generic-1'), [])
})

test('row 83: two ids never become one', () => {
  assert.deepEqual(codes('{"id":9007199254740993,"x":1}', 'generic-1'), ['TELEMETRY_SHAPE_INVALID'])
  assert.deepEqual(codes('{"id":"\\ud800","x":1}', 'generic-1'), ['TELEMETRY_SHAPE_INVALID'])
  assert.deepEqual(codes('{"id":9007199254740991,"x":1}', 'generic-1'), [])
})

test('row 83: what nests a hundred thousand levels deep is refused with its reason', () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  assert.deepEqual(codes(`{"ts":${deep},"x":1}`, 'generic-1'), ['TIME_FORMAT_INVALID'])
  assert.deepEqual(codes(`{"x":${deep}}`, 'generic-1'), ['TELEMETRY_SHAPE_INVALID'])
  const long = `${'['.repeat(50_000)}${'1'.repeat(30)}${']'.repeat(50_000)}`
  assert.deepEqual(codes(`{"x":${long}}`, 'generic-1'), ['TELEMETRY_JSON_INVALID'])
})

test('row 83: half a surrogate pair is no name and no text', () => {
  for (const body of ['{"\\ud800":1}', '{"x":"\\udfff"}', '{"x":1,"tags":{"a":"\\ud800"}}']) {
    assert.deepEqual(codes(body, 'generic-1'), ['TELEMETRY_SHAPE_INVALID'], body)
  }
})

test('a device has at most its share of series', () => {
  const many = Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`m${i}`, i]))
  assert.deepEqual(codes(JSON.stringify(many), 'generic-1'), ['SERIES_LIMIT'])
})

test('a refused message leaves a dead letter with payload, device, time and reason', () => {
  const gateway = new TestGateway()
  gateway.json('{"temperature":999}', 'pump-1')
  const { messages, deadLetters } = gateway.take()
  assert.equal(messages.length, 0)
  assert.equal(deadLetters.length, 1)
  const { deviceId, receivedAtUs, code, payload } = deadLetters[0]!
  assert.deepEqual(
    { deviceId, receivedAtUs, code, payload },
    {
      deviceId: 'pump-1',
      receivedAtUs: NOW_US,
      code: 'TELEMETRY_VALUE_OUT_OF_RANGE',
      payload: '{"temperature":999}',
    },
  )
})

test('in an array good messages are kept and bad ones named by index', () => {
  const gateway = new TestGateway()
  gateway.json(
    '[{"temperature":1},{"temperature":999}, {"temperature":2} ,{"pressure":1}]',
    'pump-1',
  )
  const { accepted, rejected } = gateway.decoder.outcome
  assert.equal(accepted, 2)
  assert.deepEqual(
    rejected.map(({ index }) => index),
    [1, 3],
  )
  assert.deepEqual(
    gateway.take().messages.map(({ readings }) => readings['temperature']),
    [1, 2],
  )
})

test('an array that is no JSON counts not at all, however good its beginning', () => {
  const gateway = new TestGateway()
  gateway.json('[{"temperature":1},{"temperature":2},{"temperature":', 'pump-1')
  assert.equal(gateway.decoder.outcome.accepted, 0)
  assert.deepEqual(gateway.decoder.outcome.rejected[0]?.code, 'TELEMETRY_JSON_INVALID')
  const { messages, deadLetters } = gateway.take()
  assert.equal(messages.length, 0)
  assert.equal(deadLetters.length, 1)
})

test('a clock ahead of ours or never set is not believed; its time becomes the identity', () => {
  const gateway = new TestGateway()
  gateway.json(`{"ts":${NOW_MS + 6000},"temperature":1}`, 'pump-1')
  gateway.json(`{"ts":123456,"temperature":1}`, 'pump-1')
  gateway.json(`{"temperature":1}`, 'pump-1')
  const { messages } = gateway.take()
  assert.deepEqual(
    messages.map(({ eventTimeUs, flags, hasIdentity }) => [
      eventTimeUs - NOW_US,
      flags,
      hasIdentity,
    ]),
    [
      [0, MESSAGE_CLOCK_SKEWED, true],
      [1, MESSAGE_CLOCK_SKEWED, true],
      [2, MESSAGE_WITHOUT_TIME, false],
    ],
  )
})

test('RFC 3339 is read to the microsecond', () => {
  const gateway = new TestGateway()
  const iso = new Date(NOW_MS).toISOString().replace('.000Z', '.123456Z')
  gateway.json(`{"ts":"${iso}","temperature":1}`, 'pump-1')
  assert.equal(gateway.take().messages[0]?.eventTimeUs, NOW_US + 123_456)
})

test('declared dimensions make series, other tags do not', () => {
  const gateway = new TestGateway()
  gateway.json('{"load":5,"tags":{"slot":"a","color":"red"}}', 'rack-1')
  assert.deepEqual(gateway.take().messages[0]?.readings, { 'load,slot=a': 5 })
})

test('a second message of a shape takes the fast way: with an id, a device, booleans, blanks', () => {
  for (const [body, device] of [
    [`{"ts":${NOW_MS},"metrics":{"temperature":21.5,"running":false}}`, 'pump-1'],
    [`{"id":"m-1","ts":${NOW_MS},"temperature":-1e-3}`, 'pump-1'],
    [`{"device":"pump-1", "ts":${NOW_MS}, "metrics": {"temperature": 20} }`, undefined],
    [`{"schema":"pump@1","device":"pump-1","temperature":0,"pressure":0.25}`, undefined],
    [`{"anything":12345.678,"on":true}`, 'generic-1'],
  ] as const) {
    const gateway = new TestGateway()
    gateway.json(body, device)
    assert.equal(gateway.decoder.fastCount, 0, body)
    gateway.json(body, device)
    gateway.json(`[${body}, ${body}]`, device)
    assert.equal(gateway.decoder.fastCount, 3, body)
  }
})

test('what was learned outlives the buffer that it was learned from', () => {
  // As a socket does it: every read into the same Buffer, whose `slice` copies nothing.
  const buffer = Buffer.alloc(200)
  const read = (body: string): Uint8Array => buffer.subarray(0, buffer.write(body))
  const gateway = new TestGateway()
  for (let i = 0; i < 3; i++) gateway.json(read('{"heat":1,"load":2}'), 'generic-1')
  assert.equal(gateway.decoder.fastCount, 2)
  gateway.json(read('{"load":3,"heat":4}'), 'generic-1')
  const { messages } = gateway.take()
  assert.deepEqual(messages.at(-1)?.readings, { load: 3, heat: 4 })
  gateway.json(read(' {"heat":5,"load":6}'), 'generic-1')
  gateway.json(read('{"heat":7,"load":8}'), 'generic-1')
  assert.equal(gateway.decoder.fastCount, 4, 'the first shape is still known, wherever it stands')
})

// The fast way must never say anything that the slow way would not.

const scalar = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer({ min: -1000, max: 1000 }),
  fc.double({ min: -60, max: 200, noNaN: true }).map((x) => Number(x.toFixed(3))),
  fc.boolean(),
  fc.constantFrom('ok', 'a"b', 'é', null, 1e15, 2 ** 53 + 2, 1e-7),
)
const message = fc.record(
  {
    ts: fc.oneof(
      fc.integer({ min: NOW_MS - 1e6, max: NOW_MS + 1e4 }),
      fc.constantFrom(0, 12.5, NOW_MS / 1000, '2025-10-09T08:53:20Z', null),
    ),
    id: fc.constantFrom('a', 'bé', 'x"y', 7),
    device: fc.constantFrom('pump-1', 'pump-2', 'generic-1', 'nobody'),
    temperature: scalar,
    pressure: scalar,
    running: scalar,
    mode: scalar,
  },
  { requiredKeys: [] },
)
const nested = message.map(({ ts, id, device, ...metrics }) => ({ ts, id, device, metrics }))

function outcomeOf(gateway: TestGateway, body: string | Uint8Array, device: string | undefined) {
  gateway.json(body, device)
  const { accepted, rejected } = gateway.decoder.outcome
  return { accepted, codes: rejected.map(({ code }) => code), ...gateway.take() }
}

test('property: after learning, every message is read as by a decoder that never learned', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(message, nested), { minLength: 1, maxLength: 12 }),
      fc.constantFrom('pump-1', 'generic-1', undefined),
      fc.constantFrom(0, 1),
      (messages, device, indent) => {
        const learned = new TestGateway()
        const bodies = messages.map((m) => JSON.stringify(m, undefined, indent))
        // Series begin with the first value's kind, so both decoders see the same history; only
        // one of them has its templates.
        const fresh = new TestGateway()
        const socket = Buffer.alloc(4096)
        for (const body of [...bodies, ...bodies]) {
          fresh.forget()
          const read = socket.subarray(0, socket.write(body))
          assert.deepEqual(outcomeOf(learned, read, device), outcomeOf(fresh, body, device), body)
        }
        const array = `[${bodies.join(', ')}]`
        fresh.forget()
        const a = outcomeOf(learned, array, device)
        fresh.forget()
        assert.deepEqual(a, outcomeOf(fresh, array, device))
      },
    ),
    { numRuns: 300 },
  )
})

test('property: mutated bytes are read the same way with and without learning, and never throw', () => {
  const base = `{"ts":${NOW_MS},"id":"m1","metrics":{"temperature":21.53,"pressure":1.25}}`
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(base.length - 1), fc.integer({ min: 0, max: 255 })), {
        maxLength: 3,
      }),
      fc.nat(base.length),
      (changes, length) => {
        const bytes = new TextEncoder().encode(base)
        for (const [at, byte] of changes) bytes[at] = byte
        const body = bytes.subarray(0, changes.length === 0 ? length : bytes.length)
        const learned = new TestGateway()
        learned.json(base, 'pump-1')
        learned.take()
        const fresh = new TestGateway()
        fresh.json(base, 'pump-1')
        fresh.take()
        fresh.forget()
        assert.deepEqual(outcomeOf(learned, body, 'pump-1'), outcomeOf(fresh, body, 'pump-1'))
      },
    ),
    { numRuns: 2000 },
  )
})
