/** Each thing that a rule can say, with expectations computed by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeviceFacts, RuleChange } from '../batch/batch.ts'
import { compileRule } from '../pipeline/compile.ts'
import type { Plan, RuleDefinition } from '../pipeline/pipeline.ts'
import { StreamProcessor } from './processor.ts'
import { frameOf, LIMITS, METRIC_A, METRIC_B, METRIC_LABEL, METRIC_ON } from './script.ts'
import { PLAN, planOf, SERIES, TEXTS, timeAt, type ScriptFrame } from './script.ts'
import type { RuleEvent } from './stream.ts'

interface Step {
  at: number
  readings?: [number, number][]
  device?: number
  lagS?: number
  rules?: RuleChange[]
  devices?: DeviceFacts[]
}

const a = (at: number, value: number, more: Partial<Step> = {}): Step => ({
  ...{ at, readings: [[METRIC_A, value]] },
  ...more,
})
const tick = (at: number): Step => ({ at })

class Player {
  readonly events: RuleEvent[] = []
  #processor: StreamProcessor
  #plan: Plan
  #offset = 0
  readonly #baseUs: number

  constructor(plan: Plan, baseUs = timeAt(0)) {
    this.#plan = plan
    this.#baseUs = baseUs
    this.#processor = new StreamProcessor({ plan, limits: LIMITS })
  }

  /** One frame; what it said: `rule state`. */
  step({ at, readings, device = 0, lagS = 0, rules, devices }: Step): string {
    const baseUs = this.#baseUs + at * 1e6
    const message = {
      ...{ device, eventUs: baseUs - lagS * 1e6, ingestDeltaUs: 0, identity: 0 },
      isHistorical: false,
    }
    const frame: ScriptFrame = {
      ...{ baseUs, messages: readings === undefined ? [] : [{ ...message, readings }] },
      ...{ rules: rules ?? [], devices: devices ?? [] },
    }
    const { ruleEvents } = this.#processor.process(this.#offset, frameOf(frame, this.#offset === 0))
    this.#offset++
    this.events.push(...ruleEvents)
    return ruleEvents.map(({ ruleId, state }) => `${ruleId} ${state}`).join()
  }

  /** A restart from a checkpoint, maybe with another plan. */
  restart(plan = this.#plan): void {
    const { parts } = this.#processor.checkpoint(this.#offset)
    this.#plan = plan
    this.#processor = new StreamProcessor({ plan, limits: LIMITS })
    this.#processor.restore(parts, { series: SERIES, texts: TEXTS })
  }
}

/** Steps with what each says, played straight and with a restart behind every step. */
function play(rule: RuleDefinition, steps: [Step, string][], baseUs?: number): RuleEvent[] {
  const straight = new Player(planOf(rule), baseUs)
  const restarted = new Player(planOf(rule), baseUs)
  for (const [step, expected] of steps) {
    assert.equal(straight.step(step), expected, JSON.stringify(step))
    restarted.step(step)
    restarted.restart()
  }
  assert.deepEqual(restarted.events, straight.events)
  return straight.events
}

const FIRES = 'r firing'
const ENDS = 'r resolved'

test('hysteresis: what fires resolves only when the second condition holds', () => {
  play({ id: 'r', when: 'a > 80', clear: 'a < 60' }, [
    [a(0, 70), ''],
    [a(1, 81), FIRES],
    [a(2, 79), ''],
    [a(3, 60), ''],
    [a(4, 59.9), ENDS],
    [a(5, 70), ''],
  ])
})

test('keep: it resolves when it has ended for so long, by a tick too, and not when it comes back', () => {
  const [fired, resolved] = play({ id: 'r', when: 'a > 80', keep: '10s' }, [
    [a(0, 81), FIRES],
    [a(1, 10), ''],
    [a(10, 90), ''],
    [a(11, 10), ''],
    [tick(20.9), ''],
    [tick(21), ENDS],
  ])
  assert.equal(resolved!.resolvedAtUs, timeAt(21))
  assert.equal(resolved!.id, fired!.id)
})

