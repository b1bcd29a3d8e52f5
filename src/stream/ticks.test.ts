/** When the clock is looked at changes nothing in what rules say, nor in what they say of when. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Plan, Rule, RuleDefinition } from '../pipeline/pipeline.ts'
import { clockStep } from './clock-steps.ts'
import { StreamProcessor } from './processor.ts'
import {
  anyScript,
  frameOf,
  LIMITS,
  messageAt,
  METRIC_A,
  METRIC_LABEL,
  PLAN_OF_ALL,
} from './script.ts'
import { planOf, timeAt, type ScriptFrame } from './script.ts'
import type { RuleEvent } from './stream.ts'

const SECOND_US = 1e6
/** Of a gap between two frames, so that a run is short. */
const TICKS_MAX = 40
/** Such that crossed others. */
const CROSSINGS_US = [0, 300_000, 1_000_000]

const isOnWindow = (rule: Rule): boolean => rule.on === 'window'

/** Windows close by ticks where nothing is heard. */
const PLAN: Plan = { ...PLAN_OF_ALL, rules: PLAN_OF_ALL.rules.filter((rule) => !isOnWindow(rule)) }
const withoutWindows = (script: ScriptFrame[]): ScriptFrame[] =>
  script.map(({ rules = [], ...frame }) => ({
    ...frame,
    rules: rules.filter((change) => !('put' in change && isOnWindow(change.put as Rule))),
  }))

/** A tick so often between its frames, except where the clock was set, and `others` behind each. */
function withTicks(script: ScriptFrame[], everyUs: number, others: number[] = []): ScriptFrame[] {
  const ticks: ScriptFrame[] = []
  let clockUs = -Infinity
  const tick = (baseUs: number): void => {
    ticks.push({ baseUs, messages: [] })
    for (const us of others) ticks.push({ baseUs: baseUs - us, messages: [] })
  }
  for (const frame of script) {
    const { baseUs } = frame
    const isSet = clockStep(clockUs, baseUs) !== 0
    const count = isSet ? 0 : Math.min(TICKS_MAX, Math.ceil((baseUs - clockUs) / everyUs) - 1)
    if (Number.isFinite(clockUs)) for (let at = 1; at <= count; at++) tick(clockUs + at * everyUs)
    ticks.push(frame)
    clockUs = isSet ? baseUs : Math.max(clockUs, baseUs)
    for (const us of others) ticks.push({ baseUs: clockUs - us, messages: [] })
  }
  return ticks
}

function eventsOf(script: ScriptFrame[], plan = PLAN): RuleEvent[] {
  const processor = new StreamProcessor({ plan, limits: LIMITS })
  return script.flatMap((frame, at) => processor.process(at, frameOf(frame, at === 0)).ruleEvents)
}

test('S1 property: a tick a second, one in ten, or none, and such as cross: the same events', () => {
  let events = 0
  let between = 0
  fc.assert(
    fc.property(anyScript.map(withoutWindows), (script) => {
      const expected = eventsOf(script)
      const said = expected.map((event) => JSON.stringify(event))
      const everySecond = withTicks(script, SECOND_US, CROSSINGS_US)
      for (const ticks of [everySecond, withTicks(script, 10 * SECOND_US)]) {
        const found = eventsOf(ticks).map((event) => JSON.stringify(event))
        assert.deepEqual(found.slice(0, 100), said.slice(0, 100))
        assert.ok(found.join() === said.join())
      }
      const times = new Set(
        script.flatMap(({ baseUs, messages }) => [
          baseUs,
          ...messages.map(({ ingestDeltaUs }) => baseUs + ingestDeltaUs),
        ]),
      )
      const isBetween = (us: number | undefined): boolean => us !== undefined && !times.has(us)
      events += expected.length
      between += expected.filter((one) => isBetween(one.resolvedAtUs ?? one.triggeredAtUs)).length
    }),
    { numRuns: 100 },
  )
  assert.ok(events > 100 && between > 100, `${events} events, ${between} between frames`)
})

/** µs since the first frame, and what was said then. */
function told(rule: RuleDefinition, script: ScriptFrame[]): [number, string][] {
  const [first] = script
  return eventsOf(script, planOf(rule)).map(({ state, triggeredAtUs, resolvedAtUs }) => [
    ((resolvedAtUs ?? triggeredAtUs) - first!.baseUs) / SECOND_US,
    state,
  ])
}

