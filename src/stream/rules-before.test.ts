import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StreamProcessor } from './processor.ts'
import { frameOf, LIMITS, messageAt, METRIC_ON, PLAN, SERIES, TEXTS, timeAt } from './script.ts'
import type { Checkpoint, RuleEvent } from './stream.ts'

const IDLE = 0
const PENDING = 1
const FIRING = 2

/** A record as it was: 8 places and the values, in sixteens where they are more than eight. */
function record(rule: number, phase: number, values: number[]): number[] {
  const sinceUs = phase === IDLE ? 0 : timeAt(0)
  const triggeredUs = phase === FIRING ? timeAt(1) : 0
  const places = [phase, sinceUs, sinceUs, triggeredUs, 0, 0, rule, 0, ...values]
  return [...places, ...Array<number>(16 - places.length).fill(0)]
}

/** A checkpoint of version 1, ten seconds after the start of scripts. */
function partsBefore(): Checkpoint['parts'] {
  const rules = [
    { id: 'gone', version: 1, severity: 'info', metrics: ['a'] },
    { id: 'warm-while-on', version: 1, severity: 'warning', metrics: ['a', 'on'] },
    { id: 'hot', version: 1, severity: 'warning', metrics: ['a'] },
    { id: 'burning', version: 1, severity: 'warning', metrics: ['a'] },
  ]
  const table = Float64Array.from([
    ...record(0, FIRING, [85]),
    ...record(1, IDLE, [85, NaN]),
    ...record(2, PENDING, [85]),
    ...record(3, FIRING, [85]),
  ])
  const plan = {
    ...{ version: 1, windowsMs: PLAN.windowsMs, slots: 2, rulesLength: table.length },
    ...{ rules, detectors: [] },
  }
  const times = [timeAt(10), timeAt(0), timeAt(10), timeAt(10), -1, timeAt(9_000)]
  const clock = Float64Array.from([...times, timeAt(0), timeAt(0)])
  return [
    { name: 'plan', bytes: new TextEncoder().encode(JSON.stringify(plan)) },
    { name: 'clock', bytes: new Uint8Array(clock.buffer) },
    { name: 'rules-0', bytes: new Uint8Array(table.buffer) },
  ]
}

test('a checkpoint from before rules could change goes on: pending, firing, values, rules gone', () => {
  const processor = new StreamProcessor({ plan: PLAN, limits: LIMITS })
  processor.restore(partsBefore(), { series: SERIES, texts: TEXTS })
  const said = (events: RuleEvent[]): string[] =>
    events.map(({ ruleId, state, values }) => `${ruleId} ${state} ${JSON.stringify(values)}`)
  const at = (second: number, ...messages: ReturnType<typeof messageAt>[]): string[] =>
    said(processor.process(1, frameOf({ baseUs: timeAt(second), messages })).ruleEvents)
  assert.deepEqual(at(11), ['gone resolved {}'])
  // The latest value of a is known; it holds from here on.
  assert.deepEqual(at(12, messageAt(12, { readings: [[METRIC_ON, 1]] })), [])
  assert.deepEqual(at(17), ['warm-while-on firing {"a":85,"on":1}'])
  assert.deepEqual(at(29.9), [])
  assert.deepEqual(at(30), ['hot firing {"a":85}'])
  assert.deepEqual(at(31, messageAt(31)), [
    ...['hot resolved {"a":20}', 'burning resolved {"a":20}'],
    'warm-while-on resolved {"a":20,"on":1}',
  ])
})