test('repeat: so many breaches within the time, and as many again after it resolved', () => {
  play({ id: 'r', when: 'a > 80', repeat: { count: 3, within: '10s' } }, [
    [a(0, 81), ''],
    [a(1, 10), ''],
    [a(5, 81), ''],
    [a(10.5, 81), ''],
    [a(12, 81), FIRES],
    [a(13, 10), ENDS],
    [a(14, 81), ''],
    [a(15, 81), ''],
    [a(16, 81), FIRES],
  ])
})

test('rate, delta and previous are between the two last readings by event time', () => {
  const [fired] = play({ id: 'r', when: 'rate(a) > 2' }, [
    [a(0, 10), ''],
    [a(10, 30), ''],
    [a(20, 51), FIRES],
    // It happened before the newest: nothing changes.
    [a(21, 0, { lagS: 5 }), ''],
    [a(30, 60), ENDS],
  ])
  assert.deepEqual(fired!.values, { 'rate(a)': 2.1 })
  const { metric, unit, value, threshold } = fired!.reason
  assert.deepEqual([metric, unit, value, threshold], ['rate(a)', '°C/s', 2.1, 2])
  play({ id: 'r', when: 'abs(delta(a)) >= 5 && previous(a) < 20' }, [
    [a(0, 10), ''],
    [a(1, 5), FIRES],
    [a(2, 4), ENDS],
    [a(3, 30), FIRES],
    [a(4, 10), ENDS],
  ])
})

test('while one metric cannot breach, another is not looked at; once it can, it decides', () => {
  const on = (at: number, value: number): Step => ({ at, readings: [[METRIC_ON, value]] })
  play({ id: 'r', when: 'a > 60 && on' }, [
    [on(0, 0), ''],
    [a(1, 10), ''],
    [on(2, 0), ''],
    [a(3, 20), ''],
    [a(4, 70), ''],
    [on(5, 1), FIRES],
    [on(6, 0), ENDS],
    [a(7, 10), ''],
    [on(8, 1), ''],
    [on(9, 0), ''],
    [on(10, 1), ''],
    [a(11, 61), FIRES],
  ])
})

test('silence: interval × count without a message, and it ends with the first', () => {
  const [fired, resolved] = play({ id: 'r', silent: { interval: '10s', count: 3 } }, [
    [tick(0), ''],
    [a(5, 1), ''],
    [a(20, 1), ''],
    [tick(49.9), ''],
    [tick(50.2), FIRES],
    [tick(100), ''],
    [a(101, 1), ENDS],
    [tick(131), FIRES],
  ])
  assert.equal(fired!.breachEventTimeUs, timeAt(50))
  assert.equal(fired!.triggeredAtUs, timeAt(50))
  assert.deepEqual(fired!.reason, { kind: 'silence', condition: 'silent for 30 s' })
  assert.equal(resolved!.resolvedAtUs, timeAt(101))
})

test('silence waits for its schedule, and ends with it', () => {
  // 2023-11-14T22:15Z and on.
  const schedule = { from: '22:17', to: '22:19', timeZone: 'UTC' }
  const rule = { id: 'r', silent: { interval: '10s', count: 3 }, schedule }
  const [fired] = play(rule, [
    [a(0, 1), ''],
    [tick(60), ''],
    [tick(119), ''],
    [tick(120), FIRES],
    [tick(239), ''],
    [tick(240), ENDS],
    [tick(500), ''],
  ])
  assert.equal(fired!.breachEventTimeUs, timeAt(120))
})

test('a schedule: outside of it nothing fires, what is pending vanishes, what fires resolves', () => {
  const schedule = { from: '22:17', to: '22:19', timeZone: 'UTC' }
  play({ id: 'r', when: 'a > 80', for: '10s', schedule }, [
    [a(0, 90), ''],
    [a(119, 90), ''],
    [a(121, 90), ''],
    [tick(131), FIRES],
    [tick(239.9), ''],
    [tick(240), ENDS],
    [a(241, 90), ''],
    [tick(300), ''],
  ])
  play({ id: 'r', when: 'a > 80', for: '10s', schedule }, [
    [a(235, 90), ''],
    [tick(245), ''],
    [tick(300), ''],
  ])
})