const says = (atS: number, a: number): ScriptFrame => ({
  baseUs: timeAt(atS),
  messages: [messageAt(atS, { readings: [[METRIC_A, a]] })],
})
const tick = (atS: number, more: Partial<ScriptFrame> = {}): ScriptFrame => ({
  ...{ baseUs: timeAt(atS), messages: [] },
  ...more,
})
/** Scripts begin at 22:15Z. */
const schedule = { from: '22:17', to: '22:19', timeZone: 'UTC' }

test('one tick finds all that fell due before it, each at its own time', () => {
  assert.deepEqual(told({ id: 'r', when: 'a > 80', for: '10s' }, [says(0, 90), tick(99)]), [
    [10, 'firing'],
  ])
  const keeps = [says(0, 90), says(1, 10), tick(99)]
  assert.deepEqual(told({ id: 'r', when: 'a > 80', keep: '10s' }, keeps), [
    [0, 'firing'],
    [11, 'resolved'],
  ])
  const ends = [says(0, 0), says(130, 90), tick(400)]
  assert.deepEqual(told({ id: 'r', when: 'a > 80', for: '10s', schedule }, ends), [
    [140, 'firing'],
    [240, 'resolved'],
  ])
  const silent = { interval: '10s', count: 3 }
  assert.deepEqual(told({ id: 'r', silent, schedule }, [says(0, 1), tick(400)]), [
    [120, 'firing'],
    [240, 'resolved'],
  ])
})

test('a message that comes before the tick decides at its own time', () => {
  const message = messageAt(1, { ingestDeltaUs: 12 * SECOND_US, readings: [[METRIC_A, 90]] })
  const script = [says(0, 90), { baseUs: timeAt(0), messages: [message] }, tick(20)]
  assert.deepEqual(told({ id: 'r', when: 'a > 80', for: '10s' }, script), [[12, 'firing']])
})

test('nothing that waits happens in a frame whose time the clock has passed', () => {
  const rule: RuleDefinition = { id: 'r', when: 'a > 80', for: '100ms' }
  const crossing = [says(1, 90), says(0.5, 90), tick(0.9), tick(1)]
  assert.deepEqual(told(rule, [tick(0), ...crossing]), [])
  assert.deepEqual(told(rule, [tick(0), ...crossing, tick(2)]), [[1.1, 'firing']])
})

test('silence is not found before the facts that let a rule look for it', () => {
  const tags = { site: 'x' }
  const facts = { device: 0, tenant: 'default', deviceId: 'device-0', deviceType: 'pump', tags }
  const devices = [{ ...facts, location: undefined, parent: undefined }]
  // Heard by a rule of everybody's, so that it is known.
  const plan = planOf(
    { id: 'all', silent: { interval: '1h', count: 1 } },
    { id: 'r', tags, silent: { interval: '10s', count: 1 } },
  )
  const atOnce = [says(0, 1), tick(60, { devices }), tick(60), tick(99)]
  const crossing = [says(0, 1), tick(60), tick(59.5, { devices }), tick(60), tick(99)]
  for (const script of [atOnce, crossing]) {
    const [fired, ...others] = eventsOf(script, plan)
    assert.deepEqual([fired!.ruleId, others], ['r', []])
    assert.equal(fired!.triggeredAtUs, timeAt(60))
    assert.equal(fired!.breachEventTimeUs, timeAt(60))
  }
})

test('what fires when the clock is set beyond the end of its schedule ends then', () => {
  const rule: RuleDefinition = { id: 'r', when: 'a > 80', for: '10s', schedule }
  assert.deepEqual(told(rule, [says(0, 0), says(130, 90), tick(150), tick(3600)]), [
    [140, 'firing'],
    [3600, 'resolved'],
  ])
  // What is pending goes on as if the clock had not been set.
  assert.deepEqual(
    told({ id: 'r', when: 'a > 80', for: '10s' }, [says(0, 90), tick(4), tick(3600), tick(3650)]),
    [[3606, 'firing']],
  )
})

test('texts are no values', () => {
  const rule: RuleDefinition = { id: 'r', type: 'pump', when: 'label == "fault" && a > 80' }
  const readings: [number, number][] = [
    [METRIC_A, 90],
    [METRIC_LABEL, 1],
  ]
  const frame = { baseUs: timeAt(0), messages: [messageAt(0, { readings })] }
  const [fired] = eventsOf([frame], planOf(rule))
  assert.deepEqual(fired!.values, { a: 90 })
})
