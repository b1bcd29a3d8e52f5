import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WeirError } from '../errors/errors.ts'
import type { Clock } from '../world/world.ts'
import { createEvents, Histogram, Registry, renderMetrics, SloCounter } from './observe.ts'

test('counters, gauges and histograms are rendered as Prometheus reads them', () => {
  const registry = new Registry()
  registry.counter('weir_a_total', 'A\nlong \\ help.', { reason: 'a "quoted"\n\\ one' }).add(2)
  registry.counter('weir_a_total', 'A\nlong \\ help.', { reason: 'b' }).add()
  registry.gauge('weir_b_bytes', 'B.').set(-1.5)
  registry.gaugeOf('weir_c_ratio', 'C.', () => Number.NaN)
  const histogram = registry.histogram('weir_d_seconds', 'D.', {
    bounds: [0.1, 1],
    labels: { x: 'y' },
  })
  for (const value of [0.1, 0.5, 7]) histogram.observe(value)
  assert.equal(
    renderMetrics(registry.samples()),
    [
      '# HELP weir_a_total A\\nlong \\\\ help.',
      '# TYPE weir_a_total counter',
      'weir_a_total{reason="a \\"quoted\\"\\n\\\\ one"} 2',
      'weir_a_total{reason="b"} 1',
      '# HELP weir_b_bytes B.',
      '# TYPE weir_b_bytes gauge',
      'weir_b_bytes -1.5',
      '# HELP weir_c_ratio C.',
      '# TYPE weir_c_ratio gauge',
      'weir_c_ratio NaN',
      '# HELP weir_d_seconds D.',
      '# TYPE weir_d_seconds histogram',
      'weir_d_seconds_bucket{x="y",le="0.1"} 1',
      'weir_d_seconds_bucket{x="y",le="1"} 2',
      'weir_d_seconds_bucket{x="y",le="+Inf"} 3',
      'weir_d_seconds_sum{x="y"} 7.6',
      'weir_d_seconds_count{x="y"} 3',
      '',
    ].join('\n'),
  )
})

test('samples survive the way between threads, and those of two threads add up', () => {
  const registry = new Registry()
  registry.counter('weir_a_total', 'A.').add(2)
  const samples = structuredClone(registry.samples())
  assert.match(renderMetrics([...samples, ...registry.samples()]), /^weir_a_total 4$/m)
})

test('the same name and labels are the same child, in any order of labels', () => {
  const registry = new Registry()
  const child = registry.counter('weir_a_total', 'A.', { a: '1', b: '2' })
  assert.equal(registry.counter('weir_a_total', 'A.', { b: '2', a: '1' }), child)
  assert.notEqual(registry.counter('weir_a_total', 'A.', { a: '1' }), child)
})

test('a label that grows without bound is stopped', () => {
  const registry = new Registry()
  const name = (index: number) => registry.counter('weir_a_total', 'A.', { id: String(index) })
  for (let index = 0; index < 1000; index++) name(index)
  assert.throws(() => name(1000), RangeError)
})

test('a histogram counts every value once, in the first bucket that is large enough', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 20, noNaN: true })), (values) => {
      const histogram = new Histogram()
      for (const value of values) histogram.observe(value)
      assert.equal(
        histogram.counts.reduce((total, count) => total + count, 0),
        values.length,
      )
      for (const [index, bound] of histogram.bounds.entries()) {
        const upTo = histogram.counts.subarray(0, index + 1).reduce((sum, count) => sum + count, 0)
        assert.equal(upTo, values.filter((value) => value <= bound).length)
      }
    }),
  )
})

test('the SLO counts our faults and nobody else’s', () => {
  const slo = new SloCounter(new Registry())
  assert.equal(slo.ratio, 1)
  slo.accept(98)
  slo.refuse(new WeirError('GATEWAY_OVERLOADED'))
  slo.refuse(new Error('a bug'))
  slo.refuse(new WeirError('TELEMETRY_METRIC_UNKNOWN'), 50)
  slo.refuse(new WeirError('GATEWAY_DEVICE_FORBIDDEN'))
  assert.equal(slo.ratio, 0.98)
})

class TestClock implements Pick<Clock, 'nowUs' | 'monotonicMs'> {
  nowMs = 0
  nowUs = () => this.nowMs * 1000
  monotonicMs = () => this.nowMs
}

function observe(format: 'human' | 'json', level?: 'info' | 'warn' | 'error') {
  const lines: string[] = []
  const registry = new Registry()
  const clock = new TestClock()
  const events = createEvents({
    clock: clock as unknown as Clock,
    registry,
    format,
    write: (line) => void lines.push(line),
    ...(level === undefined ? {} : { level }),
  })
  const counted = () => registry.samples().reduce((total, { value }) => total + value, 0)
  return { lines, clock, events, counted }
}

test('an event is one line and one count', () => {
  const { lines, events, counted } = observe('json')
  events.deviceCreated({ deviceId: 'pump-1', type: 'pump' })
  assert.equal(counted(), 1)
  assert.deepEqual(JSON.parse(lines.join('')), {
    time: '1970-01-01T00:00:00.000Z',
    level: 'info',
    event: 'device_created',
    message: 'Registered a device',
    deviceId: 'pump-1',
    type: 'pump',
  })
})

test('a field cannot forge a line', () => {
  const { lines, events } = observe('human')
  events.deviceCreated({ deviceId: 'x\n1970 ERROR forged', type: 'pump' })
  assert.equal(
    lines.join(''),
    '1970-01-01T00:00:00.000Z INFO  Registered a device deviceId="x\\n1970 ERROR forged" type=pump\n',
  )
})

test('row 88: a field cannot command a terminal, in neither format', () => {
  const id = 'x\u001b[2J\u009b31m\u007f\u202egpj'
  for (const format of ['human', 'json'] as const) {
    const { lines, events } = observe(format)
    events.deviceCreated({ deviceId: id, type: 'pump' })
    const line = lines.join('')
    assert.ok(line.includes('\\u001b[2J\\u009b31m\\u007f\\u202egpj'), line)
    if (format === 'json') assert.equal(JSON.parse(line).deviceId, id)
  }
})

test('a storm is counted in full, written in part, and says what it held back', () => {
  const { lines, clock, events, counted } = observe('human')
  for (let index = 0; index < 1000; index++) events.liveClientClosed({ bufferedBytes: index })
  events.serverStopped({ drainMs: 1 })
  assert.equal(counted(), 1001)
  assert.equal(lines.length, 11, 'ten of the storm, and another event is not held back by it')
  clock.nowMs = 60_000
  events.liveClientClosed({ bufferedBytes: 1 })
  assert.match(lines.at(-1) ?? '', /held_back=990/)
  events.liveClientClosed({ bufferedBytes: 2 })
  assert.doesNotMatch(lines.at(-1) ?? '', /held_back/)
})

test('what is below the level is counted all the same', () => {
  const { lines, events, counted } = observe('human', 'error')
  events.liveClientClosed({ bufferedBytes: 1 })
  events.threadFailed({ thread: 'gateway', problem: 'it fell' })
  assert.deepEqual([lines.length, counted()], [1, 2])
})