test('a schedule follows the wall over the changes of summer time', () => {
  const berlin = { from: '08:00', to: '18:00', timeZone: 'Europe/Berlin' }
  const rule = { id: 'r', when: 'a > 80', schedule: berlin }
  // Saturday and Sunday of the change to summer time: 08:00 is 07:00Z, then 06:00Z.
  const springUs = Date.parse('2026-03-28T00:00:00Z') * 1000
  const hours = (count: number): number => count * 3600
  play(
    rule,
    [
      [a(hours(6.5), 90), ''],
      [a(hours(7), 90), FIRES],
      [tick(hours(17)), ENDS],
      [a(hours(24 + 5.99), 90), ''],
      [a(hours(24 + 6), 90), FIRES],
      [tick(hours(24 + 15.99)), ''],
      [tick(hours(24 + 16)), ENDS],
    ],
    springUs,
  )
  const autumnUs = Date.parse('2026-10-24T00:00:00Z') * 1000
  play(
    rule,
    [
      [a(hours(6), 90), FIRES],
      [tick(hours(16)), ENDS],
      [a(hours(24 + 6), 90), ''],
      [a(hours(24 + 7), 90), FIRES],
    ],
    autumnUs,
  )
})

test('a window decides as it closes, once all partials are there', () => {
  const [fired] = play({ id: 'r', window: '1m', when: 'avg(a) > 50 && count(a) > 1' }, [
    [a(0, 90), ''],
    [a(30, 20), ''],
    // The watermark is 10 s behind.
    [a(69.9, 0), ''],
    [a(70, 0), FIRES],
    [a(129.9, 0), ''],
    [a(130, 0), ENDS],
  ])
  assert.deepEqual(fired!.values, { 'avg(a)': 55, 'count(a)': 2 })
  assert.equal(fired!.breachEventTimeUs, timeAt(60))
  play({ id: 'r', window: '1m', when: 'max(a) > min(b)' }, [
    [a(0, 9), ''],
    [{ at: 1, readings: [[METRIC_B, 3]] }, ''],
    [a(61, 9), ''],
    [{ at: 71, readings: [[METRIC_ON, 1]] }, FIRES],
    // The next window has no b: nothing is decided.
    [a(131, 0), ''],
  ])
})

test('early: the running window fires at once, and only a window that ended resolves', () => {
  const rule: RuleDefinition = { id: 'r', window: '1m', early: true, when: 'sum(a) > 100' }
  const [fired] = play(rule, [
    [a(0, 60), ''],
    [a(10, 60), FIRES],
    [a(20, -60), ''],
    // That window ended without a breach; but the next is in one already.
    [a(61, 200), ''],
    [a(71, -150), ''],
    [a(129.9, 0), ''],
    [a(130, 0), ENDS],
  ])
  assert.deepEqual(fired!.values, { 'sum(a)': 120 })
})

const facts = (tags: Record<string, string>, location?: string): DeviceFacts => ({
  ...{ device: 0, tenant: 'default', deviceId: 'device-0', deviceType: 'pump' },
  ...{ tags, location, parent: undefined },
})

test('tags and what the registry says bind a rule to a device, and later facts bind it anew', () => {
  const rule = {
    ...{ id: 'r', tags: { site: 'x' } },
    when: 'a > number(device.tags.limit) && device.location != "yard"',
  }
  play(rule, [
    [a(0, 90), ''],
    [{ at: 1, devices: [facts({ site: 'x', limit: '80' }, 'hall')] }, ''],
    [a(2, 90), FIRES],
    [{ at: 3, devices: [facts({ site: 'y', limit: '80' }, 'hall')] }, ENDS],
    [{ at: 4, devices: [facts({ site: 'x', limit: 'high' }, 'hall')] }, ''],
    [a(5, 90), ''],
    [{ at: 6, devices: [facts({ site: 'x', limit: '80' }, 'yard')] }, ''],
    [a(7, 90), ''],
    [{ at: 8, devices: [facts({ site: 'x', limit: '80' })] }, ''],
    [a(9, 90), ''],
  ])
})

test('a text of the registry equals the same text of a device, whoever said it first', () => {
  const label = (at: number, text: number): Step => ({ at, readings: [[METRIC_LABEL, text]] })
  play({ id: 'r', when: 'label == device.tags["normal"]' }, [
    [{ at: 0, devices: [facts({ normal: 'fault' })] }, ''],
    [label(1, 1), FIRES],
    [label(2, 0), ENDS],
  ])
})

test('a reason says the comparison, its unit, and the value before the breach', () => {
  const [fired, resolved] = play({ id: 'r', when: '80 < a', for: '5s', notify: ['me'] }, [
    [a(0, 70), ''],
    [a(1, 85), ''],
    [a(2, 88), ''],
    [tick(6), FIRES],
    [a(7, 60), ENDS],
  ])
  const reason = {
    ...{ kind: 'condition', condition: '80 < a', metric: 'a', unit: '°C', value: 88 },
    ...{ threshold: 80, valueBefore: 70, notify: ['me'] },
  }
  assert.deepEqual(fired!.reason, reason)
  assert.deepEqual(resolved!.reason, { ...reason, value: 60 })
})

const put = (rule: RuleDefinition): RuleChange => ({ put: compileRule(rule, PLAN) })

test('rules come, change and go in the log; what fires resolves, and old versions do nothing', () => {
  const player = new Player(planOf({ id: 'fixed', when: 'a > 1000' }))
  const restarted = new Player(planOf({ id: 'fixed', when: 'a > 1000' }))
  const expect = (step: Step, expected: string): void => {
    assert.equal(player.step(step), expected, JSON.stringify(step))
    restarted.step(step)
    restarted.restart()
  }
  const rule = { id: 'r', when: 'a > 80' }
  expect(a(0, 90), '')
  expect({ at: 1, rules: [put({ ...rule, version: 2 })] }, '')
  expect(a(2, 90), 'r firing')
  expect({ at: 3, rules: [put({ ...rule, version: 2, when: 'a > 0' })] }, '')
  expect({ at: 4, rules: [put({ ...rule, version: 1, when: 'a > 0' })] }, '')
  expect({ at: 5, rules: [put({ ...rule, version: 3, for: '2s' })] }, 'r resolved')
  expect(a(6, 90), '')
  expect(a(8, 90), 'r firing')
  expect({ at: 9, rules: [{ remove: { id: 'r', version: 3 } }] }, '')
  expect({ at: 10, rules: [{ remove: { id: 'r', version: 4 } }] }, 'r resolved')
  expect({ at: 11, rules: [put({ ...rule, version: 4 })] }, '')
  expect(a(12, 90), '')
  expect({ at: 13, rules: [put({ ...rule, version: 5 }), put({ id: 's', when: 'a > 85' })] }, '')
  expect(a(14, 90), 'r firing,s firing')
  expect({ at: 15, rules: [{ retain: [{ id: 's', version: 1 }] }] }, 'r resolved')
  // The plan's own are not for changes.
  expect({ at: 16, rules: [put({ id: 'fixed', version: 9, when: 'a > 0' })] }, '')
  expect(a(17, 90), '')
  expect({ at: 18, rules: [{ retain: [] }] }, 's resolved')
  assert.deepEqual(restarted.events, player.events)
  const versions = player.events.map(({ ruleId, ruleVersion }) => `${ruleId}${ruleVersion}`)
  assert.deepEqual(versions, ['r2', 'r2', 'r3', 'r3', 'r5', 's1', 'r5', 's1'])
})

test('a rule that comes knows nothing of what was heard before', () => {
  const player = new Player(planOf({ id: 'other', when: 'a > b && a < 0' }))
  player.step({ at: 0, readings: [[METRIC_A, 90]] })
  const rules = [put({ id: 'r', when: 'a > 80 && on', version: 1 })]
  assert.equal(player.step({ at: 1, rules }), '')
  assert.equal(player.step({ at: 2, readings: [[METRIC_ON, 1]] }), '')
  assert.equal(player.step(a(3, 90)), 'r firing')
})
